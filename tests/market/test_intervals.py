"""The bar grid: windows are cut without gap or overlap, and opens are counted as they are listed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.errors import FixRequest, UnknownName
from ingest.market.intervals import (
    INTERVALS,
    SECONDS,
    bar_open,
    bar_opens,
    expected_bars,
    first_open,
    parse_interval,
    seconds_of,
    split_window,
    unknown_interval,
)

moments = st.datetimes(datetime(1960, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
intervals = st.sampled_from(INTERVALS)
T0 = datetime(2024, 1, 1, tzinfo=UTC)


@st.composite
def windows(draw):
    interval = draw(intervals)
    start = draw(moments)
    length = timedelta(seconds=SECONDS[interval]) * draw(st.floats(0, 300))
    return start, start + length, interval


@given(windows(), st.integers(1, 50))
def test_a_split_window_covers_exactly_the_window_in_order(window, rows):
    start, end, interval = window
    parts = split_window(start, end, interval, rows)
    edges = [start] + [part_end for _, part_end in parts]
    assert [part_start for part_start, _ in parts] == edges[:-1]
    assert edges[-1] == end
    assert all(a < b for a, b in parts)
    assert all(bar_open(cut, interval) == cut for cut in edges[1:-1])


@given(windows(), st.integers(1, 50))
def test_all_parts_but_the_last_hold_exactly_the_rows_of_a_page(window, rows):
    start, end, interval = window
    counts = [expected_bars(a, b, interval) for a, b in split_window(start, end, interval, rows)]
    assert all(count == rows for count in counts[:-1])
    assert all(count <= rows for count in counts)
    assert sum(counts) == expected_bars(start, end, interval)


@given(windows())
def test_opens_are_aligned_ascending_inside_the_window_and_as_many_as_expected(window):
    start, end, interval = window
    opens = bar_opens(start, end, interval)
    assert len(opens) == expected_bars(start, end, interval)
    assert all(start <= o < end and bar_open(o, interval) == o for o in opens)
    assert all(b - a == timedelta(seconds=SECONDS[interval]) for a, b in pairwise(opens))
    assert not opens or first_open(start, interval) == opens[0]


@given(moments, intervals)
def test_every_moment_lies_in_the_bar_that_bar_open_names(ts, interval):
    opened = bar_open(ts, interval)
    assert opened <= ts < opened + timedelta(seconds=SECONDS[interval])
    assert (opened - datetime(1970, 1, 1, tzinfo=UTC)) % timedelta(seconds=SECONDS[interval]) == timedelta(0)


def test_the_grid_is_utc_whatever_the_offset_of_the_moment():
    tokyo = datetime(2024, 1, 2, 5, tzinfo=timezone(timedelta(hours=9)))
    assert bar_open(tokyo, "1d") == T0


def test_an_unknown_interval_is_refused_with_the_list_of_those_that_exist():
    with pytest.raises(UnknownName, match="1m, 3m, 5m, 15m, 30m, 1h, 2h, 4h, 6h, 12h, 1d"):
        parse_interval("1M")
    assert seconds_of(" 4h ") == 14_400


def test_a_window_that_ends_before_it_starts_or_a_page_of_no_rows_is_refused():
    with pytest.raises(FixRequest, match="must end after it starts"):
        split_window(T0, T0 - timedelta(seconds=1), "1m", 10)
    with pytest.raises(FixRequest, match="at least 1 row"):
        split_window(T0, T0 + timedelta(days=1), "1m", 0)
    assert split_window(T0, T0, "1m", 10) == []


def test_a_naive_moment_is_refused_rather_than_guessed():
    with pytest.raises(TypeError):
        bar_open(datetime(2024, 1, 1), "1h")  # noqa: DTZ001


@pytest.mark.parametrize("text", ["1w", "1W", "1wk", "1M", "1mo", "3mo", "1y", "3d", "14D", " weekly", "monthly"])
def test_an_interval_wider_than_a_day_is_refused_with_what_to_do_instead_and_never_taken_for_minutes(text):
    error = unknown_interval(text, ("1m", "1d"), provider="binance")
    assert "compute them from it" in str(error)
    assert "did you mean" not in str(error)
    assert str(error).endswith("accepted: 1m, 1d")


@pytest.mark.parametrize("text", ["7m", "1D", "1min", "60m", "", "nonsense"])
def test_another_unknown_interval_is_refused_with_those_there_are_alone(text):
    assert "compute" not in str(unknown_interval(text, INTERVALS))
