"""The retention task: one bounded run that deletes what is older than the settings allow.

Idempotent: a run deletes what is old by then, a second one at the same time ends at once. Deadline: 75 s.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from ingest.pipeline import jobs
from ingest.pipeline.retention import retain
from ingest.pipeline.workers import wake_leader
from tasks.attempts import begin
from tasks.farm_task import FarmTask, farm_task
from tasks.lifecycle import context


@farm_task(name="tasks.retention")
def retention(self: FarmTask, job_id: int | None = None, attempt: int | None = None) -> dict[str, Any]:
    """Delete what is old, end the job, and return what went."""
    here = context()
    job = begin(self, {}, job_id, attempt)
    if job.state != "leased":
        return dict(job.result or {}) | {"job_id": job.id, "state": job.state}
    with here.leases.hold(job.id, job.attempt):
        summary = retain(here, datetime.now(UTC)).summary()
    with here.sessions.begin() as session:
        jobs.finish(session, job.id, job.attempt, summary)
    wake_leader(here.redis, room_only=True)
    return {"job_id": job.id, "state": "done", **summary}
