"""Which workers serve which lane right now, as they announce it themselves. Only the leader's feeding depends on it.

Keys: `tickfarm:workers` (hash, worker name -> JSON, expires a minute after the last announcement) and `tickfarm:wake`
(list of at most one element, expires after a minute): whatever finishes a job or changes what is owed pushes to it, so
that the leader need not wait for its next look.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Sequence
from typing import cast

from redis import Redis

#: A worker announces itself this often and is forgotten after three missed announcements.
ANNOUNCE_EVERY_S = 2.0
FORGET_AFTER_S = 3 * ANNOUNCE_EVERY_S
_WORKERS = "tickfarm:workers"
_WAKE = "tickfarm:wake"


def announce(redis: Redis, name: str, *, queues: Sequence[str], processes: int) -> None:
    """Tell the leader that this worker is there. One round trip."""
    entry = json.dumps({"queues": list(queues), "processes": processes, "at": time.time()})
    with redis.pipeline(transaction=False) as pipe:
        pipe.hset(_WORKERS, name, entry)
        pipe.expire(_WORKERS, 60)
        pipe.execute()


def withdraw(redis: Redis, name: str) -> None:
    """Tell the leader that this worker takes no more work."""
    redis.hdel(_WORKERS, name)


def processes_by_lane(redis: Redis) -> Counter[str]:
    """Return how many child processes serve each queue named like a lane."""
    now = time.time()
    count: Counter[str] = Counter()
    for raw in cast(dict[bytes, bytes], redis.hgetall(_WORKERS)).values():
        worker = json.loads(raw)
        if now - worker["at"] <= FORGET_AFTER_S:
            for queue in worker["queues"]:
                count[queue] += worker["processes"]
    return count


def wake_leader(redis: Redis) -> None:
    """Make the leader look now. Losing this costs at most its next look, a second away."""
    with redis.pipeline(transaction=False) as pipe:
        pipe.lpush(_WAKE, 1)
        pipe.ltrim(_WAKE, 0, 0)
        pipe.expire(_WAKE, 60)
        pipe.execute()


def wait_for_wake(redis: Redis, timeout_s: float) -> bool:
    """Wait until somebody wakes the leader, `timeout_s` at most; return whether somebody did."""
    return redis.blpop([_WAKE], timeout=max(timeout_s, 0.01)) is not None
