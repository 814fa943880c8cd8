"""Series: which there are, how complete each is proven to be, what is missing of them.

Deliberately not here: their rows (rows.py). Invariant: nothing is written; what came to be owed since the last check of
gaps is planned in a transaction that is rolled back.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from dashboard.api.encoded import unless_known
from dashboard.api.lists import OfSeries, Paged, Shape, fits, next_of
from dashboard.api.reads import note
from dashboard.context import Farm, ReadOnly
from ingest.pipeline.coverage import coverage
from ingest.pipeline.gaps_listed import missing_now
from ingest.pipeline.listed import list_series

router = APIRouter(tags=["series"])


class SeriesQuery(OfSeries, Paged):
    """Which series."""

    followed: bool | None = None


class SeriesShape(Shape):
    """A series; `rows`, `first_day` and `last_day` are what the ledger counts, `newest` its newest row's time."""

    id: int
    provider: str
    dataset: str
    instrument: str
    interval: str
    followed: bool
    since: datetime | None
    until: datetime | None
    renamed_to: str | None
    refused: str | None
    adjustment: str | None
    rows: int
    first_day: date | None
    last_day: date | None
    newest: datetime | None


class SeriesPage(Shape):
    """Series by their ids; `next` is the next page's cursor."""

    series: list[SeriesShape]
    next: int | None


class CoverageQuery(OfSeries):
    """Of which series, and of how much time."""

    last_days: int | None = Field(default=None, ge=1, le=36_500, description="of so many days only")


class CoverageShape(Shape):
    """What is proven of a series: `expected` and `proven` are rows of bars, days of other datasets."""

    provider: str
    dataset: str
    instrument: str
    interval: str
    first: date | None
    days: int
    expected: int
    proven: int
    percent: float
    is_proven: bool
    gap_days: int
    suspect_days: int
    imported_days: int
    unavailable_days: int
    newest: datetime | None
    age_s: float | None
    is_late: bool


class CoverageList(Shape):
    """The coverage of each followed series."""

    at: datetime
    coverage: list[CoverageShape]


class GapsQuery(OfSeries):
    """Of which series."""

    limit: int = Field(default=1_000, ge=1, le=10_000, description="the first so many")


class GapShape(Shape):
    """A stretch `[start, end)` in which `rows` rows are missing (0: nobody knows how many)."""

    provider: str
    dataset: str
    instrument: str
    interval: str
    start: datetime
    end: datetime
    rows: int
    state: str
    attempts: int
    since: datetime
    next_at: datetime | None


class GapsList(Shape):
    """What is missing now; `total` counts those that are left out too."""

    at: datetime
    total: int
    gaps: list[GapShape]


@router.get("/series", response_model=SeriesPage)
def series(request: Request, session: ReadOnly, query: Annotated[SeriesQuery, Query()]) -> Response:
    """List the series there are, followed or not."""
    where = query.columns() | ({} if query.followed is None else {"followed": query.followed})
    found = list_series(session, where, behind_id=query.cursor, limit=query.limit)
    shown = [
        SeriesShape.model_validate(
            {name: getattr(one.series, name) for name in SeriesShape.model_fields if hasattr(one.series, name)}
            | {"rows": one.rows, "first_day": one.first_day, "last_day": one.last_day, "newest": one.newest}
        )
        for one in found
    ]
    note(request, rows=len(shown))
    return unless_known(request, SeriesPage(series=shown, next=next_of([one.id for one in shown], query.limit)))


@router.get("/coverage", response_model=CoverageList)
def covered(request: Request, farm: Farm, query: Annotated[CoverageQuery, Query()]) -> object:
    """Say of each followed series how much of what must be there is proven to be."""
    now, last = datetime.now(UTC), None if query.last_days is None else timedelta(days=query.last_days)
    where = query.columns()
    with farm.sessions() as session:
        found = [one for one in coverage(session, farm.settings, now, last=last) if fits(where, one)]
    note(request, rows=len(found))
    return {"at": now, "coverage": found}


@router.get("/gaps", response_model=GapsList)
def gaps(request: Request, farm: Farm, query: Annotated[GapsQuery, Query()]) -> object:
    """List what is missing now of the followed series."""
    where, now = query.columns(), datetime.now(UTC)
    with farm.sessions() as session:
        found = [one for one in missing_now(session, farm.settings, now) if fits(where, one)]
    note(request, rows=min(len(found), query.limit))
    return {"at": now, "total": len(found), "gaps": found[: query.limit]}
