"""What people load history with, each in a process of its own: started here, and its rows counted.

Deliberately not here: the loaders (ccxt_loader.py, dlt_loader.py). Invariant: this file needs nothing of theirs, which
are an extra; a loader's time counts only if every row is in its table.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from datetime import UTC, datetime

import sqlalchemy

from benchmarks.stage import Stage
from ingest.settings import CHECKOUT

INTERVAL, PAGE_ROWS, MINUTE_MS = "1m", 1_000, 60_000
SYMBOL = "BTCUSDT"
START = datetime(2024, 1, 1, tzinfo=UTC)
SCHEMA, TABLE = "contender", "klines"
PATIENCE_S = 600


def rows_s(where: Stage, port: int, name: str, days: int) -> float:
    """Return how many rows a second one of them brings. Raises RuntimeError where rows are missing."""
    engine = sqlalchemy.create_engine(where.urls.database_url)
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE"))
        connection.execute(sqlalchemy.text(f"CREATE SCHEMA {SCHEMA}"))
    engine.dispose()
    argv = [sys.executable, "-m", f"benchmarks.{name}_loader", "--port", str(port), "--days", str(days)]
    argv += ["--database", where.urls.database_url]
    env = {**os.environ, "HOME": str(where.home), "DLT_DATA_DIR": str(where.home / "dlt")}
    done = subprocess.run(argv, cwd=CHECKOUT, env=env, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{name} failed: {done.stderr[-2000:]}")
    found = where.number(f"SELECT count(*) FROM {SCHEMA}.{TABLE}")
    if found != days * 1_440:
        raise RuntimeError(f"{name}: expected {days * 1_440} rows, found {found}")
    return days * 1_440 / float(done.stdout.split()[-1])


def loader_options() -> argparse.ArgumentParser:
    """Return what each loader is told: the mock's port, how many days of one symbol, and where they go."""
    options = argparse.ArgumentParser(description="Load one symbol's minutes as people do.")
    options.add_argument("--port", type=int, required=True)
    options.add_argument("--days", type=int, required=True)
    options.add_argument("--database", required=True)
    return options


def bounds_ms(days: int) -> tuple[int, int]:
    """Return the first moment and the one after the last, as Binance counts them."""
    start = int(START.timestamp() * 1000)
    return start, start + days * 1_440 * MINUTE_MS
