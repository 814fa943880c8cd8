"""What the gate's tests ask with: batches, windows, and a provider's counter that forgives nothing."""

from __future__ import annotations

import itertools
import time
from collections import deque

from ingest.transport.breaker import BreakerPolicy
from ingest.transport.budget import windows_of
from ingest.transport.gate import Ask, Ended, Gate, Seed
from ingest.wire import Limit, Request

NO_REQUEST = Request("/")
POLICY = BreakerPolicy(open_ms=200, cap_ms=400)
_numbers = itertools.count(1)


def limit(amount, per_s, unit="requests", **more):
    return Limit(amount, per_s, "test", unit, **more)


def new_gate(redis, seed=Seed()):  # noqa: B008 - frozen
    return Gate(redis, lambda _: seed)


def ask(count=1, limits=(), *, weight=1, provider="test", pool="", job=None, at_once=None, dataset="bars", **more):
    number = next(_numbers)
    budget = f"{provider}:{pool}"
    windows = windows_of(budget, limits, at_once=at_once)
    names = {"grant": f"grant-{time.time_ns()}-{number}", "job": job or f"{number}:1"}
    more = {"deadline_s": 10.0, "budget_windows": windows} | names | more
    requests = [Request("/", weight=weight) for _ in range(count)]
    return Ask(
        provider=provider,
        budget=budget,
        dataset=dataset,
        requests=requests,
        windows=[window for window in windows if window.counts(dataset)],
        **more,
    )


def ended(count=1, verdict="ok", *, weight=1, age_ms=0, latency_ms=5):
    return [Ended(Request("/", weight=weight), verdict, age_ms, latency_ms) for _ in range(count)]


class Strict:
    """A provider's sliding window without any tolerance: counts what arrives, and every time it is too much."""

    def __init__(self, amount, per_s):
        self.amount, self.per_s = amount, per_s
        self.seen: deque[tuple[float, int]] = deque()
        self.used = self.violations = self.total = 0

    def arrive(self, now, weight=1):
        while self.seen and self.seen[0][0] <= now - self.per_s:
            self.used -= self.seen.popleft()[1]
        self.seen.append((now, weight))
        self.used += weight
        self.total += weight
        self.violations += self.used > self.amount
