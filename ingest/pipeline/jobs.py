"""The life of a job: every transition of the state machine, each one statement, each with one committer.

    due -> leased                      leader   lease_due
    leased -> due | dead               leader   return_lost (lease ran out)
    fetched -> fetched                 leader   return_lost (new attempt: load it again)
    due -> expired                     leader   expire
    leased -> expired                  shell    start (its message waited too long)
    leased -> fetched                  fetch    mark_fetched
    leased -> due | dead               fetch    put_back, bury
    leased, fetched: the same attempt again, after a pause   shell    rest
    fetched -> done                    store    finish

Invariant: `attempt` is a fencing token. Each transition out of `leased` or `fetched` names the attempt it belongs to,
and changes nothing when another one has begun.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    CursorResult,
    Executable,
    Interval,
    Update,
    and_,
    bindparam,
    case,
    func,
    literal,
    or_,
    select,
    text,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session
from sqlalchemy.sql.dml import ReturningUpdate

from ingest.errors import LeaseLost
from ingest.pipeline.claims import Claim, served_next, values_of
from models import IN_FLIGHT, Job

#: A worker that dies is noticed after this long; work that lives renews its lease at a third of it.
LEASE_S = 20.0
#: A job whose worker died this often while running it is taken for the killer.
MAX_LOST_LEASES = 5
#: begins the key of a job that a call by hand made
CALL_PREFIX = "call:"
#: begins the key of a job that asks for what is missing or suspect
GAP_PREFIX = "gap:"


@dataclass(frozen=True, slots=True)
class JobOptions:
    """What a schedule entry says about how its jobs are fetched; None leaves it to the provider's settings.

    `per_minute` is the requests a minute that all jobs of `entry` may send together, on top of the provider's limits.
    """

    timeout_s: float | None = None
    retries: int | None = None
    per_minute: int | None = None
    entry: str | None = None


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job that is owed. `key` is deterministic: inserting the same one again changes nothing."""

    key: str
    task: str
    lane: str
    kwargs: Mapping[str, Any]
    due_at: datetime
    priority: int = 3
    expires_at: datetime | None = None
    entry: str | None = None
    run_id: int | None = None
    options: Mapping[str, Any] | None = None
    parent_id: int | None = None
    failures: int = 0
    error: str | None = None
    correlation_id: str | None = None


@dataclass(frozen=True, slots=True)
class Leased:
    """A job given to a worker: everything its message needs."""

    id: int
    attempt: int
    task: str
    lane: str
    kwargs: Mapping[str, Any]
    state: str
    key: str = ""
    entry: str | None = None
    failures: int = 0
    payload_key: str | None = None
    priority: int = 3
    result: Mapping[str, Any] | None = None
    run_id: int | None = None
    options: Mapping[str, Any] | None = None
    due_at: datetime | None = None
    correlation_id: str | None = None

    @property
    def correlation(self) -> str:
        """Return what names it, and what asked for it, in every log line of its work."""
        return self.correlation_id or f"job-{self.id}"

    @property
    def send_options(self) -> JobOptions:
        """Return what its schedule entry says about fetching it."""
        return JobOptions(**(self.options or {}), entry=self.entry)


@dataclass(slots=True)
class Lost:
    """What became of expired leases: back to `due`, to be loaded again, or dead."""

    returned: list[Leased] = field(default_factory=list)
    reload: list[Leased] = field(default_factory=list)
    dead: list[Leased] = field(default_factory=list)


_LEASED_COLUMNS = tuple(getattr(Job, column.name) for column in fields(Leased))
#: `relax_commit` as a statement's last column: one round trip less
_RELAXED = func.set_config("synchronous_commit", "off", True)


def insert_jobs(session: Session, jobs: Sequence[NewJob]) -> int:
    """Insert what is owed and not there yet; return how many that were. In key order, so that two can't deadlock."""
    if not jobs:
        return 0
    rows = [
        {column.name: getattr(job, column.name) for column in fields(NewJob)}
        | {"kwargs": dict(job.kwargs), "options": None if job.options is None else dict(job.options)}
        for job in sorted(jobs, key=lambda job: job.key)
    ]
    statement = insert(Job).on_conflict_do_nothing(index_elements=["key"]).returning(Job.id)
    return len(session.scalars(statement, rows).all())


def lease_due(session: Session, lane: str, claims: Sequence[Claim], *, limit: int, now: datetime) -> list[Leased]:
    """Lease up to `limit` due jobs of a lane: whose task holds least comes first, and of a task the most urgent.

    Among tasks that hold as much the priority decides, then the claims' order, in which the jobs are returned too.
    Rows another leader holds are skipped. Relaxes the transaction's commit (`relax_commit`) where it leases any.
    """
    rows = _plainly(session, _LEASE_DUE, values_of(lane, claims, limit=limit, now=now))
    return [_leased(row[1:]) for row in sorted(rows, key=lambda row: int(row.rank))]


def expire(session: Session) -> int:
    """End due jobs that nobody needs any more; return how many."""
    statement = (
        update(Job)
        .where(Job.state == "due", Job.expires_at < func.now())
        .values(state="expired", finished_at=func.now())
        .returning(Job.id)
    )
    return len(_plainly(session, statement).all())


def return_lost(session: Session) -> Lost:
    """Take back the jobs whose lease ran out.

    Not begun: its message was late or lost, no fault of anybody. Begun: the worker died, which is counted, and a job
    that outlived `MAX_LOST_LEASES` workers is dead. Already fetched: a new attempt loads the payload that is there.
    """
    begun = Job.started_at.is_not(None)
    is_killer = and_(begun, Job.lost_leases >= MAX_LOST_LEASES)
    was_fetched = Job.state == "fetched"
    # A store holds its row while it writes: it is alive, whatever its lease says, and the leader must not wait for it.
    over = (
        select(Job.id)
        .where(Job.state.in_(IN_FLIGHT), Job.lease_until < func.now())
        .with_for_update(skip_locked=True)
        .cte("over")
        .prefix_with("MATERIALIZED")
    )
    statement = (
        update(Job)
        .where(Job.id == over.c.id)
        .values(
            state=case((is_killer, "dead"), (was_fetched, "fetched"), else_="due"),
            attempt=Job.attempt + case((was_fetched, 1), else_=0),
            lost_leases=Job.lost_leases + case((begun, 1), else_=0),
            lease_until=case((and_(was_fetched, ~is_killer), _lease())),
            finished_at=case((is_killer, func.now())),
            error=case((is_killer, "its worker died each time it ran"), else_=Job.error),
            started_at=None,
        )
        .returning(*_LEASED_COLUMNS)
    )
    lost = Lost()
    for row in _plainly(session, statement):
        job = Leased(*row)
        {"due": lost.returned, "fetched": lost.reload, "dead": lost.dead}[job.state].append(job)
    return lost


def start(session: Session, job_id: int, attempt: int) -> Leased:
    """Begin a leased attempt and renew its lease; one whose message waited too long comes back `expired` instead.

    One statement, which relaxes its commit itself (`relax_commit`): in autocommit it is one round trip. Raises
    LeaseLost when it is not this attempt's turn.
    """
    return _one(session, _START, job_id, attempt)


def adopt(session: Session, job: NewJob, now: datetime) -> Leased:
    """Begin a call that was made by hand: make its job, unique on the task id, or take over from a dead delivery.

    The returned job is `done` when an earlier delivery already finished it.
    """
    row = {name: getattr(job, name) for name in ("key", "task", "lane", "due_at", "priority", "correlation_id")}
    row |= {"kwargs": dict(job.kwargs), "state": "leased", "attempt": 1, "started_at": now}
    made = insert(Job).values(**row, lease_until=_lease())
    took_over = made.on_conflict_do_update(
        index_elements=["key"],
        set_={
            "attempt": Job.attempt + 1,
            "state": case((Job.state == "fetched", "fetched"), else_="leased"),
            "started_at": now,
            "lease_until": _lease(),
        },
        where=Job.state.in_(("due", *IN_FLIGHT)),
    ).returning(*_LEASED_COLUMNS)
    begun = session.execute(took_over).first()
    if begun is None:
        begun = session.execute(select(*_LEASED_COLUMNS).where(Job.key == job.key)).one()
    return Leased(*begun)


def mark_fetched(session: Session, job_id: int, attempt: int, *, payload_key: str, payload_bytes: int) -> None:
    """Record that the answers are there. Raises LeaseLost when another attempt has begun."""
    _one(session, _MARK_FETCHED, job_id, attempt, payload_key=payload_key, payload_bytes=payload_bytes)


def touch(session: Session, job_id: int, attempt: int) -> Leased:
    """Begin to load a fetched job and renew its lease. Raises LeaseLost when it is not this attempt's any more."""
    return _one(session, _TOUCH, job_id, attempt)


def lock_for_store(session: Session, job_id: int, attempt: int) -> Leased:
    """Lock a fetched job's row until the transaction ends. Raises LeaseLost: a late worker must not write."""
    query = (
        select(*_LEASED_COLUMNS)
        .where(Job.id == job_id, Job.attempt == attempt, Job.state == "fetched")
        .with_for_update()
    )
    row = session.execute(query).first()
    if row is None:
        raise LeaseLost(f"job {job_id}: attempt {attempt} is over", attempt=attempt)
    return Leased(*row)


def finish(session: Session, job_id: int, attempt: int, result: Mapping[str, Any]) -> None:
    """End a job well. From `leased` too: work that needs no loading (an empty answer, maintenance) ends there."""
    _one(session, _FINISH, job_id, attempt, result=dict(result))


def put_back(session: Session, job_id: int, attempt: int, *, due_at: datetime, reason: str, is_failure: bool) -> None:
    """Return a job to `due`, for later. A wait that a provider dictates is no failure."""
    failures = Job.failures + int(is_failure)
    statement = _ending(*IN_FLIGHT, **_BACK, due_at=due_at, error=reason, failures=failures)
    _one(session, statement, job_id, attempt)


def bury(session: Session, job_id: int, attempt: int, reason: str) -> None:
    """End a job badly."""
    _one(session, _BURY, job_id, attempt, error=reason)


def release(session: Session, job_id: int, attempt: int | None, *, is_lost: bool) -> None:
    """End a lease now, and the leader takes the job back at once. `is_lost`: its worker died, which is counted."""
    over: dict[str, Any] = {"lease_until": func.now() - timedelta(seconds=1)}
    if not is_lost:
        over["started_at"] = None
    session.execute(update(Job).where(Job.id == job_id, Job.attempt == attempt, Job.state.in_(IN_FLIGHT)).values(over))


def rest(session: Session, job_id: int, attempt: int | None, *, for_s: float) -> None:
    """Keep an attempt's lease over a pause, after which the same attempt begins again: nobody died."""
    session.execute(
        update(Job)
        .where(Job.id == job_id, Job.attempt == attempt, Job.state.in_(IN_FLIGHT))
        .values(started_at=None, lease_until=_lease(for_s + LEASE_S))
    )


def call_key(task_id: str) -> str:
    """Return the key of the job that a call by hand makes."""
    return f"{CALL_PREFIX}{task_id}"


def find_call(session: Session, task_id: str) -> tuple[int | None, int | None]:
    """Return id and attempt of the job that a call by hand made, or None twice."""
    row = session.execute(select(Job.id, Job.attempt).where(Job.key == call_key(task_id))).first()
    return (None, None) if row is None else (row.id, row.attempt)


def renew(session: Session, held: Sequence[tuple[int, int]], *, lease_s: float = LEASE_S) -> None:
    """Renew the leases of running work, all in one statement. Those that are over stay over."""
    session.execute(
        update(Job)
        .where(tuple_(Job.id, Job.attempt).in_(held), Job.state.in_(IN_FLIGHT))
        .values(lease_until=_lease(lease_s))
    )


def cancel(session: Session, job_ids: Sequence[int]) -> int:
    """Cancel jobs that are not over; return how many. A running one finds out when it tries to write."""
    statement = (
        update(Job)
        .where(Job.id.in_(job_ids), or_(Job.state == "due", Job.state.in_(IN_FLIGHT)))
        .values(state="cancelled", finished_at=func.now(), lease_until=None)
        .returning(Job.id)
    )
    return len(session.scalars(statement).all())


def relax_commit(session: Session) -> None:
    """Let this transaction's commit return before the disk has it.

    For transitions that repair themselves if a power cut undoes them (the lease runs out and the work is repeated).
    Never for the transaction that stores rows.
    """
    session.execute(text("SET LOCAL synchronous_commit = off"))


def _plainly(
    session: Session, statement: Executable, values: Mapping[str, Any] | None = None
) -> CursorResult[*tuple[Any, ...]]:
    """Run a statement beside the session's objects: keeping those true costs as much as the statement."""
    return session.connection().execute(statement, values)


def _lease(lease_s: float = LEASE_S) -> Any:
    return func.now() + literal(timedelta(seconds=lease_s), Interval)


def _held(*states: str) -> Update:
    return update(Job).where(Job.id == bindparam("job"), Job.attempt == bindparam("held"), Job.state.in_(states))


def _ending(*states: str, **values: Any) -> ReturningUpdate[Any]:
    return _held(*states).values(values).returning(*_LEASED_COLUMNS)


def _one(session: Session, statement: Executable, job_id: int, attempt: int, **values: Any) -> Leased:
    """Run a transition of this attempt. Raises LeaseLost when another one has begun."""
    row = _plainly(session, statement, {"job": job_id, "held": attempt, **values}).first()
    if row is None:
        raise LeaseLost(f"job {job_id}: attempt {attempt} is over", attempt=attempt)
    return _leased(row)


def _leased(row: Sequence[Any]) -> Leased:
    return Leased(*row[: len(_LEASED_COLUMNS)])


# Built once: a statement that SQLAlchemy has seen before costs it a third of one that is built anew.
_picked = served_next()
_LEASE_DUE = (
    update(Job)
    .where(Job.id == _picked.c.id)
    .values(state="leased", attempt=Job.attempt + 1, lease_until=_lease(), started_at=None)
    .returning(_picked.c.rank, *_LEASED_COLUMNS, _RELAXED)
)
_is_late = and_(Job.expires_at.is_not(None), Job.expires_at < func.now())
_START = _ending(
    "leased",
    state=case((_is_late, "expired"), else_="leased"),
    started_at=case((~_is_late, func.now())),
    finished_at=case((_is_late, func.now())),
    lease_until=case((~_is_late, _lease())),
)
_START = _START.where(Job.started_at.is_(None)).returning(_RELAXED)
_MARK_FETCHED = _ending(
    "leased",
    state="fetched",
    fetched_at=func.now(),
    payload_key=bindparam("payload_key"),
    payload_bytes=bindparam("payload_bytes"),
    lease_until=_lease(),
    started_at=None,
)
_TOUCH = _ending("fetched", started_at=func.now(), lease_until=_lease())
_BACK: dict[str, Any] = {"state": "due", "lease_until": None, "started_at": None, "payload_bytes": 0}
_OVER: dict[str, Any] = {"finished_at": func.now(), "lease_until": None, "payload_bytes": 0}
_FINISH = _ending(*IN_FLIGHT, state="done", result=bindparam("result"), error=None, **_OVER)
_BURY = _ending(*IN_FLIGHT, state="dead", error=bindparam("error"), **_OVER)
