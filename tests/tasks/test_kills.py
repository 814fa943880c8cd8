"""SIGKILL: of whole workers under load, of a stopped worker that holds messages, of a child each time it runs a job."""

from __future__ import annotations

import os
import random
import signal
import time
from datetime import timedelta

import pytest

from ingest.pipeline.jobs import MAX_LOST_LEASES
from ingest.pipeline.workers import wake_leader
from tests.tasks.load import PAIRS, START, Load, bars_job, check_stored, owe
from tests.waiting import until

#: what the farm promises after a kill
REPAIR_S = 60.0
#: jobs due at each look, a hundredth of a second after the one before: more than both workers do in between
ENOUGH = 60


@pytest.mark.parametrize("kills", [5, pytest.param(20, marks=[pytest.mark.full, pytest.mark.timeout(600)])])
def test_workers_killed_at_random_moments_under_load_lose_no_row_and_write_none_twice(farm, celery_setup, kills):
    seed = random.SystemRandom().randrange(10**6)
    print(f"seed {seed}")  # noqa: T201 - a failure shows it
    rng = random.Random(seed)
    load = Load(farm, ENOUGH)
    farm.beat()
    farm.wait_for("SELECT count(*) > 10 FROM jobs WHERE state = 'done'", within_s=60)
    for _ in range(kills):
        victim = celery_setup.worker_cluster[rng.randrange(2)]
        busy_until(load, time.monotonic() + rng.uniform(0.3, 3.0))
        assert farm.states().keys() - {"done"}, "the load was over before the last kill: owe more"
        victim.kill()
        victim.restart()
        victim.container.worker.says(" ready.")
    farm.all_done(within_s=REPAIR_S)
    check_stored(farm, load.rows)
    assert farm.letters() == []


def busy_until(load, moment):
    """Wait for a random moment, with work for both workers until then."""

    def is_over():
        load.top_up(ENOUGH)
        return time.monotonic() > moment

    until(is_over, what="a random moment")


def test_messages_that_vanish_with_a_killed_worker_are_sent_again(farm, celery_setup):
    """The hole in Redis as a broker: a popped message is in no list until it is marked as unacknowledged."""
    first, second = celery_setup.worker_cluster
    second.kill()
    farm.beat().says("leading")
    batches = vanish_one(farm, first.container.worker)
    first.kill()
    second.restart()
    farm.all_done(within_s=REPAIR_S)
    check_stored(farm, 100 * batches, pairs=PAIRS[:1])
    assert farm.value("SELECT max(attempt) FROM jobs") == 2


def vanish_one(farm, worker):
    """Stop the worker while its BRPOP waits and owe a job until a message is popped for it; return the jobs owed."""
    redis = farm.context.redis
    for batch in range(10):
        until(lambda: any(one["cmd"] == "brpop" for one in redis.client_list()), what="the worker's BRPOP")
        worker.signal(signal.SIGSTOP)
        owe(farm, bars_job(f"batch:{batch}", PAIRS[0], start=START + batch * timedelta(minutes=100), minutes=100))
        wake_leader(redis)
        farm.wait_for("SELECT count(*) = 1 FROM jobs WHERE state = 'leased'")
        moment = time.monotonic() + 0.5
        until(lambda moment=moment: redis.llen("farm:backfill") or time.monotonic() > moment, what="the message")
        if not redis.llen("farm:backfill") and not redis.exists("farm:unacked"):
            return batch + 1
        worker.signal(signal.SIGCONT)  # its BRPOP was just over: the message waits in the list
        farm.all_done(within_s=30)
    raise AssertionError("no message was popped for the stopped worker in 10 attempts")


def test_a_job_that_kills_its_child_each_time_is_given_up_and_filed(farm):
    worker = farm.worker()
    farm.beat()
    farm.sandbox.arm("binance", "hang", times=None)
    owe(farm, bars_job("killer", "BTC-USDT"), bars_job("killer's neighbour", "ETH-USDT", lane="live"))
    runs = 0
    while True:
        farm.wait_for("SELECT started_at IS NOT NULL OR state = 'dead' FROM jobs WHERE key = 'killer'", within_s=60)
        job = farm.job("killer")
        if job.state == "dead":
            break
        runs += 1
        if runs == 1:
            farm.wait_for("SELECT started_at IS NOT NULL FROM jobs WHERE key <> 'killer'")
        for pid in worker.children():  # both: the neighbour keeps the other one busy
            os.kill(pid, signal.SIGKILL)
        farm.wait_for("SELECT attempt > :seen OR state = 'dead' FROM jobs WHERE key = 'killer'", seen=job.attempt)
    assert runs == 1 + MAX_LOST_LEASES
    [letter] = [letter for letter in farm.letters() if letter.job_id == job.id]
    assert "worker died" in letter.error
    assert farm.value("SELECT count(*) FROM bars") == 0
