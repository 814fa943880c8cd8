"""What the doctor asks of Redis: version, eviction, persistence, memory, clock, connections, queues, busy workers.

Deliberately not here: mending anything; CONFIG, which hosted servers refuse: INFO says all of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from ingest.pipeline.doctor_check import ANSWER_WITHIN_S, WARN_SHARE, Check, State, Told, first_line, fullness, skew
from ingest.pipeline.workers import Worker, live_workers
from ingest.settings import Settings
from ingest.transport.connections import ConnectionLeases

#: What the Lua of budgets and breakers is written for.
WANTED_VERSION: Final = 7
#: Celery's keys begin with this (celeryconfig.py); a queue's messages are a list of its name.
_QUEUE_PREFIX: Final = "farm:"
_LOAD: Final = ".load"
#: Its children are busy as long as there is history to fetch.
_ALWAYS_BUSY: Final = "backfill"


@dataclass(frozen=True, slots=True)
class _Patient:
    redis: Redis
    info: Mapping[str, Any]
    workers: Sequence[Worker]
    config: Settings
    queues: Sequence[str]
    clock: Callable[[], datetime]


def checks(config: Settings, url: str, queues: Sequence[str], clock: Callable[[], datetime]) -> list[Check]:
    """Return every check of Redis; all but the first are skipped where it can't be reached."""
    try:
        waits = {"socket_timeout": ANSWER_WITHIN_S, "socket_connect_timeout": ANSWER_WITHIN_S}
        with closing(Redis.from_url(url, retry=Retry(NoBackoff(), 0), **waits)) as redis:
            info: dict[str, Any] = redis.info()
            patient = _Patient(redis, info, live_workers(redis), config, queues, clock)
            return [_version(info).named("Redis"), *(_ask(name, patient) for name in CHECKS)]
    except (RedisError, ValueError) as error:  # ValueError: an address that redis-py can't read
        mend = "start it, or mend REDIS_URL; `tickfarm config show` says where that is set"
        broken = Told("fail", f"it can't be reached: {first_line(error)}", mend)
        return [broken.named("Redis"), *(Check(name, "skip", "Redis can't be asked") for name in CHECKS)]


def _ask(name: str, patient: _Patient) -> Check:
    try:
        return CHECKS[name](patient).named(name)
    except RedisError as error:
        return Check(name, "skip", f"Redis can't say: {first_line(error)}")


def _version(info: Mapping[str, Any]) -> Told:
    program, version = ("Valkey", info["valkey_version"]) if "valkey_version" in info else ("Redis", "")
    spoken = str(info["redis_version"])
    state: State = "pass" if int(spoken.partition(".")[0]) >= WANTED_VERSION else "fail"
    return Told(state, f"{program} {version or spoken}", f"move to Valkey 8, or Redis {WANTED_VERSION} or later")


def _eviction(patient: _Patient) -> Told:
    policy = patient.info["maxmemory_policy"]
    mend = "valkey-cli CONFIG SET maxmemory-policy noeviction, and the same line in its configuration file"
    is_right = policy == "noeviction"
    return Told(
        "pass" if is_right else "fail", f"maxmemory-policy {policy}" + "; messages may vanish" * (not is_right), mend
    )


def _persistence(patient: _Patient) -> Told:
    if not patient.info["aof_enabled"]:
        mend = "valkey-cli CONFIG SET appendonly yes, and the same line in its configuration file"
        return Told("warn", "appendonly no: a restart forgets what is in flight, and it is fetched again", mend)
    written = patient.info["aof_last_write_status"]
    mend = "make room on the disk of Redis; its log says what it could not write"
    return Told("pass" if written == "ok" else "fail", f"appendonly yes, last write {written}", mend)


def _memory(patient: _Patient) -> Told:
    used, most = int(patient.info["used_memory"]), int(patient.info["maxmemory"])
    if not most:
        mend = "valkey-cli CONFIG SET maxmemory 1gb, and the same line in its configuration file"
        return Told(
            "warn", f"{used >> 20:,} MiB used, without a maxmemory: it may grow until the machine ends it", mend
        )
    mend = "raise maxmemory; or lower TICKFARM_MAX_INFLIGHT_BYTES, what answers may take until they are stored"
    return fullness(used >> 20, most >> 20, "MiB of maxmemory", mend)


def _clock(patient: _Patient) -> Told:
    def ask() -> datetime:
        seconds, microseconds = patient.redis.time()
        return datetime.fromtimestamp(seconds + microseconds / 1e6, UTC)

    return skew(ask, patient.clock)


def _connections(patient: _Patient) -> Told:
    mend = "raise maxclients in its configuration file, or fewer children (worker -c)"
    return fullness(int(patient.info["connected_clients"]), int(patient.info["maxclients"]), "connections", mend)


def _http_connections(patient: _Patient) -> Told:
    most = patient.config.tickfarm_most_connections
    leased = ConnectionLeases(patient.redis, most=most).leased()
    mend = "raise TICKFARM_MOST_CONNECTIONS, or lower TICKFARM_CONNECTIONS, what one child may take"
    return fullness(leased, most, "connections leased", mend)


def _queues(patient: _Patient) -> Told:
    at_work = [worker for worker in patient.workers if not worker.draining]
    consumed = {queue for worker in at_work for queue in worker.queues}
    missing = [queue for queue in patient.queues if queue not in consumed]
    if not missing:
        return Told("pass", f"all {len(patient.queues)} are consumed, by {len(at_work)} workers")
    lanes = list(dict.fromkeys(queue.removesuffix(_LOAD) for queue in missing))
    drained = {lane: worker.name for worker in patient.workers for lane in worker.lanes if worker.draining}
    mends = [
        f"tickfarm workers resume {drained[lane]}"
        if lane in drained
        else f"celery -A tasks worker -Q {lane}{_LOAD},{lane} -n {lane}@%h -c 2 --without-gossip --without-mingle"
        for lane in lanes
    ]
    alone = "tickfarm up, or: " if not patient.workers else ""
    return Told("fail", f"nobody consumes {', '.join(missing)}", alone + "; ".join(mends))


def _busy(patient: _Patient) -> Told:
    """Say how busy the lanes are. A lane is short of children where messages wait for one, however short that takes."""
    lanes = [queue for queue in patient.queues if not queue.endswith(_LOAD)]
    said, short = [], []
    for lane in lanes:
        serving = [worker for worker in patient.workers if lane in worker.lanes]
        children, busy = sum(one.children for one in serving), sum(one.busy for one in serving)
        if not children:
            continue
        waiting = sum(int(patient.redis.llen(f"{_QUEUE_PREFIX}{queue}")) for queue in (lane, f"{lane}{_LOAD}"))
        said.append(f"{lane} {busy} of {children}" + (f", {waiting} waiting" if waiting else ""))
        if waiting and busy >= WARN_SHARE * children and lane != _ALWAYS_BUSY:
            short.append(f"tickfarm workers scale {lane} {2 * children}")
    if not said:
        return Told("skip", "no worker is there")
    return Told("warn" if short else "pass", "children at work: " + "; ".join(said), "; ".join(short))


CHECKS: Final[Mapping[str, Callable[[_Patient], Told]]] = {
    "eviction": _eviction,
    "persistence": _persistence,
    "memory of Redis": _memory,
    "clock of Redis": _clock,
    "connections to Redis": _connections,
    "connections to providers": _http_connections,
    "queues": _queues,
    "busy workers": _busy,
}
