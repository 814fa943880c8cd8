"""`tickfarm coverage`: says what is proven, and with --strict ends with 3 while anything is not."""

from __future__ import annotations

import json

import pytest

from tests.conftest import statement
from tests.tickfarm_command import each_with


@pytest.fixture
def tickfarm(database_url, redis_url, home):
    return each_with(
        DATABASE_URL=database_url, REDIS_URL=redis_url, TICKFARM_HOME=str(home), TICKFARM_LOG_FORMAT="json"
    )


SERIES = (
    "INSERT INTO series (provider, dataset, instrument, interval, followed, since, until)"
    " VALUES ('binance', 'bars', 'BTC-USDT', '1m', true, '2024-03-05', '2024-03-08')"
)
DAYS = (
    "INSERT INTO ledger (series_id, day, expected, stored, final, state, job_id, updated_at) SELECT id, day, 1440, 0,"
    " 1440 - missing, state, 1, now() FROM series, (VALUES (date '2024-03-05', 0, 'verified'),"
    " ('2024-03-06', 40, 'fetched'), ('2024-03-07', 0, 'suspect')) AS days (day, missing, state)"
)


def test_coverage_is_shown_and_strict_fails_while_anything_is_unproven(tickfarm, database_url):
    [nothing] = tickfarm("coverage --strict")
    assert (nothing.returncode, nothing.stdout) == (0, "")
    statement(database_url, SERIES)
    statement(database_url, DAYS)
    plain, strict, as_json, lately = tickfarm(
        "coverage", "coverage --strict", "coverage --json", "coverage --last 30d --json"
    )
    assert (plain.returncode, strict.returncode) == (0, 3)
    assert "binance bars BTC-USDT 1m" in plain.stdout
    assert "65.74 %" in plain.stdout
    [one] = json.loads(as_json.stdout)
    assert (one["expected"], one["proven"], one["gap_days"], one["suspect_days"]) == (4320, 2840, 2, 1)
    assert one["is_proven"] is False
    assert json.loads(lately.stdout)[0]["days"] == 0


def test_a_scrub_finds_that_the_rows_are_not_there(tickfarm, database_url):
    statement(database_url, SERIES)
    statement(database_url, DAYS.replace("1440, 0,", "1440, 1440,"))
    scrubbed, bad = tickfarm("coverage --scrub --strict", "coverage --last fortnight")
    assert scrubbed.returncode == 3
    assert "3 days are not as they were written" in scrubbed.stderr
    assert bad.returncode == 2
    assert "no time like 30d" in bad.stderr
