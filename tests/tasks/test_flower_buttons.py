"""Flower's buttons, pressed through its API while jobs flow: grow, shrink, autoscale, shutdown; nothing is lost.

Deliberately not here: the same by `celery control` and `tickfarm` (test_scaling.py).
"""

from __future__ import annotations

from ingest.pipeline.workers import live_workers
from tests.tasks.flower import flower
from tests.tasks.load import check_done_once, owe_bars
from tests.waiting import until


def test_flowers_buttons_scale_and_stop_workers_under_load_and_every_job_is_done_once(farm):
    farm.sandbox.arm("binance", "slow", times=None, args={"delay_s": 0.25})
    crew = [farm.start_worker("one", processes=1), farm.start_worker("two")]
    auto = farm.start_worker("auto", "--autoscale=2,1", AUTOSCALE_KEEPALIVE="2")
    farm.beat()
    for worker in (*crew, auto):
        worker.says(" ready.")
    one, two = crew
    with flower(farm) as api:

        def press(button):
            status, said = api.press(f"/api/worker/{button}")
            # Flower waits a second for the worker's word: one that is late is no refusal, and what it did is seen.
            assert status == 200 or "Unknown reason" in said, said

        until(lambda: len(api.read("/api/workers?refresh=1")) == 3, within_s=60, what="three workers")
        rows = owe_bars(farm, jobs=(jobs := 320))
        press("pool/grow/one@farm?n=2")
        until(lambda: _busy(farm, "one@farm") == 3, within_s=30, what="three children at work")
        press("pool/shrink/one@farm?n=2")
        until(lambda: len(one.children()) == 1, within_s=30, what="one child, though all were busy")
        press("pool/autoscale/auto@farm?min=1&max=4")
        until(lambda: len(auto.children()) == 4, within_s=30, what="four children")
        refused, why = api.press("/api/worker/pool/autoscale/one@farm?min=1&max=4")
        assert (refused, "Autoscale not enabled" in why) == (403, True)
        assert _busy(farm, "two@farm") > 0
        press("shutdown/two@farm")
        until(lambda: _busy(farm, "two@farm") is None, what="the leader to be told")
        until(lambda: two.child.exit_code() is not None, within_s=40, what="the worker to leave")
        assert two.child.exit_code() == 0
        assert "due" in farm.states(), "the load was over too soon"
        check_done_once(farm, jobs, rows)


def _busy(farm, name):
    return {worker.name: worker.busy for worker in live_workers(farm.context.redis)}.get(name)
