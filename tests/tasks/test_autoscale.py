"""`--autoscale`: a worker grows while work waits for it and shrinks when it does not, and no job is done twice for it.

Deliberately not here: scaling by hand (test_scaling.py).
"""

from __future__ import annotations

from datetime import timedelta

from ingest.pipeline.workers import live_workers
from tests.tasks.load import PAIRS, START, bars_job, check_done_once, owe, owe_bars
from tests.waiting import until

#: Celery's own variable: how long a worker is quiet before it shrinks (30 s by default, too long for a test)
QUIET = {"AUTOSCALE_KEEPALIVE": "1"}


def autoscaled(farm):
    """Start a beat and a worker between one and four children, against a provider that takes its time."""
    farm.sandbox.arm("binance", "slow", times=None, args={"delay_s": 0.25})
    farm.beat()
    return farm.worker("auto", "--autoscale=4,1", **QUIET)


def has_children(worker, count):
    until(lambda: len(worker.children()) == count, within_s=30, what=f"{count} children")


def test_an_autoscaled_worker_grows_to_its_most_under_load_and_shrinks_to_its_fewest_after(farm):
    worker = autoscaled(farm)
    assert len(worker.children()) == 1
    rows = owe_bars(farm, jobs=(jobs := 80))
    has_children(worker, 4)
    until(lambda: live_workers(farm.context.redis)[0].busy == 4, what="all four to work: the leader feeds them")
    assert "due" in farm.states(), "the load was over too soon"
    check_done_once(farm, jobs, rows)
    has_children(worker, 1)
    [announced] = live_workers(farm.context.redis)
    assert announced.autoscale == (4, 1)


def test_an_autoscaled_worker_still_grows_after_it_lost_its_connection(farm):
    worker = autoscaled(farm)
    # Before it waits for messages, a connection that is lost is made anew without a word.
    until(lambda: any(one["cmd"] == "brpop" for one in farm.context.redis.client_list()), what="the worker's BRPOP")
    farm.lose_connections()
    worker.says("onnection to broker lost")
    rows = owe_bars(farm, jobs=(jobs := 80))
    has_children(worker, 4)
    check_done_once(farm, jobs, rows)


def test_an_autoscaled_worker_shrinks_while_a_little_work_goes_on_for_ever(farm):
    """A poll a second is work for one child: Celery's own rule, no message for half a minute, would keep all four."""
    worker = autoscaled(farm)
    rows = owe_bars(farm, jobs=(jobs := 60), pairs=PAIRS[:1])
    has_children(worker, 4)
    farm.all_done(within_s=60)

    def one_more():
        nonlocal jobs
        stretch = timedelta(minutes=100)
        owe(farm, bars_job(f"load:{jobs:05}", PAIRS[0], start=START + jobs * stretch, minutes=100))
        jobs += 1
        farm.all_done(within_s=30)
        return len(worker.children()) == 1

    until(one_more, within_s=30, what="one child to be left while polls go on")
    check_done_once(farm, jobs, rows + (jobs - 60) * 100, pairs=PAIRS[:1])
