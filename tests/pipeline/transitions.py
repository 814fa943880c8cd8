"""Bring a job into a state by the transitions that lead there, for tests that begin in it.

Deliberately not here: the fixtures `step` and `owe` (conftest), which these functions are given.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.orm import Session

from ingest import providers
from ingest.pipeline import jobs
from ingest.pipeline.claims import Claim
from ingest.pipeline.entries import FETCH_PREFIX
from ingest.pipeline.jobs import Leased

ROW = "SELECT state, attempt, failures, lost_leases FROM jobs WHERE id = :id"
Step = Callable[..., Any]


def now() -> datetime:
    return datetime.now(UTC)


def lease_all(session: Session, lane: str, *, limit: int, now: datetime) -> list[Leased]:
    """Lease what is due of all providers, as if each had the lane to itself."""
    claims = [Claim(f"{FETCH_PREFIX}{name}", limit) for name in providers.names()]
    return jobs.lease_due(session, lane, claims, limit=limit, now=now)


def lease(step: Step, *, lane: str = "standard", limit: int = 10) -> list[Leased]:
    """Lease what is due."""
    leased: list[Leased] = step(lease_all, lane, limit=limit, now=now())
    return leased


def begun(step: Step, owe: Callable[..., int], **changes: Any) -> Leased:
    """Return a job that has been leased and started."""
    job_id = owe(**changes)
    [attempt] = [job.attempt for job in lease(step, limit=100) if job.id == job_id]
    job: Leased = step(jobs.start, job_id, attempt)
    return job


def fetched(step: Step, owe: Callable[..., int]) -> Leased:
    """Return a job whose answers are there and wait to be loaded."""
    job = begun(step, owe)
    step(jobs.mark_fetched, job.id, job.attempt, payload_key=f"p:{job.id}", payload_bytes=9)
    return job
