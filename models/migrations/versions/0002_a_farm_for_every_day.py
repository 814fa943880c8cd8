"""Trades, books, schedule edits and runs, what an entry says about its jobs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "trades",
        sa.Column("series_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("ts", _MOMENT, nullable=False),
        sa.Column("trade_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("price", sa.Numeric(), nullable=False),
        sa.Column("size", sa.Numeric(), nullable=False),
        sa.Column("side", sa.Text(), nullable=True),
        sa.Column("observed_at", _MOMENT, nullable=False),
        sa.Column("job_id", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("price > '-Infinity' AND price < 'Infinity'", name="trades_price_finite"),
        sa.CheckConstraint("size > '-Infinity' AND size < 'Infinity'", name="trades_size_finite"),
        sa.CheckConstraint("side IN ('buy', 'sell')", name="trades_side"),
        sa.PrimaryKeyConstraint("series_id", "ts", "trade_id"),
        postgresql_partition_by="RANGE (ts)",
    )
    op.create_table(
        "books",
        sa.Column("series_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("ts", _MOMENT, nullable=False),
        sa.Column("bid_prices", postgresql.ARRAY(sa.Numeric()), nullable=False),
        sa.Column("bid_sizes", postgresql.ARRAY(sa.Numeric()), nullable=False),
        sa.Column("ask_prices", postgresql.ARRAY(sa.Numeric()), nullable=False),
        sa.Column("ask_sizes", postgresql.ARRAY(sa.Numeric()), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=True),
        sa.Column("observed_at", _MOMENT, nullable=False),
        sa.Column("job_id", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("series_id", "ts"),
        postgresql_partition_by="RANGE (ts)",
    )
    op.create_table(
        "schedule_runs",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("entry", sa.Text(), nullable=False),
        sa.Column("slot", _MOMENT, nullable=False),
        sa.Column("by_hand", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("owed_at", _MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.Column("finished_at", _MOMENT, nullable=True),
        sa.Column("jobs", sa.Integer(), server_default="0", nullable=False),
        sa.Column("rows", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "outcome IN ('ok', 'nothing', 'skipped', 'failed', 'expired', 'cancelled')", name="schedule_runs_outcome"
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("entry", "slot"),
    )
    op.create_index("schedule_runs_open", "schedule_runs", ["id"], postgresql_where=sa.text("outcome IS NULL"))
    op.add_column("jobs", sa.Column("run_id", sa.BigInteger(), nullable=True))
    op.add_column("jobs", sa.Column("options", postgresql.JSONB(astext_type=sa.Text()), nullable=True))
    op.create_index("jobs_run", "jobs", ["run_id"], postgresql_where=sa.text("run_id IS NOT NULL"))
    op.create_index("dead_letters_job", "dead_letters", ["job_id"])
    # Entries come from the file again at the next start of beat; how far each has got is kept.
    op.drop_column("schedule", "task")
    op.drop_column("schedule", "cadence")
    op.drop_column("schedule", "enabled")
    op.add_column("schedule", sa.Column("spec", postgresql.JSONB(astext_type=sa.Text()), nullable=True))
    op.add_column(
        "schedule", sa.Column("edits", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False)
    )
    op.add_column("schedule", sa.Column("changed_at", _MOMENT, server_default=sa.text("now()"), nullable=False))
    op.add_column("ledger", sa.Column("deleted", sa.Integer(), server_default="0", nullable=False))
    op.add_column("ledger", sa.Column("deleted_at", _MOMENT, nullable=True))


def downgrade() -> None:
    op.drop_column("ledger", "deleted_at")
    op.drop_column("ledger", "deleted")
    op.drop_column("schedule", "changed_at")
    op.drop_column("schedule", "edits")
    op.drop_column("schedule", "spec")
    op.add_column("schedule", sa.Column("enabled", sa.Boolean(), server_default="true", nullable=False))
    op.add_column("schedule", sa.Column("cadence", sa.Text(), server_default="", nullable=False))
    op.add_column("schedule", sa.Column("task", sa.Text(), server_default="", nullable=False))
    op.drop_index("dead_letters_job", table_name="dead_letters")
    op.drop_index("jobs_run", table_name="jobs", postgresql_where=sa.text("run_id IS NOT NULL"))
    op.drop_column("jobs", "options")
    op.drop_column("jobs", "run_id")
    op.drop_table("schedule_runs")
    op.drop_table("books")
    op.drop_table("trades")
