"""The data: what is proven of each series and day, how fresh it is, what needs a human, how the farm is."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request, Response

from dashboard.context import Farm, ReadOnly, Word
from dashboard.heat import GLYPHS
from dashboard.templating import render
from ingest import providers
from ingest.market.records import DATASETS
from ingest.pipeline.health_figures import farm_report
from ingest.pipeline.heat_map import KNOWN_STATES, Filter, heat_map, window_of
from ingest.pipeline.needs import needs
from ingest.pipeline.status import followed_series, lag_of
from tasks import app as celery_app

#: Series a page. More of them make the page slower to read for a browser than for us to write.
PAGE = 100
MOST_DAYS = 366
router = APIRouter()


@router.get("/")
def show(
    request: Request,
    farm: Farm,
    session: ReadOnly,
    days: Annotated[int, Query(ge=1, le=MOST_DAYS)] = 30,
    provider: Word = "",
    dataset: Annotated[Literal["", *DATASETS], Query()] = "",  # type: ignore[valid-type]
    words: Word = "",
    state: Annotated[Literal["", *KNOWN_STATES], Query()] = "",  # type: ignore[valid-type]
    page: Annotated[int, Query(ge=1, le=1_000_000)] = 1,
) -> Response:
    """Show the heat-map of one page of series, and what is to be known before it."""
    now = datetime.now(UTC)
    wanted = Filter(provider or None, dataset or None, words.strip() or None, state or None)
    found = heat_map(session, wanted, window_of(days, now), now, offset=(page - 1) * PAGE, limit=PAGE)
    newest = {one.id: (one.newest, lag_of(one, one.newest, now)) for one in followed_series(session)}
    report = farm_report(farm, _lanes(), now)
    chosen = {"days": days, "provider": provider, "dataset": dataset, "words": words, "state": state}
    return render(
        request,
        "home.html",
        now=now,
        map=found,
        newest=newest,
        late=sum(lag is not None and lag.is_late for _, lag in newest.values()),
        report=report,
        needs=needs(farm, session, report),
        glyphs=GLYPHS,
        chosen=chosen,
        page=page,
        pages=max(1, -(-found.series // PAGE)),
        address=lambda number: f"/?{urlencode({**chosen, 'page': number})}",
        names=providers.names(),
        datasets=DATASETS,
        states=KNOWN_STATES,
    )


def _lanes() -> list[str]:
    return [queue.name for queue in celery_app.conf.task_queues if not queue.name.endswith(".load")]
