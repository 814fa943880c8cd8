"""Quota used, holds and events of providers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision: str = "0003"
down_revision: str | None = "0002"
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "quota_use",
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("pool", sa.Text(), nullable=False),
        sa.Column("unit", sa.Text(), nullable=False),
        sa.Column("hour", _MOMENT, nullable=False),
        sa.Column("used", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("provider", "pool", "unit", "hour"),
        postgresql_with={"fillfactor": "70"},
    )
    op.create_table(
        "provider_holds",
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("pool", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("since", _MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.Column("until", _MOMENT, nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.CheckConstraint("kind IN ('throttled', 'quota', 'entitlement', 'manual')", name="provider_holds_kind"),
        sa.PrimaryKeyConstraint("provider", "pool", "kind"),
    )
    op.create_table(
        "provider_events",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("at", _MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), server_default="", nullable=False),
        sa.Column("before", sa.Text(), nullable=False),
        sa.Column("after", sa.Text(), nullable=False),
        sa.Column("until", _MOMENT, nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.CheckConstraint("kind IN ('breaker', 'health', 'hold')", name="provider_events_kind"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("provider_events_newest", "provider_events", ["provider", "at"])


def downgrade() -> None:
    op.drop_table("provider_events")
    op.drop_table("provider_holds")
    op.drop_table("quota_use")
