"""What is missing of bars that are in memory: opens that the calendar expects, and that nobody confirmed empty.

Also of bars as they were known once, which no query over the table can say. Deliberately not here: gaps of a read that
is streamed (read_gaps). Invariant: gaps and rows together are what the calendar expects of the range, but for minutes
that two answers left out and bars that are not due yet.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import polars as pl
from sqlalchemy import text
from sqlalchemy.orm import Session, sessionmaker

from ingest import providers
from ingest.market.calendars import expected_stretches
from ingest.market.intervals import seconds_of
from ingest.pipeline.gaps_windows import Ranges
from ingest.pipeline.read import Wanted
from ingest.pipeline.read_gaps import Gap, due_end
from ingest.providers.contract import calendar_of

_CONFIRMED = text("""
    SELECT lower(stretch), upper(stretch) FROM ledger, unnest(twice) AS stretch
    WHERE series_id = :series AND day >= :first AND day <= :last
""")


def gaps_of(
    sessions: sessionmaker[Session], provider: str, wanted: Wanted, interval: str, frame: pl.DataFrame, now: datetime
) -> tuple[Gap, ...]:
    """Return what is missing of the bars that were read, by instrument, ascending.

    The range begins where `wanted` does, or at the first row that was read (with `last`, always there), and ends where
    `wanted` does, or with the last bar that must be there by now. Cost: two queries an instrument, and what follows
    from how many gaps there are.
    """
    facts = providers.get(provider).facts
    width = timedelta(seconds=seconds_of(interval))
    found: list[Gap] = []
    for instrument, series_id in wanted.series.items():
        stored = frame.filter(pl.col("instrument") == instrument)["ts"]
        start = wanted.start if wanted.last is None else None
        if start is None:
            if stored.is_empty():
                continue
            start = stored[0]
        with sessions() as session:
            end = due_end(session, provider, series_id, interval, wanted.end, now)
            confirmed = _confirmed(session, series_id, start, now)
        calendar = calendar_of(facts, instrument)
        missing = [
            stretch
            for first, past in (expected_stretches(calendar, interval, start, end) if start < end else ())
            for hole in _holes(stored, first, past, width)
            for stretch in _without(confirmed, *hole, width)
        ]
        found += [Gap(instrument, begins, ends, (ends - begins) // width) for begins, ends in _joined(missing)]
    return tuple(found)


def _confirmed(session: Session, series_id: int, start: datetime, now: datetime) -> Ranges:
    """Return what two answers have left out since `start`."""
    bounds = {"first": start.astimezone(UTC).date(), "last": now.astimezone(UTC).date()}
    stretches = session.execute(_CONFIRMED, {"series": series_id, **bounds}).all()
    return Ranges.of((row[0], row[1]) for row in stretches)


def _holes(stored: pl.Series, first: datetime, past: datetime, width: timedelta) -> list[tuple[datetime, datetime]]:
    """Return the stretches of `[first, past)` in which no bar opens, ascending."""
    inside = stored.filter((stored >= first) & (stored < past))
    if inside.len() == (past - first) // width:
        return []
    before = pl.concat([pl.Series([first - width], dtype=stored.dtype), inside]) + width
    after = pl.concat([inside, pl.Series([past], dtype=stored.dtype)])
    is_hole = after > before
    return list(zip(before.filter(is_hole), after.filter(is_hole), strict=True))


def _without(
    confirmed: Ranges, start: datetime, end: datetime, width: timedelta
) -> Iterator[tuple[datetime, datetime]]:
    """Yield what is left of a hole: bars of which any part was not confirmed to be empty."""
    if confirmed.hold(start, end):
        return
    reached = start
    for begins, ends in confirmed.without(start, end):
        first = max(reached, begins - (begins - start) % width)
        past = ends + (start - ends) % width
        if first < past:
            yield first, past
        reached = max(reached, past)


def _joined(stretches: list[tuple[datetime, datetime]]) -> list[tuple[datetime, datetime]]:
    """Return ascending stretches with those that adjoin made one: sessions of days do."""
    joined: list[tuple[datetime, datetime]] = []
    for start, end in stretches:
        if joined and joined[-1][1] == start:
            start = joined.pop()[0]  # noqa: PLW2901 - the one before begins it
        joined.append((start, end))
    return joined
