"""Windows for what is missing hold exactly that: properties over random subsets of minutes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from ingest.pipeline.gaps_windows import Ranges, merged, missing_of, runs_of

DAY = datetime(2024, 3, 5, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
EVERY = [DAY + at * MINUTE for at in range(120)]
subsets = st.sets(st.sampled_from(EVERY))
spans = st.lists(st.tuples(st.integers(0, 59), st.integers(1, 30)), max_size=3)


def opens_in(windows):
    return [one.start + at * MINUTE for one in windows for at in range((one.end - one.start) // MINUTE)]


def printed(minutes):
    """Return these minutes as PostgreSQL prints them."""
    runs = runs_of(sorted(minutes), MINUTE)
    return "{" + ",".join(f'["{one.start}","{one.end}")' for one in runs) + "}"


@given(stored=subsets, once=subsets, twice=subsets)
def test_what_is_stored_confirmed_owed_or_for_later_is_all_that_is_expected(stored, once, twice):
    found = missing_of(
        EVERY,
        stored,
        MINUTE,
        once=Ranges(printed(once)),
        twice=Ranges(printed(twice)),
        closed_by=EVERY[-1] + MINUTE,
        confirm_by=EVERY[60],
    )
    assert len(stored) + found.confirmed + found.later + len(found.owed) == len(EVERY)
    assert set(found.owed).isdisjoint(stored | twice)
    assert found.confirmed == len(twice - stored)
    assert set(found.owed) >= set(EVERY) - stored - once - twice


@given(missing=subsets)
def test_runs_hold_exactly_what_is_missing(missing):
    runs = runs_of(sorted(missing), MINUTE)
    assert opens_in(runs) == sorted(missing)
    assert sum(one.rows for one in runs) == len(missing)


@given(missing=subsets, longest=st.integers(1, 60), bridge=st.integers(0, 20))
def test_merged_windows_hold_all_of_it_and_begin_and_end_with_it(missing, longest, bridge):
    single = runs_of(sorted(missing), MINUTE)
    found = merged(single, longest=longest * MINUTE, bridge=bridge * MINUTE)
    assert set(opens_in(found)) >= missing
    assert sum(one.rows for one in found) == len(missing)
    assert all(before.end < after.start for before, after in pairwise(found))
    assert {one.start for one in found} | {one.end - MINUTE for one in found} <= missing
    assert all(one.end - one.start <= longest * MINUTE or one in single for one in found)


@given(minutes=subsets, spans=spans)
def test_ranges_hold_and_touch_what_they_are_made_of(minutes, spans):
    ranges = Ranges(printed(minutes))
    for first, count in spans:
        asked = set(EVERY[first : first + count])
        assert ranges.hold(EVERY[first], EVERY[first] + count * MINUTE) == (asked <= minutes)
        assert ranges.touch(EVERY[first], EVERY[first] + count * MINUTE) == bool(asked & minutes)
