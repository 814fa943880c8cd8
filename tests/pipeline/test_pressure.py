"""How much history goes at once beside live data: less while live stores are slow, all of it when they are quick again.

Deliberately not here: other bounds of a lane's messages (test_leader.py, test_bulkheads.py).
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from statistics import median

from hypothesis import given
from hypothesis import strategies as st

from ingest.pipeline import jobs
from ingest.pipeline.fetch import fetch
from ingest.pipeline.leader import MESSAGES_PER_PROCESS, Leader
from ingest.pipeline.pressure import FAR, JUDGED, NEWS_LAST, STEP_EVERY, TARGET_S, Pressure
from ingest.pipeline.store import ready
from ingest.pipeline.workers import News
from tests.conftest import statement
from tests.pipeline.farm import LANES, new_job

NOW = datetime(2026, 11, 24, tzinfo=UTC)
QUICK, SLOW = TARGET_S / 5, TARGET_S * 3
FULL = 2 * MESSAGES_PER_PROCESS

#: a store's seconds, or None for a step without one
takes = st.none() | st.floats(0.0001, 100)


def rooms(pressure, takes_s, full=FULL, *, start=0):
    """Return the room after each of these stores, one a step."""
    found = []
    for at, store_s in enumerate(takes_s, start):
        if store_s is not None:
            pressure.note(store_s)
        found.append(pressure.room(full, NOW + at * STEP_EVERY))
    return found


@given(st.lists(takes), st.lists(st.integers(1, 90), min_size=1))
def test_history_has_at_least_one_message_and_at_most_its_own_whatever_is_told(takes_s, fulls):
    pressure = Pressure()
    for at, store_s in enumerate(takes_s):
        full = fulls[at % len(fulls)]
        assert 1 <= rooms(pressure, [store_s], full, start=at)[0] <= full


@given(st.lists(takes), st.integers(1, 90))
def test_quick_stores_give_it_all_of_its_room_back_one_more_each_step(takes_s, full):
    pressure = Pressure()
    [*_, before] = rooms(pressure, [QUICK, *takes_s], full)
    found = rooms(pressure, [QUICK] * (JUDGED + full), full, start=1 + len(takes_s))
    assert found[-1] == full
    assert all(then - now <= 1 for now, then in zip([before, *found], found, strict=False))


@given(st.lists(takes), st.integers(1, 90))
def test_where_no_live_store_is_told_of_any_more_nobody_waits_and_it_has_all_of_its_room(takes_s, full):
    pressure = Pressure()
    rooms(pressure, takes_s, full)
    for step in range(full + 1):
        pressure.room(full, NOW + len(takes_s) * STEP_EVERY + NEWS_LAST + step * STEP_EVERY)
    assert pressure.room(full, NOW + timedelta(days=1)) == full


def test_each_step_halves_it_while_stores_are_slow_and_what_is_not_known_changes_nothing():
    pressure = Pressure()
    assert rooms(pressure, [QUICK, SLOW]) == [6, 6], "one slow store is no news"
    assert rooms(pressure, [SLOW, None, SLOW, SLOW, None], start=2) == [3, 3, 1, 1, 1]
    assert rooms(pressure, [QUICK, QUICK, QUICK, None, QUICK], start=7) == [1, 2, 3, 3, 4]


def test_many_stores_in_one_step_change_it_once():
    pressure = Pressure()
    pressure.note(QUICK)
    pressure.room(FULL, NOW - STEP_EVERY)
    for _ in range(JUDGED):
        pressure.note(SLOW)
    for _ in range(50):
        assert pressure.room(FULL, NOW) == FULL // 2
        pressure.note(SLOW)


def test_a_database_that_is_far_away_is_not_a_slow_one():
    pressure = Pressure()
    far = 4 * TARGET_S
    assert rooms(pressure, [far, FAR * far * 0.9] * 10) == [FULL] * 20
    assert rooms(pressure, [FAR * far * 1.1] * JUDGED, start=20)[-1] < FULL


def test_who_is_slow_for_hours_with_little_history_beside_it_is_not_slow_because_of_history():
    pressure = Pressure()
    rooms(pressure, [QUICK] * JUDGED)
    found = rooms(pressure, [SLOW] * 7_200, start=JUDGED)
    assert found[60] == 1
    assert found[-1] == FULL


# --- with a real database, which a trigger makes the slower the more history is in flight

A_MESSAGE_S = 0.06
#: A disk that history shares with live data: a quote is stored so much later for each message of history.
SHARED_DISK = f"""
CREATE FUNCTION shared_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    PERFORM pg_sleep({A_MESSAGE_S} * count(*)) FROM jobs WHERE lane = 'backfill' AND state = 'leased';
    RETURN NULL;
END $$;
CREATE TRIGGER shared_disk BEFORE INSERT ON quotes FOR EACH STATEMENT EXECUTE FUNCTION shared_disk();
"""


class Round:
    """A live poll beside a long history, over and over: what each look leased, and how long each poll stored."""

    def __init__(self, farm):
        self.farm = farm
        self.leader = Leader(farm.context.sessions, lanes=LANES, max_in_flight_bytes=2**30)
        self.at = datetime.now(UTC)

    def play(self, rounds):
        """Return how many messages history got each time, and each poll's seconds."""
        return [self._once() for _ in range(rounds)]

    def _once(self):
        self.at += STEP_EVERY
        kwargs = {"dataset": "quotes", "instruments": ["BTC-USDT"]}
        self.farm.owe("binance", kwargs, lane="live", priority=1)
        look = self.leader.look(self.at, dict.fromkeys(LANES, 2))
        by_lane = Counter(message.job.lane for message in look.messages)
        assert by_lane["live"] == 1, "a slot does not wait for room"
        [poll] = [message.job for message in look.messages if message.job.lane == "live"]
        with self.farm.context.sessions.begin() as session:
            job = jobs.start(session, poll.id, poll.attempt)
        outcome = fetch(self.farm.context, "binance", job, make_ready=ready)
        assert outcome.stored is not None
        self.leader.hear([News(job.lane, job.task, outcome.store_s)], self.at)
        self.farm.change("UPDATE jobs SET state = 'done' WHERE lane = 'backfill' AND state = 'leased'")
        return by_lane["backfill"], outcome.store_s


def test_history_gives_way_while_it_makes_the_database_slow_for_live_stores_and_comes_back(
    farm, step, module_database_url
):
    step(jobs.insert_jobs, [new_job(lane="backfill", priority=4) for _ in range(400)])
    game = Round(farm)
    game.play(2)  # the first poll makes its partitions
    statement(module_database_url, SHARED_DISK)
    try:
        slowed = game.play(8)
    finally:
        statement(module_database_url, "DROP FUNCTION shared_disk CASCADE")
    gone = game.play(JUDGED + FULL)
    assert slowed[0][0] == FULL, "it was not full of history at first"
    assert min(messages for messages, _ in slowed) == 1
    first, last = slowed[0][1], median(store_s for _, store_s in slowed[-3:])
    assert last < first - A_MESSAGE_S * FULL / 2, "live stores are quicker for it"
    assert gone[-1][0] == FULL
