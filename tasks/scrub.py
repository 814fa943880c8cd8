"""The task that reads stored rows again: one bounded run of the rolling scrub.

Idempotent: a day is read and compared, and suspect only if it is not as it was written. Deadline: 75 s.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from ingest.pipeline import jobs
from ingest.pipeline.workers import wake_leader
from tasks.attempts import begin
from tasks.farm_task import FarmTask, farm_task
from tasks.lifecycle import context


@farm_task(name="tasks.scrub")
def scrub(self: FarmTask, job_id: int | None = None, attempt: int | None = None) -> dict[str, Any]:
    """Compare the days whose turn it is with what was written, end the job, and return what was found."""
    from ingest.pipeline.scrub import scrub_oldest  # noqa: PLC0415 - children only: polars must not meet a fork

    here = context()
    job = begin(self, {}, job_id, attempt)
    if job.state != "leased":
        return dict(job.result or {}) | {"job_id": job.id, "state": job.state}
    with here.leases.hold(job.id, job.attempt):
        summary = scrub_oldest(here, datetime.now(UTC)).summary()
    with here.sessions.begin() as session:
        jobs.finish(session, job.id, job.attempt, summary)
    wake_leader(here.redis, room_only=True)
    return {"job_id": job.id, "state": "done", **summary}
