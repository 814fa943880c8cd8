"""Gaps of trades: stretches that no answer covered, and holes in the numbers of those that are counted one by one.

Deliberately not here: bars (gaps_grid), jobs (gaps). Invariant: it only reads; a day of trades is whole where its
numbers have no hole and answers covered it, or where two answers did.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
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

Stretch = tuple[datetime, datetime]
#: Within a day. Between two days a trade may be missing before the first or after the last one (_EDGES).
_HOLES = text("""
    SELECT before, ts FROM (
        SELECT ts, trade_id, lag(ts) OVER numbers AS before, lag(trade_id) OVER numbers AS number_before
        FROM trades WHERE series_id = :series AND ts >= :first AND ts < :past WINDOW numbers AS (ORDER BY trade_id)
    ) AS numbered WHERE trade_id - number_before > 1 ORDER BY ts
""")
#: The first and the last trade of a day, and the numbers of those before and after it.
_EDGES = text("""
    SELECT min(ts) AS first_ts, max(ts) AS last_ts, min(trade_id) AS first_id, max(trade_id) AS last_id,
        (SELECT max(trade_id) FROM trades WHERE series_id = :series AND ts < :first
            AND ts >= :first - interval '1 day') AS id_before,
        (SELECT min(trade_id) FROM trades WHERE series_id = :series AND ts >= :past
            AND ts < :past + interval '1 day') AS id_after
    FROM trades WHERE series_id = :series AND ts >= :first AND ts < :past
""")


def trade_gaps(session: Session, owed: Owed, now: datetime, *, waiting_too: bool = False) -> list[DayGaps]:
    """Return a series' open days, newest first: those whose turn it is, or (`waiting_too`) all."""
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
    left = _left(session, row, owed, (first, past), now=now, is_over=is_over)
    pieces = [piece for one in _joined(left) for piece in cut(*one, _SPAN)]
    windows = [Window(start, end, 0, row.attempts, row.job_id) for start, end in pieces]
    return DayGaps(row.day, row.state, windows, *said, is_whole=not windows, is_over=is_over and begins == first)


def _left(
    session: Session, row: Any, owed: Owed, bounds: tuple[datetime, datetime], *, now: datetime, is_over: bool
) -> list[Stretch]:
    """Return the stretches of a day that are not proven yet."""
    first, past = bounds
    if row.state == "suspect":
        return [bounds]
    left, twice = Ranges(row.once).without(first, past), Ranges(row.twice)
    if row.state == "imported":  # its own numbers prove nothing
        return left
    if owed.facts.trade_ids != "contiguous":
        return left or twice.without(first, min(past, now - CONFIRM_AFTER))
    if not row.stored or not is_over:
        return left
    asked = {"series": owed.id, "first": first, "past": past}
    holes = [(before, max(before, ts) + _MICROSECOND) for before, ts in session.execute(_HOLES, asked)]
    start, end = _numbered(session, asked)
    outside = [piece for one in left for piece in ((one[0], min(one[1], start)), (max(one[0], end), one[1]))]
    return [one for one in outside if one[0] < one[1]] + [one for one in holes if not twice.hold(*one)]


def _numbered(session: Session, asked: dict[str, Any]) -> Stretch:
    """Return the stretch in which nothing but a hole in the numbers can be missing."""
    edge = session.execute(_EDGES, asked).one()
    if edge.first_ts is None:
        return asked["first"], asked["first"]
    start = asked["first"] if edge.id_before == edge.first_id - 1 else edge.first_ts
    return start, asked["past"] if edge.id_after == edge.last_id + 1 else edge.last_ts


def _joined(stretches: Sequence[Stretch]) -> list[Stretch]:
    joined: list[Stretch] = []
    for start, end in sorted(stretches):
        if joined and start <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(joined[-1][1], end)
        else:
            joined.append((start, end))
    return joined
