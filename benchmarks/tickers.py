"""The quotes a fetch run asks for, the mock that serves them, and how fast it could.

Deliberately not here: who asks for them. Invariant: every contender asks for the same addresses, as the farm's own
provider builds them, and each answer is built before anything is measured.
"""

from __future__ import annotations

import os
import select
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import cycle, islice

from benchmarks.stage import Stage, listens, running, until
from ingest import providers
from ingest.providers.contract import Query
from local.port import LOOPBACK, free_port

PROVIDER = "coinbase"
#: Instruments of one message.
BATCH = 200
#: Messages that name different instruments: as many polls can be in flight without waiting for each other's ledger row.
BATCHES = tuple(tuple(f"C{at:02d}{one:03d}-USD" for one in range(BATCH)) for at in range(12))
#: Connections of the client that only counts: what the farm opens by default.
_CONNECTIONS = 64
_CEILING_REQUESTS = 50_000


def urls(port: int, requests: int) -> list[str]:
    """Return so many addresses, as the provider builds them, over and over."""
    provider = providers.get(PROVIDER)
    base = f"http://{LOOPBACK}:{port}/{PROVIDER}"
    each = [f"{base}{one.path}" for batch in BATCHES for one in provider.build(Query("quotes", batch))]
    return list(islice(cycle(each), requests))


@contextmanager
def ticker_mock(where: Stage, *, latency_ms: float = 0.0) -> Iterator[tuple[int, int]]:
    """Run the mock with every answer built; yield its port and its process id."""
    port = free_port()
    argv = (sys.executable, "-m", "benchmarks.ticker_mock", "--port", str(port), "--latency-ms", f"{latency_ms:g}")
    with running(where, "mock", *argv, env=os.environ) as child:
        until(lambda: listens(port), 20, "the mock")
        requests_s(port, len(BATCHES) * BATCH)
        yield port, child.pid


def requests_s(port: int, requests: int = _CEILING_REQUESTS) -> float:
    """Return how many requests a second the mock answers to a client that only counts bytes."""
    heads = [
        f"GET {url.partition(str(port))[2]} HTTP/1.1\r\nHost: mock\r\n\r\n".encode() for url in urls(port, requests)
    ]
    with ExitStack() as stack:
        epoll = stack.enter_context(select.epoll())
        wires = [stack.enter_context(socket.create_connection((LOOPBACK, port))) for _ in range(_CONNECTIONS)]
        for wire in wires:
            epoll.register(wire, select.EPOLLIN)
        return requests / _ask_all(epoll, {wire.fileno(): wire for wire in wires}, heads)


def _ask_all(epoll: select.epoll, wires: dict[int, socket.socket], heads: Sequence[bytes]) -> float:
    """Send a request on every connection, the next when its answer is there; return the seconds all took."""
    began, left, waits = time.perf_counter(), iter(heads), 0
    for wire, head in zip(wires.values(), islice(left, len(wires)), strict=False):
        wire.send(head)
        waits += 1
    while waits:
        for descriptor, _ in epoll.poll():
            wire = wires[descriptor]
            if not wire.recv(4096):
                raise ConnectionError("the mock hung up")
            following = next(left, None)
            if following is None:
                waits -= 1
            else:
                wire.send(following)
    return time.perf_counter() - began
