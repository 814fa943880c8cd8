"""Moments: read from what a person wrote, and counted in a provider's units.

Deliberately not here: the clock (callers pass `now`) and bar grids (intervals). Invariant: every datetime is aware.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal

from ingest.errors import FixRequest

ACCEPTED = "2024-01-01, 2024-01-01T09:30, 2024-01-01T09:30:00Z or 2024-01-01T09:30:00+02:00 (no offset: UTC)"

#: Units of times that are numbers since 1970.
Epoch = Literal["s", "ms", "us", "ns"]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)
#: `fromisoformat` alone would also take 20240101 and week dates, which look like epoch numbers or typing errors.
_ISO = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:?\d\d)?)?", re.ASCII | re.I)


def parse_time(text: str) -> datetime:
    """Return the moment `text` names, in UTC: an ISO date (its midnight) or datetime; no offset means UTC.

    Raises FixRequest, which says what is accepted; epoch numbers are refused because their unit can't be known.
    """
    value = text.strip()
    if not _ISO.fullmatch(value):
        number = " (a bare number does not say its unit)" if re.fullmatch(r"[+-]?[\d.]+", value) else ""
        raise FixRequest(f"not a time: {text!r}{number}; accepted: {ACCEPTED}")
    try:
        moment = datetime.fromisoformat(value.upper())
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError) as cause:
        raise FixRequest(f"no such time: {text!r} ({cause}); accepted: {ACCEPTED}") from cause


def epoch_ms(ts: datetime) -> int:
    """Return whole milliseconds since 1970-01-01T00:00Z, rounded down. Raises TypeError for a naive `ts`."""
    return (ts - _EPOCH) // _MS


def epoch_ms_up(ts: datetime) -> int:
    """Return the same, rounded up: the first whole millisecond that is not before `ts`."""
    return -((_EPOCH - ts) // _MS)


def first_date(ts: datetime) -> date:
    """Return the first UTC date whose midnight is not before `ts`."""
    moment = ts.astimezone(UTC)
    return moment.date() if moment.time() == time.min else moment.date() + timedelta(days=1)


def midnight(day: date) -> datetime:
    """Return when a UTC day begins."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def epoch_us(ts: datetime) -> int:
    """Return whole microseconds since 1970-01-01T00:00Z. Raises TypeError for a naive `ts`."""
    return (ts - _EPOCH) // timedelta(microseconds=1)
