"""The spine's tables: series, bars, quotes, jobs and what is kept about them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0001"
down_revision: str | None = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "bars",
        sa.Column("series_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("ts", sa.DateTime(timezone=True), nullable=False),
        sa.Column("open", sa.Numeric(), nullable=False),
        sa.Column("high", sa.Numeric(), nullable=False),
        sa.Column("low", sa.Numeric(), nullable=False),
        sa.Column("close", sa.Numeric(), nullable=False),
        sa.Column("volume", sa.Numeric(), nullable=True),
        sa.Column("adjusted_close", sa.Numeric(), nullable=True),
        sa.Column("quote_volume", sa.Numeric(), nullable=True),
        sa.Column("trade_count", sa.BigInteger(), nullable=True),
        sa.Column("is_final", sa.Boolean(), nullable=False),
        sa.Column("observed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("job_id", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "adjusted_close > '-Infinity' AND adjusted_close < 'Infinity'", name="bars_adjusted_close_finite"
        ),
        sa.CheckConstraint("close > '-Infinity' AND close < 'Infinity'", name="bars_close_finite"),
        sa.CheckConstraint("high > '-Infinity' AND high < 'Infinity'", name="bars_high_finite"),
        sa.CheckConstraint("low > '-Infinity' AND low < 'Infinity'", name="bars_low_finite"),
        sa.CheckConstraint("open > '-Infinity' AND open < 'Infinity'", name="bars_open_finite"),
        sa.CheckConstraint("quote_volume > '-Infinity' AND quote_volume < 'Infinity'", name="bars_quote_volume_finite"),
        sa.CheckConstraint("volume > '-Infinity' AND volume < 'Infinity'", name="bars_volume_finite"),
        sa.PrimaryKeyConstraint("series_id", "ts"),
        postgresql_partition_by="RANGE (ts)",
    )
    op.create_table(
        "dead_letters",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("state", sa.Text(), server_default="open", nullable=False),
        sa.Column("task", sa.Text(), nullable=False),
        sa.Column("task_id", sa.Text(), nullable=True),
        sa.Column("args", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("kwargs", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("queue", sa.Text(), nullable=True),
        sa.Column("job_id", sa.BigInteger(), nullable=True),
        sa.Column("error_class", sa.Text(), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.CheckConstraint("state IN ('open', 'requeued', 'discarded')", name="dead_letters_state"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("task_id"),
    )
    op.create_index("dead_letters_open", "dead_letters", ["at"], unique=False, postgresql_where="state = 'open'")
    op.create_table(
        "fetch_log",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("job_id", sa.BigInteger(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("dataset", sa.Text(), nullable=False),
        sa.Column("lane", sa.Text(), nullable=False),
        sa.Column("requests", sa.Integer(), nullable=False),
        sa.Column("weight", sa.Integer(), nullable=False),
        sa.Column("failed", sa.Integer(), nullable=False),
        sa.Column("duration_ms", sa.Integer(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("payload_key", sa.Text(), nullable=False),
        sa.Column("segment", sa.Text(), nullable=True),
        sa.Column("position", sa.BigInteger(), nullable=True),
        sa.Column("size_bytes", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("id", "at"),
        postgresql_partition_by="RANGE (at)",
    )
    op.create_index("fetch_log_payload", "fetch_log", ["payload_key"], unique=False)
    op.create_table(
        "findings",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("job_id", sa.BigInteger(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("dataset", sa.Text(), nullable=False),
        sa.Column("instrument", sa.Text(), nullable=True),
        sa.Column("ts", sa.DateTime(timezone=True), nullable=True),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("sample", sa.Text(), nullable=False),
        sa.Column("payload_key", sa.Text(), nullable=False),
        sa.Column("answer", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("payload_key", "answer", "rule", "instrument", postgresql_nulls_not_distinct=True),
    )
    op.create_index("findings_at", "findings", ["at"], unique=False)
    op.create_table(
        "jobs",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("task", sa.Text(), nullable=False),
        sa.Column("lane", sa.Text(), nullable=False),
        sa.Column("kwargs", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("priority", sa.SmallInteger(), server_default="3", nullable=False),
        sa.Column("state", sa.Text(), server_default="due", nullable=False),
        sa.Column("attempt", sa.Integer(), server_default="0", nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("fetched_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("failures", sa.Integer(), server_default="0", nullable=False),
        sa.Column("lost_leases", sa.Integer(), server_default="0", nullable=False),
        sa.Column("payload_key", sa.Text(), nullable=True),
        sa.Column("payload_bytes", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("parent_id", sa.BigInteger(), nullable=True),
        sa.Column("entry", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("result", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "state IN ('due', 'leased', 'fetched', 'done', 'expired', 'dead', 'cancelled')", name="jobs_state"
        ),
        sa.CheckConstraint("priority BETWEEN 1 AND 5", name="jobs_priority"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("key"),
        postgresql_with={"fillfactor": "70", "autovacuum_vacuum_scale_factor": "0.02"},
    )
    op.create_index(
        "jobs_due", "jobs", ["lane", "priority", "due_at"], unique=False, postgresql_where=sa.text("state = 'due'")
    )
    op.create_index(
        "jobs_expiring",
        "jobs",
        ["expires_at"],
        unique=False,
        postgresql_where=sa.text("state = 'due' AND expires_at IS NOT NULL"),
    )
    op.create_index(
        "jobs_in_flight",
        "jobs",
        ["lease_until"],
        unique=False,
        postgresql_where=sa.text("state IN ('leased', 'fetched')"),
    )
    op.create_index("jobs_next", "jobs", ["due_at"], unique=False, postgresql_where=sa.text("state = 'due'"))
    op.create_index(
        "jobs_parent", "jobs", ["parent_id"], unique=False, postgresql_where=sa.text("parent_id IS NOT NULL")
    )
    op.create_table(
        "ledger",
        sa.Column("series_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("stored", sa.Integer(), nullable=False),
        sa.Column("final", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), server_default="fetched", nullable=False),
        sa.Column("job_id", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("series_id", "day"),
        postgresql_with={"fillfactor": "80"},
    )
    op.create_table(
        "quotes",
        sa.Column("series_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("ts", sa.DateTime(timezone=True), nullable=False),
        sa.Column("bid", sa.Numeric(), nullable=False),
        sa.Column("bid_size", sa.Numeric(), nullable=True),
        sa.Column("ask", sa.Numeric(), nullable=False),
        sa.Column("ask_size", sa.Numeric(), nullable=True),
        sa.Column("last", sa.Numeric(), nullable=True),
        sa.Column("observed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("job_id", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("ask > '-Infinity' AND ask < 'Infinity'", name="quotes_ask_finite"),
        sa.CheckConstraint("ask_size > '-Infinity' AND ask_size < 'Infinity'", name="quotes_ask_size_finite"),
        sa.CheckConstraint("bid > '-Infinity' AND bid < 'Infinity'", name="quotes_bid_finite"),
        sa.CheckConstraint("bid_size > '-Infinity' AND bid_size < 'Infinity'", name="quotes_bid_size_finite"),
        sa.CheckConstraint("last > '-Infinity' AND last < 'Infinity'", name="quotes_last_finite"),
        sa.PrimaryKeyConstraint("series_id", "ts"),
        postgresql_partition_by="RANGE (ts)",
    )
    op.create_table(
        "revisions",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("series_id", sa.Integer(), nullable=False),
        sa.Column("ts", sa.DateTime(timezone=True), nullable=False),
        sa.Column("old_row", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("observed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("superseded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("job_id", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("revisions_row", "revisions", ["series_id", "ts"], unique=False)
    op.create_table(
        "schedule",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("task", sa.Text(), nullable=False),
        sa.Column("cadence", sa.Text(), nullable=False),
        sa.Column("enabled", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("last_slot", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "series",
        sa.Column("id", sa.Integer(), sa.Identity(always=False), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("dataset", sa.Text(), nullable=False),
        sa.Column("instrument", sa.Text(), nullable=False),
        sa.Column("interval", sa.Text(), server_default="", nullable=False),
        sa.Column("followed", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("refused", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("provider", "dataset", "instrument", "interval"),
    )


def downgrade() -> None:
    op.drop_table("series")
    op.drop_table("schedule")
    op.drop_index("revisions_row", table_name="revisions")
    op.drop_table("revisions")
    op.drop_table("quotes")
    op.drop_table("ledger")
    op.drop_index("jobs_parent", table_name="jobs", postgresql_where=sa.text("parent_id IS NOT NULL"))
    op.drop_index("jobs_next", table_name="jobs", postgresql_where=sa.text("state = 'due'"))
    op.drop_index("jobs_in_flight", table_name="jobs", postgresql_where=sa.text("state IN ('leased', 'fetched')"))
    op.drop_index(
        "jobs_expiring", table_name="jobs", postgresql_where=sa.text("state = 'due' AND expires_at IS NOT NULL")
    )
    op.drop_index("jobs_due", table_name="jobs", postgresql_where=sa.text("state = 'due'"))
    op.drop_table("jobs")
    op.drop_index("findings_at", table_name="findings")
    op.drop_table("findings")
    op.drop_index("fetch_log_payload", table_name="fetch_log")
    op.drop_table("fetch_log")
    op.drop_index("dead_letters_open", table_name="dead_letters", postgresql_where="state = 'open'")
    op.drop_table("dead_letters")
    op.drop_table("bars")
