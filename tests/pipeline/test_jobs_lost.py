"""Leases that run out, calls by hand that are delivered twice, and workers that race for the same jobs."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from threading import Barrier

import pytest

from ingest.errors import LeaseLost
from ingest.pipeline import jobs
from tests.pipeline.farm import new_job
from tests.pipeline.transitions import ROW, begun, fetched, lease, lease_all


def run_out(farm, job_id):
    farm.change("UPDATE jobs SET lease_until = now() - interval '1 s' WHERE id = :id", id=job_id)


def test_a_lease_that_still_runs_is_not_taken_back(farm, step, owe):
    begun(step, owe)
    lost = step(jobs.return_lost)
    assert (lost.returned, lost.reload, lost.dead) == ([], [], [])


def test_a_job_that_was_not_begun_goes_back_and_nobody_is_blamed(farm, step, owe):
    job_id = owe()
    lease(step)
    run_out(farm, job_id)
    assert [job.id for job in step(jobs.return_lost).returned] == [job_id]
    assert farm.select(ROW, id=job_id) == [("due", 1, 0, 0)]
    assert [job.attempt for job in lease(step)] == [2]


def test_a_job_whose_worker_died_goes_back_counted_and_the_late_worker_is_fenced_out(farm, step, owe):
    job = begun(step, owe)
    run_out(farm, job.id)
    assert [one.id for one in step(jobs.return_lost).returned] == [job.id]
    assert farm.select(ROW, id=job.id) == [("due", 1, 0, 1)]
    [again] = lease(step)
    step(jobs.start, again.id, again.attempt)
    for late in (lambda s: jobs.mark_fetched(s, job.id, 1, payload_key="k", payload_bytes=1),):
        with pytest.raises(LeaseLost):
            step(late)
    step(jobs.mark_fetched, again.id, again.attempt, payload_key="k", payload_bytes=1)


@pytest.mark.parametrize("was_begun", [False, True])
def test_a_fetched_job_is_loaded_again_by_a_new_attempt_with_its_payload(farm, step, owe, was_begun):
    job = fetched(step, owe)
    if was_begun:
        step(jobs.touch, job.id, job.attempt)
    run_out(farm, job.id)
    [again] = step(jobs.return_lost).reload
    assert (again.id, again.attempt, again.payload_key) == (job.id, 2, f"p:{job.id}")
    assert farm.select(ROW, id=job.id) == [("fetched", 2, 0, int(was_begun))]
    with pytest.raises(LeaseLost):
        step(jobs.touch, job.id, 1)
    assert step(jobs.touch, job.id, 2).state == "fetched"


@pytest.mark.parametrize("make", [begun, fetched])
def test_a_job_that_outlived_its_last_worker_is_dead(farm, step, owe, make):
    job = make(step, owe)
    if make is fetched:
        step(jobs.touch, job.id, job.attempt)
    farm.change("UPDATE jobs SET lost_leases = :most", most=jobs.MAX_LOST_LEASES)
    run_out(farm, job.id)
    assert [one.id for one in step(jobs.return_lost).dead] == [job.id]
    assert farm.select("SELECT state, error, lease_until FROM jobs") == [
        ("dead", "its worker died each time it ran", None)
    ]


def test_a_job_of_many_lost_leases_that_was_not_begun_this_time_lives_on(farm, step, owe):
    job_id = owe()
    lease(step)
    farm.change("UPDATE jobs SET lost_leases = :most", most=jobs.MAX_LOST_LEASES)
    run_out(farm, job_id)
    assert [job.id for job in step(jobs.return_lost).returned] == [job_id]


@pytest.mark.parametrize(("is_lost", "counted"), [(True, 1), (False, 0)])
def test_a_released_lease_is_taken_back_at_once(farm, step, owe, is_lost, counted):
    job = begun(step, owe)
    step(jobs.release, job.id, job.attempt + 1, is_lost=is_lost)
    assert step(jobs.return_lost).returned == []
    step(jobs.release, job.id, job.attempt, is_lost=is_lost)
    assert [one.id for one in step(jobs.return_lost).returned] == [job.id]
    assert farm.select(ROW, id=job.id) == [("due", 1, 0, counted)]


def test_a_resting_attempt_keeps_its_lease_and_begins_again(farm, step, owe):
    job = begun(step, owe)
    step(jobs.rest, job.id, job.attempt, for_s=100)
    assert farm.value("SELECT lease_until > now() + interval '100 s' FROM jobs")
    assert step(jobs.return_lost).returned == []
    assert step(jobs.start, job.id, job.attempt).attempt == job.attempt


def test_renewing_lengthens_what_is_held_and_revives_nothing(farm, step, owe):
    held, over = begun(step, owe), begun(step, owe)
    step(jobs.finish, over.id, over.attempt, {})
    farm.change("UPDATE jobs SET lease_until = now() + interval '1 s' WHERE id = :id", id=held.id)
    step(jobs.renew, [(held.id, held.attempt), (over.id, over.attempt), (held.id, held.attempt + 1)])
    assert farm.value("SELECT lease_until > now() + interval '10 s' FROM jobs WHERE id = :id", id=held.id)
    assert farm.select("SELECT state, lease_until FROM jobs WHERE id = :id", id=over.id) == [("done", None)]


def adopt(step, job):
    return step(jobs.adopt, job, datetime.now(UTC))


def test_a_call_by_hand_makes_its_job_and_begins_it(farm, step):
    job = adopt(step, new_job(key=jobs.call_key("abc"), kwargs={"dataset": "quotes"}))
    assert (job.state, job.attempt, dict(job.kwargs)) == ("leased", 1, {"dataset": "quotes"})
    assert step(jobs.find_call, "abc") == (job.id, 1)
    assert step(jobs.find_call, "unknown") == (None, None)
    assert farm.value("SELECT started_at IS NOT NULL AND lease_until > now() FROM jobs")


def test_a_second_delivery_of_a_call_takes_over_and_fences_the_first_out(farm, step):
    call = new_job()
    first, second = adopt(step, call), adopt(step, call)
    assert (second.id, second.attempt, second.state) == (first.id, 2, "leased")
    with pytest.raises(LeaseLost):
        step(jobs.finish, first.id, first.attempt, {"rows": 1})
    step(jobs.finish, second.id, second.attempt, {"rows": 2})
    assert farm.select("SELECT count(*), max(state) FROM jobs") == [(1, "done")]


def test_a_delivery_after_the_answers_came_loads_them(step, owe):
    job = fetched(step, owe)
    again = adopt(step, new_job(key=job.key))
    assert (again.id, again.attempt, again.state, again.payload_key) == (job.id, 2, "fetched", f"p:{job.id}")


def test_a_delivery_after_the_end_gets_the_result_and_changes_nothing(farm, step):
    call = new_job()
    job = adopt(step, call)
    step(jobs.finish, job.id, job.attempt, {"rows": 7})
    before = farm.select("SELECT * FROM jobs")
    again = adopt(step, call)
    assert (again.state, dict(again.result)) == ("done", {"rows": 7})
    assert farm.select("SELECT * FROM jobs") == before


@pytest.mark.parametrize("state", ["dead", "cancelled", "expired"])
def test_a_delivery_after_a_bad_end_does_not_begin_again(farm, step, state):
    call = new_job()
    job = adopt(step, call)
    farm.change("UPDATE jobs SET state = :state", state=state)
    assert adopt(step, call).state == state
    assert farm.select("SELECT state, attempt FROM jobs") == [(state, job.attempt)]


def test_racing_leaders_never_lease_a_job_twice(farm, step):
    step(jobs.insert_jobs, [new_job() for _ in range(120)])
    racers = 4
    together = Barrier(racers)

    def take(_):
        together.wait(10)
        taken = []
        while batch := step(lease_all, "standard", limit=7, now=datetime.now(UTC)):
            taken += [(job.id, job.attempt) for job in batch]
        return taken

    with ThreadPoolExecutor(racers) as pool:
        winners = Counter(one for taken in pool.map(take, range(racers)) for one in taken)
    assert len(winners) == 120
    assert set(winners.values()) == {1}
    assert {attempt for _, attempt in winners} == {1}


def test_of_racing_deliveries_of_one_message_exactly_one_starts(step, owe):
    owe()
    [leased] = lease(step)
    together = Barrier(4)

    def deliver(_):
        together.wait(10)
        try:
            return step(jobs.start, leased.id, leased.attempt)
        except LeaseLost:
            return None

    with ThreadPoolExecutor(4) as pool:
        assert sum(one is not None for one in pool.map(deliver, range(4))) == 1


def test_racing_owners_of_the_same_work_owe_it_once(farm, step):
    together = Barrier(4)

    def owe_all(number):
        together.wait(10)
        return step(jobs.insert_jobs, [new_job(key=f"slot:{at}") for at in range(50)][:: 1 if number % 2 else -1])

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(owe_all, range(4))) == 50
    assert farm.value("SELECT count(*) FROM jobs") == 50
