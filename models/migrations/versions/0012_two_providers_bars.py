"""A finding may be about two providers and end; the series of one instrument's bars are found by an index."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision: str = "0012"
down_revision: str | None = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("findings", sa.Column("against", sa.Text()))
    op.add_column("findings", sa.Column("ended_at", sa.DateTime(timezone=True)))
    op.create_index(
        "series_same_bars", "series", ["instrument", "interval"], postgresql_where=sa.text("dataset = 'bars'")
    )


def downgrade() -> None:
    op.drop_index("series_same_bars", table_name="series")
    op.drop_column("findings", "ended_at")
    op.drop_column("findings", "against")
