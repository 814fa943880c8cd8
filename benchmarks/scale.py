"""Scale: the same polls by 1, 2 and 4 worker processes against a mock that answers after 50 ms.

Waiting, and not this machine's cores, is meant to be the limit. Deliberately not here: more machines than this one.
Invariant: what is said about 50,000 requests a second is arithmetic from figures of this run, which it shows.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
from typing import Any

from benchmarks.contenders import Bench
from benchmarks.polls import Run, polls
from benchmarks.stage import stage
from benchmarks.tickers import BATCH, ticker_mock

NAME = "scale"
HELP = "requests a second by 1, 2 and 4 worker processes against 50 ms latency, and machines for 50,000 a second"
WORKERS = (1, 2, 4)
LATENCY_MS = 50.0
AIM_REQUESTS_S = 50_000
#: A message's requests all under way at once: with fewer connections each batch would wait several latencies.
SETTINGS = {"TICKFARM_CONNECTIONS": str(BATCH)}
#: What the farm itself takes; the mock stands for the providers, which run elsewhere.
OURS = ("workers", "postgres", "redis", "beat", "flower")


def add_options(options: argparse.ArgumentParser) -> None:
    """Declare what can be chosen."""
    options.add_argument("--requests", type=int, default=40_000, help="of one measurement (default: %(default)s)")
    options.add_argument("--workers", type=int, nargs="+", default=WORKERS, help="processes (default: 1 2 4)")


def run(chosen: argparse.Namespace) -> dict[str, Any]:
    """Measure, and return the figures."""
    jobs, runs = -(-chosen.requests // BATCH), {}
    with stage() as where, ticker_mock(where, latency_ms=LATENCY_MS) as (port, pid):
        bench = Bench(where, port, pid)
        for workers in chosen.workers:
            with polls(bench, children=workers, settings=SETTINGS) as farm:
                runs[workers] = farm.throughput(jobs)
            print(f"{workers} workers: {runs[workers].requests_s:,.0f} requests/s", file=sys.stderr)
    fewest, last = runs[min(runs)], runs[max(runs)]
    return {
        "latency_ms": LATENCY_MS,
        "requests": jobs * BATCH,
        "requests_s_by_workers": {str(workers): round(one.requests_s) for workers, one in runs.items()},
        "speedup_by_workers": {str(n): round(one.requests_s / fewest.requests_s, 2) for n, one in runs.items()},
        "cpu_us_per_request": {str(workers): dict(one.cpu_us) for workers, one in runs.items()},
        "cores_busy": {str(workers): _busy(one) for workers, one in runs.items()},
        "success_pct": min(one.success_pct for one in runs.values()),
        "for_50000_requests_s": _machines(last),
        "machine": f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the end",
    }


def _busy(run: Run) -> float:
    """Return how many cores were busy, the mock's too: near what there is, they were the limit, and no wait."""
    return round(sum(run.cpu_us.values()) * run.requests_s / 1e6, 2)


def _machines(run: Run) -> dict[str, Any]:
    """Return the cores each part would need, and the machines like this one that makes."""
    cores = {name: round(run.cpu_us[name] * AIM_REQUESTS_S / 1e6, 1) for name in OURS if name in run.cpu_us}
    here = os.cpu_count() or 1
    return {
        "cores": cores,
        "machines_like_this": math.ceil(sum(cores.values()) / here),
        "says": f"{sum(cores.values()):.0f} cores in all; beat and Redis work on one core each: "
        f"{cores['beat']:.1f} and {cores['redis']:.1f} of it",
    }
