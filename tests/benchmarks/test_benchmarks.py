"""The benchmarks with tiny sizes: each prints its keys, and nothing unless every row is in the table.

Deliberately not here: whether a figure is good. Invariant: each runs as `python -m benchmarks NAME --json`, in a
process and a state folder of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from benchmarks.kline_mock import answer
from benchmarks.pages import stretch
from ingest.settings import CHECKOUT

pytestmark = pytest.mark.timeout(200)


def figures(*arguments: str) -> dict[str, Any]:
    argv = [sys.executable, "-m", "benchmarks", *arguments, "--json"]
    done = subprocess.run(argv, cwd=CHECKOUT, env=os.environ, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_ingest_prints_its_figures_once_all_rows_are_in_the_table() -> None:
    found = figures("ingest", "--rows", "10000", "--rounds", "1")
    assert found["rows"] == 10_000
    for key in ("mock_pages_s", "farm_rows_s", "naive_rows_s", "naive_executemany_rows_s", "loop_rows_s"):
        assert found[key] > 0, key
    for key in ("ratio_naive", "ratio_naive_executemany", "ratio_loop", "ratio_requests"):
        assert found[key] > 0, key


def test_latency_prints_its_figures_once_every_poll_has_its_rows() -> None:
    found = figures("latency", "--slots", "3", "--warm-up", "1")
    assert 0 < found["p50_ms"] <= found["p95_ms"] <= found["p99_ms"] <= found["max_ms"]
    assert found["mean_ms"] > 0
    parts = sum(part["mean"] for part in found["parts"].values())
    assert parts == pytest.approx(found["mean_ms"], abs=1.0)


def test_schedule_prints_its_figures_once_every_slot_was_owed_once() -> None:
    found = figures("schedule", "--seconds", "6", "--warm-up", "2")
    assert found["entries"] == 1_000
    assert found["slots"] >= 30
    assert found["cpu_pct"] > 0
    assert found["mb"] > 0
    assert 0 < found["late_p50_ms"] <= found["late_ms"] <= found["late_max_ms"]


def test_a_stretch_holds_at_least_the_rows_asked_for_in_whole_jobs() -> None:
    assert [stretch(rows).rows for rows in (1, 5_000, 5_001, 400_000)] == [5_000, 5_000, 10_000, 400_000]


def test_the_mock_answers_a_window_with_exactly_its_minutes() -> None:
    start = 1_704_067_200_000
    head, _, body = answer(
        f"/binance/api/v3/klines?symbol=BTCUSDT&interval=1m&startTime={start + 1}&endTime={start + 179_999}&limit=1000"
    ).partition(b"\r\n\r\n")
    assert int(head.rpartition(b": ")[2]) == len(body)
    assert [row[0] for row in json.loads(body)] == [start + 60_000, start + 120_000]
    assert all(len(row) == 12 for row in json.loads(body))
