"""One series: its candles with what is missing between them, its days and evidence, its jobs, revisions and findings.

Deliberately not here: data for programs (api/). Invariant: the chart shows nothing that the page's tables do not say.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import JSONResponse

from dashboard.context import ReadOnly
from dashboard.heat import GLYPHS
from dashboard.pages.home import MOST_DAYS
from dashboard.templating import render
from ingest.errors import FixRequest
from ingest.pipeline import series_views as views
from ingest.pipeline.heat_map import cells_of, window_of
from ingest.pipeline.status import lag_of, newest_of

#: Bars of a chart and rows of a table, at most.
MOST_BARS = 2_000
TABLE_ROWS = 30
_DAYS_SHOWN, _JOBS_SHOWN, _REVISIONS_SHOWN, _FINDINGS_SHOWN = 30, 15, 15, 15
#: Of a hole so many places are marked in the chart: a year of minutes would leave no room for a bar.
_MARKS_A_HOLE = 20
SeriesId = Annotated[int, Path(ge=1, le=2**31 - 1)]
Bars = Annotated[int, Query(ge=2, le=MOST_BARS)]
router = APIRouter()


@router.get("/series/{series_id}")
def show(
    request: Request,
    session: ReadOnly,
    series_id: SeriesId,
    days: Annotated[int, Query(ge=1, le=MOST_DAYS)] = 90,
    bars: Bars = 300,
    before: datetime | None = None,
) -> Response:
    """Show the series."""
    now, series = datetime.now(UTC), views.find_series(session, series_id)
    newest = newest_of(session, series_id)
    moment = _utc(before)
    shown = views.candles(session, series, limit=bars, before=moment) if series.dataset == "bars" else None
    columns, rows = views.newest_rows(session, series, limit=TABLE_ROWS) if shown is None else ((), ())
    return render(
        request,
        "series.html",
        now=now,
        series=series,
        newest=newest,
        lag=lag_of(series, newest, now) if series.followed else None,
        cells=cells_of(session, [series], window_of(days, now), now)[series.id],
        ledger=views.days_of(session, series, limit=_DAYS_SHOWN),
        candles=shown,
        columns=columns,
        rows=rows,
        jobs=views.jobs_of(session, series, limit=_JOBS_SHOWN),
        revisions=views.revisions_of(session, series, limit=_REVISIONS_SHOWN),
        findings=views.findings_of(session, series, limit=_FINDINGS_SHOWN),
        glyphs=GLYPHS,
        days=days,
        bars=bars,
        before=moment,
        table_rows=TABLE_ROWS,
    )


@router.get("/series/{series_id}/candles.json")
def chart(session: ReadOnly, series_id: SeriesId, bars: Bars = 300, before: datetime | None = None) -> Response:
    """Return what the chart draws: candles as numbers, and the moments that have none and should."""
    series = views.find_series(session, series_id)
    found = views.candles(session, series, limit=bars, before=_utc(before)) if series.dataset == "bars" else None
    candles = [] if found is None else [_candle(bar) for bar in found.bars]
    marks = [] if found is None else [at for hole in found.holes for at in _marks(hole)]
    return JSONResponse({"candles": candles, "missing": marks})


def _candle(bar: Any) -> dict[str, float]:
    prices = {name: float(getattr(bar, name)) for name in ("open", "high", "low", "close")}
    return {"time": int(bar.ts.timestamp()), **prices}


def _marks(hole: views.Hole) -> list[int]:
    """Return evenly spaced moments of a hole, its first and its last among them."""
    count = min(hole.bars, _MARKS_A_HOLE)
    first, last = int(hole.first.timestamp()), int(hole.last.timestamp())
    return sorted({first + (last - first) * at // max(count - 1, 1) for at in range(count)})


def _utc(moment: datetime | None) -> datetime | None:
    """Return a moment in UTC; one without a zone is in it."""
    if moment is None:
        return None
    try:
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError as error:
        raise FixRequest(f"before is no moment that can be: {moment.isoformat()}") from error
