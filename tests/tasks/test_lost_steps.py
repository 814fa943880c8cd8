"""A chain's next step that was never sent: whatever a fetch committed is loaded all the same, or fetched again."""

from __future__ import annotations

import os
import shutil
import signal
from datetime import timedelta

import pytest

from tests.tasks.load import ONE_STEP, START, STORED_IN, bars_job, check_stored, owe
from tests.waiting import until

PAIR = "BTC-USDT"
BLOCKED = "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND relation = 'bars'::regclass"


@pytest.fixture
def fetched_farm(farm):
    """A farm whose only worker died between a fetch's commit and its store; the lease is over."""
    farm.beat().says("leading")
    # Nobody serves the second step's queue: the same as a publish that failed after the commit.
    worker = farm.worker(processes=1, queues="backfill")
    owe(farm, bars_job("one", PAIR, minutes=ONE_STEP))
    farm.wait_for("SELECT state = 'fetched' FROM jobs WHERE key = 'one'")
    worker.kill()
    farm.context.redis.delete("farm:backfill.load", "farm:unacked", "farm:unacked_index")
    return farm


def finish(farm):
    """Start a worker that serves everything, end the lost lease, and wait for the job."""
    farm.worker("two")
    farm.rows("UPDATE jobs SET lease_until = now() - interval '1 s'")
    farm.all_done(within_s=30)
    check_stored(farm, ONE_STEP, pairs=[PAIR])
    assert farm.letters() == []


def test_a_step_that_was_never_sent_is_sent_by_the_leader_and_nothing_is_fetched_again(fetched_farm):
    finish(fetched_farm)
    assert fetched_farm.value("SELECT count(*) FROM fetch_log") == 1


def test_a_payload_that_redis_forgot_is_loaded_from_the_archive(fetched_farm):
    assert fetched_farm.context.redis.delete("tickfarm:payload:1:1") == 1
    finish(fetched_farm)
    assert fetched_farm.value("SELECT count(*) FROM fetch_log") == 1


def test_a_payload_that_is_nowhere_any_more_is_fetched_again(fetched_farm):
    fetched_farm.context.redis.flushdb()
    shutil.rmtree(fetched_farm.folder / "archive")
    finish(fetched_farm)
    # Not counted: that the new worker waited until it was known what connections others held when Redis was emptied.
    assert fetched_farm.value("SELECT count(*) FROM fetch_log WHERE requests > 0") == 2


@pytest.mark.parametrize(("minutes", "state"), STORED_IN)
def test_a_child_killed_while_it_stores_costs_nothing_but_time(farm, minutes, state):
    farm.beat().says("leading")
    worker = farm.worker(processes=1)
    owe(farm, bars_job("first", PAIR, minutes=30))
    farm.all_done(within_s=30)
    [child] = worker.children()
    with farm.context.sessions() as session:
        session.connection().exec_driver_sql("LOCK TABLE bars IN ACCESS EXCLUSIVE MODE")
        owe(farm, bars_job("one", PAIR, minutes=minutes))
        farm.wait_for(f"SELECT state = '{state}' AND ({BLOCKED}) FROM jobs WHERE key = 'one'")
        os.kill(child, signal.SIGKILL)
        until(lambda: worker.children() not in ([child], []), what="a new child")
    farm.all_done(within_s=30)
    check_stored(farm, minutes, pairs=[PAIR])
    assert farm.letters() == []
    assert farm.job("one").lost_leases == 1


def test_a_job_row_that_a_slow_store_holds_beyond_its_lease_keeps_nobody_waiting(farm):
    beat = farm.beat()
    farm.worker(processes=1)
    owe(farm, bars_job("slow", PAIR, due_at=START + timedelta(days=3650)))
    with farm.context.sessions() as session:
        connection = session.connection()
        connection.exec_driver_sql(
            "UPDATE jobs SET state = 'fetched', attempt = 1, started_at = now(), lease_until = now() - interval '1 s'"
        )
        session.commit()
        session.connection().exec_driver_sql("SELECT id FROM jobs FOR UPDATE")
        owe(farm, bars_job("one", PAIR))
        farm.wait_for("SELECT state = 'done' FROM jobs WHERE key = 'one'", within_s=8)
    assert "beat_waits" not in beat.text()


def test_a_database_that_is_busy_for_long_does_not_make_a_healthy_job_dead(farm):
    """Each attempt to store gives up after 10 s of waiting for a lock; nobody dies, so no lease counts as lost."""
    farm.beat().says("leading")
    farm.worker(processes=1)
    owe(farm, bars_job("first", PAIR, minutes=30))
    farm.all_done(within_s=30)
    with farm.context.sessions() as session:
        session.connection().exec_driver_sql("LOCK TABLE bars IN ACCESS EXCLUSIVE MODE")
        owe(farm, bars_job("one", PAIR, minutes=ONE_STEP))
        for _ in range(2):
            farm.wait_for(f"SELECT state = 'fetched' AND ({BLOCKED}) FROM jobs WHERE key = 'one'")
            farm.rows("SELECT pg_cancel_backend(pid) FROM pg_locks WHERE NOT granted AND relation = 'bars'::regclass")
            farm.wait_for("SELECT started_at IS NULL FROM jobs WHERE key = 'one'")
    farm.all_done(within_s=30)
    check_stored(farm, ONE_STEP, pairs=[PAIR])
    assert (farm.job("one").lost_leases, farm.job("one").attempt) == (0, 1)
