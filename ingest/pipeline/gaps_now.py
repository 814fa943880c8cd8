"""A check for gaps that is owed at once, because something was lost: a worker died, or a fetch was given up.

Deliberately not here: the check (gaps), which runs each quarter of an hour anyway. Invariant: a storm of failures is
one run a minute.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from ingest.pipeline.entries import FETCH_PREFIX
from ingest.pipeline.jobs import NewJob, insert_jobs
from models import DeadLetter

#: What failed together is found by one run, and what the farm repairs by itself is repaired by then.
_AFTER = timedelta(minutes=1)
_NEWEST = select(DeadLetter.id).where(DeadLetter.task.startswith(FETCH_PREFIX)).order_by(DeadLetter.id.desc()).limit(1)


class Alarm:
    """Sees from the dead letters whether a fetch was given up since it looked last, whoever gave it up."""

    def __init__(self) -> None:
        self._newest: int | None = None

    def look(self, session: Session, now: datetime, *, is_lost: bool) -> None:
        """Owe a check if a fetch was given up or (`is_lost`) a lease was lost. One step of an index where none was."""
        newest = session.scalar(_NEWEST) or 0
        if is_lost or (self._newest is not None and newest > self._newest):
            owe_check(session, now)
        self._newest = newest


def owe_check(session: Session, now: datetime) -> None:
    """Owe a check for the minute after this one, unless it is owed already."""
    due_at = now.replace(second=0, microsecond=0) + _AFTER
    key = f"gaps:{due_at.isoformat()}"
    insert_jobs(session, [NewJob(key, "tasks.gaps", "maintenance", {}, due_at, priority=4)])
