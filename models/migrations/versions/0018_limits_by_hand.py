"""What share of its windows a provider is kept to by hand."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision: str = "0018"
down_revision: str | None = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "provider_limits",
        sa.Column("provider", sa.Text, primary_key=True),
        sa.Column("percent", sa.SmallInteger, nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("until", sa.DateTime(timezone=True)),
        sa.Column("reason", sa.Text, nullable=False),
        sa.CheckConstraint("percent BETWEEN 1 AND 99", name="provider_limits_percent"),
    )
    op.drop_constraint("provider_events_kind", "provider_events")
    kinds = "kind IN ('breaker', 'health', 'hold', 'limit')"
    op.create_check_constraint("provider_events_kind", "provider_events", kinds)


def downgrade() -> None:
    op.execute("DELETE FROM provider_events WHERE kind = 'limit'")
    op.drop_constraint("provider_events_kind", "provider_events")
    op.create_check_constraint("provider_events_kind", "provider_events", "kind IN ('breaker', 'health', 'hold')")
    op.drop_table("provider_limits")
