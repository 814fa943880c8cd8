"""One request of the pooled client that can be cut from another thread, and why it failed, in our words.

Deliberately not here: threads and sessions (pooled).
Invariant: after `abort` or the deadline an attempt takes no answer: bytes cut short never pass for a complete body.
"""

from __future__ import annotations

import contextlib
import logging
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

    def __init__(self, request: Request, deadline: float) -> None:
        self.request = request
        self.sent_at = datetime.now(UTC)
        self.received_at: datetime | None = None
        self.outcome: Answer | tuple[FailureKind, str] | None = None
        self._deadline = deadline
        self._connection: HTTPConnection | None = None
        self._lock = threading.Lock()
        self._is_aborted = False

    def begin(self) -> float:
        """Date the request and return the seconds it has left."""
        self.sent_at = datetime.now(UTC)
        return self._deadline - time.monotonic()

    def travels_on(self, connection: HTTPConnection) -> None:
        """Remember what `abort` has to cut."""
        with self._lock:
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
            if self._connection is not None:
                _cut(self._connection)

    def _is_late(self) -> bool:
        return self._is_aborted or time.monotonic() >= self._deadline


def _cut(connection: HTTPConnection) -> None:
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


def _announce(connection: HTTPConnection) -> None:
    attempt: Attempt | None = getattr(_current, "attempt", None)
    if attempt is not None:
        attempt.travels_on(connection)


class _Connection(HTTPConnection):
    def request(self, *args: Any, **kwargs: Any) -> None:
        _announce(self)
        super().request(*args, **kwargs)

    def connect(self) -> None:
        super().connect()
        _announce(self)


class _TlsConnection(HTTPSConnection):
    def request(self, *args: Any, **kwargs: Any) -> None:
        _announce(self)
        super().request(*args, **kwargs)

    def connect(self) -> None:
        super().connect()
        _announce(self)


class _Pool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


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
