"""A batch that fails in part: only that part is sent again, a wait a provider dictates is kept and is no failure."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from ingest import providers
from ingest.pipeline.context import Context
from ingest.pipeline.follow import follow
from ingest.pipeline.schedule import followed_of
from ingest.pipeline.status import series_status
from ingest.providers.nasdaq_data_link_parts import tables
from ingest.transport.retry import DEFAULT
from ingest.wire import Limit
from tests.pipeline.farm import LATER, bars_call, days_call, opened
from tests.waiting import until

PAIRS = ("ADA-USDT", "BNB-USDT", "BTC-USDT", "DOGE-USDT", "ETH-USDT", "LTC-USDT", "SOL-USDT", "XRP-USDT")
REFUSED = '{"code":-2015,"msg":"Invalid API-key, IP, or permissions for action."}'
COUNTS = "SELECT instrument, count(*) FROM bars JOIN series ON id = series_id GROUP BY 1 ORDER BY 1"


@pytest.mark.parametrize("fault", ["status", "reset", "cut", "hang", "html", "null_prices"])
def test_only_the_failed_part_of_a_batch_is_sent_again(settings_of, farm, fault):
    with opened(Context(settings_of(tickfarm_fetch_deadline_s=1.5)), farm.sandbox) as impatient:
        farm.sandbox.arm("binance", fault, match="ETHUSDT", times=None)
        parent = farm.owe("binance", bars_call(*PAIRS, minutes=10))
        impatient.run_once()
    if fault != "null_prices":  # a bad row is no failed part
        assert farm.select(COUNTS) == [(name, 10) for name in PAIRS if name != "ETH-USDT"]
        [(child_of, failures, requests)] = farm.select(
            "SELECT parent_id, failures, jsonb_array_length(kwargs->'requests') FROM jobs WHERE state = 'due'"
        )
        assert (child_of, failures, requests) == (parent, 1, 1)
        farm.sandbox.control("DELETE", "faults")
        farm.run(within=LATER)
        assert farm.select(COUNTS) == [(name, 10) for name in PAIRS]
    assert set(farm.states()) == {"done"}
    log = farm.sandbox.control("GET", "requests?log=1")[1]["log"]
    asked = Counter(entry["query"].partition("symbol=")[2].partition("&")[0] for entry in log)
    assert {symbol: count for symbol, count in asked.items() if symbol != "ETHUSDT"} == {
        name.replace("-", ""): 1 for name in PAIRS if name != "ETH-USDT"
    }


def test_each_failed_part_has_its_own_fate(farm):
    farm.sandbox.arm("binance", "status", match="ETHUSDT", args={"status": 503})
    farm.sandbox.arm("binance", "status", match="SOLUSDT", args={"status": 429, "retry_after": 30})
    farm.sandbox.arm("binance", "status", match="XRPUSDT", args={"status": 401, "body": REFUSED})
    farm.owe("binance", bars_call(*PAIRS, minutes=10))
    farm.run_once()
    parts = farm.select(
        "SELECT kwargs->'requests'->0->'instruments'->>0, failures, due_at - now() > '20 s' FROM jobs"
        " WHERE state = 'due' ORDER BY 1"
    )
    assert parts == [("ETH-USDT", 1, False), ("SOL-USDT", 0, True)]
    dead = farm.select("SELECT kwargs->'requests'->0->'instruments'->>0, error_class FROM dead_letters")
    assert dead == [("XRP-USDT", "FixRequest")]
    farm.run(within=LATER)
    assert farm.select(COUNTS) == [(name, 10) for name in PAIRS if name != "XRP-USDT"]


def test_nothing_of_a_refused_call_is_sent_twice(farm):
    farm.sandbox.arm("binance", "status", times=None, args={"status": 401, "body": REFUSED})
    farm.owe("binance", bars_call("BTC-USDT", "ETH-USDT"))
    farm.run(within=LATER)
    assert farm.requests("binance") == 2
    assert farm.states() == ["dead"]
    assert farm.value("SELECT count(*) FROM dead_letters") == 1


@pytest.mark.parametrize("times", [1, 6])
def test_a_429_with_retry_after_waits_that_long_and_is_no_failure_however_often(farm, times):
    farm.sandbox.arm("binance", "status", times=times, args={"status": 429, "retry_after": 7})
    farm.owe("binance", bars_call("BTC-USDT"))
    for number in range(times):
        [job] = farm.begin(within=LATER * number)
        outcome = farm.fetch(job)
        assert outcome.state == "deferred"
        asked_at = farm.value("SELECT max(at) FROM fetch_log")
        assert timedelta(seconds=7) <= outcome.until - asked_at <= timedelta(seconds=7 + 0.7)
        assert farm.select("SELECT state, failures, due_at FROM jobs") == [("due", 0, outcome.until)]
    farm.run(within=LATER)
    assert farm.value("SELECT count(*) FROM bars") == 60
    assert farm.requests("binance") == times + 1
    assert farm.findings() == []


def test_a_job_is_not_leased_before_the_wait_it_was_told_is_over(farm):
    farm.sandbox.arm("binance", "status", args={"status": 429, "retry_after": 7})
    farm.owe("binance", bars_call("BTC-USDT"))
    farm.run_once()
    assert farm.begin(within=timedelta(seconds=6)) == []
    assert len(farm.begin(within=timedelta(seconds=8))) == 1


def test_after_a_429_no_further_page_is_asked_for(farm, monkeypatch):
    monkeypatch.setattr(tables, "PAGE_ROWS", 5)
    farm.sandbox.arm("nasdaq_data_link", "status", match="IBM", args={"status": 429, "retry_after": 40})
    monkeypatch.setattr(tables, "TICKERS", 1)
    farm.owe("nasdaq_data_link", days_call("AAPL", "IBM"))
    farm.run_once()
    assert farm.requests("nasdaq_data_link") == 2
    left = farm.select("SELECT failures, extract(epoch FROM due_at - now()) > 35 FROM jobs WHERE state = 'due'")
    assert left == [(0, True), (0, True)]
    farm.run(within=LATER)
    assert farm.select(COUNTS) == [("AAPL", 21), ("IBM", 21)]


def test_a_limit_without_a_time_backs_off_and_never_gives_up(farm):
    farm.sandbox.arm("binance", "status", times=DEFAULT.retries + 3, args={"status": 429})
    farm.owe("binance", bars_call("BTC-USDT"))
    states = [one.state for one in farm.run(within=LATER)]
    assert states == ["failed"] * DEFAULT.retries + ["deferred"] * 3 + ["fetched"]
    assert farm.value("SELECT failures FROM jobs") == DEFAULT.retries


def test_one_unknown_symbol_in_a_batch_of_quotes_does_not_cost_the_others(farm):
    names = [*PAIRS, "FOO-BAR"]
    farm.owe("binance", {"dataset": "quotes", "instruments": names})
    farm.run(within=timedelta(seconds=1))
    quoted = farm.select("SELECT instrument, count(*) FROM quotes JOIN series ON id = series_id GROUP BY 1 ORDER BY 1")
    assert quoted == [(name, 1) for name in PAIRS]
    [(instruments, error)] = farm.select("SELECT kwargs->'instruments', error FROM dead_letters")
    assert instruments == ["FOO-BAR"]
    assert "FOO-BAR" in error
    assert farm.requests("binance") <= 2 * 4 + 1  # one more at each halving, not one an instrument
    assert farm.value("SELECT count(*) FROM jobs WHERE state NOT IN ('done', 'dead')") == 0


def test_two_unknown_symbols_in_one_batch_are_both_found(farm):
    farm.owe("binance", {"dataset": "quotes", "instruments": ["FOO-BAR", *PAIRS, "BAR-FOO"]})
    farm.run(within=timedelta(seconds=1))
    assert farm.value("SELECT count(*) FROM quotes") == len(PAIRS)
    dead = farm.select("SELECT kwargs->'instruments'->>0 FROM dead_letters ORDER BY 1")
    assert dead == [("BAR-FOO",), ("FOO-BAR",)]


def test_more_than_the_pace_allows_is_left_for_later_without_a_failure(settings_of, farm, monkeypatch):
    binance = providers.get("binance")
    slow = Limit(4, 60, "this test", "requests")
    monkeypatch.setattr(binance, "facts", replace(binance.facts, limits=(slow,)))
    with opened(Context(settings_of(tickfarm_pace=True)), farm.sandbox) as paced:
        paced.owe("binance", bars_call(*PAIRS, minutes=10))
        paced.run_once()
        sent = farm.requests("binance")
        assert 1 <= sent < len(PAIRS)
        assert len(farm.select(COUNTS)) == sent
        assert farm.select("SELECT failures, due_at > now() FROM jobs WHERE state = 'due'") == [(0, True)]


def test_a_sandbox_that_is_gone_is_a_failure_and_repaired_once_it_is_back(settings_of, farm):
    nowhere = settings_of(tickfarm_sandbox_url="http://127.0.0.1:9")
    with opened(Context(nowhere), farm.sandbox) as lost:
        lost.owe("binance", bars_call("BTC-USDT"))
        assert lost.run_once().state == "failed"
    farm.run(within=LATER)
    until(lambda: farm.states() == ["done"], what="the job")
    assert farm.value("SELECT count(*) FROM bars") == 60


def test_an_instrument_the_provider_does_not_know_is_asked_for_no_more_until_it_is_followed_anew(farm):
    def follow_both() -> None:
        with farm.context.sessions.begin() as session:
            names = ["BTC-USDT", "FOO-BAR"]
            follow(session, providers.get("binance"), "quotes", names, interval=None, since=None, now=datetime.now(UTC))

    def asked() -> list[str]:
        with farm.context.sessions() as session:
            return followed_of(session, [("binance", "quotes", "")]).get(("binance", "quotes", ""), [])

    follow_both()
    assert asked() == ["BTC-USDT", "FOO-BAR"]
    farm.run(within=timedelta(seconds=1))

    assert asked() == ["BTC-USDT"]
    with farm.context.sessions() as session:
        states = {row.instrument: row.state for row in series_status(session, datetime.now(UTC))}
    assert states == {"BTC-USDT": "current", "FOO-BAR": "refused"}
    assert farm.value("SELECT refused FROM series WHERE instrument = 'FOO-BAR'").count("FOO-BAR") == 1

    follow_both()
    assert asked() == ["BTC-USDT", "FOO-BAR"]
