"""How many child processes a worker has, and shall have: grown at once, shrunk as children become free.

Celery's own `pool_shrink` fails while all children are busy, which under load they are, and it keeps on fetching for
those that shall go. Here the worker first holds fewer messages, so that a child becomes free, and then ends that one.
Invariant: a child that runs something, or is being given something, is not ended.
"""

from __future__ import annotations

from typing import Any

import structlog

#: How often a shrink looks for a free child while all of them are busy.
_LOOK_AGAIN_S = 0.05

log = structlog.get_logger(__name__)


class Children:
    """The children of one worker. `consumer` is its FarmConsumer; all of this runs in its event loop."""

    def __init__(self, consumer: Any) -> None:
        self._consumer = consumer
        self._too_many = 0
        self._is_waiting = False

    @property
    def wanted(self) -> int:
        """Return how many children there shall be."""
        return int(self._consumer.pool.num_processes) - self._too_many

    @property
    def alive(self) -> int:
        """Return how many children there are: more than are wanted until those too many are free and gone."""
        pool = self._consumer.pool._pool
        return sum(child.exitcode is None for child in pool._pool)

    @property
    def pids(self) -> list[int]:
        """Return their numbers."""
        return [child.pid for child in self._consumer.pool._pool._pool if child.exitcode is None]

    def grow(self, count: int) -> None:
        """Add children, at once. Those that were to go but had not yet stay."""
        kept = min(count, self._too_many)
        self._too_many -= kept
        if count > kept:
            self._consumer.pool.grow(count - kept)
            self._consumer.pool.maintain_pool()  # Celery's next look for missing children is up to 5 s away
        self._consumer._update_prefetch_count(count)

    def shrink(self, count: int) -> None:
        """End children, each as soon as it is free. Returns at once."""
        self._too_many += count
        self._consumer._update_prefetch_count(-count)
        if not self._is_waiting:
            self._end_free_ones()

    def _end_free_ones(self) -> None:
        """End those too many that are free, and look again soon while there are more of them."""
        if self._too_many and self.is_settled():
            pool = self._consumer.pool._pool
            count = min(self._too_many, len(list(pool._iterinactive())))
            if count:
                self._consumer.pool.shrink(count)
                self._too_many -= count
        self._is_waiting = self._too_many > 0
        if self._is_waiting:
            self._consumer.timer.call_after(_LOOK_AGAIN_S, self._end_free_ones)
        else:
            self._consumer.tell()

    def is_settled(self) -> bool:
        """Say whether the pool knows which children are free.

        It takes a child for free until that has accepted its message, and one that was told to end until it is gone.
        """
        pool = self._consumer.pool._pool
        on_its_way = any(not job._accepted and not job.ready() for job in pool._cache.values())
        return not on_its_way and not any(getattr(child, "_controlled_termination", False) for child in pool._pool)
