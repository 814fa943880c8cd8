"""Announcements of workers and calls to the leader: who is counted, who is forgotten, who hears what.

Deliberately not here: the workers that announce themselves (tests/tasks/test_scaling.py).
"""

from __future__ import annotations

import json
import time
from contextlib import closing

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from ingest.pipeline.workers import (
    FORGET_AFTER_S,
    SWEEP_AFTER_S,
    News,
    WakeCalls,
    Worker,
    announce,
    live_workers,
    processes_by_lane,
    spread,
    wake_leader,
)

LIVE = ("live.load", "live")


@pytest.fixture
def client(redis_url):
    with closing(redis.Redis.from_url(redis_url)) as opened:
        yield opened


def age(client, name, by_s):
    entry = json.loads(client.hget("tickfarm:workers", name))
    client.hset("tickfarm:workers", name, json.dumps(entry | {"at": time.time() - by_s}))


def test_a_draining_worker_is_listed_but_not_fed(client):
    serving = Worker("one", LIVE, 3, children=3, since=1.0, host="here", autoscale=(4, 1))
    announce(client, serving)
    announce(client, Worker("two", LIVE, 2, draining=True))
    assert processes_by_lane(client) == {"live": 3, "live.load": 3}
    assert [worker.name for worker in live_workers(client)] == ["one", "two"]
    assert live_workers(client)[0] == serving
    assert serving.lanes == ("live",)


def test_a_silent_worker_is_forgotten_soon_and_swept_out_later(client):
    for name in ("one", "two", "three"):
        announce(client, Worker(name, LIVE, 1))
    age(client, "two", FORGET_AFTER_S + 1)
    age(client, "three", SWEEP_AFTER_S + 1)
    assert processes_by_lane(client)["live"] == 1
    assert [worker.name for worker in live_workers(client)] == ["one"]
    assert set(client.hkeys("tickfarm:workers")) == {b"one", b"two"}


def test_an_announcement_of_an_older_version_is_counted(client):
    client.hset("tickfarm:workers", "old", json.dumps({"queues": ["live"], "processes": 2, "at": time.time()}))
    assert processes_by_lane(client)["live"] == 2


@given(st.dictionaries(st.text("abc", min_size=1), st.integers(1, 9), min_size=1), st.integers(0, 50))
def test_children_are_spread_evenly_and_none_is_lost(children, more):
    total = len(children) + more
    goal = spread(children, total)
    assert goal.keys() == children.keys()
    assert sum(goal.values()) == total
    assert 1 <= min(goal.values()) <= max(goal.values()) <= min(goal.values()) + 1
    assert spread(goal, total) == goal, "a lane that is even stays as it is"


def test_a_call_that_only_tells_of_room_is_heard_by_who_waits_for_room_and_every_other_by_all(client):
    with closing(WakeCalls(client)) as calls:
        assert not calls.wait(0.01), "it listens from now on"
        wake_leader(client, room_only=True)
        assert not calls.wait(0.2, wants_room=False)
        wake_leader(client, room_only=True)
        assert calls.wait(5, wants_room=True)
        wake_leader(client, room_only=True)
        wake_leader(client)
        assert calls.wait(5, wants_room=False)


def test_news_ride_along_with_calls_are_kept_until_they_are_taken_and_wake_nobody_by_themselves(client):
    one, other = News("live", "tasks.fetch.binance", store_s=0.25), News("backfill", "t", full_until=1e9)
    with closing(WakeCalls(client)) as calls:
        assert not calls.wait(0.01), "it listens from now on"
        wake_leader(client, room_only=True, news=one)
        assert not calls.wait(0.2, wants_room=False)
        wake_leader(client, news=other)
        wake_leader(client, room_only=True)
        assert calls.wait(5)
        assert calls.take_news() == [one, other]
        assert calls.take_news() == []


def test_a_call_of_another_version_is_heard_without_what_nobody_here_knows(client):
    with closing(WakeCalls(client)) as calls:
        assert not calls.wait(0.01), "it listens from now on"
        client.publish("tickfarm:wake", b'owed {"lane": "live", "task": "t", "store_s": 1.0, "mood": "good"}')
        assert calls.wait(5, wants_room=False)
        assert calls.take_news() == [News("live", "t", 1.0)]
