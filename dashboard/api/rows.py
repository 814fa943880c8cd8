"""Stored rows: bars, trades, quotes, books, news, observations, posts, actions, as JSON pages or as whole files.

A file is streamed: CSV as it is read, Parquet and Arrow from a temporary file, because exact decimals need to know the
last row. Deliberately not here: parameters (asked.py), reading (ingest/pipeline: read, pages, fallback, export).
Invariant: every form holds the same rows with every digit, and memory does not grow with the range.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from pathlib import Path
from threading import BoundedSemaphore
from typing import Annotated, Any, BinaryIO
from urllib.parse import urlencode

from fastapi import APIRouter, HTTPException, Query, Request, Response
from fastapi.responses import StreamingResponse
from sqlalchemy.orm import Session
from starlette.types import Receive, Scope, Send

from dashboard.api.asked import (
    MEDIA,
    BarsQuery,
    Form,
    KnownQuery,
    RowsQuery,
    cursor_of,
    form_of,
    page_rows_of,
    place_of,
)
from dashboard.api.documented import JSON, answers_of_rows
from dashboard.api.encoded import encoded
from dashboard.api.reads import note
from dashboard.context import Farm
from ingest import providers
from ingest.errors import FixRequest, SlowDown
from ingest.market.records import Dataset
from ingest.market.times import parse_time
from ingest.pipeline.context import Context
from ingest.pipeline.export import csv_chunks, json_chunks, write_arrow, write_parquet
from ingest.pipeline.fallback import Ranked, rank
from ingest.pipeline.months import month_files, parts_of
from ingest.pipeline.pages import Asked, dataset_of, frames_of, page_of
from ingest.pipeline.read import find, within
from ingest.pipeline.read_gaps import BarsRead, Gap, gaps_of_read

router = APIRouter(tags=["rows"])
#: Files that are made at the same time; each may hold some hundred MB. Who comes later waits so long.
_MAKING, _WAIT_S = BoundedSemaphore(2), 30.0
_PIECE = 1 << 20
#: A header has room for so many gaps; an answer lists so many.
_GAPS_IN_HEADER, _MOST_GAPS = 20, 1_000


@router.get("/bars", responses=answers_of_rows("bars"), response_class=Response)
def bars(request: Request, farm: Farm, query: Annotated[BarsQuery, Query()]) -> Response:
    """Read bars; `ts` is a bar's open. Missing stretches of the asked range are stated."""
    return _answer(request, farm, "bars", query)


def _declare(dataset: Dataset, summary: str) -> None:
    """Declare the route of a dataset that can be read as of a moment."""

    @router.get(f"/{dataset}", responses=answers_of_rows(dataset), response_class=Response, name=dataset)
    def read(request: Request, farm: Farm, query: Annotated[KnownQuery, Query()]) -> Response:
        return _answer(request, farm, dataset, query)

    read.__doc__ = summary


def _declare_present(dataset: Dataset, summary: str) -> None:
    """Declare the route of a dataset of which is kept what it says now."""

    @router.get(f"/{dataset}", responses=answers_of_rows(dataset), response_class=Response, name=dataset)
    def read(request: Request, farm: Farm, query: Annotated[RowsQuery, Query()]) -> Response:
        return _answer(request, farm, dataset, query)

    read.__doc__ = summary


_declare("trades", "Read trades; `side` is the taker's.")
_declare_present("quotes", "Read quotes: best bid and ask.")
_declare_present("books", "Read order books, the best level first.")
_declare("news", "Read articles.")
_declare("observations", "Read values of economic series and reference rates, every vintage.")
_declare("posts", "Read posts with their public counts.")
_declare("actions", "Read splits and dividends; `ts` is the ex-date.")


def _answer(request: Request, farm: Context, dataset: Dataset, query: RowsQuery) -> Response:
    form = form_of(query, request.headers.get("accept", ""))
    if form is None:
        raise HTTPException(406, f"accepted: {', '.join(MEDIA.values())}")
    with farm.sessions() as session:
        asked = _asked(session, dataset, query)
        gaps = _gaps(session, asked, query, datetime.now(UTC))
    note(request, dataset=dataset, provider=query.provider, series=len(query.instrument), form=form)
    if form == "json":
        return _page(request, farm, asked, query, gaps)
    if query.cursor is not None or query.page_rows != RowsQuery.model_fields["page_rows"].default:
        raise FixRequest("cursor and page_rows are for JSON: a file holds the whole range")
    return _file(request, farm, asked, query, form, gaps)


def _asked(session: Session, dataset: Dataset, query: RowsQuery) -> Asked:
    names = providers.aliases()
    first = names.get(query.provider, query.provider)
    interval = query.interval if isinstance(query, BarsQuery) else None
    wanted = within(
        find(session, first, dataset, query.instrument, interval=interval),
        start=_moment(query.start),
        end=_moment(query.end),
        last=query.limit,
        final_only=isinstance(query, BarsQuery) and query.final_only,
        as_of=_moment(query.as_of) if isinstance(query, KnownQuery) else None,
    )
    if isinstance(query, BarsQuery) and query.fallback:
        others = [names.get(name, name) for name in query.fallback]
        return rank(session, first, wanted, others, interval=interval)
    return wanted


def _moment(text: str | None) -> datetime | None:
    return None if text is None else parse_time(text)


def _gaps(session: Session, asked: Asked, query: RowsQuery, now: datetime) -> list[Gap] | None:
    """Return the first gaps of the range; None where there is no range, or nobody could say."""
    ranked = asked.wanted if isinstance(asked, Ranked) else [asked]
    first, *others = ranked
    if not isinstance(query, BarsQuery) or first.start is None or first.as_of is not None or query.cursor is not None:
        return None
    reads = (
        BarsRead(
            query.provider if not isinstance(asked, Ranked) else asked.providers[0],
            name,
            query.interval,
            series_id,
            first.start,
            first.end,
            [one.series[name] for one in others],
            first.final_only,
        )
        for name, series_id in first.series.items()
    )
    return list(islice((gap for read in reads for gap in gaps_of_read(session, read, now)), _MOST_GAPS))


def _page(request: Request, farm: Context, asked: Asked, query: RowsQuery, gaps: list[Gap] | None) -> Response:
    dataset = dataset_of(asked)
    page = page_of(farm.sessions, asked, page_rows_of(query, dataset), place_of(query, dataset))
    note(request, rows=page.rows.height)
    cursor = None if page.end is None else cursor_of(query, dataset, page.end)
    following = None if cursor is None else _next(request, cursor)
    about: dict[str, Any] = {"dataset": dataset, "provider": query.provider}
    if isinstance(query, BarsQuery):
        about |= {"interval": query.interval, "gaps": gaps}
    rows = b"".join(json_chunks([page.rows], dataset)).rstrip(b"\n").replace(b"\n", b",")
    told = encoded(about | {"next": following, "cursor": cursor})
    body = told[:-1] + b',"rows":[' + rows + b"]}"
    headers = {"ETag": f'"{hashlib.sha256(body).hexdigest()[:32]}"', "Cache-Control": "no-cache", "Vary": "Accept"}
    if following is not None:
        headers["Link"] = f'<{following}>; rel="next"'
    if headers["ETag"] in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(body, media_type=JSON, headers=headers)


def _next(request: Request, cursor: str) -> str:
    """Return the address of the next page, without the host: behind a proxy nobody here knows it."""
    said = [(name, value) for name, value in request.query_params.multi_items() if name != "cursor"]
    return f"{request.url.path}?{urlencode([*said, ('cursor', cursor)])}"


def _file(
    request: Request, farm: Context, asked: Asked, query: RowsQuery, form: Form, gaps: list[Gap] | None
) -> Response:
    dataset = dataset_of(asked)
    width = f"-{query.interval}" if isinstance(query, BarsQuery) else ""
    headers = {
        "Content-Disposition": f'attachment; filename="{query.provider}-{dataset}{width}.{form}"',
        "Cache-Control": "no-cache",
        "Vary": "Accept",
    }
    if gaps is not None:
        shown = ", ".join(
            f"{one.start:%FT%TZ}/{one.end:%FT%TZ};rows={one.rows};{one.instrument}" for one in gaps[:_GAPS_IN_HEADER]
        )
        headers |= {"Tickfarm-Gap-Count": str(len(gaps)), "Tickfarm-Gaps": shown}
    if form == "csv":
        frames, empty = frames_of(farm.sessions, asked)
        pieces: Iterable[bytes] = csv_chunks(_counted(request, frames), dataset, empty=empty)
        return StreamingResponse(pieces, media_type=MEDIA[form], headers=headers)
    file, size, rows = _made(farm, asked, form)
    note(request, rows=rows)
    headers["Content-Length"] = str(size)
    return OpenFileResponse(file, media_type=MEDIA[form], headers=headers)


class OpenFileResponse(StreamingResponse):
    """Sends an open file and closes it, whether all of it is taken, a part, or nothing."""

    def __init__(self, file: BinaryIO, **more: Any) -> None:
        super().__init__(iter(partial(file.read, _PIECE), b""), **more)
        self._file = file

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._file:
            await super().__call__(scope, receive, send)


def _counted(request: Request, frames: Iterable[Any]) -> Iterator[Any]:
    rows = 0
    for frame in frames:
        rows += frame.height
        note(request, rows=rows)
        yield frame


def _made(farm: Context, asked: Asked, form: Form) -> tuple[BinaryIO, int, int]:
    """Return a whole file, which has no name any more: it is gone when it is closed; its size and its rows."""
    if not _MAKING.acquire(timeout=_WAIT_S):
        raise SlowDown("other files are being made; try again", retry_after_s=_WAIT_S)
    write = write_parquet if form == "parquet" else write_arrow
    try:
        months = parts_of(farm.sessions, asked, month_files(farm.settings), datetime.now(UTC))
        with tempfile.TemporaryDirectory(prefix="tickfarm-api-") as folder, months as (parts, empty):
            whole = Path(folder) / f"rows.{form}"
            rows = write(parts, dataset_of(asked), whole, empty=empty)
            return whole.open("rb"), whole.stat().st_size, rows
    finally:
        _MAKING.release()
