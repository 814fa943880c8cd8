"""Rows for the write path's tests, as the pipeline hands them over: CSV in the staging table's column order.

Deliberately not here: frames (tests/pipeline). Invariant: a value's text goes into the CSV unchanged.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session, sessionmaker

from models.upsert import Written, copy_columns
from tests.stored_rows import write

DAY = datetime(2024, 3, 5, tzinfo=UTC)
LATEST = DAY + timedelta(days=40)
#: The first observation of every row; the others are seconds later.
OBSERVED = LATEST


def bar(minute: int = 0, *, observed: float = 0, **values: Any) -> dict[str, Any]:
    """Return a bar that opens `minute` minutes after DAY and was observed `observed` seconds after OBSERVED."""
    row = {
        "series_id": 1,
        "ts": DAY + timedelta(minutes=minute),
        "open": "1.10",
        "high": "1.30",
        "low": "0.90",
        "close": "1.20",
        "volume": "7",
        "is_final": "t",
        "observed_at": OBSERVED + timedelta(seconds=observed),
        "job_id": 1,
    }
    return row | values


def quote(minute: int = 0, *, observed: float = 0, **values: Any) -> dict[str, Any]:
    """Return a quote of that minute."""
    row = {
        "series_id": 1,
        "ts": DAY + timedelta(minutes=minute),
        "bid": "1.10",
        "ask": "1.11",
        "observed_at": OBSERVED + timedelta(seconds=observed),
        "job_id": 1,
    }
    return row | values


def to_csv(dataset: str, rows: Iterable[dict[str, Any]]) -> bytes:
    """Return the rows as `write` takes them."""
    columns = copy_columns(dataset)
    return "".join(",".join(_cell(row.get(name)) for name in columns) + "\n" for row in rows).encode()


def store(sessions: sessionmaker[Session], *rows: dict[str, Any], dataset: str = "bars") -> Written:
    """Write the rows in a transaction of their own."""
    with sessions.begin() as session:
        return write(session, dataset, to_csv(dataset, rows))


def select(sessions: sessionmaker[Session], sql: str, **parameters: Any) -> list[tuple[Any, ...]]:
    """Return a query's rows as tuples."""
    with sessions() as session:
        return [tuple(row) for row in session.execute(text(sql), parameters)]


def ledger(sessions: sessionmaker[Session], *, series_id: int = 1) -> list[tuple[Any, ...]]:
    """Return the ledger's (day, stored, final) of a series."""
    sql = "SELECT day, stored, final FROM ledger WHERE series_id = :id AND stored <> 0 ORDER BY day"
    return select(sessions, sql, id=series_id)


def counted(sessions: sessionmaker[Session], dataset: str = "bars", *, series_id: int = 1) -> list[tuple[Any, ...]]:
    """Return the same from the rows themselves."""
    final = "count(*) FILTER (WHERE is_final)" if dataset == "bars" else "count(*)"
    sql = f"SELECT (ts AT TIME ZONE 'UTC')::date, count(*), {final} FROM {dataset} WHERE series_id = :id GROUP BY 1"
    return select(sessions, f"{sql} ORDER BY 1", id=series_id)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return value.isoformat() if isinstance(value, datetime) else str(value)
