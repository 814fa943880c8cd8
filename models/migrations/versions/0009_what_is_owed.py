"""A series remembers of what time the ledger says what is owed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision: str = "0009"
down_revision: str | None = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("series", sa.Column("planned_from", sa.DateTime(timezone=True)))
    op.add_column("series", sa.Column("planned_until", sa.DateTime(timezone=True)))


def downgrade() -> None:
    op.drop_column("series", "planned_until")
    op.drop_column("series", "planned_from")
