"""Fetch: small requests a second, from owed job to committed quote, and how soon a poll that is due is answered.

200 instruments a message, each a request of its own, budget, breaker, health, audit and storing on. Deliberately not
here: how each contender runs (polls, quote_contenders). Invariant: all are measured in one run, in turns, with the
order reversed every other round; a ratio is the median of the rounds' ratios.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from statistics import median
from typing import Any

from benchmarks import quote_contenders
from benchmarks.contenders import Bench
from benchmarks.polls import Run, polls
from benchmarks.stage import stage
from benchmarks.tickers import BATCH, requests_s, ticker_mock

NAME = "fetch"
HELP = "requests a second, 200 a message: farm, naive Celery project, aiohttp engine, bare pycurl loop; poll latency"
CONTESTANTS = ("farm", "farm_quiet", "naive", "aiohttp", "curl")
#: The naive project gets a part of the requests: it is fifty times slower.
NAIVE_PART = 25
#: What a contender needs of the bench extra.
NEEDS = {"naive": "pybreaker", "aiohttp": "aiohttp"}
#: Polls for the latency come at this share of what the farm reached.
LOAD = 0.5


def add_options(options: argparse.ArgumentParser) -> None:
    """Declare what can be chosen."""
    options.add_argument("--requests", type=int, default=60_000, help="of one measurement (default: %(default)s)")
    options.add_argument("--rounds", type=int, default=3, help="rounds (default: %(default)s)")
    options.add_argument(
        "--seconds", type=int, default=30, help="time of the polls at half load (default: %(default)s)"
    )
    options.add_argument("--only", nargs="+", choices=CONTESTANTS, default=CONTESTANTS, help="measure only these")


def run(chosen: argparse.Namespace) -> dict[str, Any]:
    """Measure, and return the figures."""
    jobs = -(-chosen.requests // BATCH)
    requests = jobs * BATCH
    with stage() as where, ticker_mock(where) as (port, pid):
        bench = Bench(where, port, pid)
        ceiling = requests_s(port)
        contests: dict[str, Callable[[], Run]] = {
            "farm": lambda: _farm(bench, jobs, is_quiet=False),
            "farm_quiet": lambda: _farm(bench, jobs, is_quiet=True),
            "naive": lambda: quote_contenders.naive(bench, max(requests // NAIVE_PART, 1)),
            "aiohttp": lambda: quote_contenders.engine(bench, "aiohttp_engine", requests),
            "curl": lambda: quote_contenders.engine(bench, "curl_loop", requests),
        }
        missing = {name: needs for name, needs in NEEDS.items() if find_spec(needs) is None}
        names = [name for name in contests if name in chosen.only and name not in missing]
        rounds: dict[str, list[Run]] = {name: [] for name in names}
        for number in range(chosen.rounds):
            for name in names[:: -1 if number % 2 else 1]:
                rounds[name].append(contests[name]())
                _tell(number, name, rounds[name][-1])
        figures = {"requests": requests, "rounds": chosen.rounds, "mock_requests_s": round(ceiling)} | _figures(rounds)
        if "farm" in rounds:
            figures |= _latency(bench, figures["farm_requests_s"] * LOAD, chosen.seconds)
    if missing:
        figures["not_measured"] = {name: f"{needs} is not installed (.[bench])" for name, needs in missing.items()}
    figures["machine"] = f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the end"
    return figures


def _farm(bench: Bench, jobs: int, *, is_quiet: bool) -> Run:
    with polls(bench, is_quiet=is_quiet) as farm:
        return farm.throughput(jobs)


def _latency(bench: Bench, rate: float, seconds: float) -> dict[str, Any]:
    with polls(bench) as farm:
        return {"latency_at_requests_s": round(rate), **farm.latency(rate, seconds)}


def _figures(rounds: Mapping[str, list[Run]]) -> dict[str, Any]:
    figures: dict[str, Any] = {
        f"{name}_requests_s": round(median(one.requests_s for one in runs)) for name, runs in rounds.items()
    }
    for other in ("naive", "aiohttp", "curl"):
        if "farm" in rounds and other in rounds:
            pairs = zip(rounds["farm"], rounds[other], strict=True)
            figures[f"ratio_{other}"] = round(median(ours.requests_s / theirs.requests_s for ours, theirs in pairs), 2)
    farms = [run for name in ("farm", "farm_quiet") for run in rounds.get(name, ())]
    if farms:
        figures["success_pct"] = min(run.success_pct for run in farms)
    figures["all_requests_s"] = {name: [round(one.requests_s) for one in runs] for name, runs in rounds.items()}
    figures["cpu_us_per_request"] = {name: _median_cpu(runs) for name, runs in rounds.items()}
    return figures


def _median_cpu(runs: list[Run]) -> dict[str, float]:
    return {name: median(one.cpu_us[name] for one in runs) for name in runs[0].cpu_us}


def _tell(number: int, name: str, done: Run) -> None:
    print(f"round {number + 1}: {name} {done.requests_s:,.0f} requests/s, us {dict(done.cpu_us)}", file=sys.stderr)
