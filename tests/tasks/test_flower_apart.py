"""Flower beside the farm changes nothing but throughput, and what it shows without a password says nothing.

Deliberately not here: what Flower shows (test_flower.py), its buttons (test_flower_buttons.py).
"""

from __future__ import annotations

import pytest

from tests.tasks.farm import Farm
from tests.tasks.flower import flower
from tests.tasks.load import check_done_once, owe_bars
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
