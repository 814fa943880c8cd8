"""The client that needs nothing compiled: requests and urllib3, one thread for each request in flight.

Deliberately not here: URLs, headers and redaction (outgoing), the connections' watch (abortable), retries (retry).
Invariant: `send` returns in time even if a thread does not; such a thread is left behind with its executor.
"""

from __future__ import annotations

import os
import time
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

from ingest.transport.abortable import Attempt, AttemptAdapter, attempt_running, classify
from ingest.transport.outgoing import ACCEPT_ENCODING, CONNECT_TIMEOUT_S, Outgoing, ca_bundle
from ingest.wire import Answer, Endpoint, Failure, Request

# Measured at 50 ms latency with 16, 32, 64, 128 threads: 0.29k, 0.53k, 0.89k, 1.07k answers/s; at 0 ms all give 1.4k.
MOST_THREADS: Final = 64
READ_BYTES: Final = 64 * 1024
# How long threads get to notice that their connection was shut down under them.
GRACE_S: Final = 0.05

# Forked children must not free what their parent's threads may hold locks of: kept here instead, unused.
_left_to_parent: list[object] = []


class PooledClient:
    """Sends batches over a few threads. At most `connections` open connections."""

    def __init__(self, connections: int) -> None:
        if connections < 1:
            raise ValueError(f"connections must be at least 1: {connections}")
        self._connections = connections
        self._threads = min(connections, MOST_THREADS)
        self._start()

    def send(
        self, requests: Sequence[Request], endpoint: Endpoint, *, deadline_s: float, max_bytes: int
    ) -> list[Answer | Failure]:
        """See `ingest.transport.client.Client.send`."""
        if os.getpid() != self._pid:
            _left_to_parent.append((self._hosts, self._executor))
            self._start()
        deadline = time.monotonic() + deadline_s
        outgoing = Outgoing(endpoint)
        session = self._session(endpoint.base_url, len(requests))
        session.proxies.clear()
        session.proxies.update(_proxies(endpoint, outgoing))
        attempts = [Attempt(request, deadline) for request in requests]
        running: dict[Future[None], Attempt] = {}
        try:
            if deadline_s > 0:
                for attempt in attempts:
                    running[self._executor.submit(_perform, session, attempt, outgoing, max_bytes)] = attempt
                wait(running, timeout=max(0.0, deadline - time.monotonic()))
        finally:  # also when a soft time limit or Ctrl-C interrupts
            self._stop(running)
        return [_outcome(attempt, outgoing) for attempt in attempts]

    def close(self) -> None:
        """Close every connection. The client can't be used afterwards."""
        if os.getpid() == self._pid:
            self._executor.shutdown(wait=False, cancel_futures=True)
            for host in self._hosts.values():
                host.session.close()
            self._hosts.clear()

    def _start(self) -> None:
        self._pid = os.getpid()
        self._hosts: dict[str, _Host] = {}
        self._executor = ThreadPoolExecutor(self._threads, thread_name_prefix="tickfarm-http")

    def _stop(self, running: dict[Future[None], Attempt]) -> None:
        """Cancel what waits, cut what runs, and leave a thread that still doesn't return behind."""
        late = [future for future in running if not future.done() and not future.cancel()]
        for future in late:
            running[future].abort()
        if late and wait(late, timeout=GRACE_S).not_done:
            self._executor.shutdown(wait=False)
            self._executor = ThreadPoolExecutor(self._threads, thread_name_prefix="tickfarm-http")

    def _session(self, base_url: str, batch_size: int) -> rq.Session:
        """Return the host's session, and close those longest unused until its batch fits under `connections`."""
        scheme_and_host = "/".join(base_url.split("/", 3)[:3])
        host = self._hosts.pop(scheme_and_host, None) or _Host(_open_session(self._threads))
        host.most_open = max(host.most_open, min(batch_size, self._threads))
        room = self._connections - host.most_open
        while sum(other.most_open for other in self._hosts.values()) > room:
            self._hosts.pop(next(iter(self._hosts))).session.close()
        self._hosts[scheme_and_host] = host
        return host.session


@dataclass(slots=True)
class _Host:
    """A host's session and the most connections it may hold open."""

    session: rq.Session
    most_open: int = 0


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
            text = "no complete answer before the batch's deadline"
            return outgoing.failure(attempt.request, "timeout", text, sent_at=attempt.sent_at, received_at=received_at)
