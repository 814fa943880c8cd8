"""Overhead: what asking the gate and reporting to it adds to a request, in a batch of 200 and alone.

Three windows (a second, a minute, a cap on what is out), breakers and the counters of health, as every fetch has them.
Deliberately not here: the request itself, the fetch log (a row a batch, in a transaction that is there anyway).
Invariant: round trips are counted where bytes leave for Redis, not taken from the code's word.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from statistics import median, quantiles
from typing import Any

from redis import Connection, ConnectionPool, Redis

from benchmarks.cpu import cpu_s
from benchmarks.gate_caller import PROVIDER, ask_of, ended_of, requests_of
from benchmarks.stage import stage
from ingest.transport.breaker import BreakerPolicy
from ingest.transport.budget import windows_of
from ingest.transport.gate import Gate, Seed
from ingest.wire import Answer, Limit, Request

NAME = "overhead"
HELP = "CPU and round trips that budget, breaker and health add to a request, in a batch of 200 and alone"
BATCH = 200
#: Far above what is asked here, so that every batch goes at once.
LIMITS = (Limit(10_000_000, 1, "none of any provider's", "weight"), Limit(100_000_000, 60, "none of any provider's"))
AT_ONCE = 5_000
#: How long ago an answer came when it is reported, and how long it took: any that fill a few bins.
_AGES_MS, _TOOK_MS = 40, 60


class CountingConnection(Connection):
    """A connection that counts how often something is sent: a pipeline is one, as on the wire."""

    sent = 0

    def send_packed_command(self, command: Any, check_health: bool = True) -> None:
        """Count, and send."""
        CountingConnection.sent += 1
        super().send_packed_command(command, check_health=check_health)  # type: ignore[no-untyped-call]


def add_options(options: argparse.ArgumentParser) -> None:
    """Declare what can be chosen."""
    options.add_argument("--batches", type=int, default=500, help="that are measured (default: %(default)s)")
    options.add_argument("--alone", type=int, default=1_000, help="single requests (default: %(default)s)")


@dataclass
class Times:
    """What so many batches took, each in ms of wall time and all of them in seconds of this process's CPU."""

    ms: list[float] = field(default_factory=list)
    cpu_s: float = 0.0


def run(chosen: argparse.Namespace) -> dict[str, Any]:
    """Measure, and return the figures."""
    with stage() as where:
        assert where.servers.valkey is not None
        redis = {"redis": where.servers.valkey.pid}
        pool = ConnectionPool.from_url(where.urls.redis_url, connection_class=CountingConnection)
        gate = Gate(Redis(connection_pool=pool), lambda _: Seed())
        _times(gate, BATCH, chosen.batches // 10 + 1)
        before, sent = cpu_s(redis), CountingConnection.sent
        whole = _times(gate, BATCH, chosen.batches)
        trips = (CountingConnection.sent - sent) / chosen.batches
        redis_s = cpu_s(redis)["redis"] - before["redis"]
        alone = _times(gate, 1, chosen.alone)
        pool.disconnect()
    million = chosen.batches * BATCH / 1e6
    return {
        "us_per_request": round((whole.cpu_s + redis_s) / million, 2),
        "us_per_request_caller": round(whole.cpu_s / million, 2),
        "us_per_request_redis": round(redis_s / million, 2),
        "round_trips_per_batch": round(trips, 2),
        "ms_batch": round(median(whole.ms), 3),
        "ms_alone": round(median(alone.ms), 3),
        "ms_alone_p99": round(quantiles(alone.ms, n=100)[98], 3),
        "machine": f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the end",
    }


def _times(gate: Gate, size: int, batches: int) -> Times:
    """Ask and report so many batches of a size. Raises RuntimeError where not all of one was granted."""
    requests, times = requests_of(size), Times()
    windows = windows_of(PROVIDER, LIMITS, at_once=AT_ONCE)
    for number in range(batches):
        answers = _answers(requests)
        began, used = time.perf_counter(), time.process_time()
        ask = ask_of(f"{size}:{number}:{began}", requests, windows)
        admission = gate.admit(ask)
        gate.report(admission, ended_of(answers), policy=BreakerPolicy())
        times.cpu_s += time.process_time() - used
        times.ms.append((time.perf_counter() - began) * 1000)
        if admission.granted != size:
            raise RuntimeError(f"expected {size} granted, got {admission.granted} ({admission.reason})")
    return times


def _answers(requests: Sequence[Request]) -> list[Answer]:
    """Return answers that came within the last moments."""
    now = datetime.now(UTC)
    came = [now - timedelta(milliseconds=at % _AGES_MS) for at in range(len(requests))]
    took = timedelta(milliseconds=_TOOK_MS)
    return [
        Answer(one, status=200, headers={}, body=b"", sent_at=at - took, received_at=at)
        for one, at in zip(requests, came, strict=True)
    ]
