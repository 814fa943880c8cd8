"""Gaps of bars: the ledger's open days of a series compared with its calendar, its rows and what answers covered.

Deliberately not here: which days there are (gaps_owed), jobs (gaps). Invariant: it only reads; a day counts as whole
where every bar that must exist is stored and final, or was left out by two answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from ingest.market.calendars import expected_opens
from ingest.market.intervals import bar_open, seconds_of
from ingest.market.times import midnight
from ingest.pipeline.follow import JOB_ROWS
from ingest.pipeline.gaps_days import DOUBTED, DayGaps, open_days
from ingest.pipeline.gaps_owed import DAY, Owed
from ingest.pipeline.gaps_windows import Ranges, Window, missing_of, runs_of
from models.evidence import CONFIRM_AFTER

#: Days looked at in one run, of a series whose rows are many; a series of daily bars gets as many as two jobs hold.
_MOST_DAYS = 400
#: A bar becomes final with the poll after it has settled, an interval later: until then it is on its way.
_NEXT_POLL = timedelta(minutes=15)
_FINAL_ROWS = text("""
    SELECT ts FROM unnest(CAST(:days AS date[])) AS day
    JOIN bars ON series_id = :series AND ts >= day::timestamp AT TIME ZONE 'UTC'
        AND ts < (day + 1)::timestamp AT TIME ZONE 'UTC'
    WHERE ts >= :first AND ts < :past AND is_final
""")


@dataclass(slots=True)
class _Clock:
    """Up to when bars have settled, and up to when an answer that left one out may be asked again."""

    now: datetime
    closed_by: datetime
    confirm_by: datetime = field(init=False)

    def __post_init__(self) -> None:
        self.confirm_by = min(self.closed_by, self.now - CONFIRM_AFTER)


def grid_gaps(session: Session, owed: Owed, now: datetime, *, waiting_too: bool = False) -> list[DayGaps]:
    """Return a series' open days, newest first: those whose turn it is, or (`waiting_too`) all.

    Cost: an index scan over open days, and the rows of those that are partly stored.
    """
    width = timedelta(seconds=seconds_of(owed.interval))
    most = max(_MOST_DAYS, 2 * JOB_ROWS * width // DAY)
    days = open_days(session, owed, now, most=most, waiting_too=waiting_too)
    settles = timedelta(seconds=owed.facts.settle_s + owed.facts.lag_s)
    clock = _Clock(now, now - settles - min(2 * width, _NEXT_POLL))
    rows = _final_rows(session, owed, [one.day for one in days if one.stored and one.state not in DOUBTED])
    return [_gaps_of(one, owed, width, clock, rows) for one in days]


def _final_rows(session: Session, owed: Owed, days: Sequence[date]) -> set[datetime]:
    if not days:
        return set()
    bounds = {"first": midnight(min(days)), "past": midnight(max(days) + DAY)}
    return set(session.scalars(_FINAL_ROWS, {"series": owed.id, "days": list(days), **bounds}))


def _gaps_of(row: Any, owed: Owed, width: timedelta, clock: _Clock, rows: set[datetime]) -> DayGaps:
    begins, ends = owed.bounds(row.day, clock.now)
    past = bar_open(min(ends, clock.closed_by), owed.interval)
    first = max(begins, owed.reach) if owed.reach is not None else begins
    said = (row.attempts, row.next_at, row.updated_at, row.stored, row.confirmed)
    is_over = past == ends and ends == owed.bounds(row.day, ends + DAY)[1]
    if row.state in DOUBTED or (row.stored == 0 and row.once == "{}" and is_over):
        count = max(row.expected or 0, row.stored)
        whole = [Window(first, past, count, row.attempts, row.job_id)] if first < past else []
        return DayGaps(row.day, row.state, whole, *said)
    missing = missing_of(
        expected_opens(owed.calendar, owed.interval, begins, ends),
        rows,
        width,
        once=Ranges(row.once),
        twice=Ranges(row.twice),
        closed_by=clock.closed_by,
        confirm_by=clock.confirm_by,
    )
    can_be_asked = [one for one in missing.owed if one >= first]
    windows = runs_of(can_be_asked, width, attempts=row.attempts, job_id=row.job_id)
    is_whole = not missing.owed and not missing.later
    return DayGaps(row.day, row.state, windows, *said, missing.confirmed, is_whole, is_over)
