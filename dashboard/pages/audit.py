"""What people did, newest first: a page at a time, of one command, person or way."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request, Response

from dashboard.context import Before, ReadOnly, Word
from dashboard.templating import render
from ingest.pipeline.audit import ActFilter, newest_acts
from models.audit import WAYS

PAGE = 100
router = APIRouter()


@router.get("/audit")
def show(
    request: Request,
    session: ReadOnly,
    command: Word = "",
    actor: Word = "",
    way: Annotated[Literal["", *WAYS], Query()] = "",  # type: ignore[valid-type]
    before: Before = None,
) -> Response:
    """Show one page of the acts that fit."""
    wanted = ActFilter(command.strip().removeprefix("tickfarm "), actor.strip(), way)
    found = newest_acts(session, wanted, limit=PAGE + 1, before_id=before)
    chosen = {"command": command, "actor": actor, "way": way}
    return render(
        request,
        "audit.html",
        acts=found[:PAGE],
        older=found[PAGE - 1].id if len(found) > PAGE else None,
        before=before,
        chosen=chosen,
        ways=WAYS,
        address=lambda **changes: f"/audit?{urlencode({**chosen, **changes})}",
    )
