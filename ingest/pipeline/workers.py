"""Which workers serve which lane right now, as they announce it themselves. Only the leader's feeding depends on it.

Key: `tickfarm:workers` (hash, worker name -> JSON, expires a minute after the last announcement). Channel:
`tickfarm:wake`: whatever finishes a job or changes what is owed publishes to it, so that the leader need not wait for
its next look. A channel and not a list, because BLPOP's timeout is only checked ten times a second.
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
    redis.publish(_WAKE, 1)


class WakeCalls:
    """The leader's ear for `wake_leader`. Calls that come while it is busy are kept by the connection."""

    def __init__(self, redis: Redis) -> None:
        self._calls = redis.pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]

    def wait(self, timeout_s: float) -> bool:
        """Wait for a call, `timeout_s` at most, to the millisecond; return whether one came. Several count as one."""
        deadline = time.monotonic() + timeout_s
        if not self._calls.subscribed:
            self._calls.subscribe(_WAKE)
        while (left_s := deadline - time.monotonic()) > 0:
            if self._calls.get_message(timeout=left_s) is not None:
                while self._calls.get_message(timeout=0.0) is not None:
                    pass
                return True
        return False

    def close(self) -> None:
        """Stop listening."""
        self._calls.close()
