"""Who gets a lane's children: shares in the live lane, turns in the others, and what is left to those who are slow.

Deliberately not here: real workers that hang (tests/tasks/test_bulkheads.py). The clock is each look's `now`, except
that jobs have been running for as long as the database says.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.errors import LeaseLost
from ingest.pipeline import jobs
from ingest.pipeline.backlog import SLOW_S, Backlog
from ingest.pipeline.bulkheads import OTHERS_FOR, SLOW_FOR, Bulkheads
from ingest.pipeline.leader import MESSAGES_PER_PROCESS, Leader
from tests.pipeline.farm import LANES, new_job

A, B, C = "tasks.fetch.kraken", "tasks.fetch.binance", "tasks.fetch.coinbase"
NOW = datetime.now(UTC)
ROOM = 2 * MESSAGES_PER_PROCESS


@pytest.fixture
def leader(farm):
    return Leader(farm.context.sessions, lanes=LANES, max_in_flight_bytes=1)


@pytest.fixture
def owe_many(step):
    """Return what owes this many jobs of each task in a lane."""

    def insert(lane, **changes):
        def of(*tasks, count=10):
            made = [new_job(lane=lane, task=task, **changes) for task in tasks for _ in range(count)]
            step(jobs.insert_jobs, made)

        return of

    return insert


@pytest.fixture
def run_long(farm):
    """Let what is leased of a task have begun so long ago that it is slow."""

    def begin(task, seconds=SLOW_S + 1):
        sql = "UPDATE jobs SET started_at = now() - make_interval(secs => :s) WHERE task = :task AND state = 'leased'"
        farm.change(sql, task=task, s=seconds)

    return begin


@pytest.fixture
def end(farm):
    """End what is in flight."""

    def finish(task):
        farm.change("UPDATE jobs SET state = 'done' WHERE task = :task AND state = 'leased'", task=task)

    return finish


def served(leader, processes=2, *, after=timedelta(0)):
    """Return how many messages each task gets from one look."""
    look = leader.look(datetime.now(UTC) + after, dict.fromkeys(LANES, processes))
    return Counter(message.job.task for message in look.messages)


@pytest.mark.parametrize(("processes", "share"), [(1, 1), (2, 1), (3, 2), (4, 2), (5, 3)])
def test_in_the_live_lane_nobody_holds_more_than_half_and_everybody_may_hold_one(leader, owe_many, processes, share):
    owe_many("live")(A, B)
    assert served(leader, processes) == {A: share, B: share}
    assert served(leader, processes) == {}


def test_in_the_live_lane_a_provider_that_holds_its_share_keeps_no_other_from_its_own(leader, owe_many, end):
    owe = owe_many("live")
    owe(A)
    owe(B, count=1)
    assert served(leader) == {A: 1, B: 1}
    for _ in range(5):
        end(B)
        owe(B, count=1)
        assert served(leader) == {B: 1}


@pytest.mark.parametrize("lane", LANES)
def test_a_provider_that_has_a_lane_to_itself_gets_all_of_it(leader, owe_many, lane):
    owe_many(lane)(A)
    assert served(leader) == {A: ROOM}


def test_who_had_work_lately_is_still_reckoned_with_and_after_a_while_no_more(leader, owe_many, end):
    owe = owe_many("live")
    owe(A, B, count=1)
    assert served(leader) == {A: 1, B: 1}
    end(A)
    end(B)
    owe(A)
    assert served(leader, after=OTHERS_FOR - timedelta(seconds=1)) == {A: 1}
    assert served(leader, after=OTHERS_FOR * 2) == {A: ROOM - 1}


def test_a_long_history_leaves_the_others_their_turn_and_takes_what_room_is_left(leader, owe_many, end):
    owe = owe_many("backfill", priority=4)
    owe(A, count=50)
    assert served(leader) == {A: ROOM}
    owe(B, count=2)
    owe(C, count=2)
    end(A)
    assert served(leader) == {A: 2, B: 2, C: 2}
    for task in (B, C):
        end(task)
    assert served(leader) == {A: ROOM - 2}


def test_messages_go_out_in_turns_so_that_no_child_waits_behind_one_providers_three(leader, owe_many):
    owe_many("standard", priority=1)(A)
    owe_many("standard", priority=4)(B)
    messages = leader.look(datetime.now(UTC), dict.fromkeys(LANES, 2)).messages
    assert [message.job.task for message in messages] == [A, B] * 3


def test_with_room_for_one_only_each_provider_comes_in_its_turn(farm, leader, owe_many):
    owe_many("backfill")(A, B, C)
    assert served(leader) == {A: 2, B: 2, C: 2}
    got = []
    for _ in range(6):
        farm.change("UPDATE jobs SET state = 'fetched' WHERE state = 'leased'")
        farm.change("UPDATE jobs SET state = 'done' WHERE id = (SELECT min(id) FROM jobs WHERE state = 'fetched')")
        got += served(leader)
    assert Counter(got) == {A: 2, B: 2, C: 2}


def test_a_slow_provider_leaves_a_child_to_others_and_its_messages_do_not_queue_up(leader, owe_many, run_long, end):
    owe = owe_many("backfill")
    owe(A, count=50)
    owe(B, count=1)
    assert served(leader, 3) == {A: 8, B: 1}
    end(B)
    run_long(A)
    assert served(leader, 3) == {}
    end(A)
    assert served(leader, 3) == {A: 2}, "it is remembered to have been slow"
    owe(B, count=1)
    assert served(leader, 3) == {B: 1}
    end(A)
    assert served(leader, 3, after=SLOW_FOR + timedelta(seconds=1)) == {A: 8}


def test_a_slow_provider_that_is_alone_fills_every_child_of_the_lane(leader, owe_many, run_long, end):
    owe_many("backfill")(A, count=50)
    served(leader)
    run_long(A)
    served(leader)
    end(A)
    assert served(leader) == {A: 2}


def test_messages_of_a_slow_provider_that_no_child_has_begun_are_taken_back_and_begin_no_more(
    farm, leader, owe_many, step
):
    owe = owe_many("backfill")
    owe(A, count=50)
    messages = leader.look(datetime.now(UTC), dict.fromkeys(LANES, 2)).messages
    assert len(messages) == ROOM
    for message in messages[:2]:
        step(jobs.start, message.job.id, message.job.attempt)
    farm.change(f"UPDATE jobs SET started_at = now() - interval '{SLOW_S + 1} s' WHERE started_at IS NOT NULL")
    assert served(leader) == {}
    left = "SELECT count(*) FILTER (WHERE state = 'leased'), count(*) FILTER (WHERE state = 'due') FROM jobs"
    assert farm.select(left) == [(2, 48)]
    with pytest.raises(LeaseLost):
        step(jobs.start, messages[2].job.id, messages[2].job.attempt)
    owe(B, count=1)
    assert served(leader) == {B: 1}


def test_slow_providers_share_what_is_not_kept_free(leader, owe_many, run_long, end):
    owe_many("backfill")(A, B, C)
    served(leader, 4)
    for task in (A, B):
        run_long(task)
    served(leader, 4)
    for task in (A, B, C):
        end(task)
    got = served(leader, 4)
    assert {got[A], got[B]} == {1, 2}, "three of four children together"
    assert got[C] == 6


@pytest.mark.parametrize("lane", ["live", "backfill"])
def test_a_provider_that_is_quick_is_never_taken_for_a_slow_one(leader, owe_many, run_long, end, lane):
    owe_many(lane)(A, B)
    first = served(leader)
    run_long(A, SLOW_S - 1)
    end(B)
    assert served(leader) == {B: first[B]}
    end(A)
    assert served(leader) == {A: first[A]}


def test_a_look_wants_room_while_a_share_is_full_and_not_when_all_is_leased(leader, owe_many, step):
    owe = owe_many("live")
    owe(A, B, count=1)
    processes = dict.fromkeys(LANES, 2)
    assert leader.look(datetime.now(UTC), processes).wants_room, "there may be more than it took"
    assert not leader.look(datetime.now(UTC), processes).wants_room
    owe(A, count=1)
    assert leader.look(datetime.now(UTC), processes).wants_room
    assert leader.look(datetime.now(UTC), processes).wants_room, "the share is full still"


def test_what_waits_to_be_loaded_is_not_held_by_its_provider(farm, leader, owe_many):
    owe_many("live")(A, B)
    served(leader)
    farm.change("UPDATE jobs SET state = 'fetched' WHERE state = 'leased'")
    assert served(leader) == {A: 1, B: 1}


@given(
    children=st.integers(1, 9),
    held=st.dictionaries(st.sampled_from([A, B, C]), st.integers(1, 9)),
    due=st.sets(st.sampled_from([A, B, C]), min_size=1),
    slow=st.sets(st.sampled_from([A, B, C])),
    lane=st.sampled_from(["live", "backfill"]),
)
def test_shares_are_kept_whatever_is_held_and_nobody_waits_in_a_lane_where_nothing_runs(
    children, held, due, slow, lane
):
    room = MESSAGES_PER_PROCESS * children
    backlog, bulkheads = Backlog(), Bulkheads()
    backlog.leased[lane].update(held)
    backlog.due[lane] = due
    backlog.slow = {(lane, task) for task in slow & held.keys()}
    bulkheads.note(backlog, NOW)
    claims = bulkheads.claims(lane, children, backlog, NOW, room=room)
    assert {claim.task for claim in claims} == due
    holds = {task: held.get(task, 0) + sum(claim.most for claim in claims if claim.task == task) for task in (A, B, C)}
    gets = {claim.task for claim in claims if claim.most}
    works, slow = due | held.keys(), slow & held.keys()
    if lane == "live" and len(works) > 1:
        assert all(holds[task] <= max(1, -(-children // 2)) for task in gets)
    if gets & slow:
        assert sum(holds[task] for task in slow) <= max(1, children - (1 if works - slow else 0))
    for task in due - held.keys():
        assert task in gets, "who holds nothing and is not slow always gets something"
    if not held:
        assert gets == due
