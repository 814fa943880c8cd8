"""SIGTERM: a worker ends what it has begun, takes nothing new, leaves in time, and nothing is lost or repeated."""

from __future__ import annotations

import signal
import time

import pytest

from tests.tasks.load import PAIRS, STORED_IN, Load, bars_job, check_stored, owe
from tests.waiting import until

#: what compose, k8s and `tickfarm up` give a worker before they kill it
GRACE_S = 40.0
#: jobs due when a worker is told to stop: they outlast its leaving
ENOUGH = 80
BLOCKED = "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND relation = 'bars'::regclass"


def leaves(worker):
    """SIGTERM the worker's main process; return how long it took to leave."""
    began = time.monotonic()
    worker.child.send(signal.SIGTERM)
    until(lambda: worker.child.exit_code() is not None, within_s=GRACE_S, what="the worker to leave")
    assert worker.child.exit_code() == 0, worker.text()[-2000:]
    return time.monotonic() - began


def test_a_worker_told_to_stop_during_a_fetch_ends_it_and_leaves(farm):
    farm.beat()
    worker = farm.worker()
    farm.sandbox.arm("binance", "slow", args={"delay_s": 3})
    owe(farm, bars_job("one", PAIRS[0]))
    farm.wait_for("SELECT started_at IS NOT NULL FROM jobs")
    assert leaves(worker) < GRACE_S
    assert farm.value("SELECT count(*) FROM fetch_log") == 1
    farm.restart(worker)
    farm.rows("UPDATE jobs SET lease_until = now() WHERE state = 'fetched'")
    farm.all_done(within_s=30)
    check_stored(farm, 60, pairs=PAIRS[:1])
    assert farm.value("SELECT count(*) FROM fetch_log") == 1
    assert farm.job("one").lost_leases == 0


@pytest.mark.parametrize(("minutes", "state"), STORED_IN)
def test_a_worker_told_to_stop_during_a_store_ends_it_and_leaves(farm, minutes, state):
    farm.beat()
    worker = farm.worker()
    owe(farm, bars_job("first", PAIRS[0], minutes=30))
    farm.all_done(within_s=30)
    with farm.context.sessions() as session:
        session.connection().exec_driver_sql("LOCK TABLE bars IN ACCESS EXCLUSIVE MODE")
        owe(farm, bars_job("one", PAIRS[0], minutes=minutes))
        farm.wait_for(f"SELECT state = '{state}' AND ({BLOCKED}) FROM jobs WHERE key = 'one'")
        worker.child.send(signal.SIGTERM)
        worker.says("Warm shutdown")
    assert leaves(worker) < GRACE_S
    assert farm.states() == {"done": 2}
    check_stored(farm, minutes, pairs=PAIRS[:1])


def test_workers_replaced_one_after_the_other_under_load_lose_and_repeat_nothing(farm):
    farm.sandbox.arm("binance", "slow", times=None, args={"delay_s": 0.15})  # so that the load outlasts both
    farm.beat()
    pair = [farm.start_worker(name) for name in ("one", "two")]
    for worker in pair:
        worker.says(" ready.")
    load = Load(farm, ENOUGH)
    for worker in pair:
        farm.wait_for("SELECT count(*) > 20 FROM jobs WHERE state = 'done'", within_s=60)
        load.top_up(ENOUGH)
        assert "due" in farm.states(), "the load was over too soon"
        assert leaves(worker) < GRACE_S
        farm.restart(worker)
    farm.sandbox.control("DELETE", "faults")
    farm.all_done(within_s=60)
    check_stored(farm, load.rows)
    assert farm.letters() == []
    assert farm.value("SELECT count(*) FROM fetch_log") == load.jobs
