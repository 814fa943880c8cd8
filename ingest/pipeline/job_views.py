"""Jobs as an operator looks at them: lists by what is asked for, and one job with all that is known about it.

Reads only. Deliberately not here: transitions (jobs.py), and how it is printed (commands/jobs.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from ingest.payloads import payload_key
from ingest.pipeline.entries import FETCH_PREFIX
from models import DeadLetter, FetchLog, Finding, Job

#: A job that waits for its turn again and again has many attempts; the newest tell what is going on.
_ATTEMPTS_SHOWN = 200
_FAILURES_SHOWN = 1000


@dataclass(frozen=True, slots=True)
class JobView:
    """A job, its fetches and their failed requests (oldest first), how many findings they brought, what came of it."""

    job: Job
    fetches: Sequence[FetchLog]
    failures: Sequence[FetchLog]
    findings: int
    children: Sequence[Job]
    letters: Sequence[DeadLetter]


def list_jobs(
    session: Session,
    *,
    lane: str | None = None,
    state: str | None = None,
    provider: str | None = None,
    entry: str | None = None,
    before_id: int | None = None,
    limit: int = 50,
) -> Sequence[Job]:
    """Return the newest jobs that fit, newest first; `before_id`: those before that one.

    It goes back from the newest until it has `limit` of them: what is rare is looked for in the whole table.
    """
    query = select(Job).order_by(Job.id.desc()).limit(limit)
    if before_id is not None:
        query = query.where(Job.id < before_id)
    if lane is not None:
        query = query.where(Job.lane == lane)
    if state is not None:
        query = query.where(Job.state == state)
    if provider is not None:
        query = query.where(Job.task == f"{FETCH_PREFIX}{provider}")
    if entry is not None:
        query = query.where(Job.entry == entry)
    return session.scalars(query).all()


def show_job(session: Session, job_id: int) -> JobView | None:
    """Return all that is known about a job; None when there is none of that number (any more)."""
    job = session.get(Job, job_id)
    if job is None:
        return None
    # By the payloads' names, which have an index: one of each attempt.
    first = max(1, job.attempt - _ATTEMPTS_SHOWN + 1)
    names = [payload_key(job_id, attempt) for attempt in range(first, job.attempt + 1)]
    logged = select(FetchLog).where(FetchLog.payload_key.in_(names)).order_by(FetchLog.id)
    findings = select(func.count()).select_from(Finding).where(Finding.payload_key.in_(names))
    children = select(Job).where(Job.parent_id == job_id).order_by(Job.id)
    letters = select(DeadLetter).where(DeadLetter.job_id == job_id).order_by(DeadLetter.id)
    return JobView(
        job,
        session.scalars(logged.where(FetchLog.kind == "batch")).all(),
        session.scalars(logged.where(FetchLog.kind == "failure").limit(_FAILURES_SHOWN)).all(),
        session.scalar(findings) or 0,
        session.scalars(children).all(),
        session.scalars(letters).all(),
    )
