"""Import: one-minute bars from a file into the tables, by `tickfarm import` in a process of its own.

Beside it COPY of the same lines into a table without keys, checks or ledger: what PostgreSQL takes for reading them.
Deliberately not here: what the rows are checked for.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.stage import Stage, stage
from ingest.settings import CHECKOUT

NAME = "import"
HELP = "bars from a file into the tables"
_HEAD = "instrument,ts,open,high,low,close,volume"
_FIRST = datetime(2020, 1, 1, tzinfo=UTC)
_PLAIN = (
    "CREATE UNLOGGED TABLE plain"
    " (instrument text, ts timestamptz, o numeric, h numeric, l numeric, c numeric, v numeric)"
)


def add_options(options: argparse.ArgumentParser) -> None:
    """Declare what can be chosen."""
    options.add_argument("--rows", type=int, default=2_000_000, help="bars in the file (default: %(default)s)")


def is_bad(figures: Mapping[str, Any]) -> bool:
    """Say whether a row is missing, or a second import changed something."""
    return bool(figures["stored"] != figures["rows"] or figures["again_changed"])


def run(chosen: argparse.Namespace) -> dict[str, Any]:
    """Import a CSV file, import it again, and copy it."""
    with stage() as ground:
        file = ground.home / "bars.csv"
        _write(file, chosen.rows)
        took_s, cpu_s, peak_mb = _import(ground, file)
        said = "SELECT bit_xor(hash_record_extended(ledger, 0)) FROM ledger"
        before = ground.number(said)
        again_s, _, again_mb = _import(ground, file)
        return {
            "rows": chosen.rows,
            "mb": round(file.stat().st_size / 1e6),
            "rows_s": round(chosen.rows / took_s),
            "cpu_us_per_row": round(1e6 * cpu_s / chosen.rows, 1),
            "peak_mb": max(peak_mb, again_mb),
            "again_rows_s": round(chosen.rows / again_s),
            "copy_rows_s": round(chosen.rows / _copy(ground, file)),
            "stored": ground.number("SELECT count(*) FROM bars"),
            "again_changed": int(ground.number(said) != before),
        }


def _write(file: Path, rows: int) -> None:
    with file.open("w") as opened:
        opened.write(_HEAD + "\n")
        for at in range(rows):
            price = 20_000 + at * 7919 % 100_000 / 100
            ts = (_FIRST + timedelta(minutes=at)).isoformat()
            opened.write(f"BTC-USDT,{ts},{price:.2f},{price + 5:.2f},{price - 5:.2f},{price + 1:.2f},{at % 977 / 8}\n")


def _import(ground: Stage, file: Path) -> tuple[float, float, int]:
    """Return how long it took, its CPU, and the most memory it held: of the command, not of PostgreSQL."""
    command = [sys.executable, "-m", "cli", "import", "binance", "bars", str(file), "--interval", "1m"]
    env = {**os.environ, "DATABASE_URL": ground.urls.database_url, "REDIS_URL": ground.urls.redis_url}
    began = time.monotonic()
    os.chdir(CHECKOUT)
    process = os.posix_spawn(sys.executable, command, env, file_actions=[(os.POSIX_SPAWN_DUP2, 2, 1)])
    _, status, usage = os.wait4(process, 0)
    if status:
        raise RuntimeError(f"the import ended with {os.waitstatus_to_exitcode(status)}")
    return time.monotonic() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss // 1024


def _copy(ground: Stage, file: Path) -> float:
    with closing(ground.database()) as connection, connection.cursor() as cursor, file.open() as opened:
        cursor.execute(_PLAIN)
        began = time.monotonic()
        cursor.copy_expert("COPY plain FROM STDIN (FORMAT csv, HEADER)", opened)
        return time.monotonic() - began
