"""The normalize task: turns a fetched payload into a columnar batch.

Idempotent: makes the same batch from the same payload. Deadline: 75 s.
"""

from __future__ import annotations

from typing import Any

from tasks.farm_task import FarmTask, farm_task
from tasks.lifecycle import context


@farm_task(name="tasks.normalize")
def normalize(self: FarmTask, job_id: int, attempt: int) -> dict[str, Any]:
    """Normalize what the job fetched and keep the batch for store."""
    from ingest.pipeline.normalize import normalize as run  # noqa: PLC0415 - children only: polars must not meet a fork

    return run(context(), job_id, attempt)
