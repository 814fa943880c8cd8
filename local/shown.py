"""What a person sees in a terminal: the console, the tables, and one line for each error that was foreseen.

Deliberately not here: what is asked of the database. Invariant: text that comes from outside is printed as it is (no
markup, no emoji), and no address's password is shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import redis.exceptions
import sqlalchemy.exc
from psycopg2.errors import UndefinedColumn, UndefinedTable
from rich.console import Console
from rich.table import Table

from ingest.errors import FixRequest, TickfarmError
from ingest.pipeline.status import SeriesStatus
from local.state import Refused

FAILED, USAGE = 1, 2
#: Into a pipe or a file nothing is cut or wrapped at 80 characters.
_PIPE_WIDTH = 200


def console(*, stderr: bool = False) -> Console:
    """Return a console that takes its texts literally."""
    made = Console(stderr=stderr, markup=False, emoji=False, highlight=False)
    return made if made.is_terminal else Console(stderr=stderr, markup=False, emoji=False, width=_PIPE_WIDTH)


def one_line(error: Exception) -> tuple[str, int] | None:
    """Return what to say about an error and the exit code; None for one that nobody foresaw."""
    match error:
        case TickfarmError():
            is_usage = isinstance(error, FixRequest) and not isinstance(error, Refused)
            return str(error), USAGE if is_usage else FAILED
        case sqlalchemy.exc.DBAPIError():
            return _of_postgres(error), FAILED
        case redis.exceptions.RedisError():
            return f"can't reach Redis (REDIS_URL): {error}", FAILED
        case _:
            return None


def plain(value: object) -> str:
    """Return what JSON has no word for as text: a moment in ISO 8601, an exact decimal with all its digits."""
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _of_postgres(error: sqlalchemy.exc.DBAPIError) -> str:
    said = (str(error.orig).strip().splitlines() or [type(error.orig).__name__])[0]
    if isinstance(error.orig, UndefinedTable | UndefinedColumn):
        return f"the database has not this version's tables ({said}): start the farm once, which migrates it"
    if isinstance(error, sqlalchemy.exc.OperationalError):
        return f"can't reach PostgreSQL (DATABASE_URL): {said}"
    return f"PostgreSQL refused: {said}"


def status_table(rows: Iterable[SeriesStatus]) -> Table:
    """Return the table of series that demo and status show."""
    table = _table("series", "rows", "newest", "age", "state")
    table.columns[1].justify = table.columns[3].justify = "right"
    for row in rows:
        name = " ".join(part for part in (row.provider, row.dataset, row.instrument, row.interval) if part)
        newest = "-" if row.newest is None else f"{row.newest:%Y-%m-%d %H:%M:%S}"
        table.add_row(name, f"{row.rows:,}", newest, _age(row.age_s), row.state)
    return table


def letters_table(rows: Iterable[Mapping[str, Any]]) -> Table:
    """Return the table of dead letters, an error cut to its first line."""
    table = _table("id", "at", "task", "error")
    for row in rows:
        error = (str(row["error"]).splitlines() or [""])[0][:100]
        table.add_row(str(row["id"]), f"{row['at']:%Y-%m-%d %H:%M:%S}", row["task"], error)
    return table


def findings_table(rows: Iterable[Mapping[str, Any]]) -> Table:
    """Return the table of findings, a reason cut to its first line."""
    table = _table("id", "at", "of", "rule", "severity", "rows", "reason")
    table.columns[5].justify = "right"
    for row in rows:
        of = " ".join(filter(None, (row["provider"], row["dataset"], row["instrument"])))
        reason = (row["reason"].splitlines() or [""])[0][:100]
        about = row["rule"], row["severity"], f"{row['rows']:,}", reason
        table.add_row(str(row["id"]), f"{row['at']:%Y-%m-%d %H:%M:%S}", of, *about)
    return table


def _table(*columns: str) -> Table:
    return Table(*columns, box=None, pad_edge=False)


def _age(age_s: float | None) -> str:
    if age_s is None:
        return "-"
    for unit, width in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if age_s >= 2 * width:
            return f"{age_s / width:,.0f} {unit}"
    return f"{age_s:.0f} s"
