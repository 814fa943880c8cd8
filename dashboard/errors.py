"""Errors as answers: one JSON shape under /v1, a page elsewhere, never a traceback.

`{"error": {"status": 404, "code": "not_found", "message": "...", "details": [...]}}`. Deliberately not here: what is an
error (ingest/errors.py). Invariant: a message never quotes a secret.
"""

from __future__ import annotations

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from psycopg2.errors import QueryCanceled
from redis.exceptions import RedisError
from sqlalchemy.exc import DataError, DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException

from dashboard.templating import render
from ingest.errors import FixRequest, SlowDown, TryAgain, UnknownName
from ingest.telemetry import REQUEST_HEADER, correlation, redact

log = structlog.get_logger(__name__)
_CODES = {400: "bad_request", 401: "unauthorized", 403: "forbidden", 404: "not_found", 405: "method_not_allowed"}
_CODES |= {406: "not_acceptable", 409: "conflict", 422: "invalid", 500: "internal", 503: "unavailable"}


def install(app: FastAPI) -> None:
    """Answer every error of this application."""
    app.add_exception_handler(HTTPException, _of_http)
    app.add_exception_handler(RequestValidationError, _of_validation)
    app.add_exception_handler(Exception, _unforeseen)
    for kind in (FixRequest, TryAgain, SlowDown, RedisError, DBAPIError, PoolTimeout):
        app.add_exception_handler(kind, _foreseen)


def answer(
    request: Request, status: int, message: str, details: list[str] | None = None, headers: dict[str, str] | None = None
) -> Response:
    """Return the answer of an error, in the shape that the asked part speaks."""
    said, code = redact(message), _CODES.get(status, "error")
    if request.url.path.startswith("/v1"):
        body = {"error": {"status": status, "code": code, "message": said, "details": details or []}}
        return JSONResponse(body, status, headers)
    return render(request, "error.html", status=status, headers=headers, message=said, details=details or [])


async def _of_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    headers = dict(error.headers) if error.headers else None
    return answer(request, error.status_code, str(error.detail), headers=headers)


async def _of_validation(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    details = [f"{'.'.join(str(part) for part in one['loc'][1:])}: {one['msg']}" for one in error.errors()]
    return answer(request, 422, "the request can't be understood", details)


async def _foreseen(request: Request, error: Exception) -> Response:
    match error:
        case UnknownName():
            return answer(request, 404, str(error))
        case FixRequest():
            return answer(request, 400, str(error))
        case DBAPIError() if isinstance(error.orig, QueryCanceled):
            return answer(request, 503, "that takes too long; ask for less")
        case DataError():  # a number or a moment beyond what PostgreSQL knows
            return answer(request, 400, "a value is out of range")
        case DBAPIError() if not isinstance(error, OperationalError | InterfaceError):
            return await _unforeseen(request, error)
        case _:
            away = "a server of the farm can't be reached; try again"
            said = str(error) if isinstance(error, SlowDown) else away
            return answer(request, 503, said, headers={"Retry-After": "5"})


async def _unforeseen(request: Request, error: Exception) -> Response:
    log.error("request_failed", path=request.url.path, error=redact(repr(error)), exc_info=error)
    # Beyond every middleware: who asks for the log's lines needs their name here too.
    named = {REQUEST_HEADER: str(correlation())}
    return answer(request, 500, "this failed; the dashboard's log says why", headers=named)
