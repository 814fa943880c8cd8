"""Upkeep on a real worker, owed by the leader or called by hand: retention deletes what is old, health reports changes.

Each ends its job, is run once, and returns what it did.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import pytest

from ingest.pipeline.jobs import NewJob
from tests.tasks.load import bars_job, owe
from tests.waiting import until

WAIT_S = 60
OLD_JOBS = (
    "INSERT INTO jobs (key, task, lane, kwargs, state, due_at, created_at, finished_at)"
    " SELECT 'old:' || n, 't', 'live', '{}', 'done', at, at, at"
    " FROM (SELECT n, now() - interval '4 days' AS at FROM generate_series(1, :count) n) AS old"
)


@pytest.fixture
def hand(shared_farm):
    """A Celery client of the farm, which has an empty table and no jobs."""
    shared_farm.empty("jobs", "dead_letters", "bars", "quotes", "ledger", "revisions", "fetch_log")
    with shared_farm.client() as app:
        app.loader.import_task_module("tasks.fetch")
        app.loader.import_task_module("tasks.retention")
        app.loader.import_task_module("tasks.health")
        yield app


def old_jobs(farm):
    return farm.value("SELECT count(*) FROM jobs WHERE key LIKE 'old:%'")


def test_what_the_leader_owes_runs_in_its_lane_deletes_and_ends_with_a_result(shared_farm, hand):
    shared_farm.rows(OLD_JOBS, count=12_000)
    owe(shared_farm, NewJob("upkeep", "tasks.retention", "maintenance", {}, due_at=datetime.now(UTC)))
    shared_farm.wait_for("SELECT count(*) = 1 FROM jobs WHERE key = 'upkeep' AND state = 'done'", within_s=WAIT_S)
    job = shared_farm.job("upkeep")
    assert (job.result["rows"], job.result["complete"], job.attempt) == (12_000, True, 1)
    assert job.result["deleted"] == {"jobs": 12_000}
    assert old_jobs(shared_farm) == 0
    assert shared_farm.letters() == []


def test_a_call_by_hand_returns_the_report_and_is_a_job_that_is_run_once(shared_farm, hand):
    shared_farm.rows(OLD_JOBS, count=5)
    task_id = str(uuid.uuid4())
    result = hand.send_task("tasks.retention", task_id=task_id).get(timeout=WAIT_S)
    assert (result["state"], result["rows"], result["deleted"]) == ("done", 5, {"jobs": 5})
    job = shared_farm.job(f"call:{task_id}")
    assert (job.id, job.state, job.lane, job.result["rows"]) == (result["job_id"], "done", "maintenance", 5)
    again = hand.send_task("tasks.retention", task_id=task_id)
    until(lambda: shared_farm.context.redis.hlen("farm:unacked") == 0, what="the second delivery")
    assert again.get(timeout=WAIT_S)["rows"] == 5
    assert shared_farm.job(f"call:{task_id}").attempt == 1


def test_a_cancelled_run_s_message_deletes_nothing(shared_farm, hand):
    shared_farm.rows(OLD_JOBS, count=3)
    upkeep = NewJob("upkeep", "tasks.retention", "maintenance", {}, due_at=datetime.now(UTC) + timedelta(hours=1))
    owe(shared_farm, upkeep)
    shared_farm.rows("UPDATE jobs SET state = 'cancelled', attempt = 1 WHERE key = 'upkeep'")
    kwargs = {"job_id": shared_farm.job("upkeep").id, "attempt": 1}
    assert hand.send_task("tasks.retention", kwargs=kwargs).get(timeout=WAIT_S) == {"state": "given to somebody else"}
    assert old_jobs(shared_farm) == 3


@pytest.mark.parametrize("task", ["tasks.retention", "tasks.fetch.binance"])
def test_a_message_that_waited_longer_than_its_job_is_good_for_runs_nothing(shared_farm, hand, task):
    shared_farm.rows(OLD_JOBS, count=3)
    hour = timedelta(hours=1)
    job = bars_job("late", "BTC-USDT", task=task, due_at=datetime.now(UTC) + hour, expires_at=datetime.now(UTC) + hour)
    owe(shared_farm, job)
    # As the leader left it, had the broker kept the message back until now.
    shared_farm.rows(
        "UPDATE jobs SET state = 'leased', attempt = 1, lease_until = now() + interval '1 hour',"
        " expires_at = now() - interval '1 second' WHERE key = 'late'"
    )
    kwargs = {"job_id": shared_farm.job("late").id, "attempt": 1}
    kwargs |= dict(job.kwargs) if task == "tasks.fetch.binance" else {}
    assert hand.send_task(task, kwargs=kwargs).get(timeout=WAIT_S)["state"] == "expired"
    late = shared_farm.job("late")
    assert (late.state, late.started_at, late.lease_until) == ("expired", None, None)
    assert shared_farm.value("SELECT count(*) FROM fetch_log") == 0
    assert old_jobs(shared_farm) == 3


def test_a_check_of_health_reports_what_the_leaders_fetches_did_to_a_provider(shared_farm, hand):
    shared_farm.rows("DELETE FROM provider_events")
    owe(shared_farm, bars_job("poll", "BTC-USDT", due_at=datetime.now(UTC)))
    shared_farm.wait_for("SELECT state = 'done' FROM jobs WHERE key = 'poll'", within_s=WAIT_S)
    for count in (1, 2):
        owe(shared_farm, NewJob(f"check {count}", "tasks.health", "maintenance", {}, due_at=datetime.now(UTC)))
        done = "SELECT state = 'done' FROM jobs WHERE key = :key"
        shared_farm.wait_for(done, key=f"check {count}", within_s=WAIT_S)
    assert shared_farm.job("check 1").result == {"rows": 0, "changed": {}}
    assert shared_farm.job("check 2").result == {"rows": 0, "changed": {"binance": "HEALTHY"}}
    assert hand.send_task("tasks.health").get(timeout=WAIT_S)["changed"] == {}
    assert shared_farm.rows("SELECT provider, kind, before, after FROM provider_events") == [
        ("binance", "health", "IDLE", "HEALTHY")
    ]
    assert shared_farm.letters() == []


def test_a_check_for_gaps_owes_what_is_missing_and_the_farm_brings_it(shared_farm, hand):
    shared_farm.rows(
        "INSERT INTO series (provider, dataset, instrument, interval, followed, since, until)"
        " VALUES ('binance', 'bars', 'LTC-USDT', '1m', true, '2024-03-05', '2024-03-06')"
    )
    owe(shared_farm, NewJob("check gaps", "tasks.gaps", "maintenance", {}, due_at=datetime.now(UTC)))
    shared_farm.wait_for("SELECT count(*) = 1 FROM jobs WHERE key = 'check gaps' AND state = 'done'", within_s=WAIT_S)
    shared_farm.wait_for("SELECT count(*) = 1 FROM ledger WHERE state = 'verified'", within_s=WAIT_S)
    assert shared_farm.rows("SELECT day::text, stored, state FROM ledger") == [("2024-03-05", 1440, "verified")]
    assert shared_farm.job("check gaps").result["jobs"] == 1
    shared_farm.rows("DELETE FROM series WHERE instrument = 'LTC-USDT'")
    assert shared_farm.letters() == []
