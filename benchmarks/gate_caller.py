"""One process that asks as much as the farm's gate lets it: klines and depth in turn, batches of 50.

`python -m benchmarks.gate_caller --port N --weight W --window-s S --seconds T`, with REDIS_URL set. Deliberately not
here: jobs, storing. Invariant: nothing is sent that was not granted, and every grant is reported.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from benchmarks.weight_mock import WEIGHTS
from ingest.pipeline.context import open_redis
from ingest.transport.breaker import BreakerPolicy, Verdict
from ingest.transport.budget import Window, windows_of
from ingest.transport.client import open_client
from ingest.transport.gate import Ask, Ended, Gate, Seed
from ingest.wire import Answer, Endpoint, Failure, Limit, Request
from local.port import LOOPBACK

BATCH = 50
DEADLINE_S = 10.0
PROVIDER = "binance"


def requests_of(count: int) -> list[Request]:
    """Return so many requests, of both weights in turn."""
    kinds = sorted((name.decode(), weight) for name, weight in WEIGHTS.items())
    return [
        Request(f"/api/v3/{kinds[at % 2][0]}", (("symbol", "BTCUSDT"), ("limit", "100")), weight=kinds[at % 2][1])
        for at in range(count)
    ]


def ask_of(grant: str, requests: Sequence[Request], windows: Sequence[Window]) -> Ask:
    """Return what the farm asks before it sends these requests."""
    return Ask(
        provider=PROVIDER,
        budget=PROVIDER,
        dataset="bars",
        grant=grant,
        job="",
        requests=requests,
        windows=windows,
        budget_windows=windows,
        deadline_s=DEADLINE_S,
        is_live=True,
    )


def ended_of(outcomes: Sequence[Answer | Failure]) -> list[Ended]:
    """Return what the gate is told about them."""
    now = datetime.now(UTC)
    return [
        Ended(
            one.request,
            verdict=_verdict(one),
            age_ms=int((now - one.received_at).total_seconds() * 1000),
            latency_ms=int((one.received_at - one.sent_at).total_seconds() * 1000),
        )
        for one in outcomes
    ]


def _verdict(outcome: Answer | Failure) -> Verdict:
    if isinstance(outcome, Failure):
        return "failed"
    return "ok" if outcome.status == 200 else "throttled"


def main() -> None:
    """Ask until the time is over."""
    parser = argparse.ArgumentParser(description="Ask through the gate.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--weight", type=int, required=True)
    parser.add_argument("--window-s", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    asked = parser.parse_args()
    windows = windows_of(PROVIDER, (Limit(asked.weight, asked.window_s, "the mock's", "weight"),))
    gate = Gate(open_redis(os.environ["REDIS_URL"]), lambda _: Seed())
    client = open_client("auto", connections=BATCH)
    endpoint = Endpoint(f"http://{LOOPBACK}:{asked.port}/{PROVIDER}")
    deadline, number = time.monotonic() + asked.seconds, 0
    while time.monotonic() < deadline:
        number += 1
        admission = gate.admit(ask_of(f"{os.getpid()}:{number}", requests_of(BATCH), windows))
        if not admission.granted:
            time.sleep(admission.wait_s)
            continue
        batch = admission.ask.requests[: admission.granted]
        outcomes = client.send(batch, endpoint, deadline_s=DEADLINE_S, max_bytes=1 << 20)
        gate.report(admission, ended_of(outcomes), policy=BreakerPolicy())


if __name__ == "__main__":
    main()
