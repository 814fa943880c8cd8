"""The task that looks for gaps: one bounded run that owes jobs for what is missing.

Idempotent: what is owed already is not owed again, a second run at the same time ends at once. Deadline: 75 s.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from ingest.pipeline import jobs
from ingest.pipeline.gaps import check
from ingest.pipeline.workers import wake_leader
from tasks.attempts import begin
from tasks.farm_task import FarmTask, farm_task
from tasks.lifecycle import context


@farm_task(name="tasks.gaps")
def gaps(self: FarmTask, job_id: int | None = None, attempt: int | None = None) -> dict[str, Any]:
    """Look for gaps, end the job, and return what was found."""
    here = context()
    job = begin(self, {}, job_id, attempt)
    if job.state != "leased":
        return dict(job.result or {}) | {"job_id": job.id, "state": job.state}
    with here.leases.hold(job.id, job.attempt):
        summary = check(here, datetime.now(UTC)).summary()
    with here.sessions.begin() as session:
        jobs.finish(session, job.id, job.attempt, summary)
    wake_leader(here.redis, room_only=not summary.get("jobs"))
    return {"job_id": job.id, "state": "done", **summary}
