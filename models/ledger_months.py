"""The ledger by month: what the days of a series come to, so that a report need not read days that stay as they were.

    ledger_months    of a series, month and state: how many days there are, and what is expected and stored of them
    ledger_changes   what a day was and what it became, noted by a trigger (migration 0016) in the changing transaction
    ledger_rolled    the months that are summed up: all before `until`

A store of the newest days notes nothing: the trigger passes over days that ended less than a day ago, and so the newest
one or two months are read day by day. No writer waits for another: a note is one more row. Sums are never counted up: a
roll makes those of a month that changed anew from its days.

Deliberately not here: what the sums mean (pipeline/coverage). Invariant: in every snapshot, the sums of the months
before `until` and the notes of their days are what these days are. A note is seen when its change is; a roll takes the
notes and reads the days in one statement; and a month is rolled only after every transaction has ended that may have
changed it without a note.
"""

from __future__ import annotations

import datetime as dt

from sqlalchemy import BigInteger, CheckConstraint, Column, Date, Integer, Table, Text, text
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.session import Base

#: A month is rolled when its end lies this far behind: more than the trigger's day, whatever time zone a session has
#: and whichever way the server's clock was set.
ROLLED_AFTER = dt.timedelta(days=3)
#: The farm's number for "I roll the ledger's months".
_LOCK = 7_461_016
_STORED = "least(final + confirmed, coalesce(expected, stored))"
_SUMS = f"count(*), sum(coalesce(expected, stored)), sum({_STORED})"
_DAY = f"series_id, state, 1, coalesce(expected, stored), {_STORED}"
#: The ledger of `[first, today)` in parts, one statement's common table expressions: whole months as they were summed
#: up; what their days were then, taken off, and what they are since; the days before the first whole month and behind
#: the last one.
PARTS = f"""
    newer AS (
        SELECT greatest(CAST(:whole AS date), (SELECT least(until, CAST(:month AS date)) FROM ledger_rolled)) AS begins
    ),
    changed AS (
        SELECT * FROM ledger_changes WHERE day >= CAST(:whole AS date) AND day < (SELECT begins FROM newer)
    ),
    parts (series_id, state, days, expected, stored) AS (
        SELECT series_id, state, days, expected, stored FROM ledger_months
        WHERE month >= CAST(:whole AS date) AND month < CAST(:month AS date)
        UNION ALL
        SELECT series_id, old_state, -1, -old_expected, -old_stored FROM changed WHERE old_state IS NOT NULL
        UNION ALL
        SELECT series_id, new_state, 1, new_expected, new_stored FROM changed WHERE new_state IS NOT NULL
        UNION ALL
        SELECT {_DAY} FROM series JOIN ledger ON series_id = series.id
        WHERE day >= CAST(:first AS date) AND day < least(CAST(:whole AS date), CAST(:today AS date))
        UNION ALL
        SELECT {_DAY} FROM series JOIN ledger ON series_id = series.id
        WHERE day >= (SELECT begins FROM newer) AND day < CAST(:today AS date)
    )"""


class LedgerMonth(Base):
    """The days of a series' month that are in one state.

    `expected` are the rows that the calendar wants, or that are there where it can't say; `stored`, how many of those
    are final or confirmed not to exist.
    """

    __tablename__ = "ledger_months"

    series_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    month: Mapped[dt.date] = mapped_column(primary_key=True)
    state: Mapped[str] = mapped_column(primary_key=True)
    days: Mapped[int]
    expected: Mapped[int] = mapped_column(BigInteger)
    stored: Mapped[int] = mapped_column(BigInteger)


#: What a day was and what it became, in the columns of its month; NULL before there was one, and after it was deleted.
#: Without a key: a day has as many notes as changes, until a roll takes them.
LEDGER_CHANGES = Table(
    "ledger_changes",
    Base.metadata,
    Column("series_id", Integer, nullable=False),
    Column("day", Date, nullable=False),
    Column("old_state", Text),
    Column("old_expected", Integer),
    Column("old_stored", Integer),
    Column("new_state", Text),
    Column("new_expected", Integer),
    Column("new_stored", Integer),
)


class LedgerRolled(Base):
    """The one row that says up to when months are rolled. Without it none is.

    `next` is what `until` becomes once no transaction older than `after_xid` is open.
    """

    __tablename__ = "ledger_rolled"
    __table_args__ = (CheckConstraint("is_only", name="ledger_rolled_is_only"),)

    is_only: Mapped[bool] = mapped_column(primary_key=True, server_default="true")
    until: Mapped[dt.date]
    next: Mapped[dt.date]
    after_xid: Mapped[int] = mapped_column(BigInteger)


#: Our own number: a snapshot's `xmax` is below the numbers of transactions that are open.
_XID = "pg_current_xact_id()::text::bigint"
_HAVE_ENDED = "known.after_xid <= pg_snapshot_xmin(pg_current_snapshot())::text::bigint"
#: A number that is yet to come is of another server, whose dump this database was made from.
_STARTS_ANEW = f"({_HAVE_ENDED} OR known.after_xid > excluded.after_xid)"
_MOVE_ON = text(f"""
    INSERT INTO ledger_rolled AS known (until, next, after_xid)
    VALUES ('0001-01-01', date_trunc('month', (clock_timestamp() - :after) AT TIME ZONE 'UTC'), {_XID})
    ON CONFLICT (is_only) DO UPDATE SET
        until = CASE WHEN {_HAVE_ENDED} THEN known.next ELSE known.until END,
        next = CASE WHEN {_STARTS_ANEW} THEN greatest(known.next, excluded.next) ELSE known.next END,
        after_xid = CASE WHEN {_STARTS_ANEW} THEN excluded.after_xid ELSE known.after_xid END
    RETURNING coalesce(old.until, new.until) AS was, new.until
""")
#: The days of months that were rolled before and have changed, and those of months that are rolled from now on.
_ROLL = text(f"""
    WITH taken AS (DELETE FROM ledger_changes RETURNING series_id, date_trunc('month', day)::date AS month),
    stale AS (
        SELECT DISTINCT series_id, month, (month + interval '1 month')::date AS past FROM taken
        WHERE month < CAST(:was AS date)
    ),
    fresh AS MATERIALIZED (
        SELECT series_id, month, state, {_SUMS} FROM stale JOIN ledger USING (series_id)
        WHERE day >= month AND day < past GROUP BY series_id, month, state
        UNION ALL
        SELECT series_id, date_trunc('month', day)::date, state, {_SUMS} FROM ledger
        WHERE CAST(:was AS date) < CAST(:until AS date) AND day >= CAST(:was AS date) AND day < CAST(:until AS date)
        GROUP BY 1, 2, 3
    ),
    gone AS (
        DELETE FROM ledger_months AS kept USING stale
        WHERE (kept.series_id, kept.month) = (stale.series_id, stale.month)
            AND (kept.series_id, kept.month, kept.state) NOT IN (SELECT series_id, month, state FROM fresh)
    )
    INSERT INTO ledger_months (series_id, month, state, days, expected, stored) SELECT * FROM fresh
    ON CONFLICT (series_id, month, state) DO UPDATE SET
        days = excluded.days, expected = excluded.expected, stored = excluded.stored
""")


def parts_of(first: dt.date, today: dt.date) -> dict[str, dt.date]:
    """Return what PARTS is given for the days `[first, today)`."""
    whole = first if first.day == 1 else (first.replace(day=1) + dt.timedelta(days=32)).replace(day=1)
    return {"first": first, "whole": whole, "month": today.replace(day=1), "today": today}


def roll(session: Session) -> bool:
    """Sum up the months that are over and those that have changed since; False where another is at it.

    Commit it soon. Each call takes over the months that the one before found to be over. Cost: the days of the months
    that changed; the first time and once a month one pass over the ledger.
    """
    if not session.scalar(text("SELECT pg_try_advisory_xact_lock(:lock)"), {"lock": _LOCK}):
        return False
    was, until = session.execute(_MOVE_ON, {"after": ROLLED_AFTER}).one()
    session.execute(_ROLL, {"was": was, "until": until})
    return True


def forget(session: Session) -> None:
    """Take all sums away, so that they are made anew from the days: the next report reads every one."""
    session.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    session.execute(text("DELETE FROM ledger_rolled"))
    session.execute(text("DELETE FROM ledger_months"))
