"""Fencing: a worker that lost its lease while it slept can't write, and what the winner wrote stays as it is."""

from __future__ import annotations

import signal

import pytest

from tests.tasks.load import STORED_IN, bars_job, owe, served
from tests.waiting import until

PAIR = "BTC-USDT"
PICTURE = "SELECT string_agg(b::text, ';' ORDER BY ts) FROM bars b"
JOB = "SELECT jobs::text FROM jobs WHERE key = 'one'"


@pytest.fixture
def two_workers(farm):
    """A worker that serves the lane now, and one that waits for `add_consumer`."""
    farm.beat().says("leading")
    both = farm.worker("sleeper", processes=1), farm.start_worker("winner", processes=1, queues="maintenance")
    both[1].says(" ready.")  # the sleeper's fetch lasts 3 s, and must be stopped before it ends
    return both


def hand_over(farm, sleeper, winner):
    """Stop the worker, end its lease, and let the other one finish the job. Return the job's picture and its rows'."""
    sleeper.signal(signal.SIGSTOP)
    with farm.client() as client:
        for queue in ("backfill", "backfill.load"):
            client.control.add_consumer(queue, destination=["winner@farm"], reply=True, timeout=30)
    farm.rows("UPDATE jobs SET lease_until = now() - interval '1 s' WHERE key = 'one'")
    farm.wait_for("SELECT state = 'done' FROM jobs WHERE key = 'one'", within_s=60)
    return farm.value(JOB), farm.value(PICTURE)


def test_a_worker_that_slept_through_its_fetch_finds_its_lease_gone_and_writes_nothing(farm, two_workers):
    farm.sandbox.arm("binance", "slow", args={"delay_s": 3})
    owe(farm, bars_job("one", PAIR))
    farm.wait_for("SELECT started_at IS NOT NULL FROM jobs WHERE key = 'one'")
    until(lambda: farm.sandbox.fired() == [1], what="the request")
    picture = hand_over(farm, *two_workers)
    two_workers[0].signal(signal.SIGCONT)
    two_workers[0].says('"lease_lost"')
    assert (farm.value(JOB), farm.value(PICTURE)) == picture
    assert farm.value("SELECT count(*) FROM bars") == 60 == len(served(farm, PAIR, 60))
    assert farm.value("SELECT count(*) FROM fetch_log") == 1
    assert farm.letters() == []


@pytest.mark.parametrize(("minutes", "state"), STORED_IN)
def test_a_worker_that_slept_before_its_store_finds_its_lease_gone_and_writes_nothing(
    farm, two_workers, minutes, state
):
    """The sleeper waits for the table's lock when it is stopped."""
    warm_up(farm)
    sleeper, winner = two_workers
    with farm.context.sessions() as session:
        session.connection().exec_driver_sql("LOCK TABLE bars IN ACCESS EXCLUSIVE MODE")
        owe(farm, bars_job("one", PAIR, minutes=minutes))
        blocked = "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND relation = 'bars'::regclass"
        farm.wait_for(f"SELECT state = '{state}' AND ({blocked}) FROM jobs WHERE key = 'one'")
        sleeper.signal(signal.SIGSTOP)
        # Its statement is at the server, which does not sleep: what it holds and waits for must go.
        farm.rows("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE NOT granted AND relation = 'bars'::regclass")
    picture = hand_over(farm, sleeper, winner)
    sleeper.signal(signal.SIGCONT)
    # Its connection is gone, so its store is tried again by Celery, and either of the two workers finds out.
    until(lambda: '"lease_lost"' in sleeper.text() + winner.text(), within_s=60, what="a lost lease to be told")
    until(lambda: farm.context.redis.hlen("farm:unacked") == 0, what="the sleeper's message to be acknowledged")
    assert (farm.value(JOB), farm.value(PICTURE)) == picture
    assert farm.value("SELECT sum(stored) FROM ledger") == farm.value("SELECT count(*) FROM bars") == minutes + 1
    assert farm.letters() == []


def warm_up(farm):
    """Have the partition and the series made, so that nothing but the write itself waits for the lock."""
    owe(farm, bars_job("first", "ETH-USDT", minutes=1), bars_job("second", PAIR, minutes=1))
    farm.all_done(within_s=60)
