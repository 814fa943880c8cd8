"""Lanes at a glance: messages that wait, jobs that are owed, run or wait to be loaded, and who serves them.

Reads only. Deliberately not here: the leader's own look (backlog.py), how deep a queue is (tasks/queues.py). Cost: one
pass over the jobs that are not over, and a round trip to Redis, however many lanes there are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from redis import Redis
from sqlalchemy import text
from sqlalchemy.orm import Session

from ingest.pipeline.workers import Worker, live_workers

_JOBS = text("""
    SELECT lane, count(*) FILTER (WHERE state = 'due' AND due_at <= :now) AS due,
        count(*) FILTER (WHERE state = 'due' AND due_at > :now) AS later,
        count(*) FILTER (WHERE state = 'leased') AS leased,
        count(*) FILTER (WHERE state = 'fetched') AS fetched,
        min(due_at) FILTER (WHERE started_at IS NULL AND due_at <= :now) AS oldest_due_at,
        coalesce(sum(payload_bytes) FILTER (WHERE state IN ('leased', 'fetched')), 0)::bigint AS payload_bytes
    FROM jobs WHERE state IN ('due', 'leased', 'fetched') GROUP BY lane
""")


@dataclass(frozen=True, slots=True)
class Lane:
    """A lane now. `messages` wait in its queues; jobs are `due`, owed `later`, `leased` or `fetched` (to be loaded).

    `oldest_due_at` is when the oldest job fell due that nobody has begun. `workers` serve it, draining ones too.
    """

    name: str
    messages: int
    due: int
    later: int
    leased: int
    fetched: int
    oldest_due_at: datetime | None
    payload_bytes: int
    workers: tuple[Worker, ...]

    @property
    def children(self) -> int:
        """Return how many children serve it."""
        return sum(worker.children for worker in self.workers if not worker.draining)


def lanes_now(
    session: Session, redis: Redis, lanes: Sequence[str], depths: Mapping[str, int], now: datetime
) -> tuple[list[Lane], list[Worker]]:
    """Return the lanes in this order, and all workers. `depths`: how many messages wait, by queue."""
    jobs = {row.lane: row for row in session.execute(_JOBS, {"now": now})}
    workers = live_workers(redis)
    found = []
    for lane in lanes:
        row = jobs.get(lane)
        found.append(
            Lane(
                name=lane,
                messages=depths[lane] + depths[f"{lane}.load"],
                due=row.due if row else 0,
                later=row.later if row else 0,
                leased=row.leased if row else 0,
                fetched=row.fetched if row else 0,
                oldest_due_at=row.oldest_due_at if row else None,
                payload_bytes=row.payload_bytes if row else 0,
                workers=tuple(worker for worker in workers if lane in worker.lanes),
            )
        )
    return found, workers
