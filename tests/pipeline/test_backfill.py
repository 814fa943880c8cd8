"""Orders owe each job once, whoever asks again; cancelling one leaves what others wait for; progress is derived."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ingest import providers
from ingest.errors import FixRequest
from ingest.pipeline import backfill
from ingest.pipeline.backfill_plan import check_ask
from ingest.pipeline.backfill_status import progress_of
from ingest.pipeline.follow import plan_history
from ingest.pipeline.retention import retain
from tests.pipeline.farm import DAY, bars_call
from tests.pipeline.transitions import lease_all
from tests.tester import TESTER

WHOLE = 24 * 60
DAYS = timedelta(days=1)
LATER = timedelta(hours=3)


@pytest.fixture
def order(farm):
    """Return what orders minutes from DAY on."""

    def run(days=1, *instruments, provider="binance", first=0, mode="missing", start=None, end=None, now=None):
        # The oldest stretch is due some milliseconds after the newest.
        now, config = now or datetime.now(UTC) - timedelta(seconds=1), farm.context.settings
        window = {"start": start or DAY + first * DAYS, "end": end or DAY + (first + days) * DAYS}
        names = instruments or ("BTC-USDT",)
        known = providers.get(provider)
        ask = check_ask(config, known, "bars", names, interval="1m", mode=mode, now=now, **window)
        with farm.context.sessions.begin() as session:
            return backfill.run(session, config, ask, by=TESTER, now=now)

    return run


@pytest.fixture
def progress(farm):
    """Return what says how far an order is."""

    def look(number, now=None):
        with farm.context.sessions() as session:
            order = backfill.find(session, number)
            return progress_of(session, farm.context.settings, order, now or datetime.now(UTC))

    return look


def windows(farm, where="true"):
    return farm.select(f"SELECT kwargs->>'start', kwargs->>'end' FROM jobs WHERE {where} ORDER BY 1, 2")


def stretch(first, past):
    """Return minutes of DAY, as a job's arguments have them."""
    return tuple((DAY + timedelta(minutes=one)).isoformat() for one in (first, past))


def test_an_order_fetches_its_days_and_is_proven_by_the_ledger(farm, order, progress):
    number, found = order(4, "BTC-USDT", "ETH-USDT")
    assert (found.jobs, found.rows) == (4, 2 * 4 * WHOLE)
    at_first = progress(number)
    assert (at_first.state, at_first.left, at_first.percent, at_first.days_verified) == ("running", 4, 0, 0)
    farm.run()
    done = progress(number)
    assert (done.state, done.left, done.percent) == ("done", 0, 100)
    assert (done.days, done.days_verified, done.rows_stored) == (8, 8, 2 * 4 * WHOLE)
    assert (done.is_proven, done.ordered_by) == (True, "tester")


def test_jobs_are_owed_newest_first_of_all_series(farm, order, step):
    now = datetime.now(UTC)
    order(8, "BTC-USDT", "ETH-USDT", now=now)
    leased = step(lease_all, "backfill", limit=100, now=now + timedelta(seconds=1))
    due = {one.id: farm.value("SELECT due_at FROM jobs WHERE id = :id", id=one.id) for one in leased}
    ends = [one.kwargs["end"] for one in sorted(leased, key=lambda one: due[one.id])]
    assert ends == sorted(ends, reverse=True)


def test_what_is_verified_is_not_asked_for_again_unless_all_is(farm, order):
    order(3)
    farm.run()
    nothing, found = order(3)
    assert (nothing, found.jobs, found.days_verified) == (None, 0, 3)
    assert farm.value("SELECT count(*) FROM backfills") == 1
    order(5)
    assert windows(farm, "state = 'due'") == [stretch(3 * WHOLE, 5 * WHOLE)]
    farm.run()
    _, everything = order(5, mode="all")
    assert (everything.jobs, everything.rows) == (2, 5 * WHOLE)
    assert windows(farm, "state = 'due'") == [stretch(0, 5_000), stretch(5_000, 5 * WHOLE)]
    farm.run()
    assert farm.value("SELECT count(*) FROM bars") == 5 * WHOLE
    assert farm.value("SELECT count(*) FROM revisions") == 0


def test_orders_that_overlap_make_no_job_twice_and_share_those_there_are(farm, order, progress):
    first, _ = order(3)
    second, found = order(3, first=1)
    assert (found.jobs, found.shared_jobs) == (1, 1)
    assert windows(farm) == [stretch(0, 3 * WHOLE), stretch(3 * WHOLE, 4 * WHOLE)]
    assert [progress(one).jobs for one in (first, second)] == [1, 2]
    farm.run()
    assert [progress(one).is_proven for one in (first, second)] == [True, True]
    assert farm.requests("binance") == 5 + 2  # 4,320 rows, and a day


def test_cancelling_an_order_leaves_what_another_one_waits_for(farm, order, progress, step):
    first, _ = order(3)
    second, _ = order(3, first=1)
    third, _ = order(2, first=7)
    assert step(backfill.cancel, first, datetime.now(UTC), by=TESTER) == 0  # its one job is the second's too
    assert step(backfill.cancel, third, datetime.now(UTC), by=TESTER) == 1
    assert farm.select("SELECT state, count(*) FROM jobs GROUP BY 1 ORDER BY 1") == [("cancelled", 1), ("due", 2)]
    assert (
        step(backfill.cancel, second, datetime.now(UTC), by=TESTER) == 2
    )  # nobody else waits for the first's any more
    assert [progress(one).state for one in (first, second, third)] == ["cancelled"] * 3
    with pytest.raises(FixRequest, match="cancelled already"):
        step(backfill.cancel, first, datetime.now(UTC), by=TESTER)
    assert order(3)[1].jobs == 1  # what was cancelled is missing again


def test_cancelling_leaves_what_runs_and_what_was_owed_before(farm, order, step):
    plan = {"interval": "1m", "start": DAY, "end": DAY + DAYS, "now": datetime.now(UTC)}
    owed = step(plan_history, providers.get("binance"), ["BTC-USDT"], **plan)
    number, found = order(2, "BTC-USDT", "ETH-USDT")
    assert (owed, found.jobs, found.shared_jobs) == (1, 2, 1)
    farm.change("UPDATE jobs SET state = 'leased' WHERE kwargs->'instruments'->>0 = 'ETH-USDT'")
    assert step(backfill.cancel, number, datetime.now(UTC), by=TESTER) == 1
    assert farm.select("SELECT state FROM jobs ORDER BY id") == [("due",), ("cancelled",), ("leased",)]


def test_only_the_missing_minutes_of_a_day_are_asked_for(farm, order):
    farm.owe("binance", bars_call(minutes=1_200, start=DAY + timedelta(minutes=100)))
    farm.run()
    order()
    assert windows(farm, "state = 'due'") == [stretch(0, 100), stretch(1_300, WHOLE)]
    farm.run()
    assert farm.select("SELECT state, stored FROM ledger") == [("verified", WHOLE)]


def test_a_day_that_came_from_a_file_is_asked_for(farm, order):
    farm.owe("binance", bars_call(minutes=2 * WHOLE))
    farm.run()
    farm.change("UPDATE ledger SET state = 'imported', once = '{}', twice = '{}' WHERE day = '2024-03-06'")
    _, found = order(2)
    assert (found.jobs, found.days_missing, found.days_verified) == (1, 1, 1)
    assert windows(farm, "state = 'due'") == [stretch(WHOLE, 2 * WHOLE)]


def test_values_are_ordered_in_one_job_whatever_dates_are_proven_and_that_proves_what_can_be(farm, step, progress):
    """Between two releases there is nothing, and nobody can say that a day of these is missing."""
    farm.change(
        "INSERT INTO series (provider, dataset, instrument, followed)"
        " VALUES ('frankfurter', 'observations', 'EUR-USD', true)"
    )
    farm.change(
        "INSERT INTO ledger (series_id, day, stored, final, state, job_id, updated_at)"
        " SELECT id, day, 1, 1, state, 1, now()"
        " FROM series, (VALUES (date '2024-03-06', 'verified'), ('2024-03-07', 'fetched')) AS days (day, state)"
    )
    now = datetime.now(UTC) - timedelta(seconds=1)
    window = {"interval": None, "start": DAY, "end": DAY + 10 * DAYS, "mode": "missing", "now": now}
    config, provider = farm.context.settings, providers.get("frankfurter")
    ask = check_ask(config, provider, "observations", ["EUR-USD"], **window)
    number, found = step(backfill.run, config, ask, by=TESTER, now=now)
    assert (found.jobs, windows(farm)) == (1, [stretch(0, 10 * WHOLE)])
    farm.run()
    assert progress(number).is_proven


def test_today_of_a_followed_series_is_left_to_the_live_lane(farm, order):
    now = datetime.now(UTC)
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    farm.change(
        "INSERT INTO series (provider, dataset, instrument, interval, followed)"
        " VALUES ('binance', 'bars', 'BTC-USDT', '1m', true)"
    )
    order(start=today - 2 * DAYS, end=now + DAYS, now=now)
    assert max(end for _, end in windows(farm)) == today.isoformat()


def test_a_suspect_day_is_healed_by_a_job_that_may_delete_and_by_no_other(farm, order, progress):
    farm.owe("binance", bars_call(minutes=3 * WHOLE))
    farm.run()
    farm.change("UPDATE bars SET close = close + 1, high = high + 1 WHERE ts = '2024-03-06 07:00Z'")
    farm.change("DELETE FROM bars WHERE ts = '2024-03-06 08:00Z'")
    farm.change("UPDATE ledger SET state = 'suspect', once = '{}', twice = '{}' WHERE day = '2024-03-06'")
    assert order(3) == (None, order(3)[1])  # only what is missing
    number, found = order(3, mode="suspect")
    assert (found.jobs, found.days_suspect) == (1, 1)
    assert windows(farm, "state = 'due' AND key LIKE 'gap:backfill:%'") == [stretch(WHOLE, 2 * WHOLE)]
    farm.run()
    assert farm.select("SELECT DISTINCT state, stored FROM ledger") == [("verified", WHOLE)]
    assert progress(number).is_proven


def test_minutes_that_two_answers_left_out_are_settled_by_the_order_after_them(farm, order, progress):
    farm.sandbox.arm("coinbase", "missing_row", args={"row": 100})
    ask = {"provider": "coinbase"}
    number, _ = order(1, "BTC-USD", **ask)
    farm.run()
    assert (progress(number).state, progress(number).is_proven) == ("done", False)
    farm.sandbox.arm("coinbase", "empty_page", times=None)
    again, found = order(1, "BTC-USD", **ask)
    assert (found.jobs, found.rows) == (1, 1)
    farm.run()
    nothing, found = order(1, "BTC-USD", **ask)
    assert (nothing, found.days_verified) == (None, 1)
    assert farm.select("SELECT state, stored, confirmed FROM ledger") == [("verified", WHOLE - 1, 1)]
    assert [progress(one).is_proven for one in (number, again)] == [True, True]


def test_parts_that_a_job_left_belong_to_its_order(farm, order, progress, step):
    farm.sandbox.arm("binance", "status", args={"status": 429, "retry_after": 30})  # the first page of two
    number, _ = order()
    farm.run_once()
    assert farm.states() == ["done", "due"]
    left = progress(number)
    assert (left.state, left.jobs, left.left, left.percent) == ("running", 1, 1, 50)
    assert step(backfill.cancel, number, datetime.now(UTC), by=TESTER) == 1
    assert farm.states() == ["done", "cancelled"]


def test_an_order_with_dead_jobs_has_failed_and_says_how_many(farm, order, progress):
    number, _ = order()
    farm.change("UPDATE jobs SET state = 'dead', finished_at = now()")
    assert (progress(number).state, progress(number).dead) == ("failed", 1)


def test_the_forecast_is_the_budgets_until_something_has_ended_and_then_what_was_measured(farm, order, progress):
    number, _ = order(8)
    at_first = progress(number)
    assert (at_first.is_measured, at_first.takes) == (False, timedelta(0))  # the sandbox limits nobody
    farm.change("UPDATE jobs SET state = 'done', finished_at = now() WHERE id = (SELECT min(id) FROM jobs)")
    then = progress(number, farm.value("SELECT created_at FROM backfills") + timedelta(minutes=4))
    assert then.is_measured
    assert then.takes == then.left * timedelta(minutes=4)


def test_jobs_that_retention_deleted_are_over(farm, order, progress):
    number, _ = order(8)
    farm.run()
    before = progress(number)
    retain(farm.context, datetime.now(UTC) + timedelta(days=30))
    assert farm.value("SELECT count(*) FROM jobs") == 0
    after = progress(number)
    assert (after.state, after.percent, after.jobs) == ("done", 100, before.jobs)
    assert (after.days_verified, after.is_proven) == (8, True)


def test_old_orders_go_with_their_links_but_none_that_is_not_over(farm, order):
    for first in (0, 2):
        order(first=first)
    farm.change("UPDATE jobs SET state = 'done', finished_at = now() WHERE id = (SELECT min(id) FROM jobs)")
    retain(farm.context, datetime.now(UTC) + timedelta(days=89))
    assert farm.value("SELECT count(*) FROM backfills") == 2
    retain(farm.context, datetime.now(UTC) + timedelta(days=91))
    assert farm.value("SELECT count(*) FROM backfills") == farm.value("SELECT count(*) FROM backfill_jobs") == 1


def test_an_order_is_recorded_with_all_its_jobs_or_not_at_all(farm, order):
    farm.change("ALTER TABLE backfill_jobs ADD CONSTRAINT too_many CHECK (job_id < 0) NOT VALID")
    try:
        with pytest.raises(Exception, match="too_many"):
            order(30)
    finally:
        farm.change("ALTER TABLE backfill_jobs DROP CONSTRAINT too_many")
    assert farm.select("SELECT * FROM jobs") == farm.select("SELECT * FROM backfills") == []
