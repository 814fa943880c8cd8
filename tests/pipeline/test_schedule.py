"""What the schedule owes: slots on the grid, never twice, the newest one after a pause; and the jobs of a slot."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.pipeline.entries import Entry, every, read_entry
from ingest.pipeline.follow import follow
from ingest.pipeline.schedule import MESSAGE_INSTRUMENTS, due_slots, followed_of, jobs_of, kind_of
from ingest.providers import get
from models import Series
from tests.pipeline.farm import LANES

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
moments = st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
periods = st.sampled_from([0.5, 1.0, 7.0, 30.0, 60.0, 3600.0, 86_400.0, 604_800.0]) | st.integers(1, 100_000)
#: Longer pauses with short periods only cost time: the slots in between are never looked at.
pauses = st.timedeltas(timedelta(0), timedelta(days=800))


def entry(period_s: float = 60.0, **changes) -> Entry:
    fields = {
        "task": "tasks.fetch.binance",
        "schedule": f"{period_s}s",
        "kwargs": {"dataset": "quotes"},
        "lane": "live",
        "priority": 1,
        "expires_s": 5.0,
    }
    return read_entry("poll", fields | changes, lanes=LANES)


def latest_slot(one, after, now):
    newest, slots = due_slots(one, after, now)
    assert slots == ([] if newest is None else [newest])
    return newest


def is_on_grid(slot, period_s):
    return (slot - EPOCH) % timedelta(seconds=period_s) == timedelta(0)


@given(moments, periods)
def test_the_next_slot_is_the_first_point_of_the_grid_after_a_moment(after, period_s):
    slot = every(period_s)(after)
    assert is_on_grid(slot, period_s)
    assert timedelta(0) < slot - after <= timedelta(seconds=period_s)


@given(moments, periods)
def test_slots_follow_each_other_at_the_period_whatever_the_first_look_was(after, period_s):
    next_slot = every(period_s)
    first = next_slot(after)
    assert next_slot(first) - first == timedelta(seconds=period_s)
    assert next_slot(first - timedelta(microseconds=1)) == first


@given(moments, pauses, periods)
def test_after_a_pause_the_newest_slot_that_came_is_owed(after, pause, period_s):
    now = after + pause
    slot = latest_slot(entry(period_s), after, now)
    newest = EPOCH + (now - EPOCH) // timedelta(seconds=period_s) * timedelta(seconds=period_s)
    assert slot == (newest if newest > after else None)


@given(moments, st.lists(st.timedeltas(timedelta(0), timedelta(minutes=10)), max_size=20), periods)
def test_whenever_one_looks_no_slot_is_owed_twice_and_none_drifts(start, steps, period_s):
    known, now, owed = start, start, []
    for step in steps:
        now += step
        slot = latest_slot(entry(period_s), known, now)
        if slot is not None:
            owed.append(slot)
            known = slot
    assert owed == sorted(set(owed))
    assert all(is_on_grid(slot, period_s) and start < slot <= now for slot in owed)


def test_a_second_entry_after_a_week_is_found_without_counting_all_its_slots():
    asked = []

    def counting(after):
        asked.append(after)
        return every(1.0)(after)

    now = datetime(2024, 3, 5, 12, tzinfo=UTC)
    counted = replace(entry(1.0), next_slot=counting)
    assert latest_slot(counted, now - timedelta(days=7), now) == now
    assert len(asked) < 100


@pytest.mark.parametrize("period_s", [0, -1])
def test_a_period_of_nothing_is_refused(period_s):
    with pytest.raises(ValueError, match="longer than nothing"):
        every(period_s)


def followed(farm, count, dataset="quotes", interval=""):
    names = [f"A{number:04d}-USDT" for number in range(count)]
    with farm.context.sessions.begin() as session:
        session.add_all(
            Series(provider="binance", dataset=dataset, instrument=name, interval=interval, followed=True)
            for name in names
        )
    return names


def owed(farm, one, slot):
    kind = kind_of(one)
    with farm.context.sessions() as session:
        return jobs_of(one, slot, followed_of(session, [kind] if kind else []))


SLOT = datetime(2024, 3, 5, 12, tzinfo=UTC)


@pytest.mark.parametrize("count", [0, 1, MESSAGE_INSTRUMENTS, MESSAGE_INSTRUMENTS + 1, 2 * MESSAGE_INSTRUMENTS + 7])
def test_a_poll_is_owed_in_batches_that_hold_every_followed_instrument_once(farm, count):
    names = followed(farm, count)
    found = owed(farm, entry(), SLOT)
    sizes = [len(job.kwargs["instruments"]) for job in found]
    assert [name for job in found for name in job.kwargs["instruments"]] == names
    assert sizes == [MESSAGE_INSTRUMENTS] * (count // MESSAGE_INSTRUMENTS) + (
        [count % MESSAGE_INSTRUMENTS] if count % MESSAGE_INSTRUMENTS else []
    )
    assert len({job.key for job in found}) == len(found)
    assert all(job.due_at == SLOT and job.expires_at == SLOT + timedelta(seconds=5) for job in found)
    assert all((job.lane, job.priority, job.entry) == ("live", 1, "poll") for job in found)


def test_only_what_is_followed_of_that_kind_is_polled(farm):
    followed(farm, 2, dataset="bars", interval="1m")
    with farm.context.sessions.begin() as session:
        session.add(Series(provider="binance", dataset="quotes", instrument="BTC-USDT", interval="", followed=False))
    assert owed(farm, entry(), SLOT) == []
    [job] = owed(farm, entry(kwargs={"dataset": "bars", "interval": "1m"}), SLOT)
    assert len(job.kwargs["instruments"]) == 2
    assert owed(farm, entry(kwargs={"dataset": "bars", "interval": "1h"}), SLOT) == []


def test_an_entry_that_names_its_instruments_or_is_no_fetch_is_one_job(farm):
    named = {"dataset": "quotes", "instruments": ["BTC-USDT"]}
    [job] = owed(farm, entry(kwargs=named), SLOT)
    assert (job.kwargs, job.expires_at) == (named, SLOT + timedelta(seconds=5))
    [job] = owed(farm, entry(task="tasks.coverage", kwargs={}, expires_s=None), SLOT)
    assert (job.task, job.expires_at) == ("tasks.coverage", None)


def test_a_slot_becomes_the_same_jobs_again_and_another_slot_others(farm):
    followed(farm, 3)
    keys = [[job.key for job in owed(farm, entry(), slot)] for slot in (SLOT, SLOT, SLOT + timedelta(minutes=1))]
    assert keys[0] == keys[1]
    assert set(keys[0]).isdisjoint(keys[2])


WEEK = [SLOT + timedelta(minutes=number) for number in range(1, 8)]


@pytest.mark.parametrize(
    ("policy", "limit", "expected"),
    [("skip", 3, []), ("latest", 3, WEEK[-1:]), ("all", 3, WEEK[-3:]), ("all", 100, WEEK)],
)
def test_what_is_owed_of_missed_slots_is_the_entrys_to_say(policy, limit, expected):
    one = entry(catch_up=policy, catch_up_limit=limit)
    assert due_slots(one, SLOT, WEEK[-1] + timedelta(seconds=30)) == (WEEK[-1], expected)


@pytest.mark.parametrize("policy", ["skip", "latest", "all"])
def test_a_slot_that_was_not_missed_is_owed_under_every_policy(policy):
    assert due_slots(entry(catch_up=policy), SLOT, WEEK[0] + timedelta(milliseconds=5)) == (WEEK[0], WEEK[:1])


def test_all_missed_slots_of_a_long_pause_are_found_up_to_the_limit():
    one = entry(1.0, catch_up="all", catch_up_limit=1_000)
    newest, slots = due_slots(one, SLOT - timedelta(days=9), SLOT)
    assert (newest, len(slots), slots[0]) == (SLOT, 1_000, SLOT - timedelta(seconds=999))


def test_an_entry_with_a_window_asks_for_what_lies_before_its_slot(farm):
    one = entry(kwargs={"dataset": "bars", "interval": "1h", "instruments": ["BTC-USDT"]}, window="1d")
    [job] = owed(farm, one, SLOT)
    assert job.kwargs["start"] == (SLOT - timedelta(days=1)).isoformat()
    assert job.kwargs["end"] == SLOT.isoformat()


def test_what_an_entry_says_about_fetching_travels_with_its_jobs(farm):
    [job] = owed(farm, entry(kwargs={"dataset": "quotes", "instruments": ["BTC-USDT"]}, retries=0, per_minute=6), SLOT)
    assert job.options == {"retries": 0, "per_minute": 6}


def test_following_adds_a_series_to_the_next_slot(farm):
    with farm.context.sessions.begin() as session:
        follow(session, get("binance"), "quotes", ["BTC-USDT"], interval=None, since=None, now=SLOT)
    [job] = owed(farm, entry(), SLOT)
    assert job.kwargs["instruments"] == ["BTC-USDT"]
