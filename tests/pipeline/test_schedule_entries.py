"""Celery's beat entries as slots: crontab and seconds become points of a grid in UTC, and nothing else is taken."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from celery.schedules import BaseSchedule, crontab, schedule
from hypothesis import given, settings
from hypothesis import strategies as st

from beat_schedule import beat_schedule
from ingest.pipeline.schedule import latest_slot
from tasks import app
from tasks.scheduler import entry_of

moments = st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
MINUTE = timedelta(minutes=1)
CRONTABS = {
    "each minute": {},
    "each quarter": {"minute": "*/15"},
    "6:15": {"hour": "6", "minute": "15"},
    "midnight": {"hour": "0", "minute": "0"},
    "last minute": {"hour": "23", "minute": "59"},
    "weekdays at 21:05": {"hour": "21", "minute": "5", "day_of_week": "1-5"},
    "odd minutes of two hours": {"hour": "3,17", "minute": "1-59/2"},
    "sundays": {"hour": "4", "minute": "0", "day_of_week": "0"},
    "the 1st and the 31st": {"hour": "12", "minute": "30", "day_of_month": "1,31"},
}


def made(cadence, **spec):
    return entry_of("it", {"task": "tasks.fetch.binance", "schedule": cadence, **spec})


def matches(cron, moment):
    """Say whether a crontab names this minute; written here, from its documented fields."""
    return (
        moment.minute in cron.minute
        and moment.hour in cron.hour
        and moment.isoweekday() % 7 in cron.day_of_week
        and moment.day in cron.day_of_month
        and moment.month in cron.month_of_year
    )


def first_match(cron, after):
    moment = after.replace(second=0, microsecond=0) + MINUTE
    while not matches(cron, moment):
        days_off = moment.day not in cron.day_of_month or moment.isoweekday() % 7 not in cron.day_of_week
        if days_off:
            moment = (moment + timedelta(days=1)).replace(hour=0, minute=0)
        elif moment.hour not in cron.hour:
            moment = moment.replace(minute=0) + timedelta(hours=1)
        else:
            moment += MINUTE
    return moment


@pytest.mark.parametrize("fields", CRONTABS.values(), ids=CRONTABS.keys())
@settings(max_examples=40, deadline=None)
@given(after=moments)
def test_the_slot_after_a_moment_is_the_first_minute_the_crontab_names(fields, after):
    cron = crontab(**fields, app=app)
    slot = made(cron).next_slot(after)
    assert slot == first_match(cron, after)
    assert slot.tzinfo is UTC


@pytest.mark.parametrize("fields", CRONTABS.values(), ids=CRONTABS.keys())
def test_a_crontab_s_slots_ascend_and_do_not_depend_on_where_one_starts(fields):
    cron = crontab(**fields, app=app)
    next_slot, slot = made(cron).next_slot, datetime(2024, 2, 28, 12, 0, 30, tzinfo=UTC)
    for _ in range(50):
        following = next_slot(slot)
        assert following > slot
        assert next_slot(following - timedelta(microseconds=1)) == following
        slot = following


@settings(max_examples=20, deadline=None)
@given(moments, st.timedeltas(timedelta(0), timedelta(days=40)))
def test_after_a_pause_the_newest_crontab_slot_is_owed(after, pause):
    one = made(crontab(hour="6", minute="15", app=app))
    now = after + pause
    newest = now.replace(hour=6, minute=15, second=0, microsecond=0)
    newest = newest if newest <= now else newest - timedelta(days=1)
    assert latest_slot(one, after, now) == (newest if newest > after else None)


@pytest.mark.parametrize("cadence", [30, 30.0, timedelta(seconds=30), schedule(30)])
def test_seconds_in_any_spelling_are_the_same_grid(cadence):
    after = datetime(2024, 3, 5, 12, 0, 7, tzinfo=UTC)
    assert made(cadence).next_slot(after) == after.replace(second=30)


def test_an_entry_takes_lane_priority_and_expiry_from_its_options():
    options = {"queue": "live", "expires": 5, "headers": {"tickfarm": {"priority": 1}}}
    one = made(1.0, kwargs={"dataset": "quotes"}, options=options)
    assert (one.lane, one.priority, one.expires_s, one.kwargs) == ("live", 1, 5.0, {"dataset": "quotes"})


def test_an_entry_without_options_goes_to_the_standard_lane():
    one = made(1.0)
    assert (one.lane, one.priority, one.expires_s, one.kwargs) == ("standard", 3, None, {})


def test_a_queue_that_is_no_lane_is_refused_with_the_lanes_there_are():
    with pytest.raises(ValueError, match=r"'it'.*'celery' is no lane; accepted: live, standard"):
        made(1.0, options={"queue": "celery"})


def test_a_kind_of_schedule_we_cannot_put_on_a_grid_is_refused_by_name():
    class Tides(BaseSchedule):
        """A schedule of another kind."""

    with pytest.raises(ValueError, match="'it': Tides is not supported; use seconds or crontab"):
        made(Tides(app=app))


def test_every_entry_of_the_page_becomes_a_slot_of_its_own():
    after = datetime(2024, 3, 5, 12, 0, 7, tzinfo=UTC)
    for name, spec in beat_schedule.items():
        assert entry_of(name, spec).next_slot(after) > after
