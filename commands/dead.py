"""The commands about dead letters: work that was given up."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from sqlalchemy import select

from commands.terminal import LANE, Json, err, open_context, out, print_json, wake
from ingest.errors import FixRequest
from ingest.pipeline import dead_letters
from local.shown import letters_table
from models import DeadLetter
from tasks import app as celery_app

LetterId = Annotated[int, typer.Argument(min=1, max=2**63 - 1, help="the letter's number, from `tickfarm dead ls`")]

dead = typer.Typer(no_args_is_help=True, help="Work that was given up: list, show, requeue, discard.")


@dead.command("ls")
def list_letters(as_json: Json = False) -> None:
    """List the open dead letters, newest first."""
    with open_context().sessions() as session:
        query = select(DeadLetter).where(DeadLetter.state == "open").order_by(DeadLetter.id.desc()).limit(200)
        rows = [_letter(letter) for letter in session.scalars(query)]
    if as_json:
        print_json(rows)
    elif rows:
        out.print(letters_table(rows))
    else:
        err.print("no dead letters")


@dead.command("show")
def show_letter(letter_id: LetterId) -> None:
    """Print a dead letter whole."""
    with open_context().sessions() as session:
        letter = session.get(DeadLetter, letter_id)
        if letter is None:
            raise FixRequest(f"letter {letter_id} does not exist; `tickfarm dead ls` lists the open ones")
        print_json(_letter(letter))


@dead.command("requeue")
def requeue_letter(letter_id: LetterId) -> None:
    """Owe a dead letter's work again."""
    context = open_context()
    queues = {queue.name for queue in celery_app.conf.task_queues}
    with context.sessions.begin() as session:
        letter = session.get(DeadLetter, letter_id)
        queue = letter.queue if letter is not None and letter.queue in queues else None
        lane = (queue or LANE).removesuffix(".load")
        job_id = dead_letters.requeue(session, letter_id, lane=lane, now=datetime.now(UTC))
    out.print(f"letter {letter_id} is owed again as job {job_id}")
    wake(context)


@dead.command("discard")
def discard_letter(letter_id: LetterId) -> None:
    """Close a dead letter for good."""
    with open_context().sessions.begin() as session:
        dead_letters.discard(session, letter_id)
    out.print(f"letter {letter_id} is discarded")


def _letter(letter: DeadLetter) -> dict[str, Any]:
    return {column: getattr(letter, column) for column in DeadLetter.__table__.columns.keys()}  # noqa: SIM118
