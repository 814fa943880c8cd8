"""The dates that Financial Modeling Prep is asked by, both of them included, and the parts of a window they cover.

Deliberately not here: which zone's dates a dataset is asked by (../fmp.py). Invariant: the parts are the whole window.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, tzinfo

from ingest.market.times import first_date


def bounds(first: date, last: date) -> tuple[tuple[str, str], tuple[str, str]]:
    """Return the bounds; both are included."""
    return ("from", first.isoformat()), ("to", last.isoformat())


def last_date(start: datetime, end: datetime) -> date:
    """Return the last date whose midnight is in the window, or where there is none its first one, to be cut again."""
    return max(first_date(start), first_date(end) - timedelta(days=1))


def parts(first: date, last: date, days: int) -> Iterator[tuple[date, date]]:
    while first <= last:
        until = min(last, first + timedelta(days=days - 1))
        yield first, until
        first = until + timedelta(days=1)


def local_parts(
    start: datetime, end: datetime, days: int, zone: tzinfo
) -> Iterator[tuple[date, date, datetime, datetime]]:
    """Yield adjoining parts of a window with the dates that hold them in a zone."""
    last = (end - timedelta(microseconds=1)).astimezone(zone).date()
    for first, until in parts(start.astimezone(zone).date(), last, days):
        after = _midnight(until + timedelta(days=1), zone)
        yield first, until, max(start, _midnight(first, zone)), min(end, after)


def _midnight(day: date, zone: tzinfo) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)


def covered(first: date, last: date, start: datetime, end: datetime) -> tuple[datetime, datetime]:
    """Return the part of the window that lies in these dates of UTC, or all of it where it holds no midnight at all."""
    begins, ends = max(start, _midnight(first, UTC)), min(end, _midnight(last, UTC) + timedelta(days=1))
    return (begins, ends) if begins < ends else (start, end)
