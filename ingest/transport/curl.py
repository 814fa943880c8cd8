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

from ingest.transport.curl_handle import Transfer
from ingest.transport.outgoing import Outgoing, ca_bundle
from ingest.wire import Answer, Endpoint, Failure, Request

# select() can't watch a descriptor above 1,023, and a worker holds descriptors of its own.
MOST_CONNECTIONS: Final = 800
# One wait of the loop at most: bounds how late a deadline is noticed if libcurl wakes us for nothing.
LONGEST_WAIT_S: Final = 0.25
# How long to pause when libcurl has no descriptor to wait for (a name being resolved, a descriptor above 1,023).
BLIND_WAIT_S: Final = 0.002


class CurlClient:
    """Sends batches concurrently from one thread. At most `connections` open connections, 800 at most."""

    def __init__(self, connections: int, *, per_host: int | None = None) -> None:
        if not 1 <= connections <= MOST_CONNECTIONS:
            raise ValueError(f"connections must be 1 to {MOST_CONNECTIONS} (select's 1,024 descriptors): {connections}")
        self._connections = connections
        self._per_host = min(per_host or connections, connections)
        self._start()

    def send(
        self, requests: Sequence[Request], endpoint: Endpoint, *, deadline_s: float, max_bytes: int
    ) -> list[Answer | Failure]:
        """See `ingest.transport.client.Client.send`."""
        if os.getpid() != self._pid:
            self._leave_to_parent()
            self._start()
        batch = _Batch(requests, Outgoing(endpoint), max_bytes, time.monotonic() + deadline_s)
        try:
            self._run(batch)
        finally:  # also when a soft time limit or Ctrl-C interrupts: the next batch must find an empty multi
            self._stop_active()
        return batch.close()

    def close(self) -> None:
        """Close every connection. The client can't be used afterwards.

        libcurl waits here, and only here, for names it is still resolving (measured: 9 s of a dead name server).
        """
        if os.getpid() != self._pid:
            self._leave_to_parent()
            return
        self._stop_active()
        self._multi.close()
        for transfer in self._idle:
            transfer.handle.close()
        self._idle.clear()

    def _start(self) -> None:
        self._pid = os.getpid()
        self._ca_file = ca_bundle()
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_MAX_TOTAL_CONNECTIONS, self._connections)
        self._multi.setopt(pycurl.M_MAX_HOST_CONNECTIONS, self._per_host)
        self._multi.setopt(pycurl.M_MAXCONNECTS, self._connections)
        self._idle: list[Transfer] = []
        self._active: dict[pycurl.Curl, Transfer] = {}

    def _leave_to_parent(self) -> None:
        """Forget the parent's handles without freeing them: that would say goodbye on the parent's TLS connections."""
        ctypes.pythonapi.Py_IncRef(ctypes.py_object((self._multi, self._idle, self._active)))

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
        while batch.waiting and len(self._active) < self._per_host and not past:
            index, request = batch.waiting.pop()
            transfer = self._idle.pop() if self._idle else Transfer(self._ca_file)
            try:
                transfer.prepare(index, request, batch.outgoing, batch.max_bytes, now)
            except (ValueError, pycurl.error) as error:
                self._idle.append(transfer)
                batch.outcomes[index] = batch.outgoing.failure(
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
            batch.outcomes[transfer.index] = transfer.failure(code, text, batch.outgoing, now)
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

    def __init__(self, requests: Sequence[Request], outgoing: Outgoing, max_bytes: int, deadline: float) -> None:
        self.requests, self.outgoing, self.max_bytes, self.deadline = requests, outgoing, max_bytes, deadline
        self.began_at = datetime.now(UTC)
        self.waiting = list(enumerate(requests))[::-1]
        self.outcomes: list[Answer | Failure | None] = [None] * len(requests)

    def close(self) -> list[Answer | Failure]:
        """Return one outcome for each request: a timeout where none came."""
        now = datetime.now(UTC)
        text = "no complete answer before the batch's deadline"
        return [
            self.outgoing.failure(request, "timeout", text, sent_at=self.began_at, received_at=now)
            if outcome is None
            else outcome
            for request, outcome in zip(self.requests, self.outcomes, strict=True)
        ]
