"""Due jobs in an order in which each provider's can be found behind another one's long history."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision: str = "0005"
down_revision: str | None = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _order_by(["lane", "task", "priority", "due_at"])


def downgrade() -> None:
    _order_by(["lane", "priority", "due_at"])


def _order_by(columns: list[str]) -> None:
    op.drop_index("jobs_due", table_name="jobs")
    op.create_index("jobs_due", "jobs", columns, postgresql_where=sa.text("state = 'due'"))
