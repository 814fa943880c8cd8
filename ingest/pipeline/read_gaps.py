"""What is missing of a range of bars that was read: opens that the calendar expects, and that nobody confirmed empty.

Deliberately not here: reading the rows (read), and repairing what is missing (gaps). Invariant: gaps and rows together
are what the calendar expects of the range, but for minutes that two answers left out and bars that are not due yet.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import polars as pl
from sqlalchemy import text
from sqlalchemy.orm import Session, sessionmaker

from ingest import providers
from ingest.market.calendars import expected_stretches
from ingest.market.intervals import seconds_of
from ingest.pipeline.gaps_windows import Ranges
from ingest.pipeline.read import Wanted
from ingest.providers.contract import calendar_of

#: A bar is final with the poll after it has settled; until then it is on its way, as for the check for gaps.
_NEXT_POLL = timedelta(minutes=15)
_CONFIRMED = text("""
    SELECT lower(stretch), upper(stretch) FROM ledger, unnest(twice) AS stretch
    WHERE series_id = :series AND day >= :first AND day <= :last
""")
_ENDED = text("SELECT until FROM series WHERE id = :series")


@dataclass(frozen=True, slots=True)
class Gap:
    """A stretch `[start, end)` in which `rows` bars of an instrument are missing."""

    instrument: str
    start: datetime
    end: datetime
    rows: int


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
    due_by = now - timedelta(seconds=facts.settle_s + facts.lag_s) - min(2 * width, _NEXT_POLL)
    found: list[Gap] = []
    for instrument, series_id in wanted.series.items():
        stored = frame.filter(pl.col("instrument") == instrument)["ts"]
        start = wanted.start if wanted.last is None else None
        if start is None:
            if stored.is_empty():
                continue
            start = stored[0]
        ended, confirmed = _known(sessions, series_id, start, now)
        end = min(moment for moment in (wanted.end, ended, due_by) if moment is not None)
        calendar = calendar_of(facts, instrument)
        missing = [
            stretch
            for first, past in (expected_stretches(calendar, interval, start, end) if start < end else ())
            for hole in _holes(stored, first, past, width)
            for stretch in _without(confirmed, *hole, width)
        ]
        found += [Gap(instrument, begins, ends, (ends - begins) // width) for begins, ends in _joined(missing)]
    return tuple(found)


def _known(
    sessions: sessionmaker[Session], series_id: int, start: datetime, now: datetime
) -> tuple[datetime | None, Ranges]:
    """Return where the name ended, and what two answers have left out since `start`."""
    with sessions() as session:
        ended = session.execute(_ENDED, {"series": series_id}).scalar()
        bounds = {"first": start.astimezone(UTC).date(), "last": now.astimezone(UTC).date()}
        stretches = session.execute(_CONFIRMED, {"series": series_id, **bounds}).all()
    return ended, Ranges.of((row[0], row[1]) for row in stretches)


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
