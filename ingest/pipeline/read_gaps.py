"""Gaps of a read: the stretches of a window of bars for which none is stored, though the market traded.

Deliberately not here: gaps of rows that are in memory already (frame_gaps), of what is followed, and what is done about
them (gaps). Invariant: it only reads; what the ledger has proven, bars that two answers left out, bars that have not
settled yet and what lies behind a name's end are no gaps.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import text
from sqlalchemy.orm import Session

from ingest import providers
from ingest.market.calendars import expected_by_day, expected_opens
from ingest.market.intervals import seconds_of
from ingest.market.times import midnight
from ingest.pipeline.gaps_windows import Ranges
from ingest.providers.contract import calendar_of

_DAY = timedelta(days=1)
#: Nobody here has bars of before; a calendar is not asked about the centuries.
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: The newest bars are not missed before the poll that brings them had its time, as in coverage.
_MOST_GRACE = timedelta(minutes=15)
_DAYS = text("""
    SELECT day, state IN ('verified', 'empty_confirmed') AS is_proven, twice::text AS twice
    FROM ledger WHERE series_id = :series AND day >= :first AND day <= :last ORDER BY day
""")
_ENDED = text("SELECT until FROM series WHERE id = :series")
#: Of each stretch, what lies between the ends of its bars and the opens of the next.
_HOLES = text("""
    SELECT hole.begins, hole.ends
    FROM unnest(CAST(:starts AS timestamptz[]), CAST(:ends AS timestamptz[])) AS stretch (first, past),
        LATERAL (
            SELECT coalesce(lag(ts) OVER (ORDER BY ts) + :width, first) AS begins, ts AS ends FROM (
                SELECT ts FROM bars WHERE ts >= first AND ts < past
                    AND (series_id = :series AND (is_final OR NOT :final_only)
                        OR series_id = ANY(CAST(:others AS integer[])) AND is_final)
                UNION ALL SELECT past
            ) AS stored
        ) AS hole
    WHERE hole.begins < hole.ends ORDER BY 1
""")


@dataclass(frozen=True, slots=True)
class Gap:
    """A stretch `[start, end)` in which `rows` bars of an instrument are missing."""

    instrument: str
    start: datetime
    end: datetime
    rows: int


@dataclass(frozen=True, slots=True)
class BarsRead:
    """Whose bars are read: the series of an instrument and those that may stand in for it, in `[start, end)`."""

    provider: str
    instrument: str
    interval: str
    series_id: int
    start: datetime
    end: datetime | None
    others: Sequence[int] = ()
    final_only: bool = False


def due_end(
    session: Session, provider: str, series_id: int, interval: str, end: datetime | None, now: datetime
) -> datetime:
    """Return the end of what must be there: where the read ends, where the name did, or what has settled by now."""
    facts, width = providers.get(provider).facts, timedelta(seconds=seconds_of(interval))
    settled = now - timedelta(seconds=facts.settle_s + facts.lag_s) - min(2 * width, _MOST_GRACE)
    ended = session.scalar(_ENDED, {"series": series_id})
    return min(moment for moment in (end, ended, settled) if moment is not None)


def gaps_of_read(session: Session, read: BarsRead, now: datetime) -> Iterator[Gap]:
    """Yield the gaps, ascending. Cost: the ledger's days, and an index scan over the rows of those not proven."""
    facts, width = providers.get(read.provider).facts, timedelta(seconds=seconds_of(read.interval))
    start, end = max(read.start, _EPOCH), due_end(session, read.provider, read.series_id, read.interval, read.end, now)
    if start >= end:
        return
    days = session.execute(_DAYS, {"series": read.series_id, "first": start.date(), "last": end.date()}).all()
    proven = Ranges.of((midnight(one.day), midnight(one.day + _DAY)) for one in days if one.is_proven)
    stretches = proven.without(start, end)
    if not stretches:
        return
    empty = Ranges(" ".join(one.twice for one in days))
    asked = {
        "series": read.series_id,
        "others": list(read.others),
        "final_only": read.final_only,
        "width": width,
        "starts": [first for first, _ in stretches],
        "ends": [past for _, past in stretches],
    }
    calendar = calendar_of(facts, read.instrument)
    for begins, ends in session.execute(_HOLES, asked):
        for first, past in empty.without(begins, ends):
            counts = expected_by_day(calendar, read.interval, first, past)
            if counts:
                opens = expected_opens(calendar, read.interval, first, min(past, midnight(counts[0][0] + 2 * _DAY)))
                yield Gap(read.instrument, opens[0], past, sum(count for _, count in counts))
