"""Runs of the schedule: overlap, entries after others, how a run ends, what is noted when there was nothing to do.

Deliberately not here: the slots themselves (test_schedule.py) and edits (test_schedule_edits.py).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ingest.pipeline import jobs
from ingest.pipeline.leader import Leader
from ingest.pipeline.runs import history, settle
from ingest.pipeline.schedule_edits import sync_file
from models import Series
from tests.pipeline.farm import LANES

MINUTE = timedelta(minutes=1)
START = datetime.now(UTC).replace(second=0, microsecond=0) - 10 * MINUTE


def task(schedule="1m", **changes):
    return {"task": "tasks.coverage", "schedule": schedule, "lane": "live"} | changes


@pytest.fixture
def leader_of(farm):
    def make(**entries):
        with farm.context.sessions.begin() as session:
            sync_file(session, entries, START)
        leader = Leader(farm.context.sessions, lanes=LANES, max_in_flight_bytes=1024)
        leader.refresh()
        return leader

    return make


@pytest.fixture
def end(farm, step):
    """Return what runs every job of an entry that is not over to its end."""

    def run(entry, *, rows=7, dead=False):
        farm.change("UPDATE jobs SET state = 'leased', attempt = 1 WHERE entry = :entry AND state = 'due'", entry=entry)
        for number, state in farm.select("SELECT id, state FROM jobs WHERE entry = :entry", entry=entry):
            if state == "leased" and dead:
                step(jobs.bury, number, 1, "it can't be had")
            elif state == "leased":
                step(jobs.finish, number, 1, {"rows": rows})

    return run


def runs(farm, entry):
    query = "SELECT slot, outcome, rows, jobs, reason FROM schedule_runs WHERE entry = :entry ORDER BY slot"
    return farm.select(query, entry=entry)


def outcomes(farm, entry):
    return [outcome for _, outcome, *_ in runs(farm, entry)]


def settled(farm):
    with farm.context.sessions.begin() as session:
        return settle(session)


def test_a_slot_is_not_owed_while_the_run_before_it_is_at_work_and_the_next_one_is(farm, leader_of, end):
    leader = leader_of(poll=task())
    for minute in (1, 2, 3):
        leader.look(START + minute * MINUTE, {})
    assert farm.value("SELECT count(*) FROM jobs") == 1
    slot, outcome, _, _, reason = runs(farm, "poll")[1]
    assert (slot, outcome) == (START + 2 * MINUTE, "skipped")
    assert reason == f"the run of {(START + MINUTE).isoformat()} was still at work"
    end("poll")
    leader.look(START + 4 * MINUTE, {})
    assert farm.value("SELECT count(*) FROM jobs") == 2


def test_slots_that_are_skipped_or_empty_one_after_another_are_noted_once(farm, leader_of):
    leader = leader_of(poll=task(), quotes=task(task="tasks.fetch.binance", kwargs={"dataset": "quotes"}))
    for minute in range(1, 6):
        leader.look(START + minute * MINUTE, {})
    assert outcomes(farm, "poll") == [None, "skipped"]
    assert outcomes(farm, "quotes") == ["nothing"]


def test_an_entry_that_may_overlap_owes_each_slot(farm, leader_of):
    leader = leader_of(poll=task(overlap=True))
    for minute in (1, 2, 3):
        leader.look(START + minute * MINUTE, {})
    assert outcomes(farm, "poll") == [None] * 3


def test_a_run_ends_with_its_last_job_and_says_how_long_and_how_much(farm, leader_of, end):
    leader = leader_of(poll=task(task="tasks.fetch.binance", kwargs={"dataset": "quotes"}))
    with farm.context.sessions.begin() as session:
        session.add_all(
            Series(provider="binance", dataset="quotes", instrument=f"A{number}-B", interval="", followed=True)
            for number in range(201)
        )
    leader.look(START + MINUTE, {})
    assert settled(farm) == 0
    [(first,), (second,)] = farm.select("SELECT id FROM jobs ORDER BY id")
    farm.change("UPDATE jobs SET state = 'leased', attempt = 1 WHERE id = :id", id=first)
    with farm.context.sessions.begin() as session:
        jobs.finish(session, first, 1, {"rows": 200})
    assert settled(farm) == 0
    farm.change("UPDATE jobs SET state = 'leased', attempt = 1 WHERE id = :id", id=second)
    with farm.context.sessions.begin() as session:
        jobs.finish(session, second, 1, {"rows": 1})
    assert settled(farm) == 1
    assert runs(farm, "poll") == [(START + MINUTE, "ok", 201, 2, None)]
    assert farm.value("SELECT finished_at >= owed_at FROM schedule_runs")


def test_a_part_that_is_fetched_again_keeps_its_run_open(farm, leader_of, end):
    leader_of(poll=task()).look(START + MINUTE, {})
    end("poll")
    columns = "task, lane, kwargs, due_at, run_id"
    farm.change(f"INSERT INTO jobs (key, {columns}) SELECT 'part', {columns} FROM jobs")
    assert settled(farm) == 0


@pytest.mark.parametrize(
    ("state", "error", "outcome"),
    [("dead", "404", "failed"), ("expired", None, "expired"), ("cancelled", None, "cancelled")],
)
def test_a_run_says_why_it_did_not_end_well(farm, leader_of, state, error, outcome):
    leader_of(poll=task()).look(START + MINUTE, {})
    farm.change("UPDATE jobs SET state = :state, error = :error, finished_at = now()", state=state, error=error)
    assert settled(farm) == 1
    [(_, found, _, _, reason)] = runs(farm, "poll")
    assert (found, reason) == (outcome, error or "one of its jobs was not done")


def test_a_job_of_which_a_part_was_given_up_makes_its_run_a_failed_one(farm, leader_of, end):
    leader_of(poll=task()).look(START + MINUTE, {})
    end("poll")
    farm.change(
        "INSERT INTO dead_letters (task, args, kwargs, job_id, error_class, error)"
        " SELECT task, '[]', '{}', id, 'FixRequest', 'no such page' FROM jobs"
    )
    settled(farm)
    assert outcomes(farm, "poll") == ["failed"]


def test_a_run_whose_jobs_are_gone_is_not_at_work_for_ever(farm, leader_of):
    leader_of(poll=task()).look(START + MINUTE, {})
    farm.change("DELETE FROM jobs")
    assert settled(farm) == 0
    farm.change("UPDATE schedule_runs SET owed_at = now() - interval '2 minutes'")
    assert settled(farm) == 1
    assert outcomes(farm, "poll") == ["cancelled"]


def test_an_entry_after_another_waits_for_its_run_and_then_runs(farm, leader_of, end):
    leader = leader_of(first=task(), second=task(after="first"))
    look = leader.look(START + MINUTE, {})
    assert farm.select("SELECT entry FROM jobs") == [("first",)]
    assert look.next_at - (START + MINUTE) <= timedelta(seconds=1)
    leader.look(START + MINUTE + timedelta(seconds=20), {})
    assert farm.select("SELECT entry FROM jobs") == [("first",)]
    end("first")
    leader.look(START + MINUTE + timedelta(seconds=40), {})
    assert runs(farm, "second")[0][:2] == (START + MINUTE, None)


def test_an_entry_after_one_that_failed_is_skipped_and_says_so(farm, leader_of, end):
    leader = leader_of(first=task(), second=task(after="first"), third=task(after="second"))
    leader.look(START + MINUTE, {})
    end("first", dead=True)
    leader.look(START + MINUTE + timedelta(seconds=40), {})
    [(slot, outcome, _, _, reason)] = runs(farm, "second")
    assert (slot, outcome) == (START + MINUTE, "skipped")
    assert reason == f"first failed at {(START + MINUTE).isoformat()}"


def test_an_entry_after_one_with_another_cadence_goes_by_its_newest_run(farm, leader_of, end):
    leader = leader_of(daily=task("1d"), often=task(after="daily"))
    leader.look(START + MINUTE, {})
    assert outcomes(farm, "often") == [None]


@pytest.mark.parametrize(
    "entries", [{"a": task(after="b"), "b": task(after="a")}, {"a": task(after="a")}, {"a": task(after="gone")}]
)
def test_entries_that_wait_in_a_circle_or_for_one_that_is_not_there_never_run_and_stop_nobody(farm, leader_of, entries):
    leader = leader_of(**entries, healthy=task())
    leader.look(START + MINUTE, {})
    assert farm.select("SELECT entry FROM jobs") == [("healthy",)]


def test_the_history_of_an_entry_is_its_newest_runs_first(farm, leader_of):
    leader = leader_of(poll=task(overlap=True))
    for minute in (1, 2, 3):
        leader.look(START + minute * MINUTE, {})
    with farm.context.sessions() as session:
        assert [run.slot for run in history(session, "poll", limit=2)] == [START + 3 * MINUTE, START + 2 * MINUTE]


def test_the_entries_of_a_provider_that_is_switched_off_owe_nothing(farm, leader_of):
    leader_of(poll=task(task="tasks.fetch.binance", kwargs={"dataset": "quotes", "instruments": ["A-B"]}), other=task())
    leader = Leader(farm.context.sessions, lanes=LANES, max_in_flight_bytes=1024, off={"binance"})
    leader.refresh()
    leader.look(START + MINUTE, {})
    assert farm.select("SELECT entry FROM jobs") == [("other",)]
