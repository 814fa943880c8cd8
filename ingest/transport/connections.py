"""Leases on the farm's connections, kept in Redis: who may have how many open, of 5,000 in all.

Deliberately not here: when a process takes, renews and gives back its lease (leased), and what a provider allows at
the same time (the gate). Invariant: what is granted, to processes that keep to their lease's end, is never more than
the most in all; only what a process had open when Redis lost its leases is counted above it, until it can close it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from redis import Redis

#: A process that was killed holds its connections for this long in the books; the kernel has closed them at once.
LEASE_S: Final = 60.0
_SCRIPT: Final = Path(__file__).with_suffix(".lua")


def connections_key(prefix: str) -> str:
    """Return the Redis key of the leases: a hash, a field a process, gone with its last lease."""
    return f"{prefix}:connections"


class ConnectionLeases:
    """The farm's leases on connections. One Redis round trip a call; safe from any number of processes and threads."""

    def __init__(self, redis: Redis, *, most: int, lease_s: float = LEASE_S, prefix: str = "tickfarm") -> None:
        self.lease_s = lease_s
        self._redis = redis
        self._script = redis.register_script(_SCRIPT.read_text(encoding="utf-8"))
        self._most = most
        self._key = connections_key(prefix)

    def take(self, process: str, wanted: int, *, in_use: int = 0) -> int:
        """Lease up to `wanted` connections for `lease_s` from now, in place of what the process had; return how many.

        `in_use` are under way and can't be given up: they are counted even where that is above the most.
        """
        arguments: list[str | int] = [process, wanted, in_use, self._most, round(self.lease_s * 1000)]
        return int(self._script(keys=[self._key], args=arguments))

    def give_back(self, process: str) -> None:
        """End a process's lease."""
        self._redis.hdel(self._key, process)

    def leased(self) -> int:
        """Return how many connections are leased in all; leases that ran out are counted until the next is taken."""
        leases = [value.decode() if isinstance(value, bytes) else value for value in self._redis.hvals(self._key)]
        return sum(int(lease.partition(":")[0]) for lease in leases)
