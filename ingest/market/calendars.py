"""When a market trades, and so which bars must exist: how many, which, and how much market time an age is.

Deliberately not here: the sessions themselves (sessions.py), releases of economic series (releases.py), and which
calendar an instrument has (contract.calendar_of). Invariant: `expected_by_day` and `expected_count` count what
`expected_opens` lists, and windows that adjoin add up.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

from ingest.market.intervals import seconds_of
from ingest.market.sessions import DAY_S, Calendar, date_of, sessions_of

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)
#: A session opens and closes less than this many days before or after the midnight of its date.
_MARGIN_DAYS = 2
#: Longer than any exchange here stayed closed since 1970 (New York: 6 days; Athens in 2015: 5 weeks).
_LONGEST_CLOSURE_DAYS = 60


def expected_by_day(calendar: Calendar, interval: str, start: datetime, end: datetime) -> list[tuple[date, int]]:
    """Return how many bars open in `[start, end)` on each UTC day, ascending; days without any are left out.

    Bars of a day are those of a session's date. Others lie on the grid and overlap a session, so the first of them may
    open before it does. Raises UnknownName for an interval that is none.
    """
    width = seconds_of(interval)
    per_day = DAY_S // width
    found: list[tuple[date, int]] = []
    for first, past in _runs(calendar, width, start, end):
        for day in range(first // per_day, (past - 1) // per_day + 1):
            count = min(past, (day + 1) * per_day) - max(first, day * per_day)
            on = date_of(day)
            if found and found[-1][0] == on:
                count += found.pop()[1]
            found.append((on, count))
    return found


def expected_count(calendar: Calendar, interval: str, start: datetime, end: datetime) -> int:
    """Return how many they are together."""
    return sum(past - first for first, past in _runs(calendar, seconds_of(interval), start, end))


def expected_opens(calendar: Calendar, interval: str, start: datetime, end: datetime) -> list[datetime]:
    """Return the opens themselves, ascending: what `expected_by_day` counts."""
    width = timedelta(seconds=seconds_of(interval))
    runs = _runs(calendar, seconds_of(interval), start, end)
    return [_EPOCH + i * width for first, past in runs for i in range(first, past)]


def expected_stretches(
    calendar: Calendar, interval: str, start: datetime, end: datetime
) -> list[tuple[datetime, datetime]]:
    """Return stretches `[first open, last end)` that hold them without a hole, ascending: few, however many bars."""
    width = timedelta(seconds=seconds_of(interval))
    return [
        (_EPOCH + first * width, _EPOCH + past * width)
        for first, past in _runs(calendar, seconds_of(interval), start, end)
    ]


def is_open(calendar: Calendar, moment: datetime) -> bool:
    """Say whether the market trades at that moment."""
    at = (moment - _EPOCH) / _SECOND
    return any(opens <= at < closes for opens, closes in _spans(calendar, moment, moment))


def next_open(calendar: Calendar, moment: datetime) -> datetime:
    """Return when the first session opens at or after `moment`; the end of a break opens none."""
    at, day = (moment - _EPOCH) / _SECOND, (moment - _EPOCH).days
    sessions = sessions_of(calendar, day - _MARGIN_DAYS, day + _LONGEST_CLOSURE_DAYS)
    return _EPOCH + min(one.spans[0][0] for one in sessions if one.spans[0][0] >= at) * _SECOND


def last_close(calendar: Calendar, moment: datetime) -> datetime:
    """Return when the last session closed at or before `moment`; a break closes none."""
    at, day = (moment - _EPOCH) / _SECOND, (moment - _EPOCH).days
    sessions = sessions_of(calendar, day - _LONGEST_CLOSURE_DAYS, day + _MARGIN_DAYS)
    return _EPOCH + max(one.spans[-1][1] for one in sessions if one.spans[-1][1] <= at) * _SECOND


def open_seconds(calendar: Calendar, start: datetime, end: datetime) -> float:
    """Return the market time between two moments: what an age is inside market hours; 0 if they are in disorder."""
    first, last = (start - _EPOCH) / _SECOND, (end - _EPOCH) / _SECOND
    if calendar == "always":
        return max(last - first, 0.0)
    spans = _spans(calendar, start, end)
    return sum(max(min(closes, last) - max(opens, first), 0.0) for opens, closes in spans)


def _runs(calendar: Calendar, width: int, start: datetime, end: datetime) -> Iterator[tuple[int, int]]:
    """Yield half-open runs of bars, numbered from 1970 in steps of `width`, ascending and disjoint."""
    step = width * _SECOND
    begin, limit = -((_EPOCH - start) // step), -((_EPOCH - end) // step)
    runs: Iterator[tuple[int, int]]
    if calendar == "always":
        runs = iter([(begin, limit)])
    elif width == DAY_S:
        runs = ((one.day, one.day + 1) for one in sessions_of(calendar, begin, limit))
    else:
        spans = _spans(calendar, start, end + step)
        runs = ((opens // width, -(-closes // width)) for opens, closes in spans)
    for opens, closes in runs:
        first, past = max(opens, begin), min(closes, limit)
        if first < past:
            yield first, past
            begin = past  # two spans may share a wide bar


def _spans(calendar: Calendar, start: datetime, end: datetime) -> Iterator[tuple[int, int]]:
    """Yield at least the spans that touch the window, ascending."""
    first, last = (start - _EPOCH).days, (end - _EPOCH).days
    for session in sessions_of(calendar, first - _MARGIN_DAYS, last + _MARGIN_DAYS + 1):
        yield from session.spans
