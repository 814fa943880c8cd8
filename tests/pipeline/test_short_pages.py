"""A page with fewer bars than its window holds is asked for once more, and what still is missing is a finding."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from tests.pipeline.farm import DAY, LATER, bars_call

STORED = "SELECT count(*) FROM bars"


def hole(farm):
    sample = farm.value("SELECT sample FROM findings ORDER BY id LIMIT 1")
    return [tuple(json.loads(line).values()) for line in sample.splitlines()]


@pytest.mark.parametrize(
    ("fault", "arguments", "missing"),
    [("short_page", {"rows": 20}, 40), ("missing_row", {"row": 7}, 1), ("empty_page", {}, 60)],
)
def test_a_short_page_is_reported_and_asked_for_once_more(farm, fault, arguments, missing):
    farm.sandbox.arm("binance", fault, args=arguments)
    farm.owe("binance", bars_call("BTC-USDT", minutes=60))
    farm.run(within=LATER)
    assert farm.value(STORED) == 60
    assert farm.requests("binance") == 2
    assert farm.findings() == [("missing_rows", "warn", missing)]
    assert set(farm.states()) == {"done"}


def test_a_page_that_stays_short_is_asked_for_twice_in_all_and_its_holes_are_named(farm):
    farm.sandbox.arm("binance", "missing_row", times=None, args={"row": 7})
    farm.owe("binance", bars_call("BTC-USDT", minutes=60))
    farm.run(within=LATER)
    assert farm.requests("binance") == 2
    assert farm.value(STORED) == 59
    assert farm.findings() == [("missing_rows", "warn", 1)] * 2
    missed = DAY + timedelta(minutes=7)
    assert hole(farm) == [(missed.isoformat(), (missed + timedelta(minutes=1)).isoformat(), 1)]
    assert farm.value("SELECT count(*) FROM dead_letters") == 0


def test_only_the_short_page_of_a_job_is_asked_for_again(farm):
    farm.sandbox.arm("binance", "short_page", match="ETHUSDT")
    farm.owe("binance", bars_call("BTC-USDT", "ETH-USDT", minutes=60))
    farm.run(within=LATER)
    assert farm.requests("binance") == 3
    assert farm.value(STORED) == 120
    assert farm.select("SELECT instrument, rows FROM findings") == [("ETH-USDT", 30)]


def test_a_page_that_comes_twice_leaves_the_others_rows_missing(farm):
    farm.sandbox.arm("binance", "repeated_page")
    farm.owe("binance", bars_call("BTC-USDT", minutes=1_100))
    farm.run(within=LATER)
    assert farm.value(STORED) == 1_100
    assert {rule for rule, _, _ in farm.findings()} == {"duplicate_row", "missing_rows"}


def test_a_page_of_another_time_leaves_its_own_rows_missing(farm):
    farm.sandbox.arm("binance", "repeated_page")
    farm.owe("binance", bars_call("BTC-USDT", minutes=60))
    farm.owe("binance", bars_call("BTC-USDT", minutes=60, start=DAY + timedelta(hours=5)))
    farm.run(within=LATER)
    assert farm.findings() == [("missing_rows", "warn", 60), ("outside_window", "reject", 60)]
    assert farm.value(STORED) == 120


def test_a_row_that_was_rejected_is_not_also_missing(farm):
    farm.sandbox.arm("binance", "null_prices")
    farm.owe("binance", bars_call("BTC-USDT", minutes=60))
    farm.run(within=LATER)
    assert farm.requests("binance") == 1
    assert farm.findings() == [("null_price", "reject", 1)]


def test_bars_that_have_not_closed_yet_are_not_missing(farm):
    now = datetime.now(UTC)
    farm.owe("binance", bars_call("BTC-USDT", minutes=60, start=now - timedelta(minutes=30)))
    farm.run(within=LATER)
    assert farm.findings() == []
    assert farm.requests("binance") == 1


def test_a_provider_that_leaves_out_quiet_intervals_is_not_asked_again(farm):
    farm.sandbox.arm("coinbase", "short_page")
    farm.owe("coinbase", bars_call("BTC-USD", minutes=60))
    farm.run(within=LATER)
    assert farm.requests("coinbase") == 1
    assert farm.findings() == []


def test_what_is_to_be_asked_again_survives_the_way_to_the_store_step(farm):
    farm.sandbox.arm("binance", "short_page")
    farm.owe("binance", bars_call("BTC-USDT", minutes=60))
    [job] = farm.begin()
    farm.fetch(job)
    farm.load(job, in_two_steps=True)
    assert farm.select("SELECT failures, jsonb_array_length(kwargs->'requests') FROM jobs WHERE state = 'due'") == [
        (1, 1)
    ]
