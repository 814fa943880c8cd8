"""Flower beside the farm changes nothing but throughput, and what it shows without a password says nothing.

Deliberately not here: what Flower shows (test_flower.py), its buttons (test_flower_buttons.py).
"""

from __future__ import annotations

import pytest

from ingest.pipeline.workers import live_workers
from tests.tasks.farm import Farm
from tests.tasks.flower import flower
from tests.tasks.load import PAIRS, bars_job, check_done_once, check_stored, owe, owe_bars
from tests.waiting import until

JOBS = 60


def run_jobs(farm: Farm, at_half=lambda: None):
    """Do the same jobs again on an empty farm; return the rows stored and what each job says of itself."""
    farm.empty("jobs", "dead_letters", "bars", "ledger", "fetch_log")
    rows = owe_bars(farm, jobs=JOBS)
    farm.wait_for("SELECT count(*) >= :half FROM jobs WHERE state = 'done'", half=JOBS // 2)
    at_half()
    check_done_once(farm, JOBS, rows)
    stored = farm.rows("SELECT series_id, ts, open, high, low, close, volume FROM bars ORDER BY 1, 2")
    said = farm.rows("SELECT key, state, attempt, failures, result FROM jobs ORDER BY key")
    return [tuple(row) for row in stored], [tuple(row) for row in said]


def test_the_same_jobs_store_the_same_rows_and_say_the_same_without_flower_with_it_and_when_it_dies(shared_farm):
    without = run_jobs(shared_farm)
    assert len(without[0]) == JOBS * 100
    with flower(shared_farm) as api:
        until(lambda: "one@farm" in api.read("/api/workers?refresh=1"), within_s=60, what="the worker")
        assert run_jobs(shared_farm) == without
        shown = [task["state"] for task in api.read("/api/tasks?limit=1000").values()]
        assert len(shown) >= JOBS, "Flower did watch"
        assert run_jobs(shared_farm, at_half=shared_farm.processes["flower"].kill) == without


@pytest.fixture(scope="module")
def watched(module_farm):
    with flower(module_farm) as api:
        until(lambda: "one@farm" in api.read("/api/workers?refresh=1"), within_s=60, what="the worker")
        yield api


def test_metrics_ask_for_the_password_and_the_health_check_says_nothing(watched):
    assert watched.status("/metrics", password=False) == 401
    online = 'flower_worker_online{worker="one@farm"} 1.0'
    until(lambda: online in watched.text("/metrics"), within_s=30, what="the worker's first heartbeat")
    assert watched.status("/healthcheck", password=False) == 200
    assert watched.text("/healthcheck") == "OK"


def test_no_button_works_without_the_password(watched):
    for button in ("shutdown", "pool/grow", "pool/shrink", "pool/autoscale", "queue/cancel-consumer"):
        assert watched.press(f"/api/worker/{button}/one@farm?n=1&min=1&max=2&queue=live", password=False)[0] == 401


def test_its_rate_limit_button_says_what_to_use_instead_and_changes_nothing(watched, module_farm):
    status, said = watched.press("/api/task/rate-limit/tasks.fetch.binance?workername=one@farm&ratelimit=1")
    assert status == 403
    assert "limits hold for the farm" in said
    assert "tickfarm schedule set" in said
    [worker] = watched.read("/api/workers?refresh=1").values()
    assert not [task for task in worker["registered"] if "rate_limit" in task]


def test_a_task_that_is_terminated_by_its_button_is_done_again(watched, module_farm, sandbox):
    module_farm.empty("jobs", "dead_letters", "bars", "ledger", "fetch_log")
    sandbox.arm("binance", "hang")
    owe(module_farm, bars_job("ended", PAIRS[0]))
    module_farm.wait_for("SELECT started_at IS NOT NULL FROM jobs")
    [row] = module_farm.rows("SELECT id, attempt FROM jobs")
    assert watched.press(f"/api/task/revoke/{row.id}-{row.attempt}?terminate=true&signal=SIGKILL")[0] == 200
    module_farm.all_done(within_s=30)
    assert module_farm.job("ended").attempt > 1
    check_stored(module_farm, 60, pairs=PAIRS[:1])


def test_a_queue_that_is_cancelled_and_added_by_its_buttons_loses_nothing(watched, module_farm, sandbox):
    module_farm.empty("jobs", "dead_letters", "bars", "ledger", "fetch_log")

    def serves(queue):
        return any(queue in worker.queues for worker in live_workers(module_farm.context.redis))

    watched.press("/api/worker/queue/cancel-consumer/one@farm?queue=backfill")
    until(lambda: not serves("backfill"), what="the leader to be told")
    rows = owe_bars(module_farm, jobs=4)
    module_farm.wait_for("SELECT count(*) = 2 FROM jobs WHERE state = 'done'")
    assert module_farm.states()["done"] == 2, "those of the lane that nobody serves wait"
    watched.press("/api/worker/queue/add-consumer/one@farm?queue=backfill")
    until(lambda: serves("backfill"), what="the lane to be served again")
    check_done_once(module_farm, 4, rows)
