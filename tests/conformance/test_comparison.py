"""The grid's comparison can be red: each way in which a copy can be wrong is seen; spelling is no difference."""

from __future__ import annotations

import pytest

from benchmarks.conformance_play import compared
from sandbox.contract import Example, placed

ROW = {"ts": "2026-01-05T00:00:00+00:00", "open": "1.10", "side": "buy", "instruments": "AAPL,MSFT"}
NAMES = sorted(ROW)


def differences(*kept, expected=(ROW,)):
    return list(compared(list(expected), list(kept), NAMES))


@pytest.mark.parametrize(
    "change",
    [
        {"open": "1.11"},
        {"open": None},
        {"open": "-1.10"},
        {"ts": "2026-01-05T00:00:01+00:00"},
        {"side": "sell"},
        {"side": None},
        {"instruments": "AAPL"},
    ],
)
def test_one_other_value_is_seen_on_both_sides(change):
    missing, extra = differences({**ROW, **change})
    assert missing.startswith("missing or different")
    assert extra.startswith("not in the source")


def test_a_row_too_few_or_too_many_is_seen():
    assert differences()[0] == "0 rows, of 1"
    assert differences(ROW, {**ROW, "open": "2"})[0] == "2 rows, of 1"
    assert differences(ROW, ROW) != []  # twice the same


@pytest.mark.parametrize("change", [{"open": "1.1"}, {"open": "1.100"}, {"ts": "2026-01-05T01:00:00+01:00"}])
def test_the_same_value_written_otherwise_is_no_difference(change):
    assert differences({**ROW, **change}) == []


def test_moments_that_are_relative_are_placed_before_now():
    found = placed(Example("news", "AAPL", start="-2d01:30:00", end="-1d00:00:00"), 1_795_401_420.5)
    assert (found.start, found.end) == ("2026-11-21T01:30:00Z", "2026-11-22T00:00:00Z")
