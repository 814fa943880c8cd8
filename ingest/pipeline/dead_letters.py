"""Dead letters: what was given up, why, and the way back, one by one or all of a kind. Also for calls without a job.

Invariant: who requeues or discards a kind names the newest letter that they saw: what came later stays open.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from shlex import join
from typing import Any, Literal

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from ingest.errors import FixRequest
from ingest.pipeline.audit import By, write_down
from ingest.pipeline.jobs import NewJob, insert_jobs
from ingest.telemetry import redact
from models import DeadLetter, Job

#: Longer texts (a traceback in a message, a page in an error) are cut: the payload has the rest.
_LONGEST = 2000
#: Letters that one act closes at most: a transaction of a few seconds.
GROUP_LIMIT = 1000
#: Serves a call whose own queue is not known.
_OTHER_LANE = "standard"


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


@dataclass(frozen=True, slots=True)
class Kind:
    """The open letters of one task and class of error, up to the letter `up_to`."""

    task: str
    error_class: str
    up_to: int

    def command(self, verb: str) -> str:
        """Return the command that requeues or discards them."""
        return join(
            ["dead", verb, "--task", self.task, "--error", self.error_class, "--up-to", str(self.up_to)]
            + (["--yes"] if verb == "discard" else [])
        )


@dataclass(frozen=True, slots=True)
class Group:
    """Open letters of a kind: how many, since when, and the newest of them, as a sample."""

    kind: Kind
    count: int
    first_at: datetime
    newest: DeadLetter


def groups(session: Session, *, limit: int = 200) -> list[Group]:
    """Return the open letters by kind, the largest first. Two queries, over an index of what is open."""
    newest, count, first = func.max(DeadLetter.id), func.count(), func.min(DeadLetter.at)
    kinds = (
        select(DeadLetter.task, DeadLetter.error_class, newest, count, first)
        .where(DeadLetter.state == "open")
        .group_by(DeadLetter.task, DeadLetter.error_class)
        .order_by(count.desc(), newest.desc())
        .limit(limit)
    )
    found = session.execute(kinds).all()
    wanted = [row[2] for row in found]
    letters = {one.id: one for one in session.scalars(select(DeadLetter).where(DeadLetter.id.in_(wanted)))}
    return [Group(Kind(task, error, up_to), total, since, letters[up_to]) for task, error, up_to, total, since in found]


def open_letters(session: Session, kind: Kind | None = None, *, limit: int) -> Sequence[DeadLetter]:
    """Return the newest open letters (of a kind), newest first."""
    query = select(DeadLetter).where(DeadLetter.state == "open").order_by(DeadLetter.id.desc()).limit(limit)
    return session.scalars(query if kind is None else query.where(*_of(kind))).all()


def count_open(session: Session, kind: Kind) -> int:
    """Return how many letters of a kind are open."""
    query = select(func.count()).select_from(DeadLetter).where(DeadLetter.state == "open", *_of(kind))
    return session.scalars(query).one()


def close_kind(
    session: Session, kind: Kind, verb: Literal["requeue", "discard"], *, lanes: Collection[str], now: datetime, by: By
) -> tuple[int, list[int]]:
    """Requeue or discard the oldest open letters of a kind, `GROUP_LIMIT` at most; return how many, and who could not.

    Raises FixRequest when none is open (any more).
    """
    query = select(DeadLetter).where(DeadLetter.state == "open", *_of(kind)).order_by(DeadLetter.id)
    letters = session.scalars(query.limit(GROUP_LIMIT).with_for_update()).all()
    if not letters:
        raise FixRequest("no letter of this kind is open any more; `tickfarm dead ls` lists the open ones")
    refused = []
    for letter in letters:
        if verb == "discard":
            letter.state = "discarded"
            continue
        try:
            _owe(session, letter, lane_of(letter, lanes), now)
        except FixRequest:
            refused.append(letter.id)
    done = len(letters) - len(refused)
    after = {"letters": done, "first": letters[0].id, "last": letters[-1].id, "refused": refused}
    write_down(session, by, kind.command(verb), f"{done} letters of {kind.task}", after=after)
    return done, refused


def lane_of(letter: DeadLetter, lanes: Collection[str]) -> str:
    """Return the lane that serves a letter which never had a job."""
    lane = (letter.queue or "").removesuffix(".load")
    return lane if lane in lanes else _OTHER_LANE


def requeue(session: Session, letter_id: int, *, lanes: Collection[str], now: datetime, by: By) -> int:
    """Owe the letter's work again and return the job's id.

    Raises FixRequest for a letter that is not open, or one with positional arguments, which jobs don't keep.
    """
    letter = _open_letter(session, letter_id)
    job_id = _owe(session, letter, lane_of(letter, lanes), now)
    write_down(session, by, f"dead requeue {letter_id}", letter.task, after={"state": "requeued", "job": job_id})
    return job_id


def discard(session: Session, letter_id: int, *, by: By) -> None:
    """Close a letter for good. Raises FixRequest when it is not open."""
    letter = _open_letter(session, letter_id)
    letter.state = "discarded"
    write_down(session, by, f"dead discard {letter_id}", letter.task, after={"state": "discarded"})


def _of(kind: Kind) -> tuple[ColumnElement[bool], ...]:
    return DeadLetter.task == kind.task, DeadLetter.error_class == kind.error_class, DeadLetter.id <= kind.up_to


def _owe(session: Session, letter: DeadLetter, lane: str, now: datetime) -> int:
    job_id = letter.job_id
    if job_id is not None and _revive(session, job_id, now):
        letter.state = "requeued"
        return job_id
    if letter.args:
        raise FixRequest(f"letter {letter.id} has positional arguments: call {letter.task} again with named ones")
    kwargs = {name: value for name, value in letter.kwargs.items() if name not in ("job_id", "attempt")}
    key = f"letter:{letter.id}"
    insert_jobs(session, [NewJob(key=key, task=letter.task, lane=lane, kwargs=kwargs, due_at=now, priority=2)])
    letter.state = "requeued"
    return session.execute(select(Job.id).where(Job.key == key)).scalar_one()


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
