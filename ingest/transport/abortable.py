"""One request of the pooled client that can be cut from another thread, and why it failed, in our words.

Deliberately not here: threads and sessions (pooled).
Invariant: after `abort` or its end an attempt takes no answer: bytes cut short never pass for a complete body.
"""

from __future__ import annotations

import contextlib
import logging
import math
import queue
import re
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from http.client import IncompleteRead, RemoteDisconnected
from typing import Any, Final

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3 import exceptions as u3
from urllib3.connection import HTTPConnection, HTTPSConnection

from ingest.wire import Answer, FailureKind, Request

_current = threading.local()


class Attempt:
    """A request, the connection it travels on, and its outcome: an Answer, or kind and text of a Failure."""

    def __init__(self, request: Request, deadline: float, timeout_s: float) -> None:
        self.request = request
        self.timeout_s = timeout_s
        #: monotonic; never, before it has begun
        self.ends = math.inf
        self.sent_at = datetime.now(UTC)
        self.received_at: datetime | None = None
        self.outcome: Answer | tuple[FailureKind, str] | None = None
        self._deadline = deadline
        self._connection: _Watched | None = None
        self._lock = threading.Lock()
        self._is_aborted = False

    @property
    def is_running(self) -> bool:
        """Say whether it has begun and can still take an outcome."""
        return self.ends < math.inf and self.outcome is None and not self._is_aborted

    @property
    def lateness(self) -> str:
        """Say what it was too late for, if it has no outcome."""
        own = f"within {self.timeout_s:g} s" if self.ends < self._deadline else "before the batch's deadline"
        return f"no complete answer {own}"

    def begin(self) -> float:
        """Date the request and return the seconds it has left."""
        now = time.monotonic()
        self.sent_at = datetime.now(UTC)
        self.ends = min(self._deadline, now + self.timeout_s)
        return self.ends - now

    def travels_on(self, connection: _Watched) -> None:
        """Remember what `abort` has to cut."""
        with self._lock:
            connection.attempt = self
            self._connection = connection
            if self._is_aborted:
                _cut(connection)

    def answer(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Take a complete answer, unless it came too late."""
        with self._lock:
            if not self._is_late():
                self.received_at = datetime.now(UTC)
                self.outcome = Answer(self.request, status, headers, body, self.sent_at, self.received_at)

    def fail(self, kind: FailureKind, text: str) -> None:
        """Take a failure, unless it came from being too late: that is a timeout, whatever the socket said."""
        with self._lock:
            if not self._is_late():
                self.received_at = datetime.now(UTC)
                self.outcome = (kind, text)

    def abort(self) -> None:
        """Wake the thread that waits for this answer, and take no outcome any more."""
        with self._lock:
            self._is_aborted = True
            self.received_at = self.received_at or datetime.now(UTC)
            # Not one that has gone back to the pool since, and carries another request now.
            if self.outcome is None and self._connection is not None and self._connection.attempt is self:
                _cut(self._connection)

    def _is_late(self) -> bool:
        return self._is_aborted or time.monotonic() >= self.ends


def _cut(connection: _Watched) -> None:
    """Shut the socket down: closing it would not wake a thread that reads from it."""
    sock = connection.sock
    if sock is not None:
        with contextlib.suppress(OSError):
            # Past SSLSocket.shutdown, which would drop its state under the reading thread.
            socket.socket.shutdown(sock, socket.SHUT_RDWR)


@contextlib.contextmanager
def attempt_running(attempt: Attempt) -> Iterator[None]:
    """Make the connections this thread uses known to the attempt."""
    _current.attempt = attempt
    try:
        yield
    finally:
        _current.attempt = None


class _Watched(HTTPConnection):
    """A connection that knows whose request it carries, and since when it carries none."""

    attempt: Attempt | None = None
    idle_since = 0.0

    def request(self, *args: Any, **kwargs: Any) -> None:
        self._announce()
        super().request(*args, **kwargs)

    def connect(self) -> None:
        super().connect()
        self._announce()

    def _announce(self) -> None:
        attempt: Attempt | None = getattr(_current, "attempt", None)
        if attempt is not None:
            attempt.travels_on(self)


class _WatchedTls(_Watched, HTTPSConnection):
    """The same, encrypted."""


class _Pool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Watched

    def _put_conn(self, conn: Any) -> None:
        if conn is not None:
            conn.idle_since = time.monotonic()
        super()._put_conn(conn)

    def close_idle(self, before: float) -> None:
        """Close the connections that are idle since before then, and those that the server has closed."""
        pool, kept = self.pool, []
        if pool is None:
            return
        with contextlib.suppress(queue.Empty):
            while True:
                kept.append(pool.get(block=False))
        for connection in reversed(kept):
            if connection is not None and (connection.idle_since < before or not connection.is_connected):
                connection.close()  # it connects again when it is used again
            pool.put(connection, block=False)


class _TlsPool(_Pool, urllib3.HTTPSConnectionPool):
    ConnectionCls = _WatchedTls


class AttemptAdapter(HTTPAdapter):
    """requests' adapter over connections that announce themselves; it never retries and never sleeps."""

    def __init__(self, *, pool_connections: int, pool_maxsize: int) -> None:
        super().__init__(
            pool_connections=pool_connections,
            pool_maxsize=pool_maxsize,
            max_retries=urllib3.Retry(0, respect_retry_after_header=False),
        )

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}

    def close_idle(self, before: float) -> None:
        """Close the connections that are idle since before then (monotonic), and those that the server has closed."""
        for manager in (self.poolmanager, *self.proxy_manager.values()):
            for key in manager.pools.keys():  # noqa: SIM118 - urllib3's container can't be iterated, only its keys
                pool = manager.pools.get(key)
                if pool is not None:
                    pool.close_idle(before)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> urllib3.ProxyManager:
        manager: urllib3.ProxyManager = super().proxy_manager_for(proxy, **kwargs)
        manager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}
        return manager


# First match wins, over the error and everything it was raised from; the narrow ones stand first.
_KINDS: Final[tuple[tuple[FailureKind, tuple[type[BaseException], ...]], ...]] = (
    ("dns", (socket.gaierror, u3.NameResolutionError)),
    ("tls", (ssl.SSLError, u3.SSLError, requests.exceptions.SSLError)),
    # NewConnectionError is a TimeoutError to urllib3, whatever the reason.
    ("refused", (ConnectionRefusedError, u3.NewConnectionError)),
    ("timeout", (TimeoutError, u3.TimeoutError, requests.Timeout)),
    ("reset", (ConnectionResetError, BrokenPipeError, ConnectionAbortedError, RemoteDisconnected, IncompleteRead)),
    ("reset", (u3.IncompleteRead, u3.InvalidChunkLength)),
)


def classify(error: BaseException) -> tuple[FailureKind, str]:
    """Return the kind of failure and what the innermost cause says, not yet redacted."""
    chain = list(_causes(error))
    innermost = chain[-1]
    text = f"{type(innermost).__name__}: {innermost}"
    for kind, types in _KINDS:
        if any(isinstance(cause, types) for cause in chain):
            return kind, text
    return "other", text


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the error and what it wraps (requests and urllib3 wrap in `args` and `reason`), outermost first."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        inside = [part for part in (*current.args, getattr(current, "reason", None)) if isinstance(part, BaseException)]
        current = inside[0] if inside else current.__cause__ or current.__context__


class _QueryFilter(logging.Filter):
    """Takes queries out of urllib3's DEBUG lines, which print whole URLs: a key may stand in one."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = re.sub(r"\?\S+", "?[redacted]", record.getMessage()), None
        return True


for _name in ("urllib3.connectionpool", "urllib3.poolmanager", "urllib3.util.retry"):
    logging.getLogger(_name).addFilter(_QueryFilter())
