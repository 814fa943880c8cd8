"""What every page that acts shares: who acts, what a form may hold, asking back, and where one lands.

Deliberately not here: the acts (ingest/pipeline, tasks/scaling.py), who may (access.py). Invariant: what can't be
undone is asked back by a page that names it, with JavaScript or without.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import quote

import structlog
from fastapi import Depends, Form, Path, Request, Response
from fastapi.responses import RedirectResponse
from redis.exceptions import RedisError

from dashboard.access import Writer
from dashboard.templating import render
from ingest.errors import FixRequest
from ingest.pipeline.audit import By
from ingest.pipeline.context import Context
from ingest.pipeline.workers import wake_leader

#: PostgreSQL keeps no NUL, and no name or reason has another control character.
_PRINTABLE = r"^[^\x00-\x1f\x7f]*$"
#: A field of a form; a name in an address; a row's number in either.
Line = Annotated[str, Form(max_length=200, pattern=_PRINTABLE)]
Name = Annotated[str, Path(max_length=200, pattern=_PRINTABLE)]
Number = Annotated[int, Path(ge=1, le=2**63 - 1)]
_LONGEST, _MOST = 4_000, 40

log = structlog.get_logger(__name__)


def _by(actor: Writer) -> By:
    return By(actor, "dashboard")


#: `def route(by: Actor)`: who acts; refuses whoever may not
Actor = Annotated[By, Depends(_by)]


async def _texts(request: Request) -> dict[str, str]:
    """Return all fields of a form. Raises FixRequest for what no form of ours sends."""
    async with request.form(max_files=0, max_fields=_MOST) as form:
        texts = {name: value for name, value in form.items() if isinstance(value, str)}
    for name, value in texts.items():
        if len(value) > _LONGEST or "\x00" in value:
            raise FixRequest(f"{name[:40]}: expected {_LONGEST} letters at most, and no NUL")
    return texts


#: `def route(texts: Texts)`: a form whose fields the route knows by another way
Texts = Annotated[dict[str, str], Depends(_texts)]


def landed(*parts: str) -> Response:
    """Return what sends the browser to a page, whose address these parts make; reloading it does nothing again."""
    return RedirectResponse("/" + "/".join(quote(part, safe="") for part in parts), 303)


def asked_back(
    request: Request, question: str, words: str, command: str, *, back: str, fields: Mapping[str, Any] | None = None
) -> Response:
    """Return the page that asks whether this is meant; its button sends the same again, with `sure`."""
    sent = {**(fields or {}), "sure": "yes"}
    return render(
        request,
        "confirm.html",
        question=question,
        words=words,
        command=command,
        back=back,
        fields=sent,
        action=request.url.path,
    )


def wake(context: Context) -> None:
    """Wake the leader. It looks by itself every second: without Redis the work is only later."""
    try:
        wake_leader(context.redis)
    except RedisError as error:
        log.info("leader_not_woken", error=str(error))
