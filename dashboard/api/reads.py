"""Who read what: a line of the log for each answer of the API, and which other sites' pages may read it.

Deliberately not here: who may write (access.py). Invariant: of a query a line holds names that were checked, no more.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import structlog
from fastapi import FastAPI, Request
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dashboard.access import access_of
from ingest.settings import Settings

log = structlog.get_logger(__name__)
#: Longer ones are no path of ours.
_LONGEST_PATH = 200
#: What a page of another site may see of an answer beside its body.
_EXPOSED = ("ETag", "Link", "Tickfarm-Gaps", "Tickfarm-Gap-Count", "Retry-After")


def install(app: FastAPI, config: Settings) -> None:
    """Log reads, and answer the pages of the sites that are set (TICKFARM_DASHBOARD_ORIGINS): GET, without cookies."""
    origins = [one.strip().rstrip("/") for one in (config.tickfarm_dashboard_origins or "").split(",") if one.strip()]
    if origins:
        app.add_middleware(OfOtherSites, origins=origins)
    app.add_middleware(ReadLog)


class OfOtherSites:
    """CORS for /v1 and nothing else."""

    def __init__(self, app: ASGIApp, origins: Sequence[str]) -> None:
        self._app = app
        self._open = CORSMiddleware(app, allow_origins=origins, allow_methods=["GET"], expose_headers=_EXPOSED)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        is_open = scope["type"] == "http" and scope["path"].startswith("/v1/")
        await (self._open if is_open else self._app)(scope, receive, send)


class ReadLog:
    """Log each answer under /v1 when its last byte is sent, or when who asked has gone."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http" or not scope["path"].startswith("/v1/"):
            await self._app(scope, receive, send)
            return
        began, status, sent = time.monotonic(), 0, 0

        async def count(message: Message) -> None:
            nonlocal status, sent
            status = message.get("status", status)
            sent += len(message.get("body", b""))
            await send(message)

        try:
            await self._app(scope, receive, count)
        finally:
            request = Request(scope)
            log.info(
                "api_read",
                path=scope["path"][:_LONGEST_PATH],
                method=scope["method"],
                status=status,
                client=request.client.host if request.client else None,
                actor=access_of(request).actor,
                size_bytes=sent,
                ms=round(1000 * (time.monotonic() - began), 1),
                **scope.get("state", {}).get("read", {}),
            )


def note(request: Request, **said: object) -> None:
    """Add checked names and counts to the line of this request."""
    request.scope.setdefault("state", {}).setdefault("read", {}).update(said)
