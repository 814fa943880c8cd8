"""The fetch log: a row for each failure, latencies, who served; partitions of a day in place of a month's."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0004"
down_revision: str | None = "0003"
branch_labels = None
depends_on = None

_DAY = "fetch_log_d%s"
_MONTH = "fetch_log_m%s"


def upgrade() -> None:
    for column in (
        sa.Column("kind", sa.Text(), server_default="batch", nullable=False),
        sa.Column("pool", sa.Text(), server_default="", nullable=False),
        sa.Column("base_url", sa.Text(), server_default="", nullable=False),
        sa.Column("url", sa.Text(), nullable=True),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("cause", sa.Text(), nullable=True),
        sa.Column("answer", sa.Integer(), nullable=True),
        sa.Column("latency_ms", postgresql.ARRAY(sa.Integer()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("body_bytes", sa.BigInteger(), server_default="0", nullable=False),
    ):
        op.add_column("fetch_log", column)
    op.alter_column("fetch_log", "job_id", nullable=True)
    op.alter_column("fetch_log", "payload_key", nullable=True)
    op.create_check_constraint("fetch_log_kind", "fetch_log", "kind IN ('batch', 'failure')")
    op.create_index("fetch_log_provider", "fetch_log", ["provider", "at"])
    _repartition(_MONTH, "day", _DAY, "YYYY_MM_DD")


def downgrade() -> None:
    op.execute("DELETE FROM fetch_log WHERE kind <> 'batch' OR job_id IS NULL OR payload_key IS NULL")
    _repartition(_DAY, "month", _MONTH, "YYYY_MM")
    op.drop_index("fetch_log_provider", table_name="fetch_log")
    op.drop_constraint("fetch_log_kind", "fetch_log")
    op.alter_column("fetch_log", "payload_key", nullable=False)
    op.alter_column("fetch_log", "job_id", nullable=False)
    for name in ("body_bytes", "latency_ms", "answer", "cause", "status", "url", "base_url", "pool", "kind"):
        op.drop_column("fetch_log", name)


def _repartition(old: str, width: str, new: str, spelling: str) -> None:
    """Move the rows of every partition named like `old` into partitions of that width, which are made for them.

    A partition can't stay beside those that its time overlaps with. The default limits on statements are for the farm
    at work: here it stands still.
    """
    op.execute("SET LOCAL statement_timeout = 0")
    op.execute(
        f"""
        DO $$
        DECLARE
            every text[] := ARRAY(
                SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
                WHERE i.inhparent = 'fetch_log'::regclass AND c.relname ~ '^{old % "[0-9_]+$"}' ORDER BY 1);
            one text;
            first timestamptz;
        BEGIN
            FOREACH one IN ARRAY every LOOP
                EXECUTE format('ALTER TABLE fetch_log DETACH PARTITION %I', one);
            END LOOP;
            FOREACH one IN ARRAY every LOOP
                FOR first IN EXECUTE format('SELECT DISTINCT date_trunc(''{width}'', at, ''UTC'') FROM %I', one)
                LOOP
                    EXECUTE format(
                        'CREATE TABLE IF NOT EXISTS %I PARTITION OF fetch_log FOR VALUES FROM (%L) TO (%L)',
                        format('{new}', to_char(first AT TIME ZONE 'UTC', '{spelling}')),
                        first, date_add(first, interval '1 {width}', 'UTC'));
                END LOOP;
                EXECUTE format('INSERT INTO fetch_log SELECT * FROM %I', one);
                EXECUTE format('DROP TABLE %I', one);
            END LOOP;
        END $$
        """
    )
