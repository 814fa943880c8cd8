"""A client that opens no more connections than its process has leased of the farm's, and closes those it doesn't use.

Deliberately not here: the leases' books (connections), sending (curl, pooled).
Invariant: while connections are open the lease runs; a thread renews it, and gives it back when nothing is open.
"""

from __future__ import annotations

import os
import secrets
import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from threading import Event, Lock, Thread
from typing import Final, Protocol

import structlog
from redis.exceptions import RedisError

from ingest.errors import SlowDown
from ingest.settings import MOST_PER_HOST
from ingest.transport.connections import ConnectionLeases
from ingest.transport.outgoing import REQUEST_TIMEOUT_S
from ingest.wire import Answer, Endpoint, Failure, Request

#: When to ask again where all connections are taken: what comes free is a process that was idle for half a minute, or
#: that ended, so asking more often finds hardly more.
FULL_WAIT_S: Final = 10.0
#: The keeper is at it for a round trip to Redis.
_KEEPER_S: Final = 1.0

log = structlog.get_logger(__name__)


class OwnClient(Protocol):
    """A client as it is without a lease: `ingest.transport.client.Client`, and what a lease needs of it."""

    #: what it is called in settings
    name: str
    #: what this transport can't do and the other can
    lacks: tuple[str, ...]

    def __init__(self, connections: int, *, keep_alive_s: float) -> None: ...

    def ready_in_s(self) -> float: ...

    def send(
        self,
        requests: Sequence[Request],
        endpoint: Endpoint,
        *,
        deadline_s: float,
        max_bytes: int,
        request_timeout_s: float = REQUEST_TIMEOUT_S,
        connections: int = MOST_PER_HOST,
    ) -> list[Answer | Failure]: ...

    def resize(self, connections: int) -> None:
        """Have at most so many connections open from now on, and close what is above."""

    def close_idle(self) -> bool:
        """Close what was unused for the keep-alive time; say whether any connection may still be open."""

    def drop(self) -> None:
        """Close every connection, in use or not; the client can be used again."""

    def close(self) -> None: ...


class LeasedClient:
    """Sends through its own client, with the process's share of the farm's connections."""

    def __init__(self, own: OwnClient, leases: ConnectionLeases, *, wanted: int) -> None:
        self._own, self._leases, self._wanted = own, leases, wanted
        self.lacks = own.lacks
        self._share = 0
        self._start()

    def ready_in_s(self) -> float:
        """See `ingest.transport.client.Client.ready_in_s`."""
        self._follow_fork()
        with self._lock:
            self._have_share()
            return 0.0 if self._share else FULL_WAIT_S

    def send(
        self,
        requests: Sequence[Request],
        endpoint: Endpoint,
        *,
        deadline_s: float,
        max_bytes: int,
        request_timeout_s: float = REQUEST_TIMEOUT_S,
        connections: int = MOST_PER_HOST,
    ) -> list[Answer | Failure]:
        """See `ingest.transport.client.Client.send`. Raises Redis' errors when a lease is needed and can't be had."""
        self._follow_fork()
        with self._lock:
            self._have_share()
            if not self._share:
                message = "all connections of the farm are taken: wait, or raise TICKFARM_MOST_CONNECTIONS"
                raise SlowDown(message, retry_after_s=FULL_WAIT_S)
            return self._own.send(
                requests,
                endpoint,
                deadline_s=deadline_s,
                max_bytes=max_bytes,
                request_timeout_s=request_timeout_s,
                connections=connections,
            )

    def close(self) -> None:
        """Close every connection and give the lease back. The client can't be used afterwards."""
        self._stop.set()
        # The keeper may be looking after the connections just now; what is being sent is not waited for.
        is_idle = self._pid == os.getpid() and self._lock.acquire(timeout=_KEEPER_S)
        try:
            self._own.close()
        finally:
            if is_idle:
                self._lock.release()
        if self._pid == os.getpid() and self._share:
            self._share = 0
            with suppress(RedisError):  # then it runs out
                self._leases.give_back(self._process)

    def _start(self) -> None:
        self._pid = os.getpid()
        self._process = f"{socket.gethostname()}:{self._pid}:{secrets.token_hex(4)}"
        self._share = 0
        self._ends = 0.0  # monotonic; before the server's own end, since it is counted from before the question
        self._lock = Lock()
        self._stop: Event = Event()
        self._keeper: Thread | None = None

    def _follow_fork(self) -> None:
        """Have a share of one's own in a forked child: the parent's lease, lock and thread are the parent's."""
        if os.getpid() != self._pid:
            self._start()

    def _have_share(self) -> None:
        """Lease connections, unless the lease lasts for a while yet. Under the lock."""
        # The thread would have renewed it by now: it found no Redis. From then on others may count without us.
        leases = self._leases
        if not self._share or self._ends - time.monotonic() < leases.lease_s - leases.count_s:
            if self._is_over():
                self._lose()
            self._renew(in_use=0)
        if not self._share:
            log.warning("connections_all_taken", wanted=self._wanted)
        elif self._keeper is None:
            self._keeper = Thread(target=self._keep, args=(self._stop,), name="connection-keeper", daemon=True)
            self._keeper.start()

    def _is_over(self) -> bool:
        return time.monotonic() >= self._ends

    def _lose(self) -> None:
        """Close what there is no lease for any more."""
        if self._share:
            self._share = 0
            self._own.drop()

    def _renew(self, *, in_use: int) -> None:
        """Lease anew, and keep within what was granted as soon as nothing is under way."""
        began = time.monotonic()
        granted = self._leases.take(self._process, self._wanted, held=self._share, in_use=in_use)
        self._ends = began + self._leases.lease_s
        if not in_use and granted != self._share:
            self._own.resize(granted) if granted else self._own.drop()
            self._share = granted

    def _keep(self, stop: Event) -> None:
        """Look after connections and lease for as long as the client is open. The thread's body."""
        while not stop.wait(0.6 * self._leases.count_s):
            is_idle = self._lock.acquire(blocking=False)
            try:
                self._look_after(is_idle=is_idle)
            except RedisError as error:
                log.warning("connections_not_renewed", connections=self._share, error=str(error).splitlines()[0])
            finally:
                if is_idle:
                    self._lock.release()

    def _look_after(self, *, is_idle: bool) -> None:
        if self._stop.is_set() or not self._share:
            return
        if not is_idle:
            self._renew(in_use=self._share)
        elif not self._own.close_idle():
            self._share, self._ends = 0, 0.0
            self._leases.give_back(self._process)
        else:
            if self._is_over():
                self._lose()
            self._renew(in_use=0)
