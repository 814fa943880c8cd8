"""Gaps of what is no bar: trades by their numbers, polls that were missed, values that were answered."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ingest.pipeline.gaps import check
from tests.pipeline.farm import DAY

NOW = DAY + timedelta(days=2)
HOUR = timedelta(hours=1)


def follow(farm, dataset, *, provider="binance", instrument="BTC-USDT", since=DAY, until=None):
    farm.change(
        "INSERT INTO series (provider, dataset, instrument, followed, since, until, created_at)"
        " VALUES (:provider, :dataset, :instrument, true, :since, :until, :since)",
        provider=provider,
        dataset=dataset,
        instrument=instrument,
        since=since,
        until=until,
    )


def heal(farm, *, runs=6):
    for at in range(runs):
        if not check(farm.context, NOW + at * timedelta(days=8)).jobs:
            return at
        farm.run(within=timedelta(hours=2))
    raise AssertionError(farm.select("SELECT * FROM ledger"))


def test_trades_that_are_counted_are_verified_by_their_numbers_once_their_ends_are_covered(farm):
    follow(farm, "trades", until=DAY + timedelta(minutes=20))
    assert heal(farm) == 2
    assert farm.value("SELECT state FROM ledger") == "verified"
    assert farm.value("SELECT stored FROM ledger") == farm.value("SELECT count(*) FROM trades") > 10_000
    windows = farm.select("SELECT kwargs->>'start', kwargs->>'end' FROM jobs WHERE key LIKE 'gap:%:2:%' ORDER BY 1")
    assert windows[0][0] == DAY.isoformat()
    assert [end < "2024-03-05T00:00:01" or start > "2024-03-05T00:19:59" for start, end in windows] == [True, True]


def test_trades_that_are_not_counted_are_verified_by_two_answers(farm):
    follow(farm, "trades", provider="kraken", instrument="BTC-USD", until=DAY + timedelta(minutes=2))
    assert heal(farm) >= 2
    assert farm.select("SELECT state, twice @> once FROM ledger") == [("verified", True)]


def test_a_hole_in_the_numbers_of_trades_is_asked_for_by_the_times_of_its_neighbours(farm):
    follow(farm, "trades", until=DAY + timedelta(minutes=20))
    heal(farm)
    before = farm.value("SELECT count(*) FROM trades")
    farm.change(
        "WITH gone AS (DELETE FROM trades WHERE trade_id IN (SELECT trade_id FROM trades ORDER BY trade_id OFFSET 20"
        " LIMIT 3) RETURNING 1) UPDATE ledger SET state = 'fetched', attempts = 0, next_at = NULL, stored = stored - 3,"
        " final = final - 3 WHERE 3 = (SELECT count(*) FROM gone)"
    )
    assert check(farm.context, NOW).jobs == 1
    [(kwargs,)] = farm.select("SELECT kwargs FROM jobs WHERE state = 'due'")
    assert kwargs["end"] < (DAY + timedelta(minutes=19)).isoformat()
    farm.run(within=timedelta(hours=2))
    heal(farm)
    assert farm.value("SELECT count(*) FROM trades") == before


POLLS = (
    "INSERT INTO jobs (key, task, lane, kwargs, state, due_at, entry) SELECT n, 'tasks.fetch.binance', 'live',"
    """ '{"dataset": "quotes"}', CASE WHEN n = ANY(:missed) THEN 'expired' ELSE 'done' END,"""
    " timestamptz '2024-03-05Z' + n * interval '60 s', 'binance-quotes' FROM generate_series(:first, 1439) AS n"
    " WHERE n <> ALL(:unowed)"
)


def day_of_quotes(farm, *, first=0, missed=(), unowed=(), stored=9, since=DAY):
    """Let a day of polls, one a minute, be over, and return what the ledger says of it."""
    follow(farm, "quotes", since=since)
    farm.change(POLLS, first=first, missed=list(missed), unowed=list(unowed))
    farm.change(
        "INSERT INTO ledger (series_id, day, stored, final, job_id, updated_at)"
        " SELECT id, '2024-03-05', :stored, :stored, 1, now() FROM series",
        stored=stored,
    )
    check(farm.context, NOW)
    assert farm.value("SELECT count(*) FROM jobs WHERE key LIKE 'gap:%'") == 0
    [found] = farm.select("SELECT state, note FROM ledger WHERE day = '2024-03-05'")
    return found


def test_a_day_of_quotes_is_whole_where_no_poll_was_missed(farm):
    assert day_of_quotes(farm) == ("verified", None)


def test_a_day_of_quotes_whose_polls_were_missed_says_how_many(farm):
    assert day_of_quotes(farm, missed=(7, 9)) == ("unavailable", "2 of 1440 polls were missed")


def test_a_day_of_quotes_that_came_empty_says_so(farm):
    assert day_of_quotes(farm, stored=0) == ("unavailable", "1440 polls brought nothing")


@pytest.mark.parametrize("unowed", [range(600, 780), range(1260, 1440), range(180)], ids=["between", "last", "first"])
def test_hours_in_which_the_farm_was_down_and_owed_no_polls_are_not_proven(farm, unowed):
    pause = "03:00:00" if unowed[0] == 0 else "03:01:00"
    assert day_of_quotes(farm, unowed=unowed) == ("unavailable", f"nobody polled for {pause}")


def test_a_few_slots_that_were_skipped_and_the_hours_before_the_series_was_followed_are_no_hole(farm):
    since = DAY + timedelta(hours=12)
    assert day_of_quotes(farm, first=720, unowed=(800, 801, 802, 803), since=since) == ("verified", None)


def test_values_that_an_answer_covered_are_verified(farm):
    follow(farm, "observations", provider="fred", instrument="UNRATE")
    farm.change(
        "INSERT INTO ledger (series_id, day, stored, final, once, job_id, updated_at)"
        " SELECT id, day, 1, 1, CASE WHEN day = '2024-03-01' THEN '{[2024-01-01Z,2024-04-01Z)}' ELSE '{}' END"
        "::tstzmultirange, 1, now() FROM series, (VALUES (date '2024-03-01'), ('2024-02-01')) AS days (day)"
    )
    check(farm.context, NOW)
    assert farm.select("SELECT state FROM ledger ORDER BY day") == [("fetched",), ("verified",)]


def test_an_earlier_since_opens_a_day_of_trades_again(farm):
    follow(farm, "trades", since=DAY + timedelta(minutes=10), until=DAY + timedelta(minutes=12))
    heal(farm)
    assert farm.value("SELECT state FROM ledger") == "verified"
    farm.change("UPDATE series SET since = :since", since=DAY + timedelta(minutes=8))
    assert heal(farm) >= 1
    assert farm.value("SELECT state FROM ledger") == "verified"
    assert farm.value("SELECT min(ts) FROM trades") < DAY + timedelta(minutes=9)


@pytest.fixture
def unrate(farm, monkeypatch):
    """Return the farm with a monthly series that is owed from 2022 on, and nothing of it stored."""
    monkeypatch.setenv("FRED_API_KEY", "sandbox-key")
    follow(farm, "observations", provider="fred", instrument="UNRATE", since=datetime(2022, 1, 1, tzinfo=UTC))
    return farm


def history_of(farm, *, end):
    call = {"dataset": "observations", "instruments": ["UNRATE"], "start": "2022-01-01", "end": end}
    farm.owe("fred", call)
    farm.run(within=timedelta(hours=2))


def test_releases_that_must_be_out_are_asked_for_in_one_job_and_verified(unrate):
    """History ended in October, and no poll brought what came after it."""
    assert check(unrate.context, NOW).planned == 0  # nothing says yet how often there is a value
    history_of(unrate, end="2023-10-15")
    assert check(unrate.context, NOW).planned == 2  # November and December; January may come until the middle of March
    [(start, end)] = unrate.select("SELECT kwargs->>'start', kwargs->>'end' FROM jobs WHERE key LIKE 'gap:%'")
    assert (start[:10], end[:10]) == ("2023-11-01", "2023-12-02")
    unrate.run(within=timedelta(hours=2))
    check(unrate.context, NOW)
    states = unrate.select("SELECT state, count(*), min(day)::text, max(day)::text FROM ledger GROUP BY 1")
    assert states == [("verified", 24, "2022-01-01", "2023-12-01")]


def test_a_release_that_two_answers_leave_out_is_confirmed_to_be_none(unrate):
    history_of(unrate, end="2023-12-15")
    unrate.change(
        "INSERT INTO ledger (series_id, day, stored, final, job_id, state, updated_at)"
        " SELECT id, '2023-06-15', 0, 0, 0, 'planned', now() FROM series"
    )
    heal(unrate)
    state = "SELECT state, attempts, stored FROM ledger WHERE day = '2023-06-15'"
    assert unrate.select(state) == [("empty_confirmed", 0, 0)]
    assert unrate.value("SELECT count(*) FROM jobs WHERE key LIKE 'gap:%' AND kwargs->>'start' LIKE '2023-06-15%'") == 2


def test_values_of_a_poll_are_covered_by_an_answer_once_they_are_old_enough(unrate):
    history_of(unrate, end="2023-12-15")
    check(unrate.context, NOW)
    unrate.change("UPDATE ledger SET state = 'fetched', once = '{}' WHERE day >= '2023-11-01'")
    assert check(unrate.context, datetime(2023, 12, 20, tzinfo=UTC)).jobs == 0
    assert check(unrate.context, datetime(2024, 1, 20, tzinfo=UTC)).jobs == 1
    unrate.run(within=timedelta(hours=2))
    check(unrate.context, NOW)
    assert unrate.select("SELECT DISTINCT state FROM ledger WHERE stored > 0") == [("verified",)]


def test_an_older_vintage_that_an_answer_need_not_hold_is_kept_when_a_date_is_healed(unrate):
    history_of(unrate, end="2023-12-15")
    unrate.change(
        'INSERT INTO observations SELECT (jsonb_populate_record(observations, \'{"vintage": "2022-02-01"}\')).*'
        " FROM observations WHERE ts = '2022-01-01Z' LIMIT 1"
    )
    rows = unrate.value("SELECT count(*) FROM observations WHERE ts = '2022-01-01Z'")
    assert rows > 1
    unrate.change("UPDATE ledger SET state = 'suspect', once = '{}' WHERE day = '2022-01-01'")
    for at in range(2):
        check(unrate.context, NOW + at * timedelta(days=8))
        unrate.run(within=timedelta(hours=2))
    assert unrate.value("SELECT count(*) FROM observations WHERE ts = '2022-01-01Z'") == rows
