"""Gaps of what is no bar: trades by their numbers, polls that were missed, values that were answered."""

from __future__ import annotations

from datetime import timedelta

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


@pytest.mark.parametrize(
    ("missed", "stored", "verdict"),
    [(0, 9, ("verified", None)), (2, 7, ("unavailable", "2 of 9 polls were missed"))],
)
def test_a_day_of_quotes_is_whole_where_no_poll_was_missed(farm, missed, stored, verdict):
    follow(farm, "quotes")
    farm.change(
        "INSERT INTO jobs (key, task, lane, kwargs, state, due_at, entry) SELECT n, 'tasks.fetch.binance', 'live',"
        """ '{"dataset": "quotes"}', CASE WHEN n <= :missed THEN 'expired' ELSE 'done' END,"""
        " timestamptz '2024-03-05 12:00Z' + n * interval '1 s', 'binance-quotes' FROM generate_series(1, 9) AS n",
        missed=missed,
    )
    farm.change(
        "INSERT INTO ledger (series_id, day, stored, final, job_id, updated_at)"
        " SELECT id, '2024-03-05', :stored, :stored, 1, now() FROM series",
        stored=stored,
    )
    check(farm.context, NOW)
    assert farm.select("SELECT state, note FROM ledger WHERE day = '2024-03-05'") == [verdict]
    assert farm.value("SELECT count(*) FROM jobs WHERE key LIKE 'gap:%'") == 0


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
