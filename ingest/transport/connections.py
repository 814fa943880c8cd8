"""Leases on the farm's connections, kept in Redis: who may have how many open, of 5,000 in all.

Deliberately not here: when a process takes, renews and gives back its lease (leased), and what a provider allows at
the same time (the gate). Invariant: what is granted, to processes that keep to their lease's end, is never more than
the most in all; when Redis has lost its books, nobody gets more than it holds until all have said what that is.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from redis import Redis

#: A process that was killed holds its connections for this long in the books; the kernel has closed them at once.
LEASE_S: Final = 60.0
_SCRIPT: Final = Path(__file__).with_suffix(".lua")


def connections_key(prefix: str) -> str:
    """Return the Redis key of the leases: a hash, a field a process, gone two leases after the last one began."""
    return f"{prefix}:connections"


class ConnectionLeases:
    """The farm's leases on connections. One Redis round trip a call; safe from any number of processes and threads.

    `may_be_held` is called where there are no books and the process holds nothing itself: it says whether others may
    hold connections, or nobody has sent anything lately and nobody need wait.
    """

    def __init__(
        self,
        redis: Redis,
        *,
        most: int,
        lease_s: float = LEASE_S,
        prefix: str = "tickfarm",
        may_be_held: Callable[[], bool] = lambda: False,
    ) -> None:
        self.lease_s = lease_s
        #: Lost books are whole again after this long: who holds a lease renews it in less, or before it sends again.
        self.count_s = lease_s / 6
        self._redis = redis
        self._script = redis.register_script(_SCRIPT.read_text(encoding="utf-8"))
        self._most = most
        self._key = connections_key(prefix)
        self._may_be_held = may_be_held

    def take(self, process: str, wanted: int, *, held: int = 0, in_use: int = 0) -> int:
        """Lease up to `wanted` connections for `lease_s` from now, in place of what the process had; return how many.

        `held` is what it has by a lease that still runs. `in_use` of these are under way and can't be given up: they
        are counted even where that is above the most.
        """
        leased = self._take(process, wanted, held, in_use, self.count_s if held else None)
        if leased is None:
            leased = self._take(process, wanted, held, in_use, self.count_s if self._may_be_held() else 0.0)
        return leased or 0

    def give_back(self, process: str) -> None:
        """End a process's lease."""
        self._redis.hdel(self._key, process)

    def leased(self) -> int:
        """Return how many connections are leased in all; leases that ran out are counted until the next is taken."""
        leases = [value.decode() if isinstance(value, bytes) else value for value in self._redis.hvals(self._key)]
        return sum(int(lease.partition(":")[0]) for lease in leases)

    def _take(self, process: str, wanted: int, held: int, in_use: int, count_s: float | None) -> int | None:
        """Take a lease. None where that needs `count_s`: how long others may hold what the books don't know."""
        count_ms = -1 if count_s is None else round(count_s * 1000)
        arguments: list[str | int] = [process, wanted, held, in_use, self._most, round(self.lease_s * 1000), count_ms]
        granted = int(self._script(keys=[self._key], args=arguments))
        return None if granted < 0 else granted
