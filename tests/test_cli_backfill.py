"""`tickfarm backfill`: plans without a trace, orders, shows how far an order is, cancels it."""

from __future__ import annotations

import json

import pytest

from tests.conftest import statement
from tests.tickfarm_command import complaint, each_with

MARCH = "binance bars BTC-USDT ETH-USDT --interval 1m --start 2024-03-01 --end 2024-03-11"
LIMITS = {"TICKFARM_PACE": "true"}


@pytest.fixture
def tickfarm(database_url, redis_url, home):
    """Return what runs commands that meet no provider: where the names can't be checked, they are taken as they are."""
    return each_with(
        DATABASE_URL=database_url,
        REDIS_URL=redis_url,
        TICKFARM_HOME=str(home),
        TICKFARM_LOG_FORMAT="json",
        TICKFARM_SANDBOX_URL="http://127.0.0.1:1",
        **LIMITS,
    )


def test_an_order_is_planned_given_watched_and_cancelled(tickfarm, database_url):
    table, plan, nothing = tickfarm(f"backfill plan {MARCH}", f"backfill plan {MARCH} --json", "backfill status --json")
    assert "20 missing, 0 suspect, 0 verified already" in table.stdout
    figures = json.loads(plan.stdout)
    named = ("days_missing", "jobs", "requests", "weight", "rows", "quota_days")
    assert [figures[name] for name in named] == [20, 6, 30, 60, 28_800, 0]
    assert figures["hours"] == pytest.approx(60 / 4_800 / 60)
    assert figures["disk_bytes"] == 28_800 * figures["row_bytes"]
    assert json.loads(nothing.stdout) == []

    given, again, listed, one = tickfarm(
        f"backfill run {MARCH} --json", f"backfill run {MARCH}", "backfill status", "backfill status 1 --json"
    )
    assert (given.returncode, json.loads(given.stdout)["id"]) == (0, 1)
    assert "backfill 1 is ordered" in given.stderr
    assert "0, and 6 that are owed already" in again.stdout
    assert "binance bars 1m BTC-USDT +1" in listed.stdout
    shown = json.loads(one.stdout)
    assert (shown["state"], shown["jobs"], shown["left"], shown["days"]) == ("running", 6, 6, 20)
    assert shown["takes_s"] == 1  # 60 of 4,800 weight a minute

    cancelled, twice, ended = tickfarm("backfill cancel 1", "backfill cancel 1", "backfill status 1 --watch")
    assert (cancelled.returncode, cancelled.stdout) == (0, "backfill 1 is cancelled; 0 jobs had not begun\n")
    assert (twice.returncode, "cancelled already" in complaint(twice)) == (2, True)
    assert (ended.returncode, "cancelled" in ended.stdout) == (0, True)

    statement(database_url, "UPDATE jobs SET state = 'done', finished_at = now()")
    [over] = tickfarm("backfill status 2 --watch --json")
    assert over.returncode == 3  # the ledger has none of it
    assert [json.loads(line)["state"] for line in over.stdout.splitlines()] == ["done"]


def test_what_can_not_be_ordered_is_refused_in_one_line(tickfarm):
    refused = tickfarm(
        "backfill plan binance quotes BTC-USDT --start 2024-03-01",
        "backfill plan binance bars BTC-USDT --interval 1m --start 2024-03-01 --end 2024-02-01",
        "backfill run binance bars BTC-USDT --interval 1m --start 2024-03-01 --mode some",
        "backfill status 77",
    )
    assert [one.returncode for one in refused] == [2] * 4
    said = [complaint(one) for one in refused]
    for words, line in zip(
        ("no history", "nothing to ask for", "missing, suspect, all", "does not exist"), said, strict=True
    ):
        assert words in line
