"""What can be done to a series' rows behind the ledger's back, and which of its days that alters.

Deliberately not here: finding and healing it (mutation). Invariant: what a harm does follows from its dice alone.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

from sqlalchemy import text
from sqlalchemy.orm import Session

_DAY_ROWS = 1_440
_MINUTE, _DAY = timedelta(minutes=1), timedelta(days=1)
#: Alters rows of the series between these days and returns the days that are not as they were.
Harm = Callable[[Session, int, list[date], random.Random], set[date]]


def delete_rows(session: Session, series: int, days: list[date], dice: random.Random) -> set[date]:
    """Delete random rows of two days."""
    hit = dice.sample(days, 2)
    for day in hit:
        rows = dice.sample(range(_DAY_ROWS), dice.randint(1, 400))
        moments = [_at(day, row) for row in rows]
        session.execute(text("DELETE FROM bars WHERE series_id = :id AND ts = ANY(:ts)"), {"id": series, "ts": moments})
    return set(hit)


def change_values(session: Session, series: int, days: list[date], dice: random.Random) -> set[date]:
    """Change one column of some rows of a day in its last digit."""
    day = dice.choice(days)
    column = dice.choice(("open", "high", "low", "close", "volume", "quote_volume", "trade_count"))
    moments = [_at(day, row) for row in dice.sample(range(_DAY_ROWS), dice.randint(1, 5))]
    change = f"UPDATE bars SET {column} = {column} + 1 WHERE series_id = :id AND ts = ANY(:ts)"
    session.execute(text(change), {"id": series, "ts": moments})
    return {day}


def shift_timestamp(session: Session, series: int, days: list[date], dice: random.Random) -> set[date]:
    """Move one row by some seconds, at times over midnight."""
    day = dice.choice(days[1:])
    row = dice.choice((0, dice.randrange(_DAY_ROWS)))
    by = timedelta(seconds=dice.choice((-30, -1, 1, 30)))
    move = text("UPDATE bars SET ts = ts + :by WHERE series_id = :id AND ts = :ts")
    session.execute(move, {"id": series, "ts": _at(day, row), "by": by})
    return {day, (_at(day, row) + by).date()}


def swap_rows(session: Session, series: int, days: list[date], dice: random.Random) -> set[date]:
    """Swap the values of two rows."""
    one, other = dice.sample(days, 2) if dice.random() < 0.5 else [dice.choice(days)] * 2
    first, second = dice.sample(range(_DAY_ROWS), 2)
    names = ("open", "high", "low", "close", "volume")
    swap = text(
        f"UPDATE bars SET ({', '.join(names)}) = (SELECT {', '.join(names)} FROM bars AS other WHERE"
        " other.series_id = :id AND other.ts = CASE WHEN bars.ts = :one THEN CAST(:other AS timestamptz) ELSE :one END)"
        " WHERE series_id = :id AND ts IN (:one, :other)"
    )
    session.execute(swap, {"id": series, "one": _at(one, first), "other": _at(other, second)})
    return {one, other}


def drop_partition(session: Session, _series: int, days: list[date], _dice: random.Random) -> set[date]:
    """Drop the partition that holds all the days."""
    holder = "SELECT tableoid::regclass::text FROM bars WHERE ts = :ts LIMIT 1"
    name = session.scalar(text(holder), {"ts": _at(days[0], 0)})
    session.execute(text(f"DROP TABLE {name}"))
    return set(days)


HARMS: tuple[Harm, ...] = (delete_rows, change_values, shift_timestamp, swap_rows, drop_partition)


def _at(day: date, row: int) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC) + row * _MINUTE
