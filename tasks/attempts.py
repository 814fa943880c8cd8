"""How a task begins: with the attempt that the leader leased, or with a job of its own when it was called by hand."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from celeryconfig import LANES
from ingest.pipeline import jobs
from ingest.pipeline.jobs import Leased, NewJob
from ingest.telemetry import correlate, correlation
from tasks.farm_task import FarmTask
from tasks.lifecycle import context


def begin(
    task: FarmTask, call: Mapping[str, Any], job_id: int | None, attempt: int | None, *, as_task: str | None = None
) -> Leased:
    """Return the job, begun: its state is `leased`, unless it is over or (by hand, delivered again) already fetched.

    `as_task` is the task's own name where it was called by an alias.
    """
    if job_id is not None:
        with context().sessions() as session:
            session.connection(execution_options={"isolation_level": "AUTOCOMMIT"})
            return _followed(jobs.start(session, job_id, attempt or 0))
    with context().sessions.begin() as session:
        jobs.relax_commit(session)
        now = datetime.now(UTC)
        queue = (task.request.delivery_info or {}).get("routing_key")
        lane = queue if queue in LANES else "standard"
        key, name = jobs.call_key(task.request.id), as_task or task.name
        told = correlation() or task.request.id
        job = NewJob(key=key, task=name, lane=lane, kwargs=call, due_at=now, priority=2, correlation_id=told)
        return _followed(jobs.adopt(session, job, now))


def _followed(job: Leased) -> Leased:
    """Name the job in every line from here on."""
    correlate(job.correlation)
    return job
