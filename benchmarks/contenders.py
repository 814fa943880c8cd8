"""The three that fill the same table with the same pages: the farm, the naive Celery project, the hand-written loop.

Deliberately not here: rounds and ratios (ingest.py). Invariant: each begins with empty tables and warm processes, and
its time counts only if every row is in the table afterwards.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Literal

from celery import Celery

from benchmarks import loop
from benchmarks.cpu import cpu_s, spent
from benchmarks.pages import INTERVAL, START, WARM_UP_PAIRS, WARM_UP_ROWS, Stretch, stretch
from benchmarks.stage import Stage, context_of, number, running, running_farm, until
from ingest import providers
from ingest.pipeline.context import Context
from ingest.pipeline.follow import plan_history
from ingest.pipeline.workers import wake_leader
from local.port import LOOPBACK
from models.partitions import ensure_partitions

PATIENCE_S = 300.0
#: Enough for both children of its worker.
NAIVE_WARM_UP_PAGES = 4
_OWED = "SELECT count(*) FROM jobs WHERE lane = 'backfill' AND state IN ('due', 'leased', 'fetched')"
WARM_UP = stretch(WARM_UP_ROWS, WARM_UP_PAIRS)


@dataclass(frozen=True, slots=True)
class Bench:
    """What all contenders share: servers, and the mock's port and process id."""

    stage: Stage
    port: int
    mock_pid: int

    def pids(self) -> dict[str, int]:
        """Return the servers' process ids."""
        servers = self.stage.servers
        postgres = servers.postgres.pid if servers.postgres else 0
        return {"postgres": postgres, "valkey": servers.valkey.pid if servers.valkey else 0, "mock": self.mock_pid}


@dataclass(frozen=True, slots=True)
class Run:
    """One measurement. `cpu_us` is CPU time per row, by process."""

    rows_s: float
    cpu_us: Mapping[str, float]


def farm(bench: Bench, pages: Stretch, settings: Mapping[str, str]) -> Run:
    """Measure the farm: from the commit that owes the jobs to the last job's commit."""
    _clear(bench, pages)
    environment = {
        "TICKFARM_SANDBOX_URL": f"http://{LOOPBACK}:{bench.port}",
        "TICKFARM_PACE": "False",  # binance's own limit is 50 pages a second
        **settings,
    }
    with running_farm(bench.stage, environment) as supervisor, context_of(bench.stage) as context:
        _work_off(bench, context, WARM_UP)
        pids = bench.pids() | supervisor.pids()
        before = cpu_s(pids)
        seconds = _work_off(bench, context, pages)
        used = spent(before, cpu_s(pids), per=pages.rows / 1e6)
        _verify(bench, pages.rows + WARM_UP.rows, is_farm=True)
    return Run(pages.rows / seconds, used)


def naive(bench: Bench, pages: Stretch, task: Literal["fetch", "fetch_executemany"]) -> Run:
    """Measure the naive project: from the first send to the last row."""
    _clear(bench, pages)
    warm_rows = NAIVE_WARM_UP_PAGES * 1_000
    broker = f"{bench.stage.urls.redis_url.rpartition('/')[0]}/1"
    environment = {**os.environ, "NAIVE_BROKER_URL": broker, "NAIVE_DATABASE_URL": bench.stage.urls.database_url}
    argv = (sys.executable, "-m", "celery", "-A", "benchmarks.naive", "worker", "--loglevel=WARNING")
    with running(bench.stage, "naive", *argv, env=environment) as child:
        send = partial(_naive_app(broker).send_task, f"benchmarks.naive.{task}")
        for page in WARM_UP.urls(bench.port)[:NAIVE_WARM_UP_PAGES]:
            send((page[0], 0))
        until(lambda: _bars(bench) == warm_rows, 60, "the naive worker")
        pids = bench.pids() | {"worker": child.pid}
        before, began = cpu_s(pids), time.perf_counter()
        for page in pages.urls(bench.port):
            send(page)
        until(lambda: _bars(bench) == warm_rows + pages.rows, PATIENCE_S, "the naive project's rows", every_s=0.05)
        seconds = time.perf_counter() - began
        used = spent(before, cpu_s(pids), per=pages.rows / 1e6)
    return Run(pages.rows / seconds, used)


def _naive_app(broker: str) -> Celery:
    return Celery("naive", broker=broker)


def by_hand(bench: Bench, pages: Stretch) -> Run:
    """Measure the loop: from the first request to the last commit."""
    _clear(bench, pages)
    pids = bench.pids() | {"loop": os.getpid()}
    with closing(bench.stage.database()) as connection:
        loop.load(connection, [(url, 0) for url, _ in WARM_UP.urls(bench.port)])
        before, began = cpu_s(pids), time.perf_counter()
        loop.load(connection, pages.urls(bench.port))
        seconds = time.perf_counter() - began
        used = spent(before, cpu_s(pids), per=pages.rows / 1e6)
    _verify(bench, pages.rows + WARM_UP.rows)
    # The servers and the mock are this process's children, and not the loop.
    used["loop"] = round(used["loop"] - sum(used[name] for name in bench.pids()), 1)
    return Run(pages.rows / seconds, used)


def _clear(bench: Bench, pages: Stretch) -> None:
    bench.stage.clear()
    with context_of(bench.stage) as context, context.sessions.begin() as session:
        ensure_partitions(session, "bars", START, pages.end)


def _work_off(bench: Bench, context: Context, pages: Stretch) -> float:
    """Owe the pages as history and return the seconds until all jobs are done."""
    now = datetime.now(UTC)
    began = time.perf_counter()
    with context.sessions.begin() as session:
        plan_history(
            session,
            providers.get("binance"),
            pages.instruments,
            interval=INTERVAL,
            start=START,
            end=pages.end,
            now=now,
        )
    wake_leader(context.redis)
    with closing(bench.stage.database()) as connection, connection.cursor() as cursor:
        until(lambda: number(cursor, _OWED) == 0, PATIENCE_S, "the farm's jobs")
    return time.perf_counter() - began


def _bars(bench: Bench) -> int:
    return bench.stage.number("SELECT count(*) FROM bars")


def _verify(bench: Bench, rows: int, *, is_farm: bool = False) -> None:
    """Compare the tables with what was asked for. Raises RuntimeError: then there is no figure."""
    count = bench.stage.number
    found = {"bars": _bars(bench)}
    expected = {"bars": rows}
    if is_farm:
        found["stored in the ledger"] = count("SELECT coalesce(sum(stored), 0) FROM ledger")
        found["findings"] = count("SELECT count(*) FROM findings")
        found["jobs in trouble"] = count("SELECT count(*) FROM jobs WHERE state = 'dead' OR lost_leases + failures > 0")
        expected |= {"stored in the ledger": rows, "findings": 0, "jobs in trouble": 0}
    if found != expected:
        raise RuntimeError(f"expected {expected}, found {found}")
