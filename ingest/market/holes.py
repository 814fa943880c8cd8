"""Holes: the stretches of a page's window for which no bar came.

For providers that have a bar for every interval, traded or not: there a page with fewer bars than its window holds was
cut short, or the exchange stood still, and either is worth a finding. Deliberately not here: what is missing in the
tables (coverage), and providers that leave out intervals without a trade. All times are microseconds since 1970.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ingest.market.quality import RULES, SAMPLE_ROWS, Finding

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Window:
    """The opens `first_us, first_us + step_us ..` before `end_us` that a page must hold."""

    first_us: int
    end_us: int
    step_us: int

    @property
    def rows(self) -> int:
        """Return how many bars that is."""
        return max(0, -((self.first_us - self.end_us) // self.step_us))


@dataclass(frozen=True, slots=True)
class Hole:
    """A stretch `[start_us, end_us)` in which `rows` bars are missing: all there are, unless holes were merged."""

    start_us: int
    end_us: int
    rows: int


def closed_window(start_us: int, end_us: int, *, step_us: int, closed_before_us: int) -> Window:
    """Return the bars that open in `[start_us, end_us)` and have closed before that moment: others may not be there."""
    first_us = -(-start_us // step_us) * step_us
    last_open_us = (closed_before_us - step_us) // step_us * step_us
    return Window(first_us, min(end_us, last_open_us + step_us), step_us)


def came(times_us: Sequence[int], window: Window) -> int:
    """Return how many of the times (ascending, each once, on the grid) lie in the window."""
    return bisect_left(times_us, window.end_us) - bisect_left(times_us, window.first_us)


def holes(times_us: Sequence[int], window: Window) -> list[Hole]:
    """Return the window's holes, ascending and none adjoining another. `times_us` as for `came`."""
    found = []
    expected_us = window.first_us
    inside = times_us[bisect_left(times_us, window.first_us) : bisect_left(times_us, window.end_us)]
    # One past the end, on the grid: closes the hole that reaches up to it.
    for time_us in (*inside, window.first_us + window.rows * window.step_us):
        if time_us > expected_us:
            found.append(Hole(expected_us, time_us, (time_us - expected_us) // window.step_us))
        expected_us = time_us + window.step_us
    return found


def finding_of(instrument: str, found: Sequence[Hole], *, answer: int) -> Finding:
    """Return one finding for all holes (at least one) of an instrument, its sample a hole a line.

    The last line of a sample that has no room for all stands for the rest: its stretch holds them, and `rows` is fewer
    than it has bars.
    """
    shown = list(found)
    if len(shown) > SAMPLE_ROWS:
        rest = shown[SAMPLE_ROWS - 1 :]
        shown[SAMPLE_ROWS - 1 :] = [Hole(rest[0].start_us, rest[-1].end_us, sum(one.rows for one in rest))]
    rule = RULES["missing_rows"]
    return Finding(
        rule="missing_rows",
        severity=rule.severity,
        instrument=instrument,
        ts=_moment(found[0].start_us),
        rows=sum(one.rows for one in found),
        sample="\n".join(map(_line, shown)),
        reason=rule.meaning,
        answer=answer,
    )


def _line(hole: Hole) -> str:
    ends = {"start": _moment(hole.start_us).isoformat(), "end": _moment(hole.end_us).isoformat()}
    return json.dumps({**ends, "rows": hole.rows})


def _moment(time_us: int) -> datetime:
    return _EPOCH + timedelta(microseconds=time_us)
