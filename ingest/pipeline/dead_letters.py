"""Dead letters: what was given up, why, and the way back. Also for calls that never had a job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from ingest.errors import FixRequest
from ingest.pipeline.jobs import NewJob, insert_jobs
from ingest.telemetry import redact
from models import DeadLetter, Job

#: Longer texts (a traceback in a message, a page in an error) are cut: the payload has the rest.
_LONGEST = 2000


@dataclass(frozen=True, slots=True)
class Letter:
    """A call that was given up."""

    task: str
    error: BaseException | str
    kwargs: Mapping[str, Any]
    args: Sequence[Any] = ()
    task_id: str | None = None
    queue: str | None = None
    job_id: int | None = None


def write_letter(session: Session, letter: Letter) -> None:
    """File a dead letter; the same task id files only one. Secrets are redacted."""
    is_error = isinstance(letter.error, BaseException)
    row = {
        "task": letter.task,
        "args": _redacted(list(letter.args)),
        "kwargs": _redacted(dict(letter.kwargs)),
        "task_id": letter.task_id,
        "queue": letter.queue,
        "job_id": letter.job_id,
        "error_class": type(letter.error).__name__ if is_error else "Rejected",
        "error": redact(str(letter.error))[:_LONGEST],
    }
    session.execute(insert(DeadLetter).values(row).on_conflict_do_nothing(index_elements=["task_id"]))


def requeue(session: Session, letter_id: int, *, lane: str, now: datetime) -> int:
    """Owe the letter's work again and return the job's id. `lane` serves it if it never had a job.

    Raises FixRequest for a letter that is not open, or one with positional arguments, which jobs don't keep.
    """
    letter = _open_letter(session, letter_id)
    job_id = letter.job_id
    if job_id is not None and _revive(session, job_id, now):
        letter.state = "requeued"
        return job_id
    if letter.args:
        raise FixRequest(f"letter {letter_id} has positional arguments: call {letter.task} again with named ones")
    kwargs = {name: value for name, value in letter.kwargs.items() if name not in ("job_id", "attempt")}
    key = f"letter:{letter_id}"
    insert_jobs(session, [NewJob(key=key, task=letter.task, lane=lane, kwargs=kwargs, due_at=now, priority=2)])
    letter.state = "requeued"
    return session.execute(select(Job.id).where(Job.key == key)).scalar_one()


def discard(session: Session, letter_id: int) -> None:
    """Close a letter for good. Raises FixRequest when it is not open."""
    _open_letter(session, letter_id).state = "discarded"


def _open_letter(session: Session, letter_id: int) -> DeadLetter:
    letter = session.get(DeadLetter, letter_id, with_for_update=True)
    if letter is None or letter.state != "open":
        state = "does not exist" if letter is None else f"is {letter.state}"
        raise FixRequest(f"letter {letter_id} {state}; `tickfarm dead ls` lists the open ones")
    return letter


def _revive(session: Session, job_id: int, now: datetime) -> bool:
    """Give a dead job a new life, with its counters at zero; False when it is not dead (only a part of it died)."""
    statement = (
        update(Job)
        .where(Job.id == job_id, Job.state == "dead")
        .values(state="due", due_at=now, failures=0, lost_leases=0, finished_at=None, expires_at=None)
        .returning(Job.id)
    )
    return session.execute(statement).first() is not None


def _redacted(value: Any) -> Any:
    match value:
        case str():
            return redact(value)[:_LONGEST]
        case list() | tuple():
            return [_redacted(one) for one in value]
        case dict():
            return {str(name): _redacted(one) for name, one in value.items()}
        case None | bool() | int() | float():
            return value
        case _:
            return redact(repr(value))[:_LONGEST]
