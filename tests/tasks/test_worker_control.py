"""What `celery control` and worker options do to a running worker: scale it, limit it, end one of its tasks."""

from __future__ import annotations

import pytest

from ingest.pipeline import workers
from tests.tasks.load import PAIRS, bars_job, check_stored, owe, owe_bars
from tests.waiting import until


@pytest.fixture
def empty(shared_farm):
    shared_farm.empty("jobs", "dead_letters", "bars", "ledger", "fetch_log")
    return shared_farm


def control(farm, *arguments):
    done = farm.celery("control", "--timeout=10", "--destination=one@farm", *arguments)
    assert done.returncode == 0, done.stderr + done.stdout
    assert "OK" in done.stdout


def announced(farm):
    return workers.processes_by_lane(farm.context.redis)["live"]


def test_a_pool_grows_and_shrinks_and_the_leader_is_told(empty):
    worker = empty.processes["one"]
    control(empty, "pool_grow", "1")
    until(lambda: (len(worker.children()), announced(empty)) == (3, 3), what="three children")
    control(empty, "pool_shrink", "2")
    until(lambda: (len(worker.children()), announced(empty)) == (1, 1), within_s=30, what="one child")
    rows = owe_bars(empty, jobs=8)
    empty.all_done(within_s=30)
    check_stored(empty, rows)
    control(empty, "pool_grow", "1")
    until(lambda: announced(empty) == 2, what="two children")


def test_a_task_over_its_time_limit_is_ended_and_its_job_comes_back(empty):
    empty.sandbox.arm("binance", "hang")
    control(empty, "time_limit", "tasks.fetch.binance", "1.5", "2")
    try:
        owe(empty, bars_job("slow", PAIRS[0]))
        empty.all_done(within_s=30)
    finally:
        control(empty, "time_limit", "tasks.fetch.binance", "75", "90")
    assert empty.job("slow").lost_leases == 1
    assert empty.letters() == []
    check_stored(empty, 60, pairs=PAIRS[:1])


def test_a_task_over_its_soft_time_limit_stops_and_its_job_comes_back(empty):
    empty.sandbox.arm("binance", "hang")
    control(empty, "time_limit", "tasks.fetch.binance", "2", "30")
    try:
        owe(empty, bars_job("slow", PAIRS[0]))
        empty.all_done(within_s=60)
    finally:
        control(empty, "time_limit", "tasks.fetch.binance", "75", "90")
    assert empty.letters() == []
    check_stored(empty, 60, pairs=PAIRS[:1])


def test_a_task_terminated_by_hand_is_repeated(empty):
    empty.sandbox.arm("binance", "hang")
    owe(empty, bars_job("ended", PAIRS[0]))
    empty.wait_for("SELECT started_at IS NOT NULL FROM jobs WHERE key = 'ended'")
    job = empty.job("ended")
    with empty.client() as client:
        client.control.revoke(
            f"{job.id}-{job.attempt}", terminate=True, signal="SIGKILL", reply=True, timeout=10, limit=1
        )
    empty.all_done(within_s=15)  # sooner than its lease would run out
    check_stored(empty, 60, pairs=PAIRS[:1])
    assert empty.letters() == []
