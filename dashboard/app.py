"""The web application: routes, headers, and one shape of an error.

Deliberately not here: pages (pages/), the REST API (api/), who may write (access.py). Invariant: no answer holds a
traceback, and no page runs a script that is not ours.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI, Request, Response
from fastapi.staticfiles import StaticFiles

from dashboard import api, errors, live, metrics, pages, probes
from dashboard.api import reads
from dashboard.correlated import Correlated
from dashboard.watching import watching
from ingest.pipeline.context import Context
from ingest.settings import Settings

STATIC = Path(__file__).with_name("static")
#: Styles may stand in elements: the charts' library sets them.
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}


def create_app(config: Settings) -> FastAPI:
    """Return the application; its context opens what it needs when it is first asked, and closes with it."""
    context = Context(config, name="tickfarm dashboard")

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        with watching(context):
            yield
        app.state.exporter.close()
        context.close()

    app = FastAPI(
        title="tickfarm",
        description="Market data that is stored, what is known of its completeness, and the farm that fetches it.",
        version="1",
        docs_url=None,
        redoc_url=None,
        openapi_url="/v1/openapi.json",
        lifespan=lifespan,
    )
    app.state.context = context
    app.state.exporter = metrics.Exporter(config)
    app.state.changes = live.Changes(context)
    errors.install(app)
    app.middleware("http")(_with_headers)
    app.add_middleware(Correlated)
    reads.install(app, config)
    app.include_router(probes.router)
    app.include_router(metrics.router)
    app.include_router(live.router)
    app.include_router(api.router)
    app.include_router(pages.router)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    return app


async def _with_headers(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    response = await call_next(request)
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    return response
