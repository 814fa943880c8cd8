"""Bar intervals: their widths, the grid they form, and windows cut along it.

Deliberately not here: exchange sessions (calendars), the spelling of an interval at a provider (its own file), and
weeks and months, which are computed from days: they are no multiple of a day, and providers date them differently.
Invariant: every interval divides or is one UTC day, and every bar opens at a multiple of it since 1970-01-01T00:00Z.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

from ingest.errors import FixRequest, UnknownName

#: Widths in seconds, narrowest first.
SECONDS: Mapping[str, int] = {
    "1m": 60,
    "3m": 180,
    "5m": 300,
    "15m": 900,
    "30m": 1_800,
    "1h": 3_600,
    "2h": 7_200,
    "4h": 14_400,
    "6h": 21_600,
    "12h": 43_200,
    "1d": 86_400,
}
INTERVALS: tuple[str, ...] = tuple(SECONDS)

#: Days, weeks, months and more as providers and people write them: 3d, 1w, 1wk, 1M, 1mo, weekly.
_WIDER = re.compile(r"(?:[2-9]|\d{2,})[dD]|\d*(?:[wW]|wk|M|mo|[yY])|.*(?:week|month|quarter|year).*")
_WIDER_ADVICE = "bars wider than a day are not asked for: take 1d, and compute them from it"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def parse_interval(text: str) -> str:
    """Return the interval named by `text`, spaces around it ignored. Raises UnknownName; case counts (`1M` is none)."""
    name = text.strip()
    if name not in SECONDS:
        raise unknown_interval(text, INTERVALS)
    return name


def unknown_interval(text: str, accepted: Iterable[str], *, provider: str | None = None) -> UnknownName:
    """Return the error for an interval that is none; it says what to do instead of weeks and months."""
    advice = _WIDER_ADVICE if _WIDER.fullmatch(text.strip()) else ""
    return UnknownName("interval", text, accepted, provider=provider, advice=advice)


def seconds_of(interval: str) -> int:
    """Return the interval's width in seconds. Raises UnknownName."""
    return SECONDS[parse_interval(interval)]


def bar_open(ts: datetime, interval: str) -> datetime:
    """Return the open of the bar that holds `ts`. Raises TypeError for a naive `ts`, here and below."""
    return ts - (ts - _EPOCH) % timedelta(seconds=seconds_of(interval))


def first_open(ts: datetime, interval: str) -> datetime:
    """Return the first bar open at or after `ts`."""
    return ts + (_EPOCH - ts) % timedelta(seconds=seconds_of(interval))


def expected_bars(start: datetime, end: datetime, interval: str) -> int:
    """Return how many bars open in `[start, end)` in a market that never closes; 0 for an empty window."""
    width = timedelta(seconds=seconds_of(interval))
    return max(0, -((first_open(start, interval) - end) // width))


def bar_opens(start: datetime, end: datetime, interval: str) -> list[datetime]:
    """Return the opens of those bars, ascending."""
    first, width = first_open(start, interval), timedelta(seconds=seconds_of(interval))
    return [first + i * width for i in range(expected_bars(start, end, interval))]


def split_window(start: datetime, end: datetime, interval: str, rows: int) -> list[tuple[datetime, datetime]]:
    """Cut `[start, end)` into adjoining half-open windows of at most `rows` bars each, ascending.

    All but the last hold exactly `rows` bars, and all cuts lie on the grid. An empty window gives none; a window
    without a bar open in it gives itself. Raises FixRequest if it ends before it starts or `rows` is below 1.
    """
    if end < start:
        raise FixRequest(f"a window must end after it starts, this one is {start.isoformat()} to {end.isoformat()}")
    if rows < 1:
        raise FixRequest(f"a page must hold at least 1 row, not {rows}")
    step = timedelta(seconds=seconds_of(interval) * rows)
    windows: list[tuple[datetime, datetime]] = []
    cut = first_open(start, interval) + step
    while start < end:
        windows.append((start, min(cut, end)))
        start, cut = cut, cut + step
    return windows
