"""The gate at work in a fetch: budgets, breakers, mirrors, holds and quota over real sockets, and after Redis is lost.

Deliberately not here: the scripts (tests/transport/test_budget.py, test_breaker.py). Invariant under test: what is not
granted is not sent, and whatever is not sent waits with a reason.
"""

from __future__ import annotations

import json
from contextlib import closing
from datetime import timedelta

import pytest

from ingest import providers
from ingest.errors import TryAgain
from ingest.pipeline.context import Context
from ingest.pipeline.fetch import fetch
from ingest.pipeline.instruments import listed_instruments
from ingest.pipeline.provider_state import EVENTS, may_hold_connections
from ingest.transport.leased import FULL_WAIT_S
from tests.pipeline.farm import bars_call, opened
from tests.waiting import until

FAST = {"breaker_open_s": 0.3, "breaker_open_cap_s": 0.6}


@pytest.fixture
def farm_with(settings_of, sandbox, farm):
    """Return what opens an empty farm that keeps to limits and has settings of its own for binance."""

    def open_(**changes):
        own = {name: value for name, value in changes.items() if not name.startswith("tickfarm_")}
        more = {name: value for name, value in changes.items() if name.startswith("tickfarm_")}
        config = settings_of(**{"tickfarm_pace": True, "tickfarm_providers": {"binance": own}} | more)
        return opened(Context(config), sandbox)

    return open_


def outage(sandbox, times=None):
    sandbox.arm("binance", "status", times=times, args={"status": 500})


def test_an_outage_opens_the_breaker_costs_the_job_no_retry_and_is_over_with_one_probe(farm_with, sandbox):
    with farm_with(**FAST) as farm:
        outage(sandbox)
        farm.owe("binance", bars_call("BTC-USDT", "ETH-USDT", "SOL-USDT", "BNB-USDT", "XRP-USDT", "ADA-USDT"))
        first = farm.run_once()
        assert first.state == "deferred"
        assert "binance is ill and left alone: it is tried again at" in first.reason
        [(failures, error)] = farm.select("SELECT failures, error FROM jobs")
        assert failures == 0
        assert error == first.reason
        before = farm.requests("binance")
        probe = until(lambda: farm.begin() or None, within_s=5, what="the job's next turn")
        farm.fetch(probe[0])
        assert farm.requests("binance") == before + 1, "a probe is one request"
        sandbox.control("DELETE", "faults")

        def done():
            for job in farm.begin():
                if farm.fetch(job).state == "fetched":
                    farm.load(job)
            return farm.states() == ["done"]

        until(done, within_s=10, what="the job to be done")
        events = farm.select("SELECT scope, before, after FROM provider_events ORDER BY id")
        assert events[:2] == [("0", "closed", "open"), ("0/bars", "closed", "open")]
        assert events[-2:] == [("0", "half", "closed"), ("0/bars", "half", "closed")]


@pytest.mark.full
@pytest.mark.timeout(240)
def test_a_provider_that_returns_right_after_a_failed_probe_is_in_use_again_within_a_minute(farm_with, sandbox):
    """One job asks, again and again: a backlog would have to be leased and begun before the first of it is a probe."""
    with farm_with() as farm:
        outage(sandbox)
        farm.owe("binance", bars_call("BTC-USDT", "ETH-USDT", "SOL-USDT", "BNB-USDT", "XRP-USDT"), lane="live")
        assert "ill" in farm.run_once().reason
        for _ in range(2):  # the second wait would be longer than a minute, if it went on doubling
            [probe] = until(farm.begin, within_s=70, what="the job's next turn")
            farm.fetch(probe)
        [opened_at] = farm.select(
            "SELECT max(at) FROM provider_events WHERE scope = '0' AND reason = 'the probe failed' HAVING count(*) = 2"
        )
        sandbox.control("DELETE", "faults")
        [job] = until(farm.begin, within_s=70, what="the job's next turn")
        assert farm.fetch(job).state == "fetched"
        [closed_at] = farm.select("SELECT max(at) FROM provider_events WHERE scope = '0' AND after = 'closed'")
        assert 50 < (closed_at[0] - opened_at[0]).total_seconds() < 60


def test_every_change_of_a_breaker_is_told_to_who_listens(farm_with, sandbox):
    with farm_with(**FAST) as farm, closing(farm.context.redis.pubsub()) as ear:
        ear.subscribe(EVENTS)
        until(lambda: ear.get_message(timeout=1), what="the subscription")
        outage(sandbox, times=5)
        farm.owe("binance", bars_call("BTC-USDT", "ETH-USDT", "SOL-USDT", "BNB-USDT", "XRP-USDT"))
        farm.run_once()
        said = json.loads(until(lambda: ear.get_message(timeout=1), what="an event")["data"])
        assert {name: said[name] for name in ("provider", "kind", "scope", "before", "after", "reason")} == {
            "provider": "binance",
            "kind": "breaker",
            "scope": "0",
            "before": "closed",
            "after": "open",
            "reason": "5 failures in a row",
        }


def test_a_mirror_serves_while_the_first_address_is_ill_and_it_is_seen_which_served(farm_with, sandbox):
    addresses = f"http://127.0.0.1:9/binance,{sandbox.url}/binance"
    with farm_with(base_url=addresses, tickfarm_sandbox_url=None, **FAST) as farm:
        farm.owe("binance", bars_call("BTC-USDT", "ETH-USDT", "SOL-USDT", "BNB-USDT", "XRP-USDT"))
        assert farm.run_once().state == "fetched"
        assert farm.value("SELECT count(*) FROM bars") == 5 * 60
        assert farm.requests("binance") == 5


def test_a_wait_the_provider_asks_for_holds_every_other_job_and_outlives_redis(farm_with, sandbox):
    with farm_with() as farm:
        sandbox.arm("binance", "status", times=1, args={"status": 429, "retry_after": 60})
        farm.owe("binance", bars_call())
        farm.run_once()
        asked = farm.requests("binance")
        for forgets in (lambda: None, farm.context.redis.flushall):
            forgets()
            farm.owe("binance", bars_call("ETH-USDT"))
            held = farm.run_once()
            assert held.state == "deferred"
            assert "binance is held until" in held.reason
            assert "429" in held.reason
        assert farm.requests("binance") == asked, "nothing is sent while it is held"
        with pytest.raises(TryAgain, match="binance can't be asked now: binance is held until"):
            listed_instruments(farm.context, providers.get("binance"))


def test_what_was_sent_before_redis_was_lost_still_counts(farm_with, sandbox):
    with farm_with(limits="3/60s") as farm:
        farm.owe("binance", bars_call("BTC-USDT", "ETH-USDT"))
        assert farm.run_once().state == "fetched"
        farm.context.redis.flushall()
        farm.owe("binance", bars_call("BTC-USDT", "ETH-USDT"))
        [job] = farm.begin()
        outcome = farm.fetch(job)
        assert (outcome.state, outcome.requests) == ("fetched", 1)
        assert farm.states() == ["done", "fetched", "due"]
        assert farm.requests("binance") == 3


def test_a_job_that_was_sending_when_redis_was_lost_holds_the_others_until_it_reports(farm_with, sandbox):
    with farm_with(limits="5/1s", timeout_s=0.5) as farm:
        farm.owe("binance", bars_call("BTC-USDT"))
        [sending] = farm.begin()
        farm.context.redis.flushall()
        farm.owe("binance", bars_call("ETH-USDT"))
        [other] = farm.begin()
        assert farm.fetch(other).state == "deferred"
        assert farm.requests("binance") == 0
        assert farm.fetch(sending).state == "fetched"
        again = until(lambda: farm.begin() or None, within_s=5, what="the other job's turn")
        assert farm.fetch(again[0]).state == "fetched"


def test_after_redis_was_lost_who_has_sent_goes_on_and_others_wait_until_connections_are_counted(farm_with):
    with farm_with() as farm, closing(Context(farm.context.settings)) as another:
        farm.owe("binance", bars_call())
        assert farm.run_once().state == "fetched", "a first start waits for nothing"
        farm.context.redis.flushall()
        assert another.client.ready_in_s() == FULL_WAIT_S
        farm.owe("binance", bars_call("ETH-USDT"))
        assert farm.run_once().state == "fetched"
        farm.change("UPDATE fetch_log SET at = at - interval '2 minutes'")
        farm.context.redis.flushall()
        assert another.client.ready_in_s() == 0.0, "nobody has sent for so long that all has been closed"


def test_a_fetch_that_has_been_running_for_long_may_hold_connections_and_one_that_has_just_begun_holds_none(farm_with):
    with farm_with() as farm, closing(Context(farm.context.settings)) as another:
        farm.owe("binance", bars_call())
        [running] = farm.begin()
        assert not may_hold_connections(another.sessions)
        farm.change("UPDATE jobs SET started_at = started_at - interval '10 seconds' WHERE id = :id", id=running.id)
        assert may_hold_connections(another.sessions)
        assert another.client.ready_in_s() == FULL_WAIT_S


def test_a_quota_of_the_day_is_counted_before_sending_and_says_when_it_is_free(farm_with, sandbox):
    with farm_with(limits="2/1d") as farm:
        farm.owe("binance", bars_call("BTC-USDT", "ETH-USDT", "SOL-USDT"))
        [job] = farm.begin()
        assert farm.fetch(job).requests == 2
        assert farm.requests("binance") == 2
        assert farm.select("SELECT provider, unit, used FROM quota_use") == [("binance", "requests", 2)]
        rest = farm.begin(within=timedelta(days=2))
        outcome = farm.fetch(rest[0])
        assert outcome.state == "deferred"
        assert "the quota of binance (2 requests in 86400 s) is used until" in outcome.reason
        assert farm.requests("binance") == 2


def test_the_providers_own_count_of_weight_is_believed_where_it_is_higher(farm_with, sandbox):
    with farm_with(limits="6000 weight/60s") as farm:
        for _ in range(3):  # somebody else on the same address
            assert sandbox.get("/binance/api/v3/exchangeInfo?symbol=BTCUSDT").status == 200
        farm.owe("binance", bars_call("BTC-USDT"))
        farm.run_once()
        [window] = farm.context.redis.keys("tickfarm:budget:binance:*weight/60")
        assert int(farm.context.redis.hget(window, "u")) == 3 * 20 + 2


def test_while_redis_is_away_nothing_is_sent(settings_of, sandbox, farm):
    job = farm.owe("binance", bars_call())
    [begun] = farm.begin()
    away = Context(settings_of(redis_url="redis://127.0.0.1:1/0"))
    with closing(away), pytest.raises(Exception, match="Connection refused"):
        fetch(away, "binance", begun)
    assert begun.id == job
    assert farm.requests("binance") == 0
