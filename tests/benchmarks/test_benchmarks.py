"""The benchmarks with tiny sizes: each prints its keys, and nothing unless every row is in the table.

Deliberately not here: whether a figure is good. Invariant: each runs as `python -m benchmarks NAME --json`, in a
process and a state folder of its own.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from datetime import UTC, datetime
from threading import Thread
from typing import Any

import pytest

from benchmarks.kline_mock import answer
from benchmarks.pages import stretch
from benchmarks.ticker_mock import answer as ticker
from benchmarks.weight_mock import WeightLimit, used_pct
from benchmarks.wire_server import WireServer, http_answer
from ingest import providers
from ingest.providers.contract import Query
from ingest.settings import CHECKOUT
from ingest.wire import Answer
from local.port import LOOPBACK, free_port

pytestmark = pytest.mark.timeout(200)


def figures(*arguments: str, within_s: float = 180) -> dict[str, Any]:
    argv = [sys.executable, "-m", "benchmarks", *arguments, "--json"]
    done = subprocess.run(
        argv, cwd=CHECKOUT, env=os.environ, capture_output=True, text=True, timeout=within_s, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_ingest_prints_its_figures_once_all_rows_are_in_the_table() -> None:
    found = figures("ingest", "--rows", "5000", "--rounds", "1", "--only", "farm", "naive", "loop")
    assert found["rows"] == 5_000
    for key in ("mock_pages_s", "farm_rows_s", "naive_rows_s", "loop_rows_s", "ratio_naive", "ratio_loop"):
        assert found[key] > 0, key


@pytest.mark.full
def test_backfill_prints_its_figures_once_every_day_is_proven() -> None:
    found = figures("backfill", "--symbols", "1", "--days", "4", "--their-days", "1", "--rounds", "1")
    assert (found["rows"], found["their_rows"]) == (4 * 1_440, 1_440)
    assert found["farm_rows_s"] > 0
    for name in {"ccxt", "dlt"} - set(found["left_out"]):
        assert found[f"ratio_{name}"] > 0, name


@pytest.mark.full
def test_ingest_measures_all_contestants_unless_it_is_told_which() -> None:
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


@pytest.mark.full
def test_freshness_prints_its_figures_once_every_slot_is_stored_and_history_had_work_all_the_time() -> None:
    found = figures("freshness", "--seconds", "4", "--rounds", "1", "--warm-up", "2")
    assert found["idle_p95_ms"] > 0
    assert found["ratio_busy_idle"] == pytest.approx(found["busy_p95_ms"] / found["idle_p95_ms"], abs=0.01)
    assert found["backfill_kept_pct"] == pytest.approx(100 * found["beside_rows_s"] / found["alone_rows_s"], abs=0.1)
    assert found["idle"]["quotes"]["slots"] == found["busy"]["quotes"]["slots"] == 4


def test_schedule_prints_its_figures_once_every_slot_was_owed_once() -> None:
    found = figures("schedule", "--seconds", "4", "--warm-up", "1")
    assert found["entries"] == 1_000
    assert found["slots"] >= 20
    assert found["cpu_pct"] > 0
    assert found["mb"] > 0
    assert 0 < found["late_p50_ms"] <= found["late_ms"] <= found["late_max_ms"]


def test_mutation_finds_and_heals_one_round_of_each_harm() -> None:
    found = figures("mutation", "--rounds", "5", "--days", "3")
    assert (found["detected_pct"], found["healed_pct"], found["false_alarms"]) == (100, 100, 0)
    assert set(found["rounds"].values()) == {1}


@pytest.mark.full
@pytest.mark.timeout(1_500)
def test_chaos_leaves_nothing_lost_twice_stuck_or_over_budget() -> None:
    found = figures("chaos", "--seconds", "60", within_s=1_400)
    assert [found[name] for name in ("lost", "duplicated", "stuck", "over_budget")] == [0, 0, 0, 0], found
    assert sum(found["blows"].values()) > 10
    assert found["rows"] > 100_000


def test_coverage_counts_every_day_that_was_changed() -> None:
    found = figures("coverage", "--series", "3", "--years", "1", "--rounds", "1")
    assert found["days"] == 3 * 365
    assert found["gap_days"] == found["changed_days"]
    assert found["report_s"] > 0


def test_as_of_reads_differ_in_what_was_corrected_and_in_nothing_else() -> None:
    found = figures("as_of", "--rows", "3000", "--rounds", "1")
    assert found["differing"] == found["corrected"] == 3_000 / 60
    assert found["before_rows_s"] > 0


def test_import_prints_its_figures_once_every_row_is_stored() -> None:
    found = figures("import", "--rows", "2000")
    assert (found["stored"], found["again_changed"]) == (2_000, 0)
    assert found["peak_mb"] > 50
    assert found["rows_s"] > 0


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


def test_the_mock_answers_the_newest_minutes_where_no_start_is_asked_for() -> None:
    end = 1_704_067_200_000
    asked = f"/binance/api/v3/klines?symbol=BTCUSDT&interval=1m&endTime={end - 1}&limit=5"
    rows = json.loads(answer(asked).partition(b"\r\n\r\n")[2])
    assert [row[0] for row in rows] == [end - 60_000 * back for back in (5, 4, 3, 2, 1)]


def test_overhead_prints_its_figures_and_two_round_trips_a_batch() -> None:
    found = figures("overhead", "--batches", "10", "--alone", "10")
    assert found["round_trips_per_batch"] == 2
    assert found["us_per_request"] > 0
    assert 0 < found["ms_alone"] <= found["ms_alone_p99"]


def test_parse_prints_its_figures_of_every_dataset_of_a_provider_whose_rows_are_all_good() -> None:
    found = figures("parse", "--only", "binance", "x", "--rounds", "1", "--seconds", "0.01")
    assert found["rows_s"].keys() == {"binance", "x"}
    for name, datasets in found["rows_s"].items():
        assert datasets.keys() == set(providers.get(name).facts.datasets)
        for dataset in datasets.values():
            assert min(dataset["parse_rows_s"], dataset["checked_rows_s"]) > 0
    assert found["rows_s"]["binance"]["bars"]["page_rows"] == providers.get("binance").facts.page_rows


@pytest.mark.full
@pytest.mark.timeout(620)  # it starts three farms
def test_fetch_prints_its_figures_once_every_quote_is_in_the_table() -> None:
    found = figures("fetch", "--requests", "2000", "--rounds", "1", "--seconds", "3", within_s=600)
    left_out = found.get("not_measured", {})
    for name in ("farm", "farm_quiet", "naive", "aiohttp", "curl"):
        assert name in left_out or found[f"{name}_requests_s"] > 0
    for name in ("naive", "aiohttp", "curl"):
        assert name in left_out or found[f"ratio_{name}"] > 0
    assert found["success_pct"] == 100
    assert 0 < found["p50_ms"] <= found["p95_ms"] <= found["p99_ms"] <= found["max_ms"]
    assert found["cpu_us_per_request"]["farm"].keys() >= {"workers", "postgres", "redis", "mock"}


@pytest.mark.full
@pytest.mark.timeout(620)
def test_scale_prints_its_figures_once_every_quote_is_in_the_table() -> None:
    found = figures("scale", "--requests", "2000", "--workers", "1", "2", within_s=600)
    assert found["requests_s_by_workers"].keys() == {"1", "2"}
    assert found["for_50000_requests_s"]["machines_like_this"] >= 1


@pytest.mark.full
def test_budget_four_processes_use_what_is_allowed_and_never_more() -> None:
    found = figures("budget", "--windows", "4")
    assert found["violations"] == 0
    assert found["used_pct"] > 90  # 95 is for a calm machine


def test_the_limit_counts_a_sliding_window_and_what_is_too_much_is_not_used() -> None:
    limit = WeightLimit(10, 6.0)
    assert [limit.take(5, at) for at in (0.0, 3.0, 5.9, 6.0, 8.9, 9.0)] == [True, True, False, True, False, True]
    assert limit.violations == 2
    assert limit.asked == 30
    assert [at for at, _ in limit.accepted] == [0.0, 3.0, 6.0, 9.0]


def test_a_window_filled_again_as_soon_as_it_is_free_is_used_in_full_and_one_filled_every_other_time_by_half() -> None:
    full = [(float(at), 1) for at in range(60)]
    assert used_pct(full, 6, 6.0) == pytest.approx(100, abs=2)
    assert used_pct(full[::2], 6, 6.0) == pytest.approx(50, abs=2)


def test_the_mock_answers_a_ticker_that_the_provider_reads() -> None:
    provider = providers.get("coinbase")
    [request] = provider.build(Query("quotes", ("C00001-USD",)))
    head, _, body = ticker(f"/coinbase{request.path}").partition(b"\r\n\r\n")
    assert f"Content-Length: {len(body)}".encode() in head
    now = datetime.now(UTC)
    received = Answer(request, 200, {}, body, now, now)
    assert provider.error_of(received) is None
    assert provider.parse(Query("quotes", ("C00001-USD",)), received).columns["instrument"] == ["C00001-USD"]


def test_the_wire_server_answers_requests_that_come_in_pieces_and_together_in_their_order() -> None:
    port = free_port()
    server = WireServer(port, lambda target: http_answer("200 OK", target.decode()), latency_s=0.01)
    Thread(target=server.serve, daemon=True).start()
    with socket.create_connection((LOOPBACK, port), timeout=5) as wire:
        wire.sendall(b"GET /1 HTTP/1.1\r\nHo")
        wire.sendall(b"st: x\r\n\r\nGET /2 HTTP/1.1\r\n\r\nGET /3 HTTP/1.1\r\n\r\n")
        received = b""
        while received.count(b"HTTP/1.1 200 OK") < 3 or not received.endswith(b"/3"):
            received += wire.recv(4096)
    assert re.findall(rb"/[0-9]$|/[0-9](?=HTTP)", received) == [b"/1", b"/2", b"/3"]
