"""The leader's look: each slot owed once, lanes fed as far as there is room, lost work given out again."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier

import pytest
from sqlalchemy.exc import DBAPIError

from ingest.pipeline import jobs
from ingest.pipeline.leader import MESSAGES_PER_PROCESS, Leader, Message, message_kwargs
from ingest.pipeline.schedule_edits import sync_file
from tests.conftest import statement
from tests.pipeline.farm import LANES, new_job
from tests.pipeline.transitions import begun, fetched

MIB = 1024 * 1024
MINUTE = timedelta(minutes=1)
PROCESSES = dict.fromkeys(LANES, 2)
ROOM = 2 * MESSAGES_PER_PROCESS
START = datetime.now(UTC).replace(second=0, microsecond=0)


def poll(name="poll", schedule="1m", **changes):
    fields = {"task": "tasks.coverage", "schedule": schedule, "lane": "live", "priority": 1, "overlap": True}
    return name, fields | changes


@pytest.fixture
def leader_of(farm):
    """Return what makes a leader of these entries; two of them know nothing of each other."""

    def make(*entries, max_in_flight_bytes=MIB, now=START):
        with farm.context.sessions.begin() as session:
            sync_file(session, dict(entries), now)
        leader = Leader(farm.context.sessions, lanes=LANES, max_in_flight_bytes=max_in_flight_bytes)
        leader.refresh()
        return leader

    return make


def slots(farm):
    return [slot for (slot,) in farm.select("SELECT due_at FROM jobs WHERE entry IS NOT NULL ORDER BY due_at")]


def test_a_new_entry_owes_its_first_slot_after_now(farm, leader_of):
    leader = leader_of(poll())
    look = leader.look(START + MINUTE / 2, {})
    assert slots(farm) == []
    assert look.next_at == START + MINUTE
    leader.look(START + MINUTE, {})
    assert slots(farm) == [START + MINUTE]


def test_a_slot_is_owed_once_however_often_one_looks(farm, leader_of):
    leader = leader_of(poll())
    for seconds in (0, 60, 60, 61, 119, 120):
        leader.look(START + timedelta(seconds=seconds), {})
    assert slots(farm) == [START + MINUTE, START + 2 * MINUTE]


def test_after_a_pause_only_the_newest_slot_is_owed_by_a_new_leader_too(farm, leader_of):
    leader_of(poll()).look(START, {})
    leader_of(poll()).look(START + timedelta(minutes=10, seconds=7), {})
    assert slots(farm) == [START + 10 * MINUTE]
    assert farm.value("SELECT last_slot FROM schedule") == START + 10 * MINUTE


def test_two_leaders_with_the_same_state_owe_a_slot_once(farm, leader_of):
    one, other = leader_of(poll()), leader_of(poll())
    for leader in (one, other):
        leader.look(START, {})
    for leader in (one, other, one):
        leader.look(START + MINUTE, {})
    assert slots(farm) == [START + MINUTE]


def test_leaders_that_race_owe_each_slot_once_and_give_each_job_to_one(farm, leader_of):
    entries = [poll(f"poll {number}", lane=lane) for number, lane in enumerate(LANES)]
    racers = [leader_of(*entries) for _ in range(3)]
    for leader in racers:
        leader.look(START, {})
    together = Barrier(len(racers))

    def lead(leader):
        messages = []
        for minute in range(1, 6):
            together.wait(10)
            messages += leader.look(START + minute * MINUTE, dict.fromkeys(LANES, 100)).messages
        return [(message.job.id, message.job.attempt) for message in messages]

    with ThreadPoolExecutor(len(racers)) as pool:
        given = Counter(one for messages in pool.map(lead, racers) for one in messages)
    assert len(slots(farm)) == len(entries) * 5
    assert set(given.values()) == {1}
    assert len(given) <= len(entries) * 5
    for leader in racers[:1]:
        rest = leader.look(START + 6 * MINUTE, dict.fromkeys(LANES, 100)).messages
    assert len(given) + len(rest) == len(slots(farm))


def test_a_look_that_cannot_commit_publishes_nothing_and_the_next_one_owes_it_all(farm, leader_of, module_database_url):
    refuse = (
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE 'no commit today'; END$$;"
        " CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON jobs DEFERRABLE INITIALLY DEFERRED"
        " FOR EACH ROW EXECUTE FUNCTION refuse()"
    )
    leader = leader_of(poll())
    leader.look(START, {})
    statement(module_database_url, refuse)
    try:
        with pytest.raises(DBAPIError, match="no commit today"):
            leader.look(START + MINUTE, PROCESSES)
        assert farm.states() == []
    finally:
        statement(module_database_url, "DROP FUNCTION refuse CASCADE")
    look = leader.look(START + MINUTE, PROCESSES)
    assert [message.job.state for message in look.messages] == ["leased"]
    assert slots(farm) == [START + MINUTE]


def test_partitions_of_a_look_that_could_not_commit_are_made_by_the_next(farm, leader_of, module_database_url):
    ahead = datetime(2031, 7, 1, tzinfo=UTC)
    refuse = (
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE 'no commit today'; END$$;"
        " CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON schedule_runs DEFERRABLE INITIALLY DEFERRED"
        " FOR EACH ROW EXECUTE FUNCTION refuse()"
    )
    leader = leader_of(poll())
    statement(module_database_url, refuse)
    try:
        with pytest.raises(DBAPIError, match="no commit today"):
            leader.look(ahead, {})
    finally:
        statement(module_database_url, "DROP FUNCTION refuse CASCADE")
    leader.look(ahead, {})
    names = "ARRAY['bars_y2031', 'quotes_m2031_07', 'fetch_log_d2031_06_30', 'fetch_log_d2031_07_03']"
    made = f"SELECT to_regclass(name)::text FROM unnest({names}) name"
    assert None not in {name for (name,) in farm.select(made)}


def test_a_lane_gets_three_messages_a_process_and_no_more_while_they_are_in_flight(farm, leader_of, step):
    step(jobs.insert_jobs, [new_job() for _ in range(20)])
    leader = leader_of()
    first = leader.look(datetime.now(UTC), PROCESSES).messages
    assert len(first) == ROOM
    assert leader.look(datetime.now(UTC), PROCESSES).messages == []
    done = first[0].job
    step(jobs.start, done.id, done.attempt)
    step(jobs.finish, done.id, done.attempt, {})
    assert len(leader.look(datetime.now(UTC), PROCESSES).messages) == 1


def test_a_lane_without_workers_gets_nothing_and_costs_the_others_nothing(farm, leader_of, step):
    step(jobs.insert_jobs, [new_job(lane=lane) for lane in ("standard", "backfill") for _ in range(3)])
    messages = leader_of().look(datetime.now(UTC), {"backfill": 1, "standard.load": 5}).messages
    assert [message.job.lane for message in messages] == ["backfill"] * 3
    assert leader_of().look(datetime.now(UTC), {}).messages == []


def test_too_many_payload_bytes_in_flight_hold_history_back_but_not_live_work(farm, leader_of, step, owe):
    waiting = fetched(step, owe)
    farm.change("UPDATE jobs SET payload_bytes = :size", size=2 * MIB)
    step(jobs.insert_jobs, [new_job(lane=lane) for lane in LANES])
    leader = leader_of(max_in_flight_bytes=2 * MIB - 1)
    assert [message.job.lane for message in leader.look(datetime.now(UTC), PROCESSES).messages] == ["live"]
    step(jobs.finish, waiting.id, waiting.attempt, {})
    lanes = {message.job.lane for message in leader.look(datetime.now(UTC), PROCESSES).messages}
    assert lanes == {"standard", "backfill", "maintenance"}


def test_a_lost_lease_is_given_out_again_with_a_new_attempt(farm, leader_of, step, owe):
    job = begun(step, owe)
    leader = leader_of()
    farm.change("UPDATE jobs SET lease_until = now() - interval '1 s'")
    assert leader.sweep() == []
    [message] = leader.look(datetime.now(UTC), PROCESSES).messages
    assert (message.job.id, message.job.attempt, message.is_load) == (job.id, 2, False)


def test_answers_whose_loader_died_are_loaded_again_not_fetched(farm, leader_of, step, owe):
    job = fetched(step, owe)
    farm.change("UPDATE jobs SET lease_until = now() - interval '1 s'")
    [message] = leader_of().sweep()
    assert (message.job.id, message.job.attempt, message.is_load) == (job.id, 2, True)
    assert message_kwargs(message) == {"job_id": job.id, "attempt": 2}


def test_a_job_that_killed_all_its_workers_becomes_a_dead_letter_once(farm, leader_of, step, owe):
    job = begun(step, owe, kwargs={"dataset": "quotes"})
    farm.change("UPDATE jobs SET lease_until = now() - interval '1 s', lost_leases = :n", n=jobs.MAX_LOST_LEASES)
    for leader in (leader_of(), leader_of()):
        assert leader.sweep() == []
    letters = farm.select("SELECT job_id, kwargs, queue, error FROM dead_letters")
    assert letters == [(job.id, {"dataset": "quotes"}, "standard", "its worker died 6 times while running it")]


def test_a_poll_nobody_began_in_time_expires(farm, leader_of, owe):
    owe(expires_at=datetime.now(UTC) - timedelta(seconds=1))
    leader_of().sweep()
    assert farm.states() == ["expired"]


def test_a_look_says_when_the_next_job_falls_due(leader_of, owe):
    now = datetime.now(UTC)
    leader = leader_of()
    assert leader.look(now, {}).next_at > now + timedelta(days=365)
    owe(due_at=now + timedelta(milliseconds=300))
    assert leader.look(now, {}).next_at == now + timedelta(milliseconds=300)


def test_a_look_wants_room_while_something_due_waits_for_it_and_not_when_all_is_leased(leader_of, step):
    leader, now = leader_of(), datetime.now(UTC)
    assert not leader.look(now, PROCESSES).wants_room
    step(jobs.insert_jobs, [new_job() for _ in range(ROOM - 1)])
    assert not leader.look(datetime.now(UTC), PROCESSES).wants_room
    step(jobs.insert_jobs, [new_job() for _ in range(2)])
    assert leader.look(datetime.now(UTC), PROCESSES).wants_room
    assert leader.look(datetime.now(UTC), PROCESSES).wants_room, "the second one waits still"
    assert not leader_of().look(datetime.now(UTC) - timedelta(hours=1), PROCESSES).wants_room, "it is not due yet"


def test_a_message_carries_ids_and_the_call_but_no_requests(step, owe):
    job = begun(step, owe, kwargs={"dataset": "bars", "requests": [{"path": "/" * 5000}]})
    assert message_kwargs(Message(job, is_load=False)) == {"dataset": "bars", "job_id": job.id, "attempt": 1}
