"""Releases of economic series: how often a series is published, and which of its dates must be out by now.

Deliberately not here: markets that trade (calendars.py), and how late an office really is, which the caller knows or
takes from `RELEASE_LAG_DAYS`. Invariant: a date is of its period, at whichever end the publisher dates it; a lag counts
from that date, so that it holds the period's length where periods are dated by their first day.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from itertools import pairwise
from statistics import median

#: Days between two dates of a series, at least and at most: holidays move a week's date, months have 28 to 31 days.
_GAPS = {
    "daily": (1, 4),
    "weekly": (6, 8),
    "monthly": (28, 31),
    "quarterly": (89, 92),
    "annual": (365, 366),
}
#: Fewer dates than this say nothing about how often there will be another.
_ENOUGH = 4
_WEEKDAYS = 5
_MONTHS = {"monthly": 1, "quarterly": 3, "annual": 12}
#: Days after a period's first day by which it is out, where nothing better is known. Our choice, and generous: a lag
#: that is too short calls a series late that is not.
RELEASE_LAG_DAYS: Mapping[str, int] = {"daily": 5, "weekly": 14, "monthly": 75, "quarterly": 170, "annual": 700}

#: A date counts as there where one so many days from it is: offices date a period by another of its days now and then.
DATE_SLACK_DAYS: Mapping[str, int] = {"daily": 0, "weekly": 3, "monthly": 13, "quarterly": 44, "annual": 180}


def frequency_of(dates: Sequence[date]) -> str | None:
    """Return how often a series has a date: "daily", "weekly", "monthly", "quarterly", "annual", or None.

    `dates` may come in any order and repeat (vintages). None where there are fewer than four, or the gap in the middle
    of all is none of these (a fortnight, half a year); single holes in a series don't matter.
    """
    known = sorted(set(dates))
    if len(known) < _ENOUGH:
        return None
    usual = median((after - before).days for before, after in pairwise(known))
    return next((name for name, (least, most) in _GAPS.items() if least <= usual <= most), None)


def expected_releases(frequency: str, first: date, until: date, lag_days: int) -> list[date]:
    """Return the dates from `first` on, one a period, that lie `lag_days` or more before `until`, ascending.

    `first` is a date of the series: weeks keep its weekday, months its day (the last stays the last). Of a daily series
    every Monday to Friday is expected, holidays too: most publishers list them without a value, the others confirm once
    that there is none. Raises ValueError for a frequency that is none of `frequency_of`'s.
    """
    newest = until - timedelta(days=lag_days)
    if frequency in _MONTHS:
        dates: Iterator[date] = _by_months(first, newest, _MONTHS[frequency])
    elif frequency in _GAPS:
        step = 7 if frequency == "weekly" else 1
        dates = (first + timedelta(days=i) for i in range(0, (newest - first).days + 1, step))
    else:
        raise ValueError(f"a frequency is one of {', '.join(_GAPS)}, not {frequency!r}")
    return [one for one in dates if frequency != "daily" or one.weekday() < _WEEKDAYS]


def _by_months(first: date, newest: date, step: int) -> Iterator[date]:
    is_last = first.day == monthrange(first.year, first.month)[1]
    month = first.year * 12 + first.month - 1
    while True:
        year, index = divmod(month, 12)
        days = monthrange(year, index + 1)[1]
        on = date(year, index + 1, days if is_last else min(first.day, days))
        if on > newest:
            return
        yield on
        month += step
