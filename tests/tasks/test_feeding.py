"""A lane is fed as its jobs end, a few messages at a time, and fetches tell the leader what they learned.

Deliberately not here: how much is leased (tests/pipeline/test_leader.py and its neighbours).
"""

from __future__ import annotations

from contextlib import closing
from statistics import median

import pytest

from ingest.pipeline.leader import LOOK_EVERY_S, MESSAGES_PER_PROCESS
from ingest.pipeline.workers import WakeCalls
from tests.tasks.load import PAIRS, STORED_IN, bars_job, owe, owe_bars

ROOM = 2 * MESSAGES_PER_PROCESS
JOBS = 32
#: Each job's lease and end, as late as its transaction can say.
NOTE_MOMENTS = """
CREATE TABLE moments (state text, at timestamptz DEFAULT clock_timestamp());
CREATE FUNCTION note_moment() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN INSERT INTO moments VALUES (NEW.state); RETURN NULL; END$$;
CREATE CONSTRAINT TRIGGER note_moment AFTER UPDATE ON jobs DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
WHEN (OLD.state <> NEW.state AND NEW.state IN ('leased', 'done') AND NEW.lane = 'backfill')
EXECUTE FUNCTION note_moment();
"""
#: How long after the n-th end the n-th job after the first ones was leased: there was no room before.
WAITS = """
SELECT extract(epoch FROM lease.at - ended.at)
FROM (SELECT at, row_number() OVER (ORDER BY at) AS nth FROM moments WHERE state = 'leased') lease
JOIN (SELECT at, row_number() OVER (ORDER BY at) AS nth FROM moments WHERE state = 'done') ended
ON lease.nth = ended.nth + :room
"""


@pytest.mark.parametrize("minutes", [minutes for minutes, _ in STORED_IN])
def test_the_next_job_is_leased_when_one_ends_and_the_queue_stays_short(shared_farm, minutes):
    farm, lengths = shared_farm, []
    farm.rows(NOTE_MOMENTS)
    try:
        owe_bars(farm, JOBS, minutes=minutes, pairs=PAIRS[:2], tag=f"feed {minutes}", lanes=["backfill"])
        left = "SELECT count(*) FROM jobs WHERE state <> 'done' AND key LIKE 'feed %'"
        while farm.value(left):
            lengths.append(farm.context.redis.llen("farm:backfill"))
        waits = [float(wait) for (wait,) in farm.rows(WAITS, room=ROOM)]
    finally:
        farm.rows("DROP FUNCTION note_moment CASCADE; DROP TABLE moments")
    assert max(lengths) <= ROOM
    assert len(waits) == JOBS - ROOM
    assert median(waits) < LOOK_EVERY_S / 8, "it was fed each second, and not when a job ended"
    assert farm.letters() == []


def test_a_live_fetch_tells_how_long_it_stored_and_one_that_finds_the_budget_used_up_until_when(shared_farm):
    farm = shared_farm
    with closing(WakeCalls(farm.context.redis)) as calls:
        calls.wait(0.01)

        def news_of(lane):
            farm.wait_for("SELECT count(*) = 0 FROM jobs WHERE state = 'leased'")
            calls.wait(10)
            return [one for one in calls.take_news() if one.lane == lane]

        owe(farm, bars_job("stored at once", PAIRS[3], lane="live"))
        [stored] = news_of("live")
        assert (stored.task, stored.full_until) == ("tasks.fetch.binance", None)
        assert 0 < stored.store_s < 10
        farm.sandbox.arm("binance", "status", times=1, args={"status": 429, "retry_after": 600})
        owe(farm, bars_job("told to wait", PAIRS[3]))
        farm.wait_for("SELECT due_at > now() + interval '5 minutes' FROM jobs WHERE key = 'told to wait'")
        news_of("backfill")
        owe(farm, *(bars_job(f"held {at}", PAIRS[3]) for at in range(JOBS)))
        told = "SELECT count(*) FILTER (WHERE due_at > now() + interval '5 minutes') FROM jobs WHERE key LIKE 'held %'"
        farm.wait_for(f"SELECT ({told}) > 0")
        held = news_of("backfill")
    due_at = {job.due_at.timestamp() for job in farm.rows("SELECT due_at FROM jobs WHERE key LIKE 'held %'")}
    assert {one.full_until for one in held} <= due_at
    assert 1 <= farm.value(told) <= 2 * ROOM
