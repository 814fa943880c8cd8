"""More and fewer children, more and fewer workers, while jobs flow: each job is done once, no row is missing or twice.

Deliberately not here: workers that scale themselves (test_autoscale.py), Flower's buttons (test_flower_buttons.py).
"""

from __future__ import annotations

import json
import signal

import pytest

from ingest.pipeline.workers import live_workers
from tests.tasks.load import PAIRS, bars_job, check_done_once, owe, owe_bars
from tests.tickfarm_command import complaint, run
from tests.waiting import until

#: every answer takes this long, so that children are busy without much work for the machine
SLOW = {"delay_s": 0.25}
LIVE = "live.load,live"


@pytest.fixture
def loaded(farm):
    """Return a farm with a beat, whose provider takes its time."""
    farm.sandbox.arm("binance", "slow", times=None, args=SLOW)
    farm.beat()
    return farm


def tickfarm(farm, *arguments):
    return run(*arguments, **{name: farm.env[name] for name in ("DATABASE_URL", "REDIS_URL", "TICKFARM_HOME")})


def said(farm, *arguments):
    done = tickfarm(farm, "workers", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def announced(farm, name="one@farm"):
    return next((worker for worker in live_workers(farm.context.redis) if worker.name == name), None)


def all_busy(farm, name, children):
    def full():
        worker = announced(farm, name)
        return worker is not None and worker.busy == worker.children == children

    until(full, within_s=30, what=f"{name} to have all of {children} children at work")


def control(farm, *arguments):
    done = farm.celery("control", "--timeout=10", "--destination=one@farm", *arguments)
    return done.stdout + done.stderr


def test_celery_control_grows_and_shrinks_a_pool_under_load_and_takes_busy_children_when_they_are_free(loaded):
    worker = loaded.worker(processes=1)
    rows = owe_bars(loaded, jobs=(jobs := 160))
    all_busy(loaded, "one@farm", 1)
    assert "OK" in control(loaded, "pool_grow", "3")
    all_busy(loaded, "one@farm", 4)
    assert "OK" in control(loaded, "pool_shrink", "3")
    until(lambda: len(worker.children()) == 1, within_s=30, what="three busy children to be ended when they are free")
    assert "due" in loaded.states(), "the load was over too soon"
    assert "keeps at least one" in control(loaded, "pool_shrink", "1")
    assert "OK" in control(loaded, "pool_grow", "2")
    until(lambda: len(worker.children()) == 3, within_s=30, what="two more children")
    check_done_once(loaded, jobs, rows)


def test_a_second_and_a_third_worker_join_a_lane_and_leave_it_by_sigterm_with_work_in_flight(loaded):
    loaded.worker("one", processes=1)
    rows = owe_bars(loaded, jobs=(jobs := 200))
    more = [loaded.start_worker(name) for name in ("two", "three")]
    for worker in more:
        worker.says(" ready.")
    for worker in more:
        all_busy(loaded, f"{worker.name}@farm", 2)
        worker.child.send(signal.SIGTERM)
        until(lambda worker=worker: worker.child.exit_code() is not None, within_s=40, what="the worker to leave")
        assert worker.child.exit_code() == 0
        assert announced(loaded, f"{worker.name}@farm") is None
    assert "due" in loaded.states(), "the load was over too soon"
    check_done_once(loaded, jobs, rows)


def test_tickfarm_scales_a_lane_over_its_workers_under_load(loaded):
    crew = [loaded.start_worker(name, queues=LIVE, processes=1) for name in ("one", "two")]
    for worker in crew:
        worker.says(" ready.")
    rows = owe_bars(loaded, jobs=(jobs := 480), lanes=["live"])
    all_busy(loaded, "one@farm", 1)
    assert said(loaded, "scale", "live", "5") == "live has 5 children: one@farm 3, two@farm 2\n"
    all_busy(loaded, "one@farm", 3)
    [first, second] = json.loads(said(loaded, "ls", "--json"))
    assert (first["name"], first["lanes"], first["children"]) == ("one@farm", ["live"], 3)
    assert 0 <= first["busy"] <= 3
    assert (second["name"], second["children"], second["draining"]) == ("two@farm", 2, False)
    assert said(loaded, "scale", "live", "2") == "live has 2 children: one@farm 1, two@farm 1\n"
    assert [len(worker.children()) for worker in crew] == [1, 1]
    assert "due" in loaded.states(), "the load was over too soon"
    assert said(loaded, "scale", "live", "4") == "live has 4 children: one@farm 2, two@farm 2\n"
    check_done_once(loaded, jobs, rows, within_s=120)
    for lane, children, why in (
        ("life", "2", "unknown lane: 'life' (did you mean live?); accepted: live, standard, backfill, maintenance"),
        ("live", "1", "live has 2 workers"),
        ("backfill", "2", "no worker serves the backfill lane"),
    ):
        refused = tickfarm(loaded, "workers", "scale", lane, children)
        assert refused.returncode in {1, 2}
        assert complaint(refused).startswith(why)
    assert tickfarm(loaded, "workers", "scale", "live", "0").returncode == 2


def test_a_drained_worker_finishes_what_it_has_and_takes_no_more_until_it_is_put_back(loaded):
    for name in ("one", "two"):
        loaded.start_worker(name)
    for name in ("one", "two"):
        loaded.processes[name].says(" ready.")
    rows = owe_bars(loaded, jobs=(jobs := 200))
    all_busy(loaded, "one@farm", 2)
    drained = tickfarm(loaded, "workers", "drain", "one@farm")
    assert drained.returncode == 0, drained.stderr
    assert drained.stdout.startswith("one@farm is drained")
    assert drained.stderr == ""  # the other worker serves its lanes
    idle = announced(loaded)
    assert (idle.draining, idle.held) == (True, 0)
    assert "drained" in said(loaded, "ls")
    done = loaded.value("SELECT count(*) FROM jobs WHERE state = 'done'")
    loaded.wait_for("SELECT count(*) > :more FROM jobs WHERE state = 'done'", more=done + 10)
    assert announced(loaded).held == 0, "it takes no more while the other one works"
    assert "due" in loaded.states(), "the load was over too soon"
    assert said(loaded, "resume", "one@farm") == "one@farm takes work again\n"
    all_busy(loaded, "one@farm", 2)
    gone = tickfarm(loaded, "workers", "drain", "two@farm", "--stop")
    assert gone.stdout == "two@farm is drained and leaves\n", gone.stderr
    two = loaded.processes["two"]
    until(lambda: two.child.exit_code() is not None, within_s=30, what="the worker to leave")
    assert two.child.exit_code() == 0
    check_done_once(loaded, jobs, rows)


def test_a_drained_worker_stays_drained_when_its_connection_is_lost_and_its_lane_is_said_to_have_nobody(loaded):
    loaded.worker("one", queues=LIVE)
    drained = tickfarm(loaded, "workers", "drain", "one@farm")
    assert drained.stderr == "nobody serves the live lane now: its jobs wait\n"
    loaded.lose_connections()
    loaded.processes["one"].says("onnection to broker lost")
    owe(loaded, bars_job("waits", PAIRS[0], lane="live"))
    owed_at = loaded.now()
    loaded.wait_for("SELECT clock_timestamp() > :at + interval '3 s'", at=owed_at)
    assert loaded.value("SELECT count(*) FROM jobs WHERE started_at IS NOT NULL OR state = 'done'") == 0
    assert said(loaded, "resume", "one@farm")
    check_done_once(loaded, 1, 60, pairs=PAIRS[:1])
    nobody = complaint(tickfarm(loaded, "workers", "drain", "on@farm"))
    assert nobody == "no worker is named 'on@farm'; there are: one@farm"
