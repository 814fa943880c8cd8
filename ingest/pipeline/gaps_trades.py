"""Gaps of trades: stretches that no answer covered, and holes in the numbers of those that are counted one by one.

Deliberately not here: bars (gaps_grid), jobs (gaps). Invariant: it only reads; a day of trades is whole where its
numbers have no hole and answers covered it, or where two answers did.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from ingest.pipeline.follow import JOB_SPAN
from ingest.pipeline.gaps_days import DayGaps, open_days
from ingest.pipeline.gaps_owed import DAY, Owed
from ingest.pipeline.gaps_windows import Ranges, Window, cut
from models.evidence import CONFIRM_AFTER

#: Days of one series looked at in a run: a busy pair's day has a million numbers, and sorting them takes a second.
_MOST_DAYS = 14
_SPAN = JOB_SPAN["trades"]
_MICROSECOND = timedelta(microseconds=1)
#: A day's neighbours in it too: a trade that is missing at midnight is a hole between two days.
_HOLES = text("""
    SELECT before, ts FROM (
        SELECT ts, trade_id, lag(ts) OVER numbers AS before, lag(trade_id) OVER numbers AS number_before
        FROM trades WHERE series_id = :series AND ts >= :first AND ts < :past WINDOW numbers AS (ORDER BY trade_id)
    ) AS numbered WHERE trade_id - number_before > 1 ORDER BY ts
""")


def trade_gaps(session: Session, owed: Owed, now: datetime, *, waiting_too: bool = False) -> list[DayGaps]:
    """Return a series' open days, newest first: those whose turn it is, or (`waiting_too`) as many of all."""
    days = open_days(session, owed, now, most=_MOST_DAYS, waiting_too=waiting_too)
    return [_gaps_of(session, one, owed, now) for one in days]


def _gaps_of(session: Session, row: Any, owed: Owed, now: datetime) -> DayGaps:
    closed_by = now - timedelta(seconds=owed.facts.settle_s + owed.facts.lag_s)
    begins, ends = owed.bounds(row.day, now)
    first, past = max(begins, owed.reach or begins), min(ends, closed_by)
    said = (row.attempts, row.next_at, row.updated_at, row.stored, row.confirmed)
    is_over = past == ends == owed.bounds(row.day, ends + DAY)[1]
    if first >= past:
        return DayGaps(row.day, row.state, (), *said, is_over=is_over)
    once = Ranges(row.once)
    if row.state == "suspect":
        left, holes = [(first, past)], []
    else:
        left = once.without(first, past)
        holes = _holes(session, row, owed, past) if row.stored and is_over else []
        if owed.facts.trade_ids != "contiguous" and not left:
            left = Ranges(row.twice).without(first, min(past, now - CONFIRM_AFTER))
    twice = Ranges(row.twice)
    open_holes = [one for one in holes if not twice.hold(*one)]
    pieces = [piece for one in _joined([*left, *open_holes]) for piece in cut(*one, _SPAN)]
    windows = [Window(start, end, 0, row.attempts, row.job_id) for start, end in pieces]
    return DayGaps(row.day, row.state, windows, *said, is_whole=not windows, is_over=is_over and begins == first)


def _holes(session: Session, row: Any, owed: Owed, past: datetime) -> list[tuple[datetime, datetime]]:
    """Return the stretches between the trades on both sides of each hole, both sides included."""
    if owed.facts.trade_ids != "contiguous":
        return []
    opens = datetime(row.day.year, row.day.month, row.day.day, tzinfo=UTC)
    asked = {"series": owed.id, "first": opens, "past": past}
    return [(before, max(before, ts) + _MICROSECOND) for before, ts in session.execute(_HOLES, asked)]


def _joined(stretches: Sequence[tuple[datetime, datetime]]) -> list[tuple[datetime, datetime]]:
    joined: list[tuple[datetime, datetime]] = []
    for start, end in sorted(stretches):
        if joined and start <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(joined[-1][1], end)
        else:
            joined.append((start, end))
    return joined
