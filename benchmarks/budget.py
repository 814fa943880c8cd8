"""Budget: how much of a limit four processes use, and how often they break it, through the gate and through ccxt.

Binance's shape: 6,000 weight a minute. By default a tenth of it in a tenth of the time (600 in 6 s), `--full` for the
minute. Deliberately not here: the farm around the gate. Invariant: the figures are the mock's own count, which it
enforces in a sliding window with no tolerance.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import urllib.request
from importlib.util import find_spec
from typing import Any

from benchmarks.stage import Stage, listens, running, stage, until
from benchmarks.weight_mock import TOLD
from ingest.settings import CHECKOUT
from local.port import LOOPBACK, free_port

NAME = "budget"
HELP = "share of a weight limit that four processes use, and violations: the farm's gate, ccxt"
PROCESSES = 4
AMOUNT, WINDOW_S = 6_000, 60
#: The default is this many times shorter, at the same weight a second.
SHORTER = 10
#: Time of its own that a process needs to start and to end.
_SPARE_S = 60.0


def add_options(options: argparse.ArgumentParser) -> None:
    """Declare what can be chosen."""
    options.add_argument("--full", action="store_true", help="6,000 weight a minute instead of 600 in 6 s")
    options.add_argument("--windows", type=float, default=6, help="windows to ask for (default: %(default)s)")
    options.add_argument("--latency-ms", type=float, default=50, help="of the mock (default: %(default)s)")


def run(chosen: argparse.Namespace) -> dict[str, Any]:
    """Measure, and return the figures."""
    amount, window_s = (AMOUNT, WINDOW_S) if chosen.full else (AMOUNT // SHORTER, WINDOW_S // SHORTER)
    seconds = window_s * chosen.windows
    limit = ("--weight", str(amount), "--window-s", str(window_s))
    with stage() as where:
        ours = _measure(where, "gate_caller", limit, seconds, chosen.latency_ms, also=limit)
        theirs = None
        if find_spec("ccxt") is not None:
            theirs = _measure(where, "ccxt_caller", limit, seconds, chosen.latency_ms)
    return {
        "limit": f"{amount:,} weight in any {window_s} s",
        "latency_ms": chosen.latency_ms,
        "windows": chosen.windows,
        "processes": PROCESSES,
        **ours,
        "ccxt": theirs or "not measured: ccxt is not installed (.[bench])",
        "machine": f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the end",
    }


def _measure(
    where: Stage, caller: str, limit: tuple[str, ...], seconds: float, latency_ms: float, also: tuple[str, ...] = ()
) -> dict[str, float]:
    """Let the processes ask at once; return what the mock says. Raises RuntimeError where one of them failed."""
    port = free_port()
    mock = (sys.executable, "-m", "benchmarks.weight_mock", "--port", str(port), *limit)
    env = {**os.environ, "REDIS_URL": where.urls.redis_url}
    with running(where, "mock", *mock, "--latency-ms", f"{latency_ms:g}", env=os.environ):
        until(lambda: listens(port), 20, "the mock")
        argv = (sys.executable, "-m", f"benchmarks.{caller}", "--port", str(port), "--seconds", f"{seconds:g}", *also)
        callers = [
            subprocess.Popen(argv, cwd=CHECKOUT, env=env, stderr=subprocess.PIPE, text=True) for _ in range(PROCESSES)
        ]
        try:
            said = [one.communicate(timeout=seconds + _SPARE_S)[1] for one in callers]
        finally:
            for one in callers:
                one.kill()
        if any(one.returncode for one in callers):
            raise RuntimeError(f"{caller} failed: {max(said)[-2000:]}")
        with urllib.request.urlopen(f"http://{LOOPBACK}:{port}{TOLD.decode()}", timeout=10) as answer:
            told = json.load(answer)
    return {name: round(value, 1) for name, value in told.items()}
