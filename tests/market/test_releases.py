"""Releases: how often a series comes is read off its dates, and what must be out follows from it."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.market.releases import RELEASE_LAG_DAYS, expected_releases, frequency_of

frequencies = st.sampled_from(sorted(RELEASE_LAG_DAYS))
days = st.dates(date(1950, 1, 1), date(2030, 1, 1))


@given(frequencies, days)
def test_the_frequency_of_what_is_expected_is_found_again(frequency, first):
    dates = expected_releases(frequency, first, first + timedelta(days=3000), 0)
    assert frequency_of(dates[::-1] + dates) == frequency


@given(frequencies, days, st.integers(0, 4000), st.integers(0, 400))
def test_a_release_is_expected_from_its_lag_after_its_date_on_and_never_taken_back(frequency, first, span, lag_days):
    until = first + timedelta(days=span)
    found = expected_releases(frequency, first, until, lag_days)
    assert all(one + timedelta(days=lag_days) <= until for one in found)
    assert expected_releases(frequency, first, until + timedelta(days=40), lag_days)[: len(found)] == found


def test_months_keep_their_day_and_the_last_stays_the_last():
    assert expected_releases("monthly", date(2024, 1, 1), date(2024, 4, 7), 37) == [
        date(2024, month, 1) for month in (1, 2, 3)
    ]
    ends = [date(2024, 1, 31), date(2024, 2, 29), date(2024, 3, 31)]
    assert expected_releases("monthly", ends[0], date(2024, 4, 1), 0) == ends
    assert expected_releases("quarterly", date(2023, 10, 1), date(2024, 7, 1), 0)[-1] == date(2024, 7, 1)
    assert expected_releases("annual", date(2020, 2, 29), date(2025, 1, 1), 0)[:2] == ends_of_february(2020, 2021)


def ends_of_february(*years):
    return [date(year, 3, 1) - timedelta(days=1) for year in years]


def test_weekends_of_a_daily_series_are_not_expected_and_its_holidays_are():
    found = expected_releases("daily", date(2024, 7, 1), date(2024, 7, 8), 0)
    assert found == [date(2024, 7, day) for day in (1, 2, 3, 4, 5, 8)]


@pytest.mark.parametrize(
    "gaps", [(), (1, 1), (14, 14, 14, 14), (182, 183, 182, 183)], ids=["none", "few", "fortnight", "half a year"]
)
def test_what_comes_too_rarely_or_in_another_step_can_t_be_told(gaps):
    dates = [date(2024, 1, 1) + timedelta(days=sum(gaps[:i])) for i in range(len(gaps) + 1)]
    assert frequency_of(dates) is None


def test_a_hole_does_not_hide_the_frequency_but_an_unknown_one_is_refused():
    weeks = [date(2024, 1, 6) + timedelta(days=7 * i) for i in range(20) if i not in (4, 5, 11)]
    assert frequency_of(weeks) == "weekly"
    with pytest.raises(ValueError, match="not 'fortnightly'"):
        expected_releases("fortnightly", date(2024, 1, 1), date(2024, 2, 1), 0)
