"""Bulkheads: how many of a lane's children one provider may hold, so that the others' work never waits for it.

The rule stands in leader.py. Deliberately not here: leasing (jobs), what runs now (backlog). Invariant: a provider that
has a lane to itself gets all of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from ingest.pipeline.backlog import Backlog
from ingest.pipeline.claims import Claim
from ingest.pipeline.jobs import Leased

#: Where waiting even once for another's deadline is too long: shares hold before anybody has been seen to be slow.
STRICT_LANES = ("live",)
#: Who had work in a lane so lately is expected to have some again. Longer than the cadence of any poll that minds 30 s.
OTHERS_FOR = timedelta(minutes=10)
#: Who was slow so lately is not trusted yet: a hung provider's jobs end at their deadline, and are tried again for the
#: last time a minute later (retry.py's longest wait).
SLOW_FOR = timedelta(minutes=1)
#: Whose budget is used up gets a few messages this often all the same: the wait may be a day's, and a limit be raised.
FULL_FOR = timedelta(minutes=1)

#: lane and task
_Place = tuple[str, str]


class Bulkheads:
    """Remembers who works in which lane, who is slow there and whose turn it is. Tasks stand for their providers."""

    def __init__(self) -> None:
        self._seen: dict[_Place, datetime] = {}
        self._slow: dict[_Place, datetime] = {}
        self._full_until: dict[_Place, datetime] = {}
        self._turns: dict[_Place, int] = {}
        self._turn = 0

    def note(self, backlog: Backlog, now: datetime) -> None:
        """Remember who works and who is slow at `now`."""
        for works in (backlog.due, backlog.leased):
            self._seen.update(((lane, task), now) for lane, tasks in works.items() for task in tasks)
        self._slow.update((place, now) for place in backlog.slow)

    def full(self, lane: str, task: str, now: datetime, until: datetime) -> None:
        """Lease nothing of this task until its provider serves some again: each job would be sent back."""
        self._full_until[lane, task] = min(until, now + FULL_FOR)

    def claims(self, lane: str, children: int, backlog: Backlog, now: datetime, *, room: int) -> list[Claim]:
        """Return what the lane's waiting tasks may lease, whose turn it is first; 0 for those whose share is full."""
        works = _lately(self._seen, lane, now, OTHERS_FOR)
        slow = _lately(self._slow, lane, now, SLOW_FOR)
        held = backlog.leased[lane]
        share = max(1, math.ceil(children / 2)) if lane in STRICT_LANES and len(works) > 1 else None
        # One child stays free of all slow ones together, if there is anybody to use it.
        slow_share = max(1, children - bool(works - slow)) - sum(held[task] for task in slow)
        waiting = sorted(backlog.due[lane], key=lambda task: (self._turns.get((lane, task), 0), task))
        slow_waiting = sum(task in slow for task in waiting)
        claims = []
        for task in waiting:
            most = room if share is None else min(room, share - held[task])
            if now < self._full_until.get((lane, task), now):
                most = 0  # each would come back, for 8 ms of CPU
            if task in slow:
                most = min(most, math.ceil(slow_share / slow_waiting))
                slow_share, slow_waiting = slow_share - max(0, most), slow_waiting - 1
            claims.append(Claim(task, max(0, most), held[task]))
        return claims

    def served(self, leased: Iterable[Leased]) -> None:
        """Put who was served behind those who wait."""
        for job in leased:
            self._turn += 1
            self._turns[job.lane, job.task] = self._turn


def _lately(moments: Mapping[_Place, datetime], lane: str, now: datetime, span: timedelta) -> set[str]:
    return {task for (where, task), at in moments.items() if where == lane and now - at < span}
