"""The commands about dead letters: work that was given up."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from commands.terminal import Json, by, err, open_context, out, print_json, row_of, wake
from ingest.errors import FixRequest
from ingest.pipeline import dead_letters
from ingest.pipeline.dead_letters import Kind
from local.shown import letters_table
from models import DeadLetter
from tasks.known import lanes

LetterId = Annotated[int, typer.Argument(min=1, max=2**63 - 1, help="the letter's number, from `tickfarm dead ls`")]
OneId = Annotated[int | None, typer.Argument(min=1, max=2**63 - 1, help="the letter's number")]
Task = Annotated[str | None, typer.Option(help="all of this task and --error")]
ErrorClass = Annotated[str | None, typer.Option(help="all of this class of error and --task: FixRequest")]
UpTo = Annotated[int | None, typer.Option(min=1, max=2**63 - 1, help="none after this letter")]

dead = typer.Typer(no_args_is_help=True, help="Work that was given up: list, show, requeue, discard.")


@dead.command("ls")
def list_letters(as_json: Json = False) -> None:
    """List the open dead letters, newest first."""
    with open_context().sessions() as session:
        rows = [row_of(letter) for letter in dead_letters.open_letters(session, limit=200)]
    if as_json:
        print_json(rows)
    elif rows:
        out.print(letters_table(rows))
    else:
        err.print("no dead letters")


@dead.command("show")
def showrow_of(letter_id: LetterId) -> None:
    """Print a dead letter whole."""
    with open_context().sessions() as session:
        letter = session.get(DeadLetter, letter_id)
        if letter is None:
            raise FixRequest(f"letter {letter_id} does not exist; `tickfarm dead ls` lists the open ones")
        print_json(row_of(letter))


@dead.command("requeue")
def requeuerow_of(letter_id: OneId = None, task: Task = None, error: ErrorClass = None, up_to: UpTo = None) -> None:
    """Owe a dead letter's work again, or that of all of a kind (--task and --error)."""
    context, now = open_context(), datetime.now(UTC)
    kind = _kind(letter_id, task, error, up_to)
    with context.sessions.begin() as session:
        if isinstance(kind, int):
            job_id = dead_letters.requeue(session, kind, lanes=lanes(), now=now, by=by())
            said = f"letter {kind} is owed again as job {job_id}"
        else:
            done, refused = dead_letters.close_kind(session, kind, "requeue", lanes=lanes(), now=now, by=by())
            said = f"{done} letters are owed again" + (f", {len(refused)} can't be: {refused}" if refused else "")
    out.print(said)
    wake(context)


@dead.command("discard")
def discardrow_of(
    letter_id: OneId = None,
    task: Task = None,
    error: ErrorClass = None,
    up_to: UpTo = None,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
) -> None:
    """Close a dead letter for good, or all of a kind (--task and --error)."""
    context, kind = open_context(), _kind(letter_id, task, error, up_to)
    if not isinstance(kind, int) and not yes:
        with context.sessions() as session:
            count = dead_letters.count_open(session, kind)
        typer.confirm(f"discard {count} letters for good?", abort=True, err=True)
    with context.sessions.begin() as session:
        if isinstance(kind, int):
            dead_letters.discard(session, kind, by=by())
            said = f"letter {kind} is discarded"
        else:
            now = datetime.now(UTC)
            done, _ = dead_letters.close_kind(session, kind, "discard", lanes=lanes(), now=now, by=by())
            said = f"{done} letters are discarded"
    out.print(said)


def _kind(letter_id: int | None, task: str | None, error: str | None, up_to: int | None) -> int | Kind:
    if letter_id is not None and task is None and error is None and up_to is None:
        return letter_id
    if letter_id is None and task is not None and error is not None:
        return Kind(task, error, up_to or 2**63 - 1)
    raise FixRequest("give a letter's number, or --task and --error of all that are meant")
