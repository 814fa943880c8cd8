"""Times as people write them, and as providers count them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.errors import FixRequest
from ingest.market.times import epoch_ms, epoch_ms_up, epoch_us, first_date, parse_time

moments = st.datetimes(datetime(1901, 1, 1), datetime(2199, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2024-01-01", datetime(2024, 1, 1, tzinfo=UTC)),
        (" 2024-01-01T09:30 ", datetime(2024, 1, 1, 9, 30, tzinfo=UTC)),
        ("2024-01-01 09:30:05.25", datetime(2024, 1, 1, 9, 30, 5, 250_000, tzinfo=UTC)),
        ("2024-01-01T09:30:00Z", datetime(2024, 1, 1, 9, 30, tzinfo=UTC)),
        ("2024-01-01t09:30:00z", datetime(2024, 1, 1, 9, 30, tzinfo=UTC)),
        ("2024-01-01T09:30:00+02:00", datetime(2024, 1, 1, 7, 30, tzinfo=UTC)),
    ],
)
def test_a_date_or_datetime_is_read_as_utc_unless_it_has_an_offset(text, moment):
    assert parse_time(text) == moment
    assert parse_time(text).utcoffset() == timedelta(0)


@given(moments)
def test_a_moment_survives_being_written_and_read(moment):
    assert parse_time(moment.isoformat()) == moment


@pytest.mark.parametrize("text", ["1704067200", "1704067200000", "1.7e9", "20240101", "yesterday", "", "2024-W01-1"])
def test_anything_else_is_refused_with_what_is_accepted(text):
    with pytest.raises(FixRequest, match="accepted: 2024-01-01, "):
        parse_time(text)


@pytest.mark.parametrize("text", ["2024-02-30", "2024-01-01T25:00", "0001-01-01T00:00+02:00"])
def test_a_time_that_does_not_exist_is_refused(text):
    with pytest.raises(FixRequest, match="no such time"):
        parse_time(text)


@given(moments)
def test_milliseconds_are_rounded_down_and_up_around_the_moment(moment):
    assert epoch_ms(moment) * 1000 <= epoch_us(moment) <= epoch_ms_up(moment) * 1000
    assert epoch_ms_up(moment) - epoch_ms(moment) == bool(moment.microsecond % 1000)


def test_the_first_date_of_a_moment_is_the_next_one_unless_it_is_midnight():
    assert first_date(datetime(2024, 1, 1, tzinfo=UTC)) == date(2024, 1, 1)
    assert first_date(datetime(2024, 1, 1, 0, 0, 1, tzinfo=UTC)) == date(2024, 1, 2)
