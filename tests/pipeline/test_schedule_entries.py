"""Celery's beat entries as slots: crontab and seconds become points of a grid in UTC, and nothing else is taken."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from celery.schedules import BaseSchedule, crontab, schedule
from hypothesis import given, settings
from hypothesis import strategies as st

from beat_schedule import beat_schedule
from celeryconfig import LANES
from ingest.errors import FixRequest
from ingest.pipeline.entries import duration_s, duration_text, read_entry
from ingest.pipeline.schedule import due_slots
from tasks import app
from tasks.schedule_file import fields_of

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
    beat_entry = {"task": "tasks.fetch.binance", "schedule": cadence, "kwargs": {"dataset": "quotes"}, **spec}
    return read_entry("it", fields_of("it", beat_entry), lanes=LANES)


def of_zone(cadence, zone):
    fields = {"task": "tasks.coverage", "schedule": cadence, "timezone": zone}
    return read_entry("it", fields, lanes=LANES)


def slots(one, after, count):
    found = []
    for _ in range(count):
        after = one.next_slot(after)
        found.append(f"{after:%m-%d %H:%M}")
    return found


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
    assert due_slots(one, after, now)[0] == (newest if newest > after else None)


@pytest.mark.parametrize("cadence", [30, 30.0, timedelta(seconds=30), schedule(30)])
def test_seconds_in_any_spelling_are_the_same_grid(cadence):
    after = datetime(2024, 3, 5, 12, 0, 7, tzinfo=UTC)
    assert made(cadence).next_slot(after) == after.replace(second=30)


def test_an_entry_takes_lane_priority_and_expiry_from_its_options():
    options = {"queue": "live", "expires": 5, "headers": {"tickfarm": {"priority": 1}}}
    spec = made(1.0, options=options).spec
    assert (spec.lane, spec.priority, spec.expires_s, spec.kwargs) == ("live", 1, 5.0, {"dataset": "quotes"})


def test_an_entry_without_options_goes_to_the_standard_lane():
    spec = made(1.0).spec
    assert (spec.lane, spec.priority, spec.expires_s, spec.overlap, spec.catch_up) == (
        "standard",
        3,
        None,
        False,
        "latest",
    )


REFUSED = {
    "lane": ({"options": {"queue": "celery"}}, "'celery'.*accepted: live, standard"),
    "period": ({"schedule": 0}, "at least 0.1 s"),
    "negative period": ({"schedule": timedelta(seconds=-1)}, "'-1s'"),
    "cron": ({"schedule": "61 * * * *"}, "Bad minute.*expected a period like 30s"),
    "cron of six fields": ({"schedule": "0 0 * * * *"}, "expected a period like 30s"),
    "impossible day": ({"schedule": "0 0 30 2 *"}, "Bad day-of-month"),
    "both days": ({"schedule": crontab(day_of_month="1", day_of_week="1", app=app)}, "Celery and cron disagree"),
    "no schedule": ({"schedule": None}, "none is not supported; use seconds or crontab"),
    "positional arguments": ({"args": [1]}, "accepted: task, schedule, kwargs, options"),
    "dataset": ({"kwargs": {"dataset": "bar"}}, "did you mean bars"),
    "provider": ({"task": "tasks.fetch.binanse"}, "did you mean binance"),
    "zone": ({"options": {"headers": {"tickfarm": {"timezone": "Mars/Base"}}}}, "a time zone like UTC.*'Mars/Base'"),
    "priority": ({"options": {"headers": {"tickfarm": {"priority": 6}}}}, "priority: .*less than or equal to 5"),
    "field": ({"options": {"headers": {"tickfarm": {"prio": 1}}}}, "unknown field 'prio'; accepted: task, schedule"),
    "window of quotes": ({"options": {"headers": {"tickfarm": {"window": "1d"}}}}, "not for quotes"),
}


@pytest.mark.parametrize(("change", "said"), REFUSED.values(), ids=REFUSED.keys())
def test_a_malformed_entry_is_refused_by_name_saying_what_is_accepted(change, said):
    with pytest.raises(FixRequest, match=said) as refusal:
        made(**({"cadence": change.pop("schedule")} if "schedule" in change else {"cadence": 30}), **change)
    assert str(refusal.value).startswith("schedule entry 'it': ")


def test_a_kind_of_schedule_we_cannot_put_on_a_grid_is_refused_by_name():
    class Tides(BaseSchedule):
        """A schedule of another kind."""

    with pytest.raises(FixRequest, match="'it': Tides is not supported; use seconds or crontab"):
        made(Tides(app=app))


def test_every_entry_of_the_page_becomes_a_slot_of_its_own():
    after = datetime(2024, 3, 5, 12, 0, 7, tzinfo=UTC)
    for name, spec in beat_schedule.items():
        assert read_entry(name, fields_of(name, spec), lanes=LANES).next_slot(after) > after


@given(st.floats(0.001, 10_000_000).map(lambda seconds: round(seconds, 6)))
def test_a_period_in_seconds_is_read_back_as_it_was_written(seconds):
    assert duration_s(duration_text(seconds)) == pytest.approx(seconds, abs=1e-9)


def test_an_offset_moves_a_periods_grid():
    fields = {"task": "tasks.coverage", "schedule": "1m", "offset": "7s"}
    one = read_entry("it", fields, lanes=LANES)
    assert one.next_slot(datetime(2024, 3, 5, 12, 0, 7, tzinfo=UTC)) == datetime(2024, 3, 5, 12, 1, 7, tzinfo=UTC)


SPRING, AUTUMN = datetime(2024, 3, 9, 12, tzinfo=UTC), datetime(2024, 11, 2, 12, tzinfo=UTC)


def test_in_utc_a_change_of_the_clock_changes_nothing():
    assert slots(of_zone("30 2 * * *", "UTC"), SPRING, 3) == ["03-10 02:30", "03-11 02:30", "03-12 02:30"]
    assert slots(of_zone("30 1 * * *", "UTC"), AUTUMN, 3) == ["11-03 01:30", "11-04 01:30", "11-05 01:30"]


def test_a_zones_wall_clock_holds_over_a_change_of_the_clock():
    close = of_zone("5 16 * * 1-5", "America/New_York")
    assert slots(close, SPRING - timedelta(days=1), 3) == ["03-08 21:05", "03-11 20:05", "03-12 20:05"]


def test_a_slot_in_a_skipped_hour_comes_right_after_it_and_once():
    one = of_zone("30 2 * * *", "America/New_York")
    assert slots(one, SPRING, 3) == ["03-10 07:00", "03-11 06:30", "03-12 06:30"]


def test_a_slot_in_a_repeated_hour_comes_once():
    one = of_zone("30 1 * * *", "America/New_York")
    assert slots(one, AUTUMN, 3) == ["11-03 05:30", "11-04 06:30", "11-05 06:30"]
    in_the_second_of_the_two_hours = datetime(2024, 11, 3, 6, 15, tzinfo=UTC)
    assert slots(one, in_the_second_of_the_two_hours, 1) == ["11-04 06:30"]


def test_every_quarter_of_an_hour_goes_on_through_both_changes():
    quarters = of_zone("*/15 * * * *", "America/New_York")
    for day in (SPRING, AUTUMN):
        after = day
        for _ in range(200):
            following = quarters.next_slot(after)
            assert following - after == timedelta(minutes=15)
            after = following
