"""Holes: what a page's window must hold, less what came, is exactly what is missing."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from ingest.market.holes import Hole, Window, came, closed_window, finding_of, holes

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
STEP = 60_000_000


@given(st.integers(0, 40), st.sets(st.integers(-5, 50)))
def test_holes_and_rows_that_came_make_up_the_window(rows, present):
    window = Window(10 * STEP, (10 + rows) * STEP, STEP)
    times = sorted(STEP * (10 + one) for one in present)
    found = holes(times, window)
    assert came(times, window) + sum(hole.rows for hole in found) == window.rows == rows
    missing = [time for time in range(window.first_us, window.end_us, STEP) if time not in times]
    assert missing == [time for hole in found for time in range(hole.start_us, hole.end_us, STEP)]
    assert all(one.end_us < other.start_us for one, other in pairwise(found))


def test_a_window_begins_at_its_first_open_and_ends_with_the_last_bar_that_has_closed():
    window = closed_window(STEP + 1, 10 * STEP, step_us=STEP, closed_before_us=6 * STEP + 59)
    assert (window.first_us, window.end_us, window.rows) == (2 * STEP, 6 * STEP, 4)
    assert closed_window(STEP, 3 * STEP, step_us=STEP, closed_before_us=9 * STEP).rows == 2


def test_a_window_in_which_no_bar_has_closed_holds_none():
    window = closed_window(5 * STEP, 9 * STEP, step_us=STEP, closed_before_us=5 * STEP + 1)
    assert window.rows == 0
    assert holes([], window) == []


def test_a_finding_names_each_hole_and_sums_up_the_rest_in_its_last_line():
    found = [Hole(2 * i * STEP, (2 * i + 1) * STEP, 1) for i in range(8)]
    finding = finding_of("BTC-USDT", found, answer=3)
    assert (finding.rule, finding.severity, finding.rows, finding.answer) == ("missing_rows", "warn", 8, 3)
    assert finding.ts == EPOCH
    lines = [json.loads(line) for line in finding.sample.splitlines()]
    assert [line["rows"] for line in lines] == [1, 1, 1, 1, 4]
    last = lines[-1]
    assert datetime.fromisoformat(last["start"]) == EPOCH + timedelta(minutes=8)
    assert datetime.fromisoformat(last["end"]) == EPOCH + timedelta(minutes=15)
