"""Which workers serve which lane right now, as they announce it themselves. Only the leader's feeding depends on it.

Keys: `tickfarm:workers` (hash, worker name -> JSON, expires a minute after the last announcement), `tickfarm:leader`
(string, when the leader looked around last, kept a day). Channel:
`tickfarm:wake`: whatever finishes a job or changes what is owed publishes to it, so that the leader need not wait for
its next look. A channel and not a list, because BLPOP's timeout is only checked ten times a second.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import cast

from redis import Redis

#: A worker announces itself this often and is forgotten after three missed announcements.
ANNOUNCE_EVERY_S = 2.0
FORGET_AFTER_S = 3 * ANNOUNCE_EVERY_S
#: Containers come and go with a name of their own each: what was silent for this long is taken out of the hash.
SWEEP_AFTER_S = 60.0
_WORKERS = "tickfarm:workers"
_WAKE = "tickfarm:wake"
_LEADER = "tickfarm:leader"
_LOOK_KEPT_S = 86_400.0
#: what a call says: something is owed, or only that a lane has more room than before; news may follow as JSON
_OWED, _ROOM = b"owed", b"room"


@dataclass(frozen=True, slots=True)
class News:
    """What a fetch learned that the leader should know.

    `store_s`: how long the transaction took that stored a small one. `full_until` (epoch seconds): the provider serves
    nothing more to this lane before.
    """

    lane: str
    task: str
    store_s: float | None = None
    full_until: float | None = None


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker as it announces itself.

    `processes` is how many children it shall have, which the leader feeds; `children` how many there are. `held` are
    the messages it has taken, those that run (`busy`) among them. `autoscale` is the most and the fewest children it
    gives itself, where it does. `memory_bytes` is resident in all its processes, what they share in each; 0: not known.
    """

    name: str
    queues: tuple[str, ...]
    processes: int
    children: int = 0
    busy: int = 0
    held: int = 0
    draining: bool = False
    autoscale: tuple[int, int] | None = None
    host: str = ""
    since: float = 0.0
    pid: int = 0
    memory_bytes: int = 0

    @property
    def lanes(self) -> tuple[str, ...]:
        """Return the lanes it serves; a lane's loading queue belongs to the lane."""
        return tuple(queue for queue in self.queues if not queue.endswith(".load"))


def announce(redis: Redis, worker: Worker) -> None:
    """Tell the leader that this worker is there. One round trip."""
    entry = json.dumps(asdict(worker) | {"at": time.time()})
    with redis.pipeline(transaction=False) as pipe:
        pipe.hset(_WORKERS, worker.name, entry)
        pipe.expire(_WORKERS, int(SWEEP_AFTER_S))
        pipe.execute()


def withdraw(redis: Redis, name: str) -> None:
    """Tell the leader that this worker takes no more work."""
    redis.hdel(_WORKERS, name)


def live_workers(redis: Redis) -> list[Worker]:
    """Return the workers that announced themselves within the last seconds, draining ones too, by name."""
    return [worker for worker, silent_s in _announced(redis) if silent_s <= FORGET_AFTER_S]


def processes_by_lane(redis: Redis) -> Counter[str]:
    """Return how many child processes serve each queue named like a lane. A worker that drains serves none."""
    count: Counter[str] = Counter()
    gone = []
    for worker, silent_s in _announced(redis):
        if silent_s > SWEEP_AFTER_S:
            gone.append(worker.name)
        elif silent_s <= FORGET_AFTER_S and not worker.draining:
            for queue in worker.queues:
                count[queue] += worker.processes
    if gone:
        redis.hdel(_WORKERS, *gone)
    return count


def spread(children: Mapping[str, int], total: int) -> dict[str, int]:
    """Return how many of `total` children each worker gets: as evenly as can be, the odd ones where most are now."""
    each, odd = divmod(total, len(children))
    by_size = sorted(children, key=lambda name: (-children[name], name))
    return {name: each + int(place < odd) for place, name in enumerate(by_size)}


def note_look(redis: Redis) -> None:
    """Say that the leader looks around, each second. One round trip."""
    redis.set(_LEADER, f"{time.time():.3f}", ex=int(_LOOK_KEPT_S))


def last_look(redis: Redis) -> float | None:
    """Return when the leader looked around last (epoch seconds); None: not within a day."""
    raw = cast(bytes | None, redis.get(_LEADER))
    return None if raw is None else float(raw)


def wake_leader(redis: Redis, *, room_only: bool = False, news: News | None = None) -> None:
    """Make the leader look now; with `room_only`, if it waits for room. Losing this costs a second: its next look.

    `news` ride along: they wake nobody by themselves, and nothing depends on their arrival.
    """
    told = b"" if news is None else b" " + json.dumps(asdict(news)).encode()
    redis.publish(_WAKE, (_ROOM if room_only else _OWED) + told)


class WakeCalls:
    """The leader's ear for `wake_leader`. Calls that come while it is busy are kept by the connection."""

    def __init__(self, redis: Redis) -> None:
        self._calls = redis.pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]
        self._news: list[News] = []

    def wait(self, timeout_s: float, *, wants_room: bool = True) -> bool:
        """Wait for a call, `timeout_s` at most, to the millisecond; return whether one came. Several count as one.

        Calls that only tell of room are for who `wants_room`: at quiet times each job's end would cost a look.
        """
        deadline = time.monotonic() + timeout_s
        if not self._calls.subscribed:
            self._calls.subscribe(_WAKE)
        while (left_s := deadline - time.monotonic()) > 0:
            what = self._heard(left_s)
            if what is None or (what == _ROOM and not wants_room):
                continue
            while self._heard(0.0) is not None:
                pass
            return True
        return False

    def take_news(self) -> list[News]:
        """Return what was told since this was asked last, oldest first."""
        news, self._news = self._news, []
        return news

    def _heard(self, timeout_s: float) -> bytes | None:
        """Return what the next call says, None if none comes; keep its news, without what another version adds."""
        call = self._calls.get_message(timeout=timeout_s)
        if call is None:
            return None
        what, _, told = bytes(call["data"]).partition(b" ")
        if told:
            self._news.append(News(**{k: v for k, v in json.loads(told).items() if k in News.__slots__}))
        return what

    def close(self) -> None:
        """Stop listening."""
        self._calls.close()


def _announced(redis: Redis) -> list[tuple[Worker, float]]:
    """Return every announcement and how many seconds old it is, by worker name."""
    now = time.time()
    found = []
    for name, raw in cast(dict[bytes, bytes], redis.hgetall(_WORKERS)).items():
        # Fields of another version of the farm are passed over: both run side by side while it is replaced.
        entry = json.loads(raw)
        known = {field: value for field, value in entry.items() if field in Worker.__slots__}
        known |= {"name": name.decode(), "queues": tuple(known["queues"])}
        known["autoscale"] = tuple(known["autoscale"]) if known.get("autoscale") else None
        found.append((Worker(**known), now - entry["at"]))
    return sorted(found, key=lambda one: one[0].name)
