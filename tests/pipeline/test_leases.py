"""The lease keeper: it renews while work runs, stops after, and survives an absent database."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy.orm import sessionmaker

from ingest.pipeline.leases import LeaseKeeper
from models import open_engine
from tests.pipeline.transitions import begun
from tests.waiting import until

EVERY_S = 0.02


@pytest.fixture
def keeper(farm):
    made = LeaseKeeper(farm.context.sessions, renew_every_s=EVERY_S)
    yield made
    made.close()


def lease_until(farm, job):
    return farm.value("SELECT lease_until FROM jobs WHERE id = :id", id=job.id)


def renewed(farm, job, times=2):
    """Wait until the job's lease was renewed that often."""
    for _ in range(times):
        before = lease_until(farm, job)
        until(lambda before=before: lease_until(farm, job) > before, what="a renewal")


def test_a_lease_is_renewed_for_as_long_as_the_work_runs_and_no_longer(farm, keeper, step, owe):
    job, other = begun(step, owe), begun(step, owe)
    with keeper.hold(job.id, job.attempt):
        renewed(farm, job)
    with keeper.hold(other.id, other.attempt):
        renewed(farm, other, times=1)  # a renewal that was under way has ended
        end = lease_until(farm, job)
        renewed(farm, other)
    assert lease_until(farm, job) == end


def test_a_lease_is_let_go_when_the_work_fails(farm, keeper, step, owe):
    job, other = begun(step, owe), begun(step, owe)
    with pytest.raises(ZeroDivisionError), keeper.hold(job.id, job.attempt):
        raise ZeroDivisionError
    with keeper.hold(other.id, other.attempt):
        renewed(farm, other, times=1)
        end = lease_until(farm, job)
        renewed(farm, other)
    assert lease_until(farm, job) == end


def test_many_leases_are_held_at_once(farm, keeper, step, owe):
    jobs_ = [begun(step, owe) for _ in range(3)]

    def work(job):
        with keeper.hold(job.id, job.attempt):
            renewed(farm, job)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(work, jobs_))


def test_an_attempt_that_is_over_is_not_renewed(farm, keeper, step, owe):
    job, other = begun(step, owe), begun(step, owe)
    farm.change("UPDATE jobs SET attempt = attempt + 1 WHERE id = :id", id=job.id)
    end = lease_until(farm, job)
    with keeper.hold(job.id, job.attempt), keeper.hold(other.id, other.attempt):
        renewed(farm, other)
    assert lease_until(farm, job) == end


def test_a_keeper_goes_on_after_the_database_refused_it(farm, step, owe, module_database_url):
    job = begun(step, owe)
    engine = open_engine(module_database_url, application_name="lost keeper")
    keeper = LeaseKeeper(sessionmaker(engine), renew_every_s=EVERY_S)
    kill = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'lost keeper'"
    try:
        with keeper.hold(job.id, job.attempt):
            renewed(farm, job)
            assert farm.value(kill) >= 0
            renewed(farm, job)
    finally:
        keeper.close()
        until(lambda: farm.value(kill.replace("count(pg_terminate_backend(pid))", "count(*)")) <= 1)
        engine.dispose()
