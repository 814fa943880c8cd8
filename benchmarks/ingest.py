"""Throughput: 1,000-row pages over HTTP into PostgreSQL, by the farm, by a naive Celery project, by a hand-made loop.

Deliberately not here: how each of them runs (contenders.py). Invariant: all are measured in one run, in turns, with
the order reversed every other round; a ratio is the median of the rounds' ratios.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping
from statistics import median
from typing import Any

from benchmarks import contenders
from benchmarks.contenders import WARM_UP, Bench, Run
from benchmarks.pages import mock, pages_s, stretch
from benchmarks.stage import stage

NAME = "ingest"
HELP = "rows a second from HTTP page to committed row: farm, naive Celery project, hand-written loop"
#: The naive project gets a part of the pages: it is ten to thirty times slower.
NAIVE_PART = 20

CONTESTANTS = ("farm", "naive", "naive_executemany", "loop", "farm_requests")
#: What the farm's rate is divided by, for each ratio.
RATIOS = {
    "ratio_naive": "naive",
    "ratio_naive_executemany": "naive_executemany",
    "ratio_loop": "loop",
    "ratio_requests": "farm_requests",
}

Rounds = dict[str, list[Run]]


def add_options(options: argparse.ArgumentParser) -> None:
    """Declare what can be chosen."""
    options.add_argument("--rows", type=int, default=400_000, help="rows of one measurement (default: %(default)s)")
    options.add_argument("--rounds", type=int, default=3, help="rounds (default: %(default)s)")
    options.add_argument("--only", nargs="+", choices=CONTESTANTS, default=CONTESTANTS, help="measure only these")


def run(chosen: argparse.Namespace) -> dict[str, Any]:
    """Measure, and return the figures."""
    pages = stretch(chosen.rows)
    few = stretch(max(chosen.rows // NAIVE_PART, 1))
    with stage() as where, mock(where, (pages, few, WARM_UP)) as (port, pid):
        bench = Bench(where, port, pid)
        ceiling = pages_s(port, pages)
        contests: dict[str, Callable[[], Run]] = {
            "farm": lambda: contenders.farm(bench, pages, {"TICKFARM_TRANSPORT": "curl"}),
            "naive": lambda: contenders.naive(bench, few, "fetch"),
            "naive_executemany": lambda: contenders.naive(bench, few, "fetch_executemany"),
            "loop": lambda: contenders.by_hand(bench, pages),
            "farm_requests": lambda: contenders.farm(bench, pages, {"TICKFARM_TRANSPORT": "requests"}),
        }
        names = [name for name in contests if name in chosen.only]
        rounds: Rounds = {name: [] for name in names}
        for number in range(chosen.rounds):
            for name in names[:: -1 if number % 2 else 1]:
                rounds[name].append(contests[name]())
                _tell(number, name, rounds[name][-1])
    return {"rows": pages.rows, "rounds": chosen.rounds, "mock_pages_s": round(ceiling), **_figures(rounds)}


def _figures(rounds: Mapping[str, list[Run]]) -> dict[str, Any]:
    figures: dict[str, Any] = {
        f"{name}_rows_s": round(median(one.rows_s for one in runs)) for name, runs in rounds.items()
    }
    for ratio, other in RATIOS.items():
        if "farm" in rounds and other in rounds:
            pairs = zip(rounds["farm"], rounds[other], strict=True)
            figures[ratio] = round(median(ours.rows_s / theirs.rows_s for ours, theirs in pairs), 2)
    figures["all_rows_s"] = {name: [round(one.rows_s) for one in runs] for name, runs in rounds.items()}
    figures["cpu_us_per_row"] = {name: _median_cpu(runs) for name, runs in rounds.items()}
    figures["machine"] = f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the end"
    return figures


def _median_cpu(runs: list[Run]) -> dict[str, float]:
    return {name: median(one.cpu_us[name] for one in runs) for name in runs[0].cpu_us}


def _tell(number: int, name: str, done: Run) -> None:
    print(f"round {number + 1}: {name} {done.rows_s:,.0f} rows/s", file=sys.stderr)
