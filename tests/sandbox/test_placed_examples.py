"""Relative moments of examples get their dates from the time at which they are asked for."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from sandbox.contract import Example, placed

NOW_S = datetime(2026, 3, 1, 0, 2, 20, 700_000, UTC).timestamp()


@pytest.mark.parametrize(
    ("relative", "moment"),
    [
        ("-2d01:30:00", "2026-02-27T01:30:00Z"),
        ("-0d00:00:00.250", "2026-03-01T00:00:00.250Z"),
        ("-00:05:00", "2026-02-28T23:57:20Z"),
        ("-11:50:00", "2026-02-28T12:12:20Z"),
        ("2024-03-05T12:00:00Z", "2024-03-05T12:00:00Z"),
        ("", ""),
    ],
)
def test_a_moment_of_an_example_is_days_or_hours_before_now_or_as_it_stands(relative, moment):
    example = placed(Example("bars", "BTC-USD", "1m", relative, relative), NOW_S)
    assert (example.start, example.end) == (moment, moment)
