"""Gaps of observations: dates of an economic series that must be out by now, and values that only a poll brought.

A poll asks for what was published lately, so its answer does not say what else there is. Once the oldest date that no
answer to a window covered is old enough to be out for certain, one job asks for all of these. Deliberately not here:
which dates must be out (gaps_owed). Invariant: it only reads.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from ingest.market.releases import RELEASE_LAG_DAYS, frequency_of
from ingest.market.times import midnight
from ingest.pipeline.gaps_days import DayGaps, open_days
from ingest.pipeline.gaps_owed import DAY, Owed, known_dates
from ingest.pipeline.gaps_windows import Ranges, Window

#: Dates of a series looked at in one run: eight years of a daily one.
_MOST_DATES = 2_000
#: A series of which too few dates are known to tell is taken for one of months.
_UNKNOWN_LAG = timedelta(days=RELEASE_LAG_DAYS["monthly"])


def release_gaps(session: Session, owed: Owed, now: datetime, *, waiting_too: bool = False) -> list[DayGaps]:
    """Return a series' open dates, newest first: those whose turn it is, or (`waiting_too`) all."""
    days = open_days(session, owed, now, most=_MOST_DATES, waiting_too=waiting_too)
    known = known_dates(session, owed.id) if days else []
    frequency = frequency_of(known)
    lag = _UNKNOWN_LAG if frequency is None else timedelta(days=RELEASE_LAG_DAYS[frequency])
    is_due = any(_is_left(one) and midnight(one.day) + lag <= now for one in days)
    return [_gaps_of(one, now, is_due=is_due) for one in days]


def _gaps_of(row: Any, now: datetime, *, is_due: bool) -> DayGaps:
    begins, ends = _bounds(row.day)
    said = (row.attempts, row.next_at, row.updated_at, row.stored, row.confirmed)
    is_owed = is_due and ends <= now and _is_left(row)
    windows = [Window(begins, ends, 1, row.attempts, row.job_id)] if is_owed else []
    is_empty = not row.stored and not _is_left(row)
    return DayGaps(row.day, row.state, windows, *said, confirmed=int(is_empty), is_whole=is_empty, is_over=ends <= now)


def _is_left(row: Any) -> bool:
    """Say whether a date is to be asked for: a value that no answer covered, none that two did not leave out."""
    answered = Ranges(row.once if row.stored else row.twice)
    return row.state == "suspect" or not answered.hold(*_bounds(row.day))


def _bounds(day: date) -> tuple[datetime, datetime]:
    return midnight(day), midnight(day) + DAY
