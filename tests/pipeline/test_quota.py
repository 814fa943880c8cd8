"""Windows of days and months in PostgreSQL: never exceeded by whoever asks, given back only where nothing was sent."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.pipeline.quota import give_back, long_limits, reserve, used_of, window_end, window_start
from ingest.wire import Limit, Request

NOW = datetime(2026, 11, 24, 17, 30, tzinfo=UTC)
DAY = Limit(100, 86_400, "test")
moments = st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
zones = st.sampled_from(["UTC", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"])


def requests(count, weight=1):
    return [Request("/", weight=weight)] * count


@pytest.fixture
def count(farm):
    """Reserve in a transaction of its own."""

    def count_(number, limits=(DAY,), *, now=NOW, weight=1, pool=""):
        with farm.context.sessions.begin() as session:
            return reserve(session, "x", pool, limits, requests(number, weight), now)

    return count_


def used(farm, limit=DAY, now=NOW):
    with farm.context.sessions() as session:
        return used_of(session, [("x", "", limit)], now)[0]


def test_only_windows_of_over_an_hour_are_counted_here():
    short, hour = Limit(1, 60, "test"), Limit(1, 3600, "test")
    assert long_limits([short, hour, DAY]) == (DAY,)


def test_what_fits_is_counted_and_the_rest_is_told_when(count, farm):
    assert count(70).count == 70
    second = count(50)
    assert (second.count, second.limit) == (30, DAY)
    assert second.until == datetime(2026, 11, 25, 18, tzinfo=UTC), "the hour they were counted in is over a day later"
    assert count(1).count == 0
    assert used(farm) == 100
    assert count(1, pool="another key").count == 1


def test_what_is_used_of_several_windows_is_told_in_their_order(count, farm):
    month = Limit(1_000, 30 * 86_400, "test", resets="UTC")
    count(7, [DAY, month], now=NOW - timedelta(days=3))
    count(20, [DAY, month])
    count(3, [DAY], pool="other")
    windows = [("x", "other", DAY), ("x", "", month), ("y", "", DAY), ("x", "", DAY)]
    with farm.context.sessions() as session:
        assert used_of(session, windows, NOW) == [3, 27, 0, 20]
        assert used_of(session, [], NOW) == []


def test_a_day_that_slides_frees_an_hour_when_all_of_it_is_a_day_old(count):
    count(100, now=NOW)
    almost = datetime(2026, 11, 25, 17, 59, tzinfo=UTC)
    assert count(1, now=almost).count == 0
    assert count(1, now=almost + timedelta(minutes=2)).count == 1


def test_a_day_that_resets_is_new_at_the_providers_midnight(count):
    new_york = Limit(100, 86_400, "test", resets="America/New_York")
    full = count(150, [new_york])
    assert full.until == datetime(2026, 11, 25, 5, tzinfo=UTC)
    assert count(1, [new_york], now=full.until - timedelta(seconds=1)).count == 0
    assert count(1, [new_york], now=full.until).count == 1


def test_a_month_that_resets_is_new_on_its_first_day(count):
    month = Limit(100, 30 * 86_400, "test", resets="UTC")
    assert count(150, [month]).until == datetime(2026, 12, 1, tzinfo=UTC)


@given(moments, zones, st.sampled_from([86_400, 30 * 86_400]))
def test_a_window_that_resets_holds_its_moment_and_the_next_begins_where_it_ends(moment, zone, per_s):
    limit = Limit(1, per_s, "test", resets=zone)
    start, end = window_start(limit, moment), window_end(limit, moment)
    assert start <= moment < end + timedelta(hours=1)
    assert timedelta(hours=22) < end - start <= timedelta(days=31, hours=2)


def test_weights_and_requests_are_counted_apart_and_the_tighter_limit_decides(count):
    weight = Limit(50, 86_400, "test", "weight")
    first = count(20, [DAY, weight], weight=5)
    assert (first.count, first.limit) == (10, weight)


def test_what_was_never_sent_is_given_back_and_never_more_than_there_is(count, farm):
    count(60)
    with farm.context.sessions.begin() as session:
        give_back(session, "x", "", [DAY], requests(20), NOW)
    assert used(farm) == 40
    with farm.context.sessions.begin() as session:
        give_back(session, "x", "", [DAY], requests(500), NOW)
    assert used(farm) == 0


def test_sixteen_that_race_never_count_more_than_the_limit(count, farm):
    with ThreadPoolExecutor(8) as pool:
        got = [one.count for one in pool.map(lambda _: count(9), range(16))]
    assert sum(got) == used(farm) == DAY.amount
