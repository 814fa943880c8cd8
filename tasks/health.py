"""The health task: one check that reports what has changed of the providers' health. It costs some milliseconds.

Where somebody wants to be told, it tells them, once the job is over.

Idempotent: a change is reported once, whatever number of checks see it. Deadline: 75 s.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from ingest.pipeline import jobs
from ingest.pipeline.alerts import tell
from ingest.pipeline.health_watch import check
from ingest.pipeline.workers import wake_leader
from tasks.attempts import begin
from tasks.farm_task import FarmTask, farm_task
from tasks.lifecycle import context


@farm_task(name="tasks.health")
def health(self: FarmTask, job_id: int | None = None, attempt: int | None = None) -> dict[str, Any]:
    """Check, end the job, and return how much changed."""
    here = context()
    job = begin(self, {}, job_id, attempt)
    if job.state != "leased":
        return dict(job.result or {}) | {"job_id": job.id, "state": job.state}
    with here.leases.hold(job.id, job.attempt):
        changed = {one.provider: one.after for one in check(here, datetime.now(UTC))}
    with here.sessions.begin() as session:
        jobs.relax_commit(session)
        jobs.finish(session, job.id, job.attempt, {"rows": 0, "changed": changed})
    wake_leader(here.redis, room_only=True)
    tell(here, datetime.now(UTC))
    return {"job_id": job.id, "state": "done", "changed": changed}
