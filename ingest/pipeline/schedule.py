"""What the schedule owes: entries, their slots, and the jobs a slot becomes.

Deliberately not here: Celery's schedule objects (the shell turns each into a `next_slot` function) and the loop
(leader). Invariant: a slot is a point of the cadence's own grid, never "last run plus period", so nothing drifts and
the same slot is never owed twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from ingest import providers
from ingest.pipeline.fetch import followed_instruments
from ingest.pipeline.jobs import NewJob

FETCH_PREFIX = "tasks.fetch."
#: Instruments one message carries: enough that Celery's 2 ms a task are spread thin, few enough to finish in seconds.
MESSAGE_INSTRUMENTS = 200

#: After a long pause the newest slot is looked for close to now first: a 1 s entry has 600,000 slots a week.
_LOOK_BACKS = (timedelta(minutes=1), timedelta(days=1), timedelta(days=400), timedelta(days=36500))
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of beat_schedule.py as the leader needs it. `next_slot(t)` is the first slot after `t`."""

    name: str
    task: str
    cadence: str
    kwargs: Mapping[str, Any]
    lane: str
    priority: int
    expires_s: float | None
    next_slot: Callable[[datetime], datetime]


def every(period_s: float) -> Callable[[datetime], datetime]:
    """Return the `next_slot` of a fixed period: its slots are the multiples of it since 1970."""
    period = timedelta(seconds=period_s)
    if period <= timedelta(0):
        raise ValueError(f"a period must be longer than nothing, given: {period_s}")

    def next_slot(after: datetime) -> datetime:
        return _EPOCH + ((after - _EPOCH) // period + 1) * period

    return next_slot


def latest_slot(entry: Entry, after: datetime, now: datetime) -> datetime | None:
    """Return the newest slot in `(after, now]`, or None. Older missed slots are let go: a poll asks for what is now."""
    for look_back in _LOOK_BACKS:
        start = max(after, now - look_back)
        slot = entry.next_slot(start)
        if slot <= now:
            while (following := entry.next_slot(slot)) <= now:
                slot = following
            return slot
        if start == after:
            return None
    return None


def jobs_of(session: Session, entry: Entry, slot: datetime) -> list[NewJob]:
    """Return the jobs a slot is owed as: one, or for a fetch without instruments one per batch of followed series."""
    expires_at = slot + timedelta(seconds=entry.expires_s) if entry.expires_s is not None else None
    stamp = slot.isoformat()

    def job(suffix: str, kwargs: Mapping[str, Any]) -> NewJob:
        return NewJob(
            key=f"slot:{entry.name}:{stamp}{suffix}",
            task=entry.task,
            lane=entry.lane,
            kwargs=kwargs,
            due_at=slot,
            priority=entry.priority,
            expires_at=expires_at,
            entry=entry.name,
        )

    name = entry.task.removeprefix(FETCH_PREFIX)
    if name == entry.task or entry.kwargs.get("instruments") or name not in providers.names():
        return [job("", entry.kwargs)]
    followed = followed_instruments(session, name, str(entry.kwargs.get("dataset")), entry.kwargs.get("interval"))
    return [
        job(f":{at}", {**entry.kwargs, "instruments": followed[at : at + MESSAGE_INSTRUMENTS]})
        for at in range(0, len(followed), MESSAGE_INSTRUMENTS)
    ]
