"""What is missing of bars, as windows to ask for. Pure.

Deliberately not here: reading the ledger and the tables (gaps_grid). Invariant: windows ascend, hold every missing row
and never overlap.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ingest.pipeline.jobs import GAP_PREFIX

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ATTEMPT = re.compile(rf"{GAP_PREFIX}.*:(\d+):\d+")
_MOMENT = re.compile(r'"([^"]+)"')


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch `[start, end)` in which `rows` rows are missing. `attempts`: how often some of it was asked for."""

    start: datetime
    end: datetime
    rows: int
    attempts: int = 0
    job_id: int = 0


def key_of(series_id: int, window: Window) -> str:
    """Return the key of the next job for a window."""
    # The last evidence is in it too: a day whose attempts began anew has another one.
    stretch = f"{window.start.isoformat()}..{window.end.isoformat()}"
    return f"{GAP_PREFIX}{series_id}:{stretch}:{window.attempts + 1}:{window.job_id}"


def attempt_of(key: str) -> int:
    """Return which attempt at a gap a job's key says it is; 0 for jobs that none owed."""
    match = _ATTEMPT.fullmatch(key)
    return int(match[1]) if match else 0


class Ranges:
    """Ascending, disjoint stretches of time, as PostgreSQL prints a multirange of bounded ones."""

    def __init__(self, printed: str) -> None:
        moments = [datetime.fromisoformat(one) for one in _MOMENT.findall(printed)]
        self._starts, self._ends = moments[::2], moments[1::2]

    @classmethod
    def of(cls, stretches: Iterable[tuple[datetime, datetime]]) -> Ranges:
        """Return what these stretches hold together, in whatever order they come."""
        made = cls("")
        for start, end in sorted(stretches):
            if made._ends and start <= made._ends[-1]:
                made._ends[-1] = max(made._ends[-1], end)
            else:
                made._starts.append(start)
                made._ends.append(end)
        return made

    def hold(self, start: datetime, end: datetime) -> bool:
        """Say whether one of them holds all of `[start, end)`."""
        at = bisect_right(self._starts, start) - 1
        return at >= 0 and end <= self._ends[at]

    def touch(self, start: datetime, end: datetime) -> bool:
        """Say whether one of them overlaps `[start, end)`."""
        at = bisect_left(self._starts, end) - 1
        return at >= 0 and start < self._ends[at]

    def without(self, start: datetime, end: datetime) -> list[tuple[datetime, datetime]]:
        """Return what none of them holds of `[start, end)`, ascending."""
        left = []
        for begins, ends in zip(self._starts, self._ends, strict=True):
            if start < min(begins, end):
                left.append((start, min(begins, end)))
            start = max(start, ends)
        return [*left, (start, end)] if start < end else left


@dataclass(frozen=True, slots=True)
class Missing:
    """A day's missing opens: `confirmed` of them don't exist, `owed` are to be asked for by now, `later` not yet."""

    confirmed: int
    owed: tuple[datetime, ...]
    later: int


def missing_of(
    expected: Iterable[datetime],
    stored: Collection[datetime],
    width: timedelta,
    *,
    once: Ranges,
    twice: Ranges,
    closed_by: datetime,
    confirm_by: datetime,
) -> Missing:
    """Judge what is missing. Bars that end after `closed_by` are not looked at.

    One that an answer left out already is asked for once more, but not before its end lies before `confirm_by`.
    """
    confirmed, later, owed = 0, 0, []
    for opens in expected:
        ends = opens + width
        if opens in stored or ends > closed_by:
            continue
        if twice.hold(opens, ends):
            confirmed += 1
        elif ends > confirm_by and once.hold(opens, ends):
            later += 1
        else:
            owed.append(opens)
    return Missing(confirmed, tuple(owed), later)


def runs_of(opens: Iterable[datetime], width: timedelta, *, attempts: int = 0, job_id: int = 0) -> list[Window]:
    """Return a window for each run of adjoining bars. `opens` ascend."""
    alone = [Window(one, one + width, 1, attempts, job_id) for one in opens]
    return merged(alone, longest=timedelta.max, bridge=timedelta(0))


def merged(windows: Sequence[Window], *, longest: timedelta, bridge: timedelta) -> list[Window]:
    """Return as few windows as hold the same (ascending): none over `longest` but by itself, holes up to `bridge`."""
    found: list[Window] = []
    for one in windows:
        before = found[-1] if found else None
        if before is not None and one.start - before.end <= bridge and one.end - before.start <= longest:
            attempts, job_id = max(before.attempts, one.attempts), max(before.job_id, one.job_id)
            found[-1] = Window(before.start, one.end, before.rows + one.rows, attempts, job_id)
        else:
            found.append(one)
    return found


def cut(start: datetime, end: datetime, span: timedelta) -> list[tuple[datetime, datetime]]:
    """Return `[start, end)` cut along the grid of `span` since 1970."""
    found = []
    while start < end:
        past = min(end, _EPOCH + ((start - _EPOCH) // span + 1) * span)
        found.append((start, past))
        start = past
    return found
