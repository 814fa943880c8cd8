"""One series as people look at it: its newest rows, the holes between its bars, its jobs, revisions and findings.

Reads only. Deliberately not here: reading for programs (read.py) and the days' states (heat_map). Invariant: numbers
are the stored decimals, never rounded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from sqlalchemy import Row, select, text
from sqlalchemy.orm import Session

from ingest import providers
from ingest.errors import FixRequest
from ingest.market.calendars import expected_opens
from ingest.market.intervals import seconds_of
from ingest.market.records import VALUE_COLUMNS, Dataset
from ingest.pipeline.entries import FETCH_PREFIX
from ingest.providers.contract import calendar_of
from models import Bar, Finding, Job, LedgerDay, Revision, Series
from models.upsert import table_of

#: Nothing indexes what a job asks for: a series' jobs are looked for among the newest so many.
_JOBS_SEARCHED = 20_000
_JOBS = text("""
    SELECT * FROM (SELECT * FROM jobs ORDER BY id DESC LIMIT :searched) AS newest
    WHERE task = :task AND kwargs ->> 'dataset' = :dataset AND kwargs -> 'instruments' ? :instrument
        AND coalesce(kwargs ->> 'interval', '') = :interval
    ORDER BY id DESC LIMIT :limit
""")


@dataclass(frozen=True, slots=True)
class Hole:
    """A stretch between two stored bars in which `bars` must be, by the calendar, and are not: first and last open."""

    first: datetime
    last: datetime
    bars: int


@dataclass(frozen=True, slots=True)
class Candles:
    """Bars, oldest first, with the holes between them. `has_older`: there are bars before the first."""

    bars: Sequence[Bar]
    holes: Sequence[Hole]
    has_older: bool


def find_series(session: Session, series_id: int) -> Series:
    """Return the series of that number. Raises FixRequest where there is none."""
    found = session.get(Series, series_id)
    if found is None:
        raise FixRequest(f"there is no series {series_id}")
    return found


def candles(session: Session, series: Series, *, limit: int, before: datetime | None = None) -> Candles:
    """Return the newest bars, of those before a moment where it is given, and the holes between them."""
    query = select(Bar).where(Bar.series_id == series.id).order_by(Bar.ts.desc()).limit(limit + 1)
    if before is not None:
        query = query.where(Bar.ts < before)
    newest = session.scalars(query).all()
    bars = list(reversed(newest[:limit]))
    return Candles(bars, _holes(series, bars), len(newest) > limit)


def _holes(series: Series, bars: Sequence[Bar]) -> list[Hole]:
    width = timedelta(seconds=seconds_of(series.interval))
    calendar = calendar_of(providers.get(series.provider).facts, series.instrument)
    found = []
    for one, following in pairwise(bars):
        if following.ts - one.ts > width:
            missing = expected_opens(calendar, series.interval, one.ts + timedelta(microseconds=1), following.ts)
            if missing:
                found.append(Hole(missing[0], missing[-1], len(missing)))
    return found


def newest_rows(session: Session, series: Series, *, limit: int) -> tuple[Sequence[str], Sequence[Row[Any]]]:
    """Return the names of the columns worth a look, `ts` first, and the newest rows of any dataset, newest first."""
    dataset: Dataset = series.dataset  # type: ignore[assignment]
    table = table_of(dataset)
    names = ("ts", *VALUE_COLUMNS[dataset], "observed_at")
    query = select(*(table.c[name] for name in names)).where(table.c.series_id == series.id)
    rows = session.execute(query.order_by(table.c.ts.desc()).limit(limit)).all()
    shown = [at for at, name in enumerate(names) if any(row[at] is not None for row in rows)]
    return [names[at] for at in shown], [tuple(row[at] for at in shown) for row in rows]  # type: ignore[misc]


def days_of(session: Session, series: Series, *, limit: int) -> Sequence[LedgerDay]:
    """Return what the ledger says of the newest days, newest first."""
    query = select(LedgerDay).where(LedgerDay.series_id == series.id).order_by(LedgerDay.day.desc()).limit(limit)
    return session.scalars(query).all()


def jobs_of(session: Session, series: Series, *, limit: int) -> Sequence[Job]:
    """Return the newest jobs that fetch this series, newest first, of the newest 20,000 of the farm."""
    asked = {
        "searched": _JOBS_SEARCHED,
        "task": f"{FETCH_PREFIX}{series.provider}",
        "dataset": series.dataset,
        "instrument": series.instrument,
        "interval": series.interval,
        "limit": limit,
    }
    return session.scalars(select(Job).from_statement(_JOBS), asked).all()


def revisions_of(session: Session, series: Series, *, limit: int) -> Sequence[Revision]:
    """Return what rows said before they were corrected, of the newest rows first."""
    query = select(Revision).where(Revision.series_id == series.id)
    return session.scalars(query.order_by(Revision.ts.desc(), Revision.id.desc()).limit(limit)).all()


def findings_of(session: Session, series: Series, *, limit: int) -> Sequence[Finding]:
    """Return the newest findings about this instrument's rows of this dataset."""
    mine = Finding.provider == series.provider, Finding.dataset == series.dataset
    query = select(Finding).where(*mine, Finding.instrument == series.instrument)
    return session.scalars(query.order_by(Finding.at.desc(), Finding.id.desc()).limit(limit)).all()
