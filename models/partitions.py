"""Partitions of the tables that grow with time, made before rows need them.

A partition is created by itself and then attached: attaching lets readers and writers of the others go on.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Literal, assert_never

from psycopg2.errors import CheckViolation
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

#: The others are small, and their keys hold no time.
PARTITIONED: dict[str, Literal["year", "month", "day"]] = {
    "bars": "year",
    "trades": "month",
    "quotes": "month",
    "books": "month",
    "fetch_log": "day",
}
#: One number for all partition DDL of the farm: two processes that need the same partition take turns.
_LOCK = 7_461_002
_NAME = re.compile(r"_[ymd](\d{4})(?:_(\d{2}))?(?:_(\d{2}))?")


def partition_of(table: str, ts: datetime) -> tuple[str, datetime, datetime]:
    """Return name, start and end (half-open) of the partition a row of that time, in whatever zone, belongs to."""
    ts = ts.astimezone(UTC)
    match PARTITIONED[table]:
        case "year":
            start = datetime(ts.year, 1, 1, tzinfo=UTC)
            return f"{table}_y{ts.year:04d}", start, datetime(ts.year + 1, 1, 1, tzinfo=UTC)
        case "month":
            start = datetime(ts.year, ts.month, 1, tzinfo=UTC)
            following = datetime(ts.year + ts.month // 12, ts.month % 12 + 1, 1, tzinfo=UTC)
            return f"{table}_m{ts.year:04d}_{ts.month:02d}", start, following
        case "day":
            start = datetime(ts.year, ts.month, ts.day, tzinfo=UTC)
            return f"{table}_d{ts.year:04d}_{ts.month:02d}_{ts.day:02d}", start, start + timedelta(days=1)
        case width:
            assert_never(width)


def partition_named(table: str, name: str) -> tuple[str, datetime, datetime] | None:
    """Return the same of a partition's name; None where it is no name that we give."""
    match = _NAME.fullmatch(name.removeprefix(table))
    if match is None:
        return None
    try:
        one = partition_of(table, datetime(int(match[1]), int(match[2] or 1), int(match[3] or 1), tzinfo=UTC))
    except ValueError:
        return None
    return one if one[0] == name else None


def partitions_between(table: str, first: datetime, last: datetime) -> list[tuple[str, datetime, datetime]]:
    """Return every partition that rows of `[first, last]` may belong to, in order; none of a table that is whole."""
    wanted: list[tuple[str, datetime, datetime]] = []
    if table not in PARTITIONED:
        return wanted
    at = first
    while at <= last:
        wanted.append(partition_of(table, at))
        at = wanted[-1][2]
    return wanted


def is_partition_missing(error: IntegrityError) -> bool:
    """Say whether rows were refused because no partition takes them. A CHECK that they break has a name."""
    return isinstance(error.orig, CheckViolation) and error.orig.diag.constraint_name is None


def ensure_partitions(session: Session, table: str, start: datetime, end: datetime) -> list[str]:
    """Create what is missing for rows in `[start, end]`; return the partitions' names in order.

    Commits with the caller's transaction. Safe to repeat and to race: an advisory lock serialises the DDL.
    """
    wanted = partitions_between(table, start, end)
    present = set(
        session.scalars(
            text(
                "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
                " WHERE i.inhparent = CAST(:table AS regclass)"
            ),
            {"table": table},
        )
    )
    missing = [one for one in wanted if one[0] not in present]
    if missing:
        session.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    for name, first, last in missing:
        if session.scalar(text("SELECT to_regclass(:name) IS NOT NULL"), {"name": name}):
            continue
        session.execute(text(f"CREATE TABLE {name} (LIKE {table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)"))
        session.execute(
            text(
                f"ALTER TABLE {table} ATTACH PARTITION {name}"
                f" FOR VALUES FROM ('{first.isoformat()}') TO ('{last.isoformat()}')"
            )
        )
    return [name for name, _, _ in wanted]
