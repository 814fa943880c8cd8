"""Gaps of bars are found, asked for, and end as verified or confirmed to be empty, and nothing is owed twice."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from ingest.pipeline.gaps import check
from ingest.pipeline.gaps_listed import missing_now
from tests.pipeline.farm import DAY, bars_call

WHOLE = 24 * 60
MINUTE = timedelta(minutes=1)
#: Two days and a half hour after DAY: DAY and the day after it are over, and today has just begun.
NOW = DAY + timedelta(days=2, minutes=30)


def follow(farm, provider="binance", instrument="BTC-USDT", *, since=DAY, until=None):
    farm.change(
        "INSERT INTO series (provider, dataset, instrument, interval, followed, since, until)"
        " VALUES (:provider, 'bars', :instrument, '1m', true, :since, :until)",
        provider=provider,
        instrument=instrument,
        since=since,
        until=until,
    )


def days_of(farm):
    return farm.select("SELECT state, expected, stored, confirmed FROM ledger ORDER BY day")


def heal(farm, now=NOW, *, runs=10):
    """Check and fetch until nothing is owed; return how many runs owed something."""
    for at in range(runs):
        if not check(farm.context, now + at * timedelta(days=8)).jobs:
            return at
        farm.run(within=timedelta(hours=2))
    raise AssertionError(f"something is still owed after {runs} runs: {days_of(farm)}")


def test_days_that_are_owed_are_planned_once_and_fetched_whole(farm):
    follow(farm, until=DAY + timedelta(days=2))
    report = check(farm.context, NOW)
    assert (report.planned, report.jobs) == (2, 1)
    assert days_of(farm) == [("planned", WHOLE, 0, 0)] * 2
    again = check(farm.context, NOW)
    assert (again.planned, again.jobs) == (0, 0)
    farm.run()
    assert days_of(farm) == [("verified", WHOLE, WHOLE, 0)] * 2
    assert check(farm.context, NOW + timedelta(days=1)).jobs == 0


def test_first_and_last_day_expect_their_part(farm):
    follow(farm, since=DAY + timedelta(hours=6), until=DAY + timedelta(days=1, hours=1))
    heal(farm)
    assert days_of(farm) == [("verified", 18 * 60, 18 * 60, 0), ("verified", 60, 60, 0)]


def test_an_interior_hole_is_found_and_only_it_is_asked_for(farm):
    follow(farm, until=DAY + timedelta(days=1))
    farm.owe("binance", bars_call(minutes=600))
    farm.owe("binance", bars_call(minutes=WHOLE - 607, start=DAY + timedelta(minutes=607)))
    farm.run()
    assert check(farm.context, NOW).jobs == 1
    [(kwargs,)] = farm.select("SELECT kwargs FROM jobs WHERE key LIKE 'gap:%'")
    assert (kwargs["start"], kwargs["end"]) == ("2024-03-05T10:00:00+00:00", "2024-03-05T10:07:00+00:00")
    farm.run()
    assert days_of(farm) == [("verified", WHOLE, WHOLE, 0)]


@pytest.mark.parametrize("fault", ["short_page", "missing_row", "empty_page", "null_prices"])
@pytest.mark.parametrize("provider", ["binance", "coinbase"])
def test_what_a_page_left_out_is_healed(farm, provider, fault):
    name = "BTC-USDT" if provider == "binance" else "BTC-USD"
    follow(farm, provider, name, until=DAY + timedelta(hours=4))
    farm.sandbox.arm(provider, fault, times=1)
    farm.owe(provider, bars_call(name, minutes=240))
    farm.run_once()
    farm.change("UPDATE jobs SET state = 'cancelled' WHERE state = 'due'")  # its own second try is not what is tested
    assert farm.value("SELECT coalesce(sum(stored), 0) FROM ledger") < 240
    heal(farm)
    assert days_of(farm) == [("verified", 240, 240, 0)]


def test_a_forming_bar_that_was_stored_last_is_asked_for_until_it_is_final(farm):
    follow(farm, until=DAY + timedelta(hours=1))
    farm.owe("binance", bars_call(minutes=60))
    farm.run()
    farm.change("UPDATE bars SET is_final = false, close = close + 1, observed_at = ts WHERE ts = '2024-03-05 00:59Z'")
    farm.change("UPDATE ledger SET final = 59, state = 'fetched', once = '{}'")
    heal(farm)
    assert farm.value("SELECT count(*) FROM bars WHERE NOT is_final") == 0
    assert farm.value("SELECT state FROM ledger") == "verified"


def test_a_dead_jobs_window_comes_back_by_itself(farm):
    follow(farm, until=DAY + timedelta(hours=1))
    check(farm.context, NOW)
    farm.change("UPDATE jobs SET state = 'dead'")
    assert check(farm.context, NOW + timedelta(minutes=5)).jobs == 0
    assert check(farm.context, NOW + timedelta(minutes=11)).jobs == 1


def test_a_suspect_day_is_asked_for_at_once_and_whole(farm):
    follow(farm, until=DAY + timedelta(days=1))
    farm.owe("binance", bars_call(minutes=WHOLE))
    farm.run()
    farm.change("DELETE FROM bars WHERE extract(minute FROM ts) = 7")
    farm.change("UPDATE ledger SET state = 'suspect', once = '{}', twice = '{}', attempts = 0, next_at = now()")
    assert check(farm.context, datetime.now(UTC)).jobs == 1
    farm.run(within=timedelta(minutes=1))
    assert days_of(farm) == [("verified", WHOLE, WHOLE, 0)]


def test_minutes_without_trades_are_asked_for_twice_and_never_again(farm):
    follow(farm, "coinbase", "BTC-USD", until=DAY + timedelta(hours=4))
    farm.sandbox.arm("coinbase", "missing_row", args={"row": 100})
    farm.sandbox.arm("coinbase", "empty_page", times=None)
    farm.sandbox.control("DELETE", "requests")
    assert heal(farm) == 2
    asked = farm.requests("coinbase")
    assert asked == 2
    assert days_of(farm) == [("verified", 240, 239, 1)]
    for day in range(5):
        assert check(farm.context, NOW + timedelta(days=30 + day)).jobs == 0
    assert farm.requests("coinbase") == asked


def test_hours_in_which_a_provider_with_every_bar_was_down_are_confirmed_after_some_attempts(farm):
    """Binance lists every minute, with and without trades, but for those of its outages."""
    farm.sandbox.arm("binance", "empty_page", times=None)
    follow(farm, until=DAY + timedelta(minutes=30))
    assert heal(farm) == 5
    assert days_of(farm) == [("empty_confirmed", 30, 0, 30)]
    assert farm.value("SELECT count(*) FROM findings WHERE rule = 'missing_rows'") > 0
    [[first, last]] = farm.select("SELECT min(key), max(key) FROM jobs WHERE key LIKE 'gap:%' AND parent_id IS NULL")
    assert [first.split(":")[-2], last.split(":")[-2]] == ["1", "5"]


def test_a_day_without_any_trade_ends_as_confirmed_to_be_empty(farm):
    follow(farm, "coinbase", "BTC-USD", until=DAY + timedelta(hours=4))
    farm.sandbox.arm("coinbase", "empty_page", times=None)
    assert heal(farm) == 2
    assert days_of(farm) == [("empty_confirmed", 240, 0, 240)]


def test_what_history_is_still_to_bring_is_no_gap(farm):
    follow(farm, until=DAY + timedelta(hours=1))
    farm.owe("binance", bars_call(minutes=60), lane="backfill")
    assert check(farm.context, NOW).jobs == 0
    farm.change("UPDATE jobs SET state = 'cancelled'")
    assert check(farm.context, NOW).jobs == 1


def test_a_refused_series_is_unavailable_until_it_is_followed_anew(farm):
    follow(farm, until=DAY + timedelta(days=1))
    check(farm.context, NOW)
    farm.change("UPDATE series SET refused = 'no such pair'")
    farm.change("DELETE FROM jobs")
    assert check(farm.context, NOW).jobs == 0
    assert set(farm.select("SELECT state, note FROM ledger")) == {("unavailable", "no such pair")}
    farm.change("UPDATE series SET refused = NULL")
    assert check(farm.context, NOW).planned
    assert set(farm.select("SELECT state, note FROM ledger")) == {("planned", None)}


def test_days_beyond_the_providers_reach_are_unavailable(farm):
    now = datetime.now(UTC)
    follow(farm, "kraken", "BTC-USD", since=now - timedelta(days=3))
    check(farm.context, now)
    states = [state for state, *_ in days_of(farm)]
    assert states[0] == "unavailable"
    assert states[-1] == "planned"
    assert "newest 720 bars" in farm.value("SELECT note FROM ledger ORDER BY day LIMIT 1")


def test_any_rows_that_are_missing_are_fetched_and_none_else(farm):
    follow(farm, until=DAY + timedelta(days=1))
    farm.owe("binance", bars_call(minutes=WHOLE))
    farm.run()
    chance = random.Random(7)
    for _ in range(3):
        gone = sorted(chance.sample(range(WHOLE), chance.randint(1, 40)))
        farm.change(
            "WITH gone AS (DELETE FROM bars WHERE (extract(epoch FROM ts)::bigint / 60) % 1440 = ANY(:gone)"
            " RETURNING 1) UPDATE ledger SET state = 'fetched', once = '{}', attempts = 0, next_at = NULL,"
            " stored = stored - (SELECT count(*) FROM gone), final = final - (SELECT count(*) FROM gone)",
            gone=gone,
        )
        with farm.context.sessions() as session:
            found = missing_now(session, farm.context.settings, NOW)
        minutes = [(one.start - DAY) // MINUTE + at for one in found for at in range(one.rows)]
        assert sorted(minutes) == gone
        assert heal(farm) == 1
        assert days_of(farm) == [("verified", WHOLE, WHOLE, 0)]


def test_days_after_the_end_of_a_name_are_owed_no_more(farm):
    follow(farm)
    check(farm.context, NOW)
    assert len(days_of(farm)) == 3
    farm.change("UPDATE series SET until = :until", until=DAY + timedelta(days=1, hours=1))
    check(farm.context, NOW)
    assert [expected for _, expected, *_ in days_of(farm)] == [WHOLE, 60]
    assert check(farm.context, NOW + timedelta(days=400)).planned == 0


def test_an_earlier_since_extends_what_is_owed_to_before(farm):
    follow(farm, since=DAY + timedelta(hours=6), until=DAY + timedelta(days=1))
    heal(farm)
    farm.change("UPDATE series SET since = :since", since=DAY - timedelta(hours=1))
    assert check(farm.context, NOW).planned == 2
    assert days_of(farm) == [("planned", 60, 0, 0), ("fetched", WHOLE, 18 * 60, 0)]
    farm.run(within=timedelta(hours=1))
    assert days_of(farm) == [("verified", 60, 60, 0), ("verified", WHOLE, WHOLE, 0)]


def test_every_series_gets_its_newest_days_before_any_gets_its_old_ones(farm, monkeypatch):
    monkeypatch.setattr("ingest.pipeline.gaps.MOST_JOBS", 4)
    for name in ("BTC-USDT", "ETH-USDT"):
        follow(farm, instrument=name, since=DAY - timedelta(days=60), until=DAY)
    assert check(farm.context, NOW).jobs == 4
    owed = farm.select("SELECT kwargs->'instruments'->>0, kwargs->>'end' FROM jobs ORDER BY due_at, 1")
    assert [name for name, _ in owed] == ["BTC-USDT", "ETH-USDT"] * 2
    assert owed[0][1] == owed[1][1] == DAY.isoformat()
    assert check(farm.context, NOW).jobs == 0


def test_of_two_checks_at_once_one_does_nothing(farm):
    follow(farm, until=DAY + timedelta(days=1))
    with farm.context.sessions.begin() as other:
        other.execute(text("SELECT pg_advisory_xact_lock(7461009)"))
        assert check(farm.context, NOW).is_busy
    assert check(farm.context, NOW).jobs == 1


def test_minutes_that_the_next_poll_brings_are_no_gap_yet(farm):
    now = datetime.now(UTC).replace(second=5, microsecond=0)
    follow(farm, since=now - timedelta(minutes=30))
    check(farm.context, now)
    [(end,)] = farm.select("SELECT max(kwargs->>'end') FROM jobs")
    assert timedelta(minutes=2) <= now - datetime.fromisoformat(end) <= timedelta(minutes=4)
