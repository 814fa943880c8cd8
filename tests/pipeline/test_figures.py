"""The farm's figures: each is that of real requests, rows and workers, and a target is met, missed or not measured."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ingest.pipeline.figures import farm_figures, targets_of
from ingest.pipeline.health_figures import provider_reports
from ingest.pipeline.workers import Worker, announce
from ingest.settings import Settings
from ingest.transport.traffic import Traffic
from tests.pipeline.farm import bars_call

PAIRS = [f"{name}-USDT" for name in ("BTC", "ETH", "SOL", "BNB")]


def figures(farm):
    return farm_figures(farm.context, datetime.now(UTC))


def test_an_idle_farm_has_no_rate_no_latency_and_no_verdict_on_them(farm):
    found = figures(farm)
    assert (found.requests, found.per_s, found.peak_per_s, found.valid_points, found.rejected_points) == (0,) * 5
    assert (found.success_rate, found.p50_ms, found.p95_ms, found.p99_ms, found.oldest_due_s) == (None,) * 5
    assert (found.workers, found.most_messages, found.due, found.messages, found.buffer_bytes) == (0,) * 5
    assert {one.name: one.is_met for one in found.targets} == {"success_rate": None, "p95_ms": None}


def test_requests_rows_and_their_latency_are_those_of_what_was_fetched(farm):
    farm.owe("binance", bars_call(*PAIRS, minutes=5))
    assert farm.run_once().state == "fetched"
    farm.sandbox.arm("binance", "status", times=1, args={"status": 500})
    farm.owe("binance", bars_call("BTC-USDT", minutes=3))
    farm.run_once()
    found = figures(farm)
    assert (found.requests, found.success_rate, found.valid_points) == (5, 0.8, 4 * 5)
    assert 0 < found.p50_ms <= found.p95_ms <= found.p99_ms < 5_000
    assert found.per_s == pytest.approx(5 / found.covered_s)
    assert found.peak_per_s in (0.4, 0.5, 0.1), "five in one bucket, or four and one"
    assert {one.name: one.is_met for one in found.targets}["success_rate"] is False


def test_the_peak_is_the_busiest_moment_of_all_providers_together(farm):
    bucket = int(farm.context.redis.time()[0]) // 10
    for provider, counts in (("binance", {0: 30, 3: 10}), ("kraken", {0: 1, 3: 40}), ("fred", {70: 900})):
        for ago, count in counts.items():
            farm.context.redis.hset(f"tickfarm:traffic:{provider}:{bucket - ago}", mapping={"n": count, "ok": count})
    assert figures(farm).peak_per_s == 5.0


def test_rows_that_were_refused_are_counted_for_five_minutes(farm):
    insert = (
        "INSERT INTO findings"
        " (at, job_id, provider, dataset, rule, severity, rows, reason, sample, payload_key, answer)"
        " VALUES (:at, 1, 'binance', 'bars', :rule, :severity, :rows, 'reason', '', 'key', 0)"
    )
    now = datetime.now(UTC)
    for minutes, severity, rows in ((1, "reject", 3), (2, "reject", 4), (3, "warn", 50), (9, "reject", 600)):
        farm.change(insert, at=now - timedelta(minutes=minutes), rule=f"r{minutes}", severity=severity, rows=rows)
    assert figures(farm).rejected_points == 7


def test_what_waits_what_is_out_and_who_is_free_are_told_apart(farm, step, owe):
    now = datetime.now(UTC)
    for minutes in (1, 5, -5):
        owe(due_at=now - timedelta(minutes=minutes))
    announce(farm.context.redis, Worker("live@a", ("live.load", "live"), processes=4, busy=3))
    announce(farm.context.redis, Worker("standard@a", ("standard",), processes=2))
    announce(farm.context.redis, Worker("backfill@a", ("backfill",), processes=2, draining=True))
    found = figures(farm)
    assert (found.due, found.messages) == (2, 0)
    assert found.oldest_due_s == pytest.approx(300, abs=5)
    assert (found.workers, found.workers_free, found.most_messages) == (6, 3, 18)
    farm.begin()
    farm.change("UPDATE jobs SET payload_bytes = 1000 WHERE state = 'leased'")
    found = figures(farm)
    assert (found.due, found.messages, found.oldest_due_s, found.buffer_bytes) == (0, 2, None, 2000)
    assert found.most_buffer_bytes == farm.context.settings.tickfarm_max_inflight_bytes


def test_a_target_that_is_not_set_is_none_and_the_others_are_met_or_missed():
    traffic = Traffic(covered_s=10, requests=100, ok=99, failed=1, steps={20: 100})  # 1.15 ** 20 = 16 ms
    set_so = Settings(tickfarm_target_success="0.99", tickfarm_target_p95_ms=16, tickfarm_target_requests_s=10)
    assert [(one.name, one.is_met) for one in targets_of(set_so, traffic)] == [
        ("success_rate", True),
        ("p95_ms", False),
        ("requests_per_s", True),
    ]
    none = Settings(tickfarm_target_success=0, tickfarm_target_p95_ms=0, tickfarm_target_requests_s=0)
    assert targets_of(none, traffic) == ()


def test_the_figures_are_the_sum_of_what_health_says_of_each_provider(farm):
    farm.owe("binance", bars_call(*PAIRS, minutes=1))
    farm.run_once()
    by_provider = provider_reports(farm.context, datetime.now(UTC))
    assert figures(farm).requests == sum(one.traffic.requests for one in by_provider) == 4
