"""The fast client: one libcurl multi handle a process, its easy handles reused.

Deliberately not here: URLs, headers and redaction (outgoing), retries (retry), pace (pacer).
Invariant: a handle is used only by the process that made it, and no handle is left in the multi when `send` returns.
"""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

import pycurl

from ingest.settings import MOST_PER_HOST
from ingest.transport.curl_handle import Order, Transfer
from ingest.transport.outgoing import KEEP_ALIVE_S, REQUEST_TIMEOUT_S, Outgoing, ca_bundle
from ingest.wire import Answer, Endpoint, Failure, Request

# select() can't watch a descriptor above 1,023, and a worker holds descriptors of its own.
MOST_CONNECTIONS: Final = 800
# One wait of the loop at most: bounds how late a deadline is noticed if libcurl wakes us for nothing.
LONGEST_WAIT_S: Final = 0.25
# How long to pause when libcurl has no descriptor to wait for (a name being resolved, a descriptor above 1,023).
BLIND_WAIT_S: Final = 0.002
_FEATURES: Final[int] = pycurl.version_info()[4]


class CurlClient:
    """Sends batches concurrently from one thread. At most `connections` open connections, 800 at most."""

    name = "curl"
    #: A libcurl of the system may be built without it; the wheel's has it.
    lacks: tuple[str, ...] = () if _FEATURES & pycurl.VERSION_HTTP2 else ("HTTP/2",)

    def __init__(self, connections: int, *, keep_alive_s: float = KEEP_ALIVE_S) -> None:
        if not 1 <= connections <= MOST_CONNECTIONS:
            raise ValueError(f"connections must be 1 to {MOST_CONNECTIONS} (select's 1,024 descriptors): {connections}")
        self._connections = connections
        self._keep_alive_s = keep_alive_s
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
            self._leave_to_parent()
            self._start()
        order = Order(Outgoing(endpoint), max_bytes, request_timeout_s)
        at_once = min(connections, self._connections, MOST_PER_HOST)
        batch = _Batch(requests, order, time.monotonic() + deadline_s, at_once)
        try:
            self._run(batch)
        finally:  # also when a soft time limit or Ctrl-C interrupts: the next batch must find an empty multi
            self._stop_active()
            self._used_at = time.monotonic()
        return batch.close()

    def resize(self, connections: int) -> None:
        """See `ingest.transport.leased.OwnClient.resize`. libcurl closes none by being told of fewer: all go."""
        is_less = connections < self._connections
        self._connections = connections
        if is_less:
            self.drop()
        else:
            self._limit()

    def close_idle(self) -> bool:
        """See `ingest.transport.leased.OwnClient.close_idle`.

        While anything is sent libcurl closes what is older by itself; it does nothing while nothing is.
        """
        if time.monotonic() - self._used_at < self._keep_alive_s:
            return True
        self.drop()
        return False

    def drop(self) -> None:
        """See `ingest.transport.leased.OwnClient.drop`. What is known of names stays."""
        if os.getpid() == self._pid:
            self._stop_active()
            self._multi.close()
            self._open_multi()

    def close(self) -> None:
        """Close every connection. The client can't be used afterwards.

        libcurl waits here, and in `drop`, for names it is still resolving (measured: 9 s of a dead name server).
        """
        if os.getpid() != self._pid:
            self._leave_to_parent()
            return
        self._stop_active()
        self._multi.close()
        for transfer in self._idle:
            transfer.handle.close()
        self._idle.clear()
        self._names.close()

    def _start(self) -> None:
        self._pid = os.getpid()
        self._ca_file = ca_bundle()
        self._names = pycurl.CurlShare()  # the DNS cache; a multi's own would go with its connections
        self._names.setopt(pycurl.SH_SHARE, pycurl.LOCK_DATA_DNS)
        self._open_multi()
        self._used_at = time.monotonic()
        self._idle: list[Transfer] = []
        self._active: dict[pycurl.Curl, Transfer] = {}

    def _open_multi(self) -> None:
        self._multi = pycurl.CurlMulti()
        self._limit()

    def _limit(self) -> None:
        self._multi.setopt(pycurl.M_MAX_TOTAL_CONNECTIONS, self._connections)
        self._multi.setopt(pycurl.M_MAX_HOST_CONNECTIONS, min(self._connections, MOST_PER_HOST))
        self._multi.setopt(pycurl.M_MAXCONNECTS, self._connections)

    def _leave_to_parent(self) -> None:
        """Forget the parent's handles without freeing them: that would say goodbye on the parent's TLS connections."""
        ctypes.pythonapi.Py_IncRef(ctypes.py_object((self._multi, self._names, self._idle, self._active)))

    def _run(self, batch: _Batch) -> None:
        """Drive the transfers until all have an outcome or the deadline has passed.

        Measured against epoll with libcurl's socket callbacks: 21k and 26k answers/s (64 and 200 connections) where
        epoll gave 15k and 20k, and a tenth less CPU at 50 ms latency too: the callbacks cost more than select() does.
        """
        multi = self._multi
        self._feed(batch)
        while self._active:
            multi.perform()
            if self._collect(batch):
                self._feed(batch)
                continue
            left_s = batch.deadline - time.monotonic()
            if left_s <= 0:
                return
            curl_ms = multi.timeout()
            wait_s = min(left_s, LONGEST_WAIT_S, curl_ms / 1000 if curl_ms >= 0 else LONGEST_WAIT_S)
            if wait_s > 0 and multi.select(wait_s) == -1:
                time.sleep(min(wait_s, BLIND_WAIT_S))

    def _feed(self, batch: _Batch) -> None:
        """Start waiting requests, one for each free connection.

        libcurl could queue them itself, but counts the time in its queue against the connect timeout.
        """
        now, past = datetime.now(UTC), time.monotonic() >= batch.deadline
        while batch.waiting and len(self._active) < batch.at_once and not past:
            index, request = batch.waiting.pop()
            transfer = self._idle.pop() if self._idle else Transfer(self._ca_file, self._names, self._keep_alive_s)
            try:
                transfer.prepare(index, request, batch.order, now)
            except (ValueError, pycurl.error) as error:
                self._idle.append(transfer)
                batch.outcomes[index] = batch.order.outgoing.failure(
                    request, "other", f"can't be sent: {error}", sent_at=now, received_at=now
                )
                continue
            self._active[transfer.handle] = transfer
            self._multi.add_handle(transfer.handle)

    def _collect(self, batch: _Batch) -> bool:
        """Take the outcomes of finished transfers; say whether there were any."""
        _, answered, failed = self._multi.info_read(self._connections)
        if not (answered or failed):
            return False
        now = datetime.now(UTC)
        for handle in answered:
            transfer = self._release(handle)
            batch.outcomes[transfer.index] = transfer.answer(now)
        for handle, code, text in failed:
            transfer = self._release(handle)
            batch.outcomes[transfer.index] = transfer.failure(code, text, batch.order.outgoing, now)
        return True

    def _release(self, handle: pycurl.Curl) -> Transfer:
        self._multi.remove_handle(handle)
        transfer = self._active.pop(handle)
        self._idle.append(transfer)
        return transfer

    def _stop_active(self) -> None:
        """Cut what still runs; libcurl closes those connections."""
        for handle in list(self._active):
            self._release(handle)


class _Batch:
    """The requests of one `send`, what is left to start, and the outcomes so far."""

    def __init__(self, requests: Sequence[Request], order: Order, deadline: float, at_once: int) -> None:
        self.requests, self.order, self.deadline, self.at_once = requests, order, deadline, at_once
        self.began_at = datetime.now(UTC)
        self.waiting = list(enumerate(requests))[::-1]
        self.outcomes: list[Answer | Failure | None] = [None] * len(requests)

    def close(self) -> list[Answer | Failure]:
        """Return one outcome for each request: a timeout where none came."""
        now = datetime.now(UTC)
        text = "no complete answer before the batch's deadline"
        return [
            self.order.outgoing.failure(request, "timeout", text, sent_at=self.began_at, received_at=now)
            if outcome is None
            else outcome
            for request, outcome in zip(self.requests, self.outcomes, strict=True)
        ]
