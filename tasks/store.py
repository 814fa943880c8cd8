"""The store task: writes a job's batch and ends the job.

Idempotent: fenced by the attempt, and repeating an upsert changes nothing. Deadline: 75 s.
"""

from __future__ import annotations

from typing import Any

from ingest.pipeline.workers import wake_leader
from tasks.farm_task import FarmTask, farm_task
from tasks.lifecycle import context


@farm_task(name="tasks.store")
def store(self: FarmTask, job_id: int, attempt: int) -> dict[str, Any]:
    """Store what the job fetched, normalizing it first where nobody has, and return what was written."""
    from ingest.pipeline.store import store as run  # noqa: PLC0415 - children only: polars must not meet a fork

    result = run(context(), job_id, attempt)
    wake_leader(context().redis, room_only=True)
    return result
