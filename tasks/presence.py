"""A worker's announcements: which queues it serves, with how many children, and whether it takes more work.

Deliberately not here: who reads them (ingest/pipeline/workers.py). Invariant: a worker that was told to stop is never
announced again, though its timers go on while it waits for what runs.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import structlog
from celery import signals
from celery.worker.state import active_requests, reserved_requests
from redis import Redis
from redis.exceptions import RedisError

from ingest.pipeline import workers
from ingest.pipeline.context import Context
from ingest.settings import settings
from tasks import heartbeat

log = structlog.get_logger(__name__)

#: workers of this process that take no more work, ever
_leaving: set[str] = set()


class Presence:
    """What one worker announces. `consumer` is its FarmConsumer."""

    def __init__(self, consumer: Any) -> None:
        self._consumer = consumer
        self._redis: Redis = Context(settings(), pooled=False).redis
        self._since = time.time()

    def announce(self) -> None:
        """Announce the worker as it is now. Without Redis it is said in the log: the next announcement is soon."""
        worker = self._consumer.controller
        if worker.hostname in _leaving:
            return
        scaler = worker.autoscaler
        entry = workers.Worker(
            name=worker.hostname,
            queues=tuple(self._consumer.queues_served()),
            processes=self._consumer.children.wanted,
            children=self._consumer.children.alive,
            busy=len(active_requests),
            held=len(reserved_requests),
            draining=self._consumer.is_draining,
            autoscale=(scaler.max_concurrency, scaler.min_concurrency) if scaler else None,
            host=socket.gethostname(),
            since=self._since,
            pid=os.getpid(),
            memory_bytes=_resident_bytes([os.getpid(), *self._consumer.children.pids]),
        )
        try:
            workers.announce(self._redis, entry)
        except RedisError as error:
            log.warning("worker_not_announced", error=str(error))

    def wake_leader(self) -> None:
        """Have the leader feed this worker now, not at its next look."""
        try:
            workers.wake_leader(self._redis)
        except RedisError as error:
            log.warning("leader_not_woken", error=str(error))


def _resident_bytes(pids: Iterable[int]) -> int:
    """Return what these processes hold in memory, as Linux counts it; 0 elsewhere."""
    pages = 0
    for pid in pids:
        try:
            pages += int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        except (OSError, IndexError):  # a child that has just ended
            continue
    return pages * os.sysconf("SC_PAGE_SIZE")


@signals.worker_ready.connect
def _begin(sender: Any, **_: Any) -> None:
    """Announce the worker every two seconds. `sender` is its consumer."""
    sender.presence = Presence(sender)
    sender.presence.announce()
    sender.presence.wake_leader()
    sender.timer.call_repeatedly(workers.ANNOUNCE_EVERY_S, sender.presence.announce)
    sender.timer.call_repeatedly(heartbeat.BEAT_EVERY_S, heartbeat.beat)
    heartbeat.say_ready(True)


@signals.worker_shutting_down.connect
def leave(sender: Any, **_: Any) -> None:
    """Withdraw the worker named `sender` for good."""
    _leaving.add(str(sender))
    heartbeat.say_ready(False)
    try:
        workers.withdraw(Context(settings(), pooled=False).redis, str(sender))
    except RedisError as error:
        log.warning("worker_not_withdrawn", error=str(error))
