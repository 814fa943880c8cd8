"""The pages a throughput run asks for, the mock that serves them, and how fast it could.

Deliberately not here: who asks for them. Invariant: every contender asks for the same addresses, as the farm's own
provider builds them, and each page is built before anything is measured.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

from benchmarks.stage import Stage, listens, running, until
from ingest import providers
from ingest.pipeline.follow import JOB_ROWS
from ingest.providers.contract import Query
from local.port import LOOPBACK, free_port

INTERVAL = "1m"
#: On the grid that history jobs are cut by, so that every job has its full five pages.
START = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(minutes=JOB_ROWS) * (28_410_000 // JOB_ROWS)  # January 2024
PAIRS = tuple(f"{coin}-USDT" for coin in ("BTC", "ETH", "SOL", "BNB", "XRP", "ADA", "DOGE", "LTC", "DOT", "LINK"))
WARM_UP_PAIRS = ("WARM-USDT",)
WARM_UP_ROWS = 4 * JOB_ROWS


@dataclass(frozen=True, slots=True)
class Stretch:
    """Series of bars from START, each as long; `rows` in all."""

    instruments: tuple[str, ...]
    end: datetime

    @property
    def rows(self) -> int:
        """Return how many bars it has."""
        return int((self.end - START) / timedelta(minutes=1)) * len(self.instruments)

    def urls(self, port: int) -> list[tuple[str, int]]:
        """Return the address of every page, and a number for its series, series by series."""
        provider = providers.get("binance")
        query = Query("bars", self.instruments, INTERVAL, START, self.end)
        base = f"http://{LOOPBACK}:{port}/{provider.facts.name}"
        return [
            (f"{base}{one.path}?{urlencode(one.params)}", 1 + self.instruments.index(one.instruments[0]))
            for one in provider.build(query)
        ]


def stretch(rows: int, instruments: Sequence[str] = PAIRS) -> Stretch:
    """Return a stretch of at least `rows` bars in whole jobs, over as many of the instruments as get one."""
    jobs = -(-rows // JOB_ROWS)
    chosen = tuple(instruments[: min(len(instruments), jobs)])
    return Stretch(chosen, START + timedelta(minutes=JOB_ROWS) * -(-jobs // len(chosen)))


@contextmanager
def mock(where: Stage, pages: Sequence[Stretch]) -> Iterator[tuple[int, int]]:
    """Run the mock with these pages built; yield its port and its process id."""
    port = free_port()
    argv = (sys.executable, "-m", "benchmarks.kline_mock", "--port", str(port))
    with running(where, "mock", *argv, env=os.environ) as child:
        until(lambda: listens(port), 20, "the mock")
        for one in pages:
            pages_s(port, one)
        yield port, child.pid


def pages_s(port: int, pages: Stretch) -> float:
    """Return how many pages a second the mock sends to one client that only counts bytes."""
    heads = [
        f"GET {url.partition(str(port))[2]} HTTP/1.1\r\nHost: mock\r\n\r\n".encode() for url, _ in pages.urls(port)
    ]
    buffer = bytearray(1 << 20)
    with socket.create_connection((LOOPBACK, port)) as wire:
        began = time.perf_counter()
        for head in heads:
            wire.sendall(head)
            _read_answer(wire, buffer)
        return len(heads) / (time.perf_counter() - began)


def _read_answer(wire: socket.socket, buffer: bytearray) -> None:
    size = wire.recv_into(buffer)
    head, _, body = bytes(buffer[:size]).partition(b"\r\n\r\n")
    left = int(head.rpartition(b"Content-Length: ")[2]) - len(body)
    while left > 0:
        left -= wire.recv_into(buffer)
