"""Status: rows come from the ledger, and each state says what it means."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ingest import providers
from ingest.pipeline.follow import HISTORY_PREFIX, follow, plan_history
from ingest.pipeline.status import history_owed, history_progress, series_status
from tests.pipeline.farm import LATER, bars_call

NOW = datetime.now(UTC)


@pytest.fixture
def status(farm, step):
    def read(now=None):
        rows = step(series_status, now or datetime.now(UTC))
        return {(one.instrument, one.interval): one for one in rows}

    return read


def followed(step, dataset, *instruments, interval=None, provider="binance"):
    step(follow, providers.get(provider), dataset, list(instruments), interval=interval, since=None, now=NOW)


def test_nothing_followed_is_no_status(status):
    assert status() == {}


def test_a_series_waits_until_its_first_row_and_is_current_with_it(farm, step, status):
    followed(step, "quotes", "BTC-USDT")
    followed(step, "bars", "BTC-USDT", interval="1m")
    assert [one.state for one in status().values()] == ["waiting", "waiting"]
    farm.run()
    bars, quotes = status()["BTC-USDT", "1m"], status()["BTC-USDT", ""]
    assert (bars.state, bars.rows, quotes.state, quotes.rows) == ("current", 5, "current", 1)
    assert bars.newest == farm.value("SELECT max(ts) FROM bars")
    assert quotes.newest == farm.value("SELECT max(ts) FROM quotes")


@pytest.mark.parametrize(
    ("age", "bars", "quotes"), [(5, "current", "current"), (170, "current", "late"), (400, "late", "late")]
)
def test_a_live_series_is_late_by_its_own_pace(farm, step, status, age, bars, quotes):
    followed(step, "quotes", "BTC-USDT")
    followed(step, "bars", "BTC-USDT", interval="1m")
    farm.run()
    for table, key in (("bars", "1m"), ("quotes", "")):
        newest = farm.value(f"SELECT max(ts) FROM {table}")
        found = status(newest + timedelta(seconds=age))["BTC-USDT", key]
        assert found.state == (bars if table == "bars" else quotes)
        assert found.age_s == age


def test_a_market_with_sessions_is_late_by_the_bars_it_should_have_had_since(farm, step, status):
    followed(step, "bars", "AAPL", interval="1d", provider="nasdaq_data_link")
    step(
        plan_history,
        providers.get("nasdaq_data_link"),
        ["AAPL"],
        interval="1d",
        start=datetime(2013, 1, 1, tzinfo=UTC),
        end=datetime(2013, 2, 1, tzinfo=UTC),
        now=NOW,
    )
    assert status()["AAPL", "1d"].state == "loading"
    farm.run(within=LATER)
    found = status()["AAPL", "1d"]
    assert (found.state, found.rows, found.owed) == ("late", 21, 0)
    # The newest bar is Thursday's, January 31: Monday is the second session after it, Tuesday the third.
    for day, state in ((1, "current"), (4, "current"), (5, "current"), (6, "late")):
        assert status(datetime(2013, 2, day, tzinfo=UTC))["AAPL", "1d"].state == state


def test_owed_history_counts_until_it_is_over_parts_included(farm, step, status):
    followed(step, "bars", "BTC-USDT", "ETH-USDT", interval="1m")
    farm.run()
    for name in ("BTC-USDT", "BTC-USDT", "ETH-USDT"):
        start = NOW - timedelta(days=3 + len(farm.states()))
        call = bars_call(name, start=start.replace(second=0, microsecond=0))
        farm.owe("binance", call, lane="backfill", key=f"{HISTORY_PREFIX}{name}:{start}")
    assert step(history_owed) == {
        ("binance", "bars", "BTC-USDT", "1m"): 2,
        ("binance", "bars", "ETH-USDT", "1m"): 1,
    }
    assert {key[0]: one.owed for key, one in status().items()} == {"BTC-USDT": 2, "ETH-USDT": 1}
    assert {one.state for one in status().values()} == {"loading"}
    assert step(history_progress) == (0, 3)
    farm.sandbox.arm("binance", "not_json", match="ETHUSDT", args={"body": "[[oops]]"})
    farm.run()
    assert {key[0]: one.owed for key, one in status().items()} == {"BTC-USDT": 0, "ETH-USDT": 1}
    farm.run(within=LATER)
    assert {one.owed for one in status().values()} == {0}
    assert step(history_progress) == (4, 4)


def test_rows_are_the_ledger_s_and_equal_those_of_the_tables(farm, step, status):
    followed(step, "bars", "BTC-USDT", "ETH-USDT", interval="1m")
    farm.run()
    farm.owe("binance", bars_call("BTC-USDT", minutes=3000))
    farm.run()
    counted = "SELECT instrument, count(*) FROM bars JOIN series ON id = series_id GROUP BY 1"
    assert {key[0]: one.rows for key, one in status().items()} == dict(farm.select(counted))
    farm.change("UPDATE ledger SET stored = stored + 1 WHERE day = (SELECT min(day) FROM ledger)")
    assert status()["BTC-USDT", "1m"].rows == dict(farm.select(counted))["BTC-USDT"] + 1


def test_jobs_for_gaps_are_no_progress_of_history_that_was_ordered(farm, step):
    before = step(history_progress)
    farm.owe("binance", bars_call(), lane="backfill", key="gap:1")
    assert step(history_progress) == before


def test_history_owed_of_one_dataset_makes_no_other_one_loading(farm, step, status):
    followed(step, "quotes", "BTC-USDT")
    farm.run()
    window = {"start": (NOW - timedelta(hours=2)).isoformat(), "end": (NOW - timedelta(hours=1)).isoformat()}
    farm.owe("binance", {"dataset": "trades", "instruments": ["BTC-USDT"], **window}, lane="backfill")
    assert status()["BTC-USDT", ""].state == "current"
