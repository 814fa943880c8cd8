"""Follow: what does not exist is refused before anything is written; history is owed exactly once."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest import providers
from ingest.errors import FixRequest, UnknownName
from ingest.market.intervals import bar_open, seconds_of
from ingest.pipeline.follow import JOB_ROWS, follow, plan_history, unfollow
from tests.pipeline.transitions import lease_all

NOW = datetime(2024, 3, 5, 12, 34, 56, 789, tzinfo=UTC)
BINANCE, NASDAQ = providers.get("binance"), providers.get("nasdaq_data_link")
FOLLOWED = "SELECT instrument, interval, since FROM series WHERE followed ORDER BY 1, 2"


@pytest.fixture
def follow_series(step):
    def run(provider=BINANCE, dataset="quotes", instruments=("BTC-USDT",), *, interval=None, since=None, now=NOW):
        return step(follow, provider, dataset, list(instruments), interval=interval, since=since, now=now)

    return run


@pytest.fixture
def plan(step):
    def run(start, end, *, provider=BINANCE, names=("BTC-USDT",), interval="1m", now=NOW):
        return step(plan_history, provider, list(names), interval=interval, start=start, end=end, now=now)

    return run


def windows(farm):
    """Return the owed windows, ascending."""
    sql = "SELECT kwargs->>'start', kwargs->>'end' FROM jobs WHERE lane = 'backfill'"
    return sorted((datetime.fromisoformat(start), datetime.fromisoformat(end)) for start, end in farm.select(sql))


@pytest.mark.parametrize(
    ("provider", "dataset", "instrument", "interval", "accepted"),
    [
        (BINANCE, "candles", "BTC-USDT", "1m", "bars, trades, quotes, books"),
        (BINANCE, "candles", "BTC-USDT", None, "bars, trades, quotes, books"),
        (NASDAQ, "quotes", "AAPL", None, "bars"),
        (BINANCE, "bars", "BTC-USDT", "7m", "1m, 3m, 5m"),
        (BINANCE, "bars", "BTC-USDT", "1M", "compute them from it"),
        (NASDAQ, "bars", "AAPL", "1m", "1d"),
        (BINANCE, "bars", "BTC-USDT", None, "1m, 3m, 5m"),
        (BINANCE, "quotes", "BTC-USDT", "1m", "no interval"),
        (BINANCE, "bars", "AAPL", "1m", "BTC-USDT"),
        (BINANCE, "quotes", "btc/usdt", None, "did you mean BTC-USDT"),
        (NASDAQ, "bars", "BTC-USDT", "1d", "AAPL"),
        (BINANCE, "quotes", "", None, "capital letters"),
    ],
)
def test_what_does_not_exist_is_refused_with_what_does_and_nothing_is_written(
    farm, follow_series, step, provider, dataset, instrument, interval, accepted
):
    with pytest.raises(FixRequest, match=accepted):
        follow_series(provider, dataset, ["ETH-USDT" if provider is BINANCE else "IBM", instrument], interval=interval)
    assert farm.select("SELECT * FROM series") == farm.select("SELECT * FROM jobs") == []
    if dataset == "candles":
        with pytest.raises(UnknownName, match=accepted):
            step(unfollow, provider.facts, dataset, [instrument], interval=interval)


def test_an_unknown_provider_is_refused_with_the_ones_there_are():
    with pytest.raises(UnknownName, match=r"accepted: alpha_vantage, binance, .*, yahoo") as caught:
        providers.get("ftx")
    assert (caught.value.kind, caught.value.given) == ("provider", "ftx")


def test_no_instrument_at_all_is_refused(follow_series):
    with pytest.raises(FixRequest, match="no instrument"):
        follow_series(instruments=[])


def test_following_writes_each_series_once_and_owes_its_newest_rows_now(farm, follow_series):
    assert follow_series(instruments=["ETH-USDT", "BTC-USDT", "ETH-USDT"]) == ["ETH-USDT", "BTC-USDT"]
    assert farm.select(FOLLOWED) == [("BTC-USDT", "", None), ("ETH-USDT", "", None)]
    assert farm.select("SELECT lane, state, due_at, kwargs->'instruments' FROM jobs") == [
        ("live", "due", NOW, ["ETH-USDT", "BTC-USDT"])
    ]


def test_what_is_worked_into_a_series_prices_follows_from_its_instruments_name(farm, follow_series):
    names = ("AAPL", "ADJUSTED.AAPL", "UNADJUSTED.AAPL")
    follow_series(providers.get("fmp"), "bars", names, interval="1d")
    found = farm.select("SELECT instrument, adjustment FROM series ORDER BY 1")
    assert [tuple(row) for row in found] == list(zip(sorted(names), ("splits", "all", "none"), strict=True))


def test_following_again_keeps_the_earliest_since_and_makes_no_second_series(farm, follow_series):
    early, late = NOW - timedelta(days=9), NOW - timedelta(days=2)
    for number, since in enumerate((late, None, early, late)):
        follow_series(dataset="bars", interval="1m", since=since, now=NOW + timedelta(seconds=number))
    assert farm.select(FOLLOWED) == [("BTC-USDT", "1m", early)]


def test_an_unfollowed_series_keeps_its_rows_and_can_be_followed_again(farm, follow_series, step):
    follow_series(instruments=["BTC-USDT", "ETH-USDT"])
    farm.run(within=timedelta(0))
    assert step(unfollow, BINANCE.facts, "quotes", ["BTC-USDT", "SOL-USDT"], interval=None) == 1
    assert step(unfollow, BINANCE.facts, "quotes", ["BTC-USDT"], interval=None) == 0
    assert [row[0] for row in farm.select(FOLLOWED)] == ["ETH-USDT"]
    assert farm.value("SELECT count(*) FROM quotes") == 2
    follow_series()
    assert farm.value("SELECT count(*) FROM series") == 2


moments = st.datetimes(datetime(2023, 1, 1), datetime(2024, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001
_names = itertools.count(1)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(moments, st.timedeltas(timedelta(seconds=1), timedelta(days=90)), moments, st.sampled_from(["1m", "1h", "1d"]))
def test_the_chunks_cover_the_asked_time_up_to_now_exactly_and_do_not_overlap(farm, plan, start, length, now, interval):
    farm.change("DELETE FROM jobs")
    end = min(start + length, now)
    if end <= start:
        with pytest.raises(FixRequest, match="end must be after start"):
            plan(start, start + length, interval=interval, now=now)
        assert windows(farm) == []
        return
    count = plan(start, start + length, interval=interval, now=now)
    found = windows(farm)
    assert count == len(found)
    covered_to = min(start + length, bar_open(now, interval))
    if covered_to <= start:
        assert found == []
        return
    assert (found[0][0], found[-1][1]) == (start, covered_to)
    assert all(first[1] == second[0] for first, second in itertools.pairwise(found))
    assert all(first < last for first, last in found)
    assert all(last - first <= timedelta(seconds=seconds_of(interval) * JOB_ROWS) for first, last in found)
    assert plan(start, start + length, interval=interval, now=now) == 0


def test_planning_again_within_the_same_bar_owes_nothing_and_later_only_what_is_new(farm, plan):
    start, end = NOW - timedelta(days=10), NOW + timedelta(days=1)
    first = plan(start, end)
    assert first == len(windows(farm)) == 4
    assert plan(start, end, now=NOW + timedelta(seconds=3)) == 0
    assert plan(start, end, now=NOW + timedelta(minutes=1)) == 1
    longer = windows(farm)[-1]
    assert longer[1] == bar_open(NOW, "1m") + timedelta(minutes=1)


def test_plans_that_overlap_share_the_chunks_between_their_ends(farm, plan):
    step_ = timedelta(minutes=JOB_ROWS)
    grid = datetime(1970, 1, 1, tzinfo=UTC) + (NOW - datetime(1970, 1, 1, tzinfo=UTC)) // step_ * step_
    assert plan(grid - 4 * step_, grid - step_) == 3
    assert plan(grid - 3 * step_, grid) == 1
    assert plan(grid - 6 * step_, grid) == 2
    assert windows(farm) == [(grid - n * step_, grid - (n - 1) * step_) for n in range(6, 0, -1)]


def test_history_is_owed_newest_first_on_the_backfill_lane(farm, plan, step):
    plan(NOW - timedelta(days=12), NOW, names=("BTC-USDT", "ETH-USDT"))
    leased = step(lease_all, "backfill", limit=100, now=NOW + timedelta(seconds=1))
    order = [job["start"] for job in (dict(one.kwargs) for one in sorted(leased, key=lambda one: due(farm, one.id)))]
    assert order == sorted(order, reverse=True)
    assert {one.priority for one in leased} == {4}


def due(farm, job_id):
    return farm.value("SELECT due_at FROM jobs WHERE id = :id", id=job_id)


def test_planned_history_fetches_exactly_the_bars_of_its_time(farm, plan):
    end = datetime(2024, 3, 5, tzinfo=UTC)
    start = end - timedelta(days=8, seconds=17)
    plan(start, end)
    farm.run(within=timedelta(hours=1))
    minutes = 8 * 1440
    assert farm.select("SELECT count(*), min(ts), max(ts) FROM bars") == [
        (minutes, end - timedelta(days=8), end - timedelta(minutes=1))
    ]
    assert farm.findings() == []
    assert farm.value("SELECT sum(stored) FROM ledger") == minutes
