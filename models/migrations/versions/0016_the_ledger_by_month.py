"""The ledger is summed up by month, and a trigger notes which days change after that."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision: str = "0016"
down_revision: str | None = "0015"
branch_labels = None
depends_on = None

#: What a report reads of a day, of its old or new row.
_READ = """{row}.state, coalesce({row}.expected, {row}.stored),
                least({row}.final + {row}.confirmed, coalesce({row}.expected, {row}.stored))"""
_OLD, _NEW = _READ.format(row="OLD"), _READ.format(row="NEW")
_NOTE = f"""
    CREATE FUNCTION note_ledger_change() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'TRUNCATE' THEN
            DELETE FROM ledger_rolled;
            DELETE FROM ledger_months;
        ELSIF TG_OP = 'UPDATE' AND (NEW.series_id, NEW.day) = (OLD.series_id, OLD.day) THEN
            IF ({_NEW}) IS DISTINCT FROM ({_OLD}) THEN
                INSERT INTO ledger_changes VALUES (OLD.series_id, OLD.day, {_OLD}, {_NEW});
            END IF;
        ELSE
            IF TG_OP <> 'INSERT' THEN
                INSERT INTO ledger_changes VALUES (OLD.series_id, OLD.day, {_OLD});
            END IF;
            IF TG_OP <> 'DELETE' THEN
                INSERT INTO ledger_changes VALUES (NEW.series_id, NEW.day, NULL, NULL, NULL, {_NEW});
            END IF;
        END IF;
        RETURN NULL;
    END $$
"""
#: Looked at for each row that is written, so it is short; the rest is the function's.
_IS_OLD = "{day} < (clock_timestamp() - interval '1 day')::date"
_DAYS = {"INSERT": "NEW.day", "UPDATE": "least(OLD.day, NEW.day)", "DELETE": "OLD.day"}


def upgrade() -> None:
    op.create_table(
        "ledger_months",
        sa.Column("series_id", sa.Integer(), autoincrement=False, primary_key=True),
        sa.Column("month", sa.Date(), primary_key=True),
        sa.Column("state", sa.Text(), primary_key=True),
        sa.Column("days", sa.Integer(), nullable=False),
        sa.Column("expected", sa.BigInteger(), nullable=False),
        sa.Column("stored", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "ledger_changes",
        sa.Column("series_id", sa.Integer(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("old_state", sa.Text()),
        sa.Column("old_expected", sa.Integer()),
        sa.Column("old_stored", sa.Integer()),
        sa.Column("new_state", sa.Text()),
        sa.Column("new_expected", sa.Integer()),
        sa.Column("new_stored", sa.Integer()),
    )
    op.create_table(
        "ledger_rolled",
        sa.Column("is_only", sa.Boolean(), server_default="true", primary_key=True),
        sa.Column("until", sa.Date(), nullable=False),
        sa.Column("next", sa.Date(), nullable=False),
        sa.Column("after_xid", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("is_only", name="ledger_rolled_is_only"),
    )
    op.execute(_NOTE)
    for event, day in _DAYS.items():
        op.execute(
            f"CREATE TRIGGER ledger_note_{event.lower()} AFTER {event} ON ledger FOR EACH ROW"
            f" WHEN ({_IS_OLD.format(day=day)}) EXECUTE FUNCTION note_ledger_change()"
        )
    op.execute("CREATE TRIGGER ledger_note_truncate AFTER TRUNCATE ON ledger EXECUTE FUNCTION note_ledger_change()")


def downgrade() -> None:
    for event in (*_DAYS, "TRUNCATE"):
        op.execute(f"DROP TRIGGER ledger_note_{event.lower()} ON ledger")
    op.execute("DROP FUNCTION note_ledger_change()")
    for table in ("ledger_rolled", "ledger_changes", "ledger_months"):
        op.drop_table(table)
