"""Dead letters: what was given up, by task and error; owe it again, or discard it for good.

Invariant: an act on a kind names the newest letter that its page has counted: what came later stays open.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Form, Query, Request, Response

from dashboard.acts import Actor, Line, Number, asked_back, landed, wake
from dashboard.context import Farm, ReadOnly
from dashboard.templating import render
from ingest.pipeline import dead_letters
from ingest.pipeline.audit import acts_on
from ingest.pipeline.dead_letters import GROUP_LIMIT, Kind
from tasks.known import lanes

router = APIRouter(prefix="/dead")
UpTo = Annotated[int, Form(ge=1, le=2**63 - 1)]
Words = Annotated[str, Query(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]
_LETTERS = 100


@router.get("")
def show_all(request: Request, session: ReadOnly) -> Response:
    """Show the open letters by kind."""
    groups = dead_letters.groups(session)
    acts = acts_on(session, "dead", limit=10)
    return render(request, "dead.html", groups=groups, acts=acts, most=GROUP_LIMIT)


@router.get("/letters")
def show_kind(request: Request, session: ReadOnly, task: Words, error: Words) -> Response:
    """Show the newest letters of a kind, each whole."""
    letters = dead_letters.open_letters(session, Kind(task, error, 2**63 - 1), limit=_LETTERS)
    return render(request, "dead_letters.html", letters=letters, task=task, error=error, most=_LETTERS)


@router.post("/requeue")
def requeue_kind(task: Line, error: Line, up_to: UpTo, farm: Farm, by: Actor) -> Response:
    """Owe the work of a kind again."""
    with farm.sessions.begin() as session:
        now = datetime.now(UTC)
        dead_letters.close_kind(session, Kind(task, error, up_to), "requeue", lanes=lanes(), now=now, by=by)
    wake(farm)
    return landed("dead")


@router.post("/discard")
def discard_kind(
    request: Request, task: Line, error: Line, up_to: UpTo, farm: Farm, by: Actor, sure: Line = ""
) -> Response:
    """Discard a kind, after asking back with how many that are."""
    kind = Kind(task, error, up_to)
    if not sure:
        with farm.sessions() as session:
            count = min(dead_letters.count_open(session, kind), GROUP_LIMIT)
        said = f"{count:,} letters of {task} ({error}) are closed for good. Nobody tries their work again."
        fields = {"task": task, "error": error, "up_to": up_to}
        words = f"Discard {count:,} letters"
        return asked_back(request, said, words, kind.command("discard"), back="/dead", fields=fields)
    with farm.sessions.begin() as session:
        dead_letters.close_kind(session, kind, "discard", lanes=lanes(), now=datetime.now(UTC), by=by)
    return landed("dead")


@router.post("/{number}/requeue")
def requeue(number: Number, farm: Farm, by: Actor) -> Response:
    """Owe one letter's work again."""
    with farm.sessions.begin() as session:
        dead_letters.requeue(session, number, lanes=lanes(), now=datetime.now(UTC), by=by)
    wake(farm)
    return landed("dead")


@router.post("/{number}/discard")
def discard(request: Request, number: Number, farm: Farm, by: Actor, sure: Line = "") -> Response:
    """Discard one letter, after asking back."""
    if not sure:
        said = f"1 letter, number {number}, is closed for good. Nobody tries its work again."
        return asked_back(request, said, "Discard 1 letter", f"dead discard {number}", back="/dead")
    with farm.sessions.begin() as session:
        dead_letters.discard(session, number, by=by)
    return landed("dead")
