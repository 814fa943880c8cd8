"""The client that needs nothing compiled: requests and urllib3, one thread for each request in flight.

Deliberately not here: URLs, headers and redaction (outgoing), the connections' watch (abortable), retries (retry).
It has no HTTP/2 and asks the system for a name whenever it connects.
Invariant: `send` returns in time even if a thread does not; such a thread is left behind with its executor.
"""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import UTC, datetime
from http.client import HTTPException
from http.cookiejar import DefaultCookiePolicy
from typing import Any, Final

import requests as rq
from requests.utils import get_environ_proxies
from urllib3.exceptions import HTTPError

from ingest.settings import LONGEST_REQUEST_S, MOST_PER_HOST
from ingest.transport.abortable import Attempt, AttemptAdapter, attempt_running, classify
from ingest.transport.outgoing import (
    ACCEPT_ENCODING,
    CONNECT_TIMEOUT_S,
    KEEP_ALIVE_S,
    REQUEST_TIMEOUT_S,
    Outgoing,
    ca_bundle,
)
from ingest.wire import Answer, Endpoint, Failure, Request

# Measured at 50 ms latency with 16, 32, 64, 128 threads: 0.29k, 0.53k, 0.89k, 1.07k answers/s; at 0 ms all give 1.4k.
MOST_THREADS: Final = 64
READ_BYTES: Final = 64 * 1024
# How long threads get to notice that their connection was shut down under them.
GRACE_S: Final = 0.05
# How often idle connections are looked at while there is work: a system call for each of them. libcurl does the same.
LOOK_EVERY_S: Final = 1.0

# Forked children must not free what their parent's threads may hold locks of: kept here instead, unused.
_left_to_parent: list[object] = []


class PooledClient:
    """Sends batches over a few threads. At most `connections` open connections."""

    name = "requests"
    lacks: tuple[str, ...] = ("HTTP/2", "a DNS cache")

    def __init__(self, connections: int, *, keep_alive_s: float = KEEP_ALIVE_S) -> None:
        if connections < 1:
            raise ValueError(f"connections must be at least 1: {connections}")
        self._connections = connections
        self._keep_alive_s = keep_alive_s
        self._threads = min(connections, MOST_THREADS)
        self._start()

    def ready_in_s(self) -> float:
        """See `ingest.transport.client.Client.ready_in_s`."""
        return 0.0

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
        """See `ingest.transport.client.Client.send`."""
        if os.getpid() != self._pid:
            _left_to_parent.append((self._hosts, self._executor))
            self._start()
        deadline = time.monotonic() + deadline_s
        outgoing = Outgoing(endpoint)
        at_once = min(len(requests), connections, self._connections, self._threads)
        host = self._host(endpoint.base_url, at_once)
        session = host.session
        session.proxies.clear()
        session.proxies.update(_proxies(endpoint, outgoing))
        attempts = [Attempt(request, deadline, outgoing.timeout_s(request, request_timeout_s)) for request in requests]
        waiting, runners = deque(attempts), set[Future[None]]()
        try:
            if deadline_s > 0:
                for _ in range(at_once):
                    runners.add(self._executor.submit(_perform_all, session, waiting, outgoing, max_bytes))
                _watch(runners, attempts, deadline)
        finally:  # also when a soft time limit or Ctrl-C interrupts
            waiting.clear()
            self._stop(runners, attempts)
            host.used_at = time.monotonic()
        return [_outcome(attempt, outgoing) for attempt in attempts]

    def resize(self, connections: int) -> None:
        """See `ingest.transport.leased.OwnClient.resize`."""
        self._connections = connections
        self._make_room(connections)

    def close_idle(self) -> bool:
        """See `ingest.transport.leased.OwnClient.close_idle`."""
        self._looked_at = time.monotonic()
        before = self._looked_at - self._keep_alive_s
        for name, host in list(self._hosts.items()):
            if host.used_at < before:
                self._hosts.pop(name).session.close()
            else:
                for adapter in host.session.adapters.values():
                    adapter.close_idle(before)  # type: ignore[attr-defined]
        return bool(self._hosts)

    def drop(self) -> None:
        """See `ingest.transport.leased.OwnClient.drop`."""
        if os.getpid() == self._pid:
            self._make_room(0)

    def close(self) -> None:
        """Close every connection. The client can't be used afterwards."""
        if os.getpid() == self._pid:
            self._executor.shutdown(wait=False, cancel_futures=True)
            self._make_room(0)

    def _start(self) -> None:
        self._pid = os.getpid()
        self._hosts: dict[str, _Host] = {}
        self._looked_at = 0.0
        self._executor = ThreadPoolExecutor(self._threads, thread_name_prefix="tickfarm-http")

    def _stop(self, runners: set[Future[None]], attempts: Sequence[Attempt]) -> None:
        """Cancel what waits, cut what runs, and leave a thread that still doesn't return behind."""
        late = [future for future in runners if not future.done() and not future.cancel()]
        if late:
            for attempt in attempts:
                attempt.abort()
        if late and wait(late, timeout=GRACE_S).not_done:
            self._executor.shutdown(wait=False)
            self._executor = ThreadPoolExecutor(self._threads, thread_name_prefix="tickfarm-http")

    def _host(self, base_url: str, at_once: int) -> _Host:
        """Return the host's session, and close those longest unused until its batch fits under `connections`."""
        if time.monotonic() - self._looked_at > LOOK_EVERY_S:
            self.close_idle()
        scheme_and_host = "/".join(base_url.split("/", 3)[:3])
        host = self._hosts.pop(scheme_and_host, None) or _Host(_open_session(self._threads))
        host.most_open = max(host.most_open, at_once)
        host.used_at = math.inf  # until the batch is over
        self._make_room(self._connections - host.most_open)
        self._hosts[scheme_and_host] = host
        return host

    def _make_room(self, room: int) -> None:
        """Close the sessions that are longest unused until the others fit."""
        while sum(host.most_open for host in self._hosts.values()) > room:
            self._hosts.pop(next(iter(self._hosts))).session.close()


@dataclass(slots=True)
class _Host:
    """A host's session and the most connections it may hold open."""

    session: rq.Session
    most_open: int = 0
    used_at: float = 0.0


def _watch(runners: set[Future[None]], attempts: Sequence[Attempt], deadline: float) -> None:
    """Wait until all are done or the deadline has passed, and cut each request at its own end."""
    shortest_s = min((attempt.timeout_s for attempt in attempts), default=LONGEST_REQUEST_S)
    at_work = runners
    while at_work and (now := time.monotonic()) < deadline:
        running = [attempt for attempt in attempts if attempt.is_running]
        for attempt in running:
            if attempt.ends <= now:
                attempt.abort()
        # What begins while this waits ends later than the shortest timeout from now.
        ends = [attempt.ends for attempt in running if attempt.ends > now]
        at_work = wait(at_work, timeout=min((now + shortest_s, deadline, *ends)) - now).not_done


def _perform_all(session: rq.Session, waiting: deque[Attempt], outgoing: Outgoing, max_bytes: int) -> None:
    """Send one request after the other until none is waiting: one thread's share of a batch."""
    with contextlib.suppress(IndexError):
        while True:
            _perform(session, waiting.popleft(), outgoing, max_bytes)


def _perform(session: rq.Session, attempt: Attempt, outgoing: Outgoing, max_bytes: int) -> None:
    """Send one request and leave its outcome in the attempt. Runs in a thread; raises nothing of the network's."""
    left_s = attempt.begin()
    if left_s <= 0:
        return
    try:
        headers = dict(outgoing.headers(attempt.request)) | {"accept-encoding": ACCEPT_ENCODING}
        prepared = rq.PreparedRequest()
        prepared.prepare(method="GET", url=outgoing.url(attempt.request), headers=headers)
        with (
            attempt_running(attempt),
            session.send(
                prepared,
                stream=True,
                allow_redirects=False,
                timeout=(min(CONNECT_TIMEOUT_S, left_s), left_s),
            ) as response,
        ):
            _read(response, attempt, max_bytes)
    except (rq.RequestException, HTTPError, HTTPException, OSError, ValueError) as error:
        attempt.fail(*classify(error))


def _read(response: rq.Response, attempt: Attempt, max_bytes: int) -> None:
    """Read the body up to the cap. Left unread, the connection is closed by the caller and never used again."""
    if response.status_code < 200:
        # http.client takes a 103 for the answer and would read the real one as the next request's.
        attempt.fail("other", f"an interim answer ({response.status_code}), which this client can't read past")
        return
    raw: Any = response.raw
    pieces, size = [], 0
    for piece in raw.stream(READ_BYTES, decode_content=True):
        size += len(piece)
        if size > max_bytes:
            attempt.fail("too_large", "the body is larger than allowed, once decompressed")
            return
        pieces.append(piece)
    headers = {name.lower(): value for name, value in response.headers.items()}
    attempt.answer(response.status_code, headers, b"".join(pieces))


class _Session(rq.Session):
    """A session that treats a redirect as the answer it is: requests would read its body, however long, to look on."""

    def get_redirect_target(self, resp: rq.Response) -> str | None:
        return None


def _open_session(threads: int) -> rq.Session:
    session = _Session()
    session.trust_env = False  # no .netrc credentials; proxies are read once a batch instead of once a request
    session.verify = ca_bundle()
    session.headers.clear()
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    adapter = AttemptAdapter(pool_connections=1, pool_maxsize=threads)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session


def _proxies(endpoint: Endpoint, outgoing: Outgoing) -> dict[str, str]:
    """Return the proxies of the environment; none for what is no address, which fails when it is sent."""
    try:
        return {} if outgoing.is_loopback else dict(get_environ_proxies(endpoint.base_url, no_proxy=None))
    except ValueError:
        return {}


def _outcome(attempt: Attempt, outgoing: Outgoing) -> Answer | Failure:
    received_at = attempt.received_at or datetime.now(UTC)
    match attempt.outcome:
        case (kind, text):
            return outgoing.failure(attempt.request, kind, text, sent_at=attempt.sent_at, received_at=received_at)
        case Answer() as answer:
            return answer
        case _:
            text = attempt.lateness
            return outgoing.failure(attempt.request, "timeout", text, sent_at=attempt.sent_at, received_at=received_at)
