"""The others that ask for the same quotes: the naive Celery project, the aiohttp engine, the bare pycurl loop.

Deliberately not here: the farm (polls), rounds and ratios (fetch). Invariant: each is warm, and its time counts only if
every answer was good, or, where it stores, every row is in the table.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from typing import Literal

from celery import Celery

from benchmarks.contenders import Bench
from benchmarks.cpu import cpu_s, spent
from benchmarks.polls import PATIENCE_S, Run, by_group
from benchmarks.stage import context_of, running, until
from benchmarks.tickers import urls
from ingest.settings import CHECKOUT
from models.partitions import ensure_partitions

#: Enough for both children of its worker.
_WARM_UP = 40


def naive(bench: Bench, requests: int) -> Run:
    """Measure the naive project: from the first send to the last row."""
    bench.stage.clear()
    now = datetime.now(UTC)
    with context_of(bench.stage) as context, context.sessions.begin() as session:
        ensure_partitions(session, "quotes", now, now)
    broker = f"{bench.stage.urls.redis_url.rpartition('/')[0]}/1"
    environment = {**os.environ, "NAIVE_BROKER_URL": broker, "NAIVE_DATABASE_URL": bench.stage.urls.database_url}
    argv = (sys.executable, "-m", "celery", "-A", "benchmarks.naive_quotes", "worker", "--loglevel=WARNING")
    with running(bench.stage, "naive", *argv, env=environment) as child:
        app = Celery("naive_quotes", broker=broker)

        def send(addresses: list[str]) -> None:
            for number, url in enumerate(addresses):
                app.send_task("benchmarks.naive_quotes.fetch", (url, 1 + number % len(addresses)))

        send(urls(bench.port, _WARM_UP))
        until(lambda: _quotes(bench) == _WARM_UP, 60, "the naive worker")
        pids = bench.pids() | {"worker": child.pid}
        before, began = cpu_s(pids), datetime.now(UTC)
        send(urls(bench.port, requests))
        until(lambda: _quotes(bench) == _WARM_UP + requests, PATIENCE_S, "the naive project's rows", every_s=0.05)
        seconds = (datetime.now(UTC) - began).total_seconds()
        used = spent(before, cpu_s(pids), per=requests / 1e6)
    return Run(requests / seconds, 100.0, by_group(used))


def engine(bench: Bench, name: Literal["aiohttp_engine", "curl_loop"], requests: int) -> Run:
    """Measure an engine that stores nothing, in a process of its own."""
    mock = {"mock": bench.mock_pid}
    argv = (sys.executable, "-m", f"benchmarks.{name}", "--port", str(bench.port), "--requests", str(requests))
    before = cpu_s(mock)
    done = subprocess.run(argv, cwd=CHECKOUT, capture_output=True, text=True, timeout=PATIENCE_S, check=True)
    used = spent(before, cpu_s(mock), per=requests / 1e6)
    told = json.loads(done.stdout)
    if told["good"] != requests:
        raise RuntimeError(f"{name}: expected {requests} good answers, got {told['good']}")
    return Run(requests / told["seconds"], 100.0, {"engine": round(told["cpu_s"] / requests * 1e6, 1)} | used)


def _quotes(bench: Bench) -> int:
    return bench.stage.number("SELECT count(*) FROM quotes")
