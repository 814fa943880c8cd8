"""On which terms a provider is asked: what settings, presets and a job's own options make of its facts.

Deliberately not here: reading settings (tests/test_settings.py), the retry table (tests/transport/test_retry.py).
Invariant: whatever is set, no limit is higher than the provider states it.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.conformance_play import cells
from ingest import providers
from ingest.errors import FixRequest
from ingest.pipeline.context import Context
from ingest.pipeline.exchange import Sender
from ingest.pipeline.fetch import fetch
from ingest.pipeline.instruments import listed_instruments
from ingest.pipeline.jobs import CALL_PREFIX, JobOptions
from ingest.pipeline.sending import DISABLED_WAIT_S, send
from ingest.pipeline.terms import LEAST_WEIGHT, LONGEST_WINDOW_S, NO_OPTIONS, at_pace, check_settings, terms_of
from ingest.providers.contract import Query
from ingest.settings import MOST_PER_HOST, PRESETS, BadSetting, Preset, ProviderSettings, Settings
from ingest.transport.budget import windows_of
from ingest.transport.connections import ConnectionLeases
from ingest.transport.gate import Ask
from ingest.transport.leased import FULL_WAIT_S
from ingest.transport.retry import POLICIES
from ingest.wire import Limit
from sandbox.contract import placed
from tests.pipeline.farm import DAY, bars_call, opened

PAIRS = ("BTC-USDT", "ETH-USDT", "SOL-USDT", "BNB-USDT", "XRP-USDT", "ADA-USDT")
paces = st.floats(min_value=0, max_value=1, exclude_min=True)
presets = st.sampled_from(get_args(Preset))
limits = st.builds(
    Limit,
    amount=st.integers(1, 100_000),
    per_s=st.integers(1, 86_400),
    source=st.just("test"),
    unit=st.sampled_from(["requests", "weight"]),
)
own_settings = st.fixed_dictionaries(
    {},
    optional={
        "preset": presets,
        "pace": paces,
        "timeout_s": st.floats(0.1, 60),
        "request_timeout_s": st.floats(0.1, 30),
        "connections": st.integers(1, 100),
        "retries": st.integers(0, 50),
        "enabled": st.booleans(),
    },
)
options = st.builds(
    JobOptions,
    timeout_s=st.none() | st.floats(0.1, 3600),
    retries=st.none() | st.integers(0, 50),
    per_minute=st.none() | st.integers(1, 10_000),
    entry=st.just("an entry"),
)


def config_of(own, *, preset="standard"):
    return Settings(tickfarm_preset=preset, tickfarm_providers=dict.fromkeys(providers.names(), own))


@given(presets, own_settings, st.sampled_from(providers.names()), st.booleans(), options)
def test_no_combination_of_settings_makes_a_limit_higher_than_the_provider_states_it(
    preset, own, name, has_key, chosen
):
    facts = providers.get(name).facts
    stated = facts.limits if has_key or facts.keyless_limits is None else facts.keyless_limits
    terms = terms_of(config_of(own, preset=preset), facts, has_key=has_key, options=chosen)
    assert terms.stated == stated
    for ours, theirs in zip(terms.limits, stated, strict=True):
        assert 1 <= ours.amount <= theirs.amount
        assert ours.per_s >= theirs.per_s
        assert (ours.unit, ours.source) == (theirs.unit, theirs.source)


@given(limits, paces)
def test_a_pace_is_the_share_of_the_limit_that_is_used_and_never_stops_a_request(limit, pace):
    ours = at_pace(limit, pace)
    least = 1 if limit.unit == "requests" else min(limit.amount, LEAST_WEIGHT)
    assert least <= ours.amount <= limit.amount
    assert ours.per_s >= limit.per_s
    if ours.per_s < LONGEST_WINDOW_S:
        assert ours.amount / ours.per_s <= pace * limit.amount / limit.per_s * (1 + 1e-9)


@given(limits)
def test_the_whole_pace_is_the_limit_as_it_is_stated(limit):
    assert at_pace(limit, 1.0) == limit


@pytest.mark.parametrize("pace", [1.0001, 2, 0, -1, float("inf"), float("nan")])
def test_a_pace_outside_of_a_share_can_not_be_set(pace):
    with pytest.raises(ValueError, match="can be lowered and never raised"):
        ProviderSettings(pace=pace)


@pytest.mark.parametrize("name", providers.names())
def test_no_request_of_any_provider_is_too_heavy_for_its_limits_at_the_lowest_pace(name):
    now = datetime(2026, 11, 24, tzinfo=UTC)
    provider = providers.get(name)
    asked = [provider.catalogue()]
    for example in (placed(cell.example, now.timestamp()) for cell in cells() if cell.provider == name):
        start, end = (datetime.fromisoformat(text) if text else None for text in (example.start, example.end))
        end = end or (None if example.dataset in ("trades", "quotes", "books") else now)
        with suppress(FixRequest):  # an error case may well be refused before it is asked
            asked += provider.build(Query(example.dataset, (example.instrument,), example.interval or None, start, end))
    assert len(asked) > 3
    terms = terms_of(config_of({"pace": 1e-6}), provider.facts, has_key=True)
    for limit in terms.limits:
        assert max(one.weight if limit.unit == "weight" else 1 for one in asked if one) <= limit.amount


@given(presets, own_settings)
def test_what_is_set_for_a_provider_wins_over_its_preset_and_its_preset_over_the_farms(preset, own):
    facts = providers.get("binance").facts
    config = config_of(own, preset=preset)
    numbers, policy = PRESETS[own.get("preset", preset)], POLICIES[own.get("preset", preset)]
    terms = terms_of(config, facts, has_key=False)
    assert terms.pace == own.get("pace", numbers.pace)
    assert terms.timeout_s == own.get("timeout_s", numbers.timeout_s)
    assert terms.request_timeout_s == own.get("request_timeout_s", numbers.request_timeout_s)
    assert terms.connections == min(own.get("connections", MOST_PER_HOST), config.tickfarm_connections)
    assert terms.policy == replace(policy, retries=own.get("retries", policy.retries))


@given(own_settings, options)
def test_a_jobs_own_options_shorten_the_timeout_and_decide_the_retries(own, chosen):
    facts, config = providers.get("binance").facts, config_of(own)
    without = terms_of(config, facts, has_key=False)
    terms = terms_of(config, facts, has_key=False, options=chosen)
    assert terms.timeout_s == min(without.timeout_s, chosen.timeout_s or without.timeout_s)
    assert terms.policy.retries == (without.policy.retries if chosen.retries is None else chosen.retries)
    assert terms.limits == without.limits


def test_the_standard_preset_is_what_held_before_there_were_presets():
    terms = terms_of(Settings(), providers.get("binance").facts, has_key=False)
    assert (terms.limits, terms.timeout_s, terms.policy.retries) == (terms.stated, 30.0, 3)
    assert (terms.request_timeout_s, terms.connections) == (10.0, 64)
    assert Settings(tickfarm_fetch_deadline_s=7).timeout_s("binance") == 7
    own = {"binance": {"timeout_s": 9}}
    assert Settings(tickfarm_fetch_deadline_s=7, tickfarm_providers=own).timeout_s("binance") == 9


def sent_of(farm, provider, requests, options=NO_OPTIONS, *, lane="standard"):
    return send(farm.context, provider, requests, failures=1, dataset="quotes", sender=Sender("", lane, options))


def granted(context, request, *, preset="standard", **own):
    """Return how many of a hundred requests the gate grants at once under these settings."""
    config = Settings(tickfarm_preset=preset, tickfarm_providers={"coinbase": own})
    terms = terms_of(config, providers.get("coinbase").facts, has_key=False)
    windows = windows_of("coinbase:", (*terms.limits, *terms.stated))
    asked = {"provider": "coinbase", "budget": "coinbase:", "dataset": "quotes", "job": "", "deadline_s": 10.0}
    grant = f"{preset} {own} {time.time_ns()}"
    ask = Ask(**asked, grant=grant, requests=[request] * 100, windows=windows, budget_windows=windows)
    return context.gate.admit(ask).granted


def test_a_conservative_farm_keeps_to_half_the_limit_and_processes_that_disagree_to_the_stated_one(farm):
    [request] = providers.get("coinbase").build(Query("quotes", ("BTC-USDT",)))
    [stated] = providers.get("coinbase").facts.limits
    assert granted(farm.context, request, preset="conservative") == stated.amount // 2
    assert granted(farm.context, request, preset="conservative") == 0
    assert granted(farm.context, request) == stated.amount - stated.amount // 2
    assert granted(farm.context, request) == 0


def test_a_plan_that_is_paid_for_is_a_setting_and_nobody_gets_more_than_is_stated_without_a_key(monkeypatch):
    facts = providers.get("nasdaq_data_link").facts
    own = {"nasdaq_data_link": {"limits": "5000/10m, 720000/1d"}}
    with pytest.raises(BadSetting, match=r"5000/600s is more than nasdaq_data_link allows without a key \(20/600s\)"):
        check_settings(Settings(tickfarm_providers=own))
    monkeypatch.setenv("NASDAQ_DATA_LINK_API_KEY", "paid")
    check_settings(Settings(tickfarm_providers=own))
    terms = terms_of(Settings(tickfarm_providers=own), facts, has_key=True)
    assert [(one.amount, one.per_s) for one in terms.limits] == [(5000, 600), (720_000, 86_400)]
    with pytest.raises(BadSetting, match="unknown plan of nasdaq_data_link: 'gold'"):
        check_settings(Settings(tickfarm_providers={"nasdaq_data_link": {"plan": "gold"}}))
    with pytest.raises(ValueError, match="expected limits like 600/60s"):
        ProviderSettings(limits="many")


def test_a_batch_under_a_low_pace_really_takes_longer(settings_of, sandbox):
    def took_s(pace):
        config = settings_of(tickfarm_pace=True, tickfarm_providers={"coinbase": {"pace": pace}})
        with opened(Context(config), sandbox) as farm:
            farm.context.redis.flushdb()
            began = time.monotonic()
            left, sent = coinbase.build(Query("quotes", PAIRS[:3])), 0
            while left:
                one = sent_of(farm, coinbase, left[:1])
                sent += one.requests
                left = left[one.requests :]
            assert sent == 3
            return time.monotonic() - began

    coinbase = providers.get("coinbase")
    assert took_s(1.0) < 0.5
    assert took_s(0.1) > 1.5  # one a second: the second and third wait


def test_an_entrys_own_pace_holds_for_all_its_jobs_and_for_no_others(farm):
    binance = providers.get("binance")
    requests = binance.build(Query("bars", PAIRS, "1m", DAY, DAY + timedelta(minutes=5)))
    slow = JobOptions(per_minute=4, entry="slow")
    first = sent_of(farm, binance, requests, slow)
    assert 1 <= first.requests <= 4
    assert len(first.left) == len(requests) - first.requests
    assert first.left_wait_s > 1
    second = sent_of(farm, binance, requests, slow)
    assert second.requests == 0
    assert second.left_wait_s > 1
    for others in (JobOptions(entry="other"), JobOptions(per_minute=600, entry="another")):
        assert sent_of(farm, binance, requests, others).requests == len(requests)


def test_a_jobs_retries_win_so_one_without_any_is_dead_at_its_first_failure(farm):
    farm.sandbox.arm("binance", "status", times=2, args={"status": 503})
    once = farm.owe("binance", bars_call(), options={"retries": 0})
    patient = farm.owe("binance", bars_call(), options={"retries": 1})
    began = farm.begin()
    assert {job.id: farm.fetch(job).state for job in began} == {once: "dead", patient: "failed"}


def test_a_jobs_timeout_ends_a_batch_that_hangs(farm):
    farm.sandbox.arm("binance", "hang")
    farm.owe("binance", bars_call(), options={"timeout_s": 0.5})
    began = time.monotonic()
    assert farm.run_once().state == "failed"
    assert time.monotonic() - began < 3


def test_a_providers_timeout_for_a_request_ends_one_that_hangs_long_before_the_batchs(settings_of, farm):
    hurried = settings_of(tickfarm_providers={"binance": {"request_timeout_s": 0.3, "timeout_s": 60}})
    with opened(Context(hurried), farm.sandbox) as impatient:
        farm.sandbox.arm("binance", "hang")
        impatient.owe("binance", bars_call())
        began = time.monotonic()
        assert impatient.run_once().state == "failed"
        assert time.monotonic() - began < 3


def test_a_job_that_finds_all_connections_of_the_farm_taken_waits_and_has_not_failed(settings_of, farm):
    with opened(Context(settings_of(tickfarm_most_connections=5)), farm.sandbox) as crowded:
        others = ConnectionLeases(crowded.context.redis, most=5)
        assert others.take("another process", 5) == 5
        job = crowded.owe("binance", bars_call())
        before = farm.requests("binance")
        assert crowded.run_once().state == "deferred"
        assert farm.requests("binance") == before
        [(failures, waits_s)] = farm.select("SELECT failures, extract(epoch FROM due_at - now()) FROM jobs")
        assert failures == 0
        assert float(waits_s) == pytest.approx(FULL_WAIT_S, abs=5)
        others.give_back("another process")
        [outcome] = crowded.run(within=timedelta(seconds=2 * FULL_WAIT_S))
        assert outcome.state == "fetched"
        assert crowded.value("SELECT state FROM jobs WHERE id = :job", job=job) == "done"


def test_a_retry_after_given_as_a_date_is_kept_to(farm):
    binance = providers.get("binance")
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
    farm.sandbox.arm("binance", "status", args={"status": 503, "retry_after": date})
    [request] = binance.build(Query("quotes", ("BTC-USDT",)))
    [trouble] = sent_of(farm, binance, [request]).troubles
    assert trouble.decision.delay_s == pytest.approx(100, abs=5)


def test_another_address_is_asked_in_place_of_the_providers_own_and_never_beside_a_sandbox(settings_of, farm):
    mirror = {"binance": {"base_url": f"{farm.sandbox.url}/binance/"}}
    with opened(Context(settings_of(tickfarm_sandbox_url=None, tickfarm_providers=mirror)), farm.sandbox) as mirrored:
        assert "BTC-USDT" in listed_instruments(mirrored.context, providers.get("binance"))
    nowhere = {"binance": {"base_url": "http://127.0.0.1:9"}}
    with opened(Context(settings_of(tickfarm_providers=nowhere)), farm.sandbox) as simulated:
        assert "BTC-USDT" in listed_instruments(simulated.context, providers.get("binance"))


def test_a_provider_that_is_switched_off_is_not_asked_and_its_jobs_wait(settings_of, farm):
    off = settings_of(tickfarm_providers={"binance": {"enabled": False}})
    with opened(Context(off), farm.sandbox) as switched_off:
        switched_off.owe("binance", bars_call())
        before = farm.requests("binance")
        assert switched_off.run_once().state == "deferred"
        assert farm.requests("binance") == before
        [(failures, waits_s)] = farm.select("SELECT failures, extract(epoch FROM due_at - now()) FROM jobs")
        assert failures == 0
        assert float(waits_s) == pytest.approx(DISABLED_WAIT_S, abs=30)
        with pytest.raises(FixRequest, match="TICKFARM_PROVIDERS__BINANCE__ENABLED"):
            listed_instruments(switched_off.context, providers.get("binance"))
    farm.run(within=timedelta(hours=1))
    assert farm.states() == ["done"]


def test_a_call_by_hand_of_a_provider_that_is_switched_off_is_refused(settings_of, farm):
    off = settings_of(tickfarm_providers={"binance": {"enabled": False}})
    with opened(Context(off), farm.sandbox) as switched_off:
        switched_off.owe("binance", bars_call(), key=f"{CALL_PREFIX}by-hand")
        [job] = switched_off.begin()
        with pytest.raises(FixRequest, match="binance is switched off: TICKFARM_PROVIDERS__BINANCE__ENABLED is false"):
            fetch(switched_off.context, "binance", job)
