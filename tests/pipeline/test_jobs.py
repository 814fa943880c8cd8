"""The life of a job: each transition, and that an attempt which is over changes nothing any more."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy.exc import IntegrityError

from ingest.errors import LeaseLost
from ingest.pipeline import jobs
from ingest.pipeline.backlog import look_at
from tests.pipeline.farm import new_job
from tests.pipeline.transitions import ROW, begun, fetched, lease, lease_all, now


def ends(job):
    """Return every transition that belongs to an attempt, with the states it is allowed in."""
    later = now() + timedelta(hours=1)
    return {
        "mark_fetched": (jobs.mark_fetched, {"payload_key": "k", "payload_bytes": 1}),
        "touch": (jobs.touch, {}),
        "lock_for_store": (jobs.lock_for_store, {}),
        "finish": (jobs.finish, {"result": {}}),
        "put_back": (jobs.put_back, {"due_at": later, "reason": "r", "is_failure": True}),
        "bury": (jobs.bury, {"reason": "r"}),
    }


TRANSITIONS = sorted(ends(None))


def test_the_same_work_is_owed_once_whoever_owes_it(farm, step):
    one, other = new_job(key="slot:a"), new_job(key="slot:a", priority=1)
    assert step(jobs.insert_jobs, [one, new_job(key="slot:b"), one]) == 2
    assert step(jobs.insert_jobs, [other]) == 0
    assert farm.value("SELECT priority FROM jobs WHERE key = 'slot:a'") == one.priority
    assert step(jobs.insert_jobs, []) == 0


@pytest.mark.parametrize("priority", [0, 6])
def test_a_priority_outside_1_to_5_is_refused(step, priority):
    with pytest.raises(IntegrityError, match="jobs_priority"):
        step(jobs.insert_jobs, [new_job(priority=priority)])


def test_jobs_are_leased_by_priority_then_by_when_they_fell_due(step, owe):
    minute = timedelta(minutes=1)
    wanted = [
        owe(priority=1, due_at=now() - minute),
        owe(priority=2, due_at=now() - 9 * minute),
        owe(priority=2, due_at=now() - 3 * minute),
        owe(priority=5, due_at=now() - 99 * minute),
    ]
    taken = [job.id for _ in wanted for job in lease(step, limit=1)]
    assert taken == wanted


def test_only_due_jobs_of_the_lane_are_leased_as_many_as_there_is_room_for(farm, step, owe):
    due = {owe() for _ in range(5)}
    owe(lane="live")
    owe(due_at=now() + timedelta(minutes=1))
    first, second = lease(step, limit=3), lease(step, limit=3)
    assert (len(first), len(second)) == (3, 2)
    assert {job.id for job in first + second} == due
    assert lease(step) == []
    assert all(job.attempt == 1 and job.state == "leased" for job in first + second)
    assert farm.value("SELECT bool_and(lease_until > now()) FROM jobs WHERE state = 'leased'")


def test_a_job_nobody_needs_any_more_expires_and_is_not_leased(farm, step, owe):
    gone = owe(expires_at=now() - timedelta(seconds=1))
    kept = owe(expires_at=now() + timedelta(minutes=1))
    assert [job.id for job in lease(step)] == [kept]
    assert step(jobs.expire) == 1
    assert farm.select(ROW, id=gone) == [("expired", 0, 0, 0)]
    assert step(jobs.expire) == 0


def test_an_attempt_starts_once(step, owe):
    owe()
    [leased] = lease(step)
    assert step(jobs.start, leased.id, leased.attempt).id == leased.id
    with pytest.raises(LeaseLost, match=f"job {leased.id}: attempt 1 is over"):
        step(jobs.start, leased.id, leased.attempt)


def test_a_message_that_waited_too_long_ends_its_job_instead_of_running_it(farm, step, owe):
    job_id = owe(expires_at=now() + timedelta(minutes=1))
    [leased] = lease(step)
    farm.change("UPDATE jobs SET expires_at = now() - interval '1 ms'")
    assert step(jobs.start, job_id, leased.attempt).state == "expired"
    assert farm.select("SELECT state, started_at, lease_until, finished_at IS NOT NULL FROM jobs") == [
        ("expired", None, None, True)
    ]
    with pytest.raises(LeaseLost):
        step(jobs.start, job_id, leased.attempt)
    assert lease(step) == []


def test_a_message_that_comes_in_time_runs_and_an_old_attempt_s_can_not_expire_the_job(farm, step, owe):
    job_id = owe(expires_at=now() + timedelta(minutes=1))
    [leased] = lease(step)
    farm.change("UPDATE jobs SET attempt = 2, expires_at = now() - interval '1 ms'")
    with pytest.raises(LeaseLost):
        step(jobs.start, job_id, leased.attempt)
    assert farm.value("SELECT state FROM jobs") == "leased"
    farm.change("UPDATE jobs SET expires_at = now() + interval '1 minute'")
    assert step(jobs.start, job_id, 2).state == "leased"
    assert farm.value("SELECT started_at IS NOT NULL AND lease_until > now() FROM jobs") is True


@pytest.mark.parametrize("attempt", [0, 2])
def test_another_attempt_than_the_leased_one_does_not_start(step, owe, attempt):
    owe()
    [leased] = lease(step)
    with pytest.raises(LeaseLost):
        step(jobs.start, leased.id, attempt)


def test_a_job_that_is_due_only_does_not_start(step, owe):
    with pytest.raises(LeaseLost):
        step(jobs.start, owe(), 0)


def test_a_job_goes_from_due_over_leased_and_fetched_to_done(farm, step, owe):
    job = fetched(step, owe)
    assert farm.select(ROW, id=job.id) == [("fetched", 1, 0, 0)]
    assert step(jobs.touch, job.id, 1).payload_key == f"p:{job.id}"
    with farm.context.sessions.begin() as session:
        jobs.lock_for_store(session, job.id, 1)
        jobs.finish(session, job.id, 1, {"rows": 3})
    end = "SELECT state, result, lease_until, payload_bytes, finished_at IS NOT NULL, error FROM jobs WHERE id = :id"
    assert farm.select(end, id=job.id) == [("done", {"rows": 3}, None, 0, True, None)]


@pytest.mark.parametrize("name", TRANSITIONS)
def test_an_attempt_that_was_replaced_changes_nothing(farm, step, owe, name):
    job = begun(step, owe) if name == "mark_fetched" else fetched(step, owe)
    farm.change("UPDATE jobs SET attempt = attempt + 1 WHERE id = :id", id=job.id)
    before = farm.select("SELECT * FROM jobs")
    transition, arguments = ends(job)[name]
    with pytest.raises(LeaseLost):
        step(transition, job.id, job.attempt, **arguments)
    assert farm.select("SELECT * FROM jobs") == before


@pytest.mark.parametrize("name", TRANSITIONS)
@pytest.mark.parametrize("state", ["due", "done", "dead", "cancelled", "expired"])
def test_an_attempt_changes_nothing_once_the_job_is_in_another_state(farm, step, owe, name, state):
    job = fetched(step, owe)
    farm.change("UPDATE jobs SET state = :state WHERE id = :id", state=state, id=job.id)
    transition, arguments = ends(job)[name]
    with pytest.raises(LeaseLost):
        step(transition, job.id, job.attempt, **arguments)
    assert farm.value("SELECT state FROM jobs") == state


def test_answers_are_not_loaded_before_they_are_there(step, owe):
    job = begun(step, owe)
    for transition in (jobs.touch, jobs.lock_for_store):
        with pytest.raises(LeaseLost):
            step(transition, job.id, job.attempt)


@pytest.mark.parametrize(("is_failure", "failures"), [(True, 1), (False, 0)])
@pytest.mark.parametrize("make", [begun, fetched])
def test_a_job_put_back_waits_until_then_and_counts_only_real_failures(farm, step, owe, make, is_failure, failures):
    job = make(step, owe)
    until = now() + timedelta(hours=1)
    step(jobs.put_back, job.id, job.attempt, due_at=until, reason="later", is_failure=is_failure)
    assert farm.select(ROW, id=job.id) == [("due", 1, failures, 0)]
    assert farm.select("SELECT due_at, lease_until, started_at, error, payload_bytes FROM jobs") == [
        (until, None, None, "later", 0)
    ]
    assert lease(step) == []
    [again] = step(lease_all, "standard", limit=1, now=until)
    assert (again.attempt, again.failures) == (2, failures)


def test_a_buried_job_is_dead_and_never_leased_again(farm, step, owe):
    job = begun(step, owe)
    step(jobs.bury, job.id, job.attempt, "no such thing")
    assert farm.select("SELECT state, error, finished_at IS NOT NULL FROM jobs") == [("dead", "no such thing", True)]
    assert lease(step) == []


@pytest.mark.parametrize("state", ["due", "leased", "fetched"])
def test_a_job_that_is_not_over_can_be_cancelled_and_its_worker_finds_out(farm, step, owe, state):
    job = {"due": lambda: None, "leased": lambda: begun(step, owe), "fetched": lambda: fetched(step, owe)}[state]()
    job_id = owe() if job is None else job.id
    assert step(jobs.cancel, [job_id, 10**6]) == 1
    assert farm.select("SELECT state, lease_until FROM jobs WHERE id = :id", id=job_id) == [("cancelled", None)]
    assert step(jobs.cancel, [job_id]) == 0
    if job is not None:
        with pytest.raises(LeaseLost):
            step(jobs.finish, job.id, job.attempt, {})


def test_a_finished_job_can_not_be_cancelled(farm, step, owe):
    job = begun(step, owe)
    step(jobs.finish, job.id, job.attempt, {})
    assert step(jobs.cancel, [job.id]) == 0
    assert farm.value("SELECT state FROM jobs") == "done"


def test_the_backlog_at_a_glance_says_what_is_due_where_what_runs_and_when_to_look_again(step, owe):
    owe(lane="backfill")
    running = begun(step, owe)
    later = now() + timedelta(hours=1)
    owe(lane="standard", due_at=later)
    step(jobs.mark_fetched, running.id, running.attempt, payload_key="k", payload_bytes=7)
    seen = step(look_at, now())
    task = "tasks.fetch.binance"
    assert (seen.due, dict(seen.in_flight), seen.payload_bytes) == ({"backfill": {task}}, {"standard": 1}, 7)
    assert (seen.leased, seen.slow) == ({}, set())
    assert seen.next_due_at == later
    seen = step(look_at, later)
    assert (seen.due, seen.next_due_at) == ({"backfill": {task}, "standard": {task}}, None)
