"""Backfill: ten symbols' minutes into PostgreSQL with the ledger on, beside what people use for it: ccxt and dlt.

Deliberately not here: how each of the others runs (backfill_contenders.py), and recovery from faults (faults.py).
Invariant: all ask the same mock for the same minutes; a contender's time counts only if every row is in its table.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from statistics import median
from typing import Any

from benchmarks import backfill_contenders as others
from benchmarks.backfill_contenders import INTERVAL, START
from benchmarks.pages import PAIRS
from benchmarks.stage import Stage, context_of, listens, number, running, running_farm, stage, until
from ingest import providers
from ingest.pipeline import backfill
from ingest.pipeline.audit import By
from ingest.pipeline.backfill_plan import check_ask
from ingest.pipeline.backfill_status import progress_of
from ingest.pipeline.workers import wake_leader
from local.port import LOOPBACK, free_port

NAME = "backfill"
HELP = "rows a second of a backfill with the ledger on, beside ccxt with pandas, and dlt"
PATIENCE_S = 900.0
#: One symbol warms the farm's processes up; its rows are not counted.
_WARM_UP = "WARM-USDT"
_OWED = "SELECT count(*) FROM jobs WHERE lane = 'backfill' AND state IN ('due', 'leased', 'fetched')"


def add_options(options: argparse.ArgumentParser) -> None:
    """Declare what can be chosen."""
    options.add_argument("--symbols", type=int, default=10, choices=range(1, len(PAIRS) + 1), help="of the farm's run")
    options.add_argument("--days", type=int, default=90, help="days of minutes of each symbol (default: %(default)s)")
    options.add_argument(
        "--their-days", type=int, default=14, help="days of one symbol for the others, as rows a second"
    )
    options.add_argument("--rounds", type=int, default=3, help="rounds, in turns (default: %(default)s)")


def run(chosen: argparse.Namespace) -> dict[str, Any]:
    """Measure, and return the figures."""
    found: dict[str, list[float]] = {}
    absent = [name for name in ("ccxt", "dlt") if find_spec(name) is None]
    with stage() as where:
        port = free_port()
        argv = (sys.executable, "-m", "benchmarks.kline_mock", "--port", str(port))
        with running(where, "mock", *argv, env=os.environ):
            until(lambda: listens(port), 20, "the mock")
            contests: dict[str, Callable[[], float]] = {
                "farm": lambda: farm_rows_s(where, port, PAIRS[: chosen.symbols], chosen.days),
                "ccxt": lambda: others.rows_s(where, port, "ccxt", chosen.their_days),
                "dlt": lambda: others.rows_s(where, port, "dlt", chosen.their_days),
            }
            names = [name for name in contests if name not in absent]
            for turn in range(chosen.rounds):
                for name in names[:: -1 if turn % 2 else 1]:
                    found.setdefault(name, []).append(contests[name]())
                    print(f"round {turn + 1}: {name} {found[name][-1]:,.0f} rows/s", file=sys.stderr)
    return {
        "rows": chosen.symbols * chosen.days * 1_440,
        "their_rows": chosen.their_days * 1_440,
        **{f"{name}_rows_s": round(median(each)) for name, each in found.items()},
        **{f"ratio_{name}": _ratio(found, name) for name in names if name != "farm"},
        "left_out": absent,
        "machine": f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the end",
    }


def farm_rows_s(where: Stage, port: int, instruments: tuple[str, ...], days: int) -> float:
    """Return how many rows a second the farm brings, from the commit of the order to the last job's."""
    where.clear()
    settings = {"TICKFARM_SANDBOX_URL": f"http://{LOOPBACK}:{port}", "TICKFARM_PACE": "False"}
    with running_farm(where, settings):
        _work_off(where, (_WARM_UP,), 14)
        seconds = _work_off(where, instruments, days)
    expected = (len(instruments) * days + 14) * 1_440
    proven = where.number("SELECT coalesce(sum(stored), 0) FROM ledger WHERE state = 'verified'")
    if (stored := where.number("SELECT count(*) FROM bars")) != expected or proven != expected:
        raise RuntimeError(f"expected {expected} rows, found {stored}, {proven} of them proven")
    return len(instruments) * days * 1_440 / seconds


def _work_off(where: Stage, instruments: tuple[str, ...], days: int) -> float:
    """Order a backfill and return the seconds until it is over."""
    now = datetime.now(UTC)
    window = {"interval": INTERVAL, "start": START, "end": START + timedelta(days=days), "mode": "missing"}
    with context_of(where) as context:
        ask = check_ask(context.settings, providers.get("binance"), "bars", instruments, now=now, **window)  # type: ignore[arg-type]
        with context.sessions.begin() as session:
            order, _ = backfill.run(session, context.settings, ask, by=By("benchmark", "command"), now=now)
        ordered_at = datetime.now(UTC)
        wake_leader(context.redis)
        with closing(where.database()) as connection, connection.cursor() as cursor:
            until(lambda: number(cursor, _OWED) == 0, PATIENCE_S, "the backfill")
        seconds = (datetime.now(UTC) - ordered_at).total_seconds()
        with context.sessions() as session:
            assert order is not None
            found = progress_of(session, context.settings, backfill.find(session, order), datetime.now(UTC))
    if not found.is_proven:
        raise RuntimeError(f"the backfill is not whole: {found}")
    return seconds


def _ratio(found: dict[str, list[float]], name: str) -> float:
    pairs = zip(found["farm"], found[name], strict=True)
    return round(median(ours / theirs for ours, theirs in pairs), 2)
