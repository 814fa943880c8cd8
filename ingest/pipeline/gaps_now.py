"""A check for gaps that is owed at once, because something was lost: a worker, a job, a poll that came too late.

Deliberately not here: the check (gaps), which runs each quarter of an hour anyway. Invariant: a storm of failures is
one run a minute.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from ingest.pipeline.jobs import NewJob, insert_jobs

#: What failed together is found by one run, and what the farm repairs by itself is repaired by then.
_AFTER = timedelta(minutes=1)


def owe_check(session: Session, now: datetime) -> None:
    """Owe a check for the minute after this one, unless it is owed already."""
    due_at = now.replace(second=0, microsecond=0) + _AFTER
    key = f"gaps:{due_at.isoformat()}"
    insert_jobs(session, [NewJob(key, "tasks.gaps", "maintenance", {}, due_at, priority=4)])
