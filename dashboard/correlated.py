"""X-Request-ID: what a request is called in every log line of it, and of the jobs it makes; given back in the answer.

Deliberately not here: what the lines say. Invariant: an id from outside that is no plain word is replaced by our own.
"""

from __future__ import annotations

import uuid

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ingest.telemetry import REQUEST_HEADER, correlate, is_correlation


class Correlated:
    """The application, each of whose requests has an id."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get(REQUEST_HEADER)
        name = given if given is not None and is_correlation(given) else uuid.uuid4().hex
        structlog.contextvars.clear_contextvars()
        correlate(name)

        async def named(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[REQUEST_HEADER] = name
            await send(message)

        await self._app(scope, receive, named)
