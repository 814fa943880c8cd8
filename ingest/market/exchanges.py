"""The sessions of stock exchanges, as the library exchange_calendars knows them: holidays, half days, breaks.

Deliberately not here: the other calendars (sessions.py), which imports this file where it first needs an exchange,
because pandas comes with it: half a second and 100 MB that a command and a worker's parent must not spend.
Invariant: a day before or after those the library knows counts as open if its weekday usually is; too much expected
costs a question that is answered "nothing", too little leaves a gap that nobody sees.
"""

from __future__ import annotations

import warnings
from datetime import date, datetime, time, timedelta
from functools import cache
from typing import Any

from exchange_calendars import get_calendar
from exchange_calendars.errors import InvalidCalendarName

#: Exchanges that the library does not have -> one of the same country that keeps the same days and hours.
_LIKE = {"XSHE": "XSHG", "XNSE": "XBOM"}
#: A year that the library knows of every exchange: this calendar tells how far it knows, and the usual hours.
_KNOWN_YEAR = (date(2022, 1, 1), date(2022, 12, 31))
#: Exchanges that the library's 4.13 names and can't work out (Athens on pandas 3, Tel Aviv for 2022): as if unknown.
_BROKEN = frozenset(("ASEX", "XTAE"))
_EPOCH = date(1970, 1, 1)

Dated = tuple[int, tuple[tuple[int, int], ...]]


def sessions_on(mic: str, first: date, last: date) -> list[Dated] | None:
    """Return the sessions dated `first` to `last`, both included, ascending; None for an exchange nobody knows.

    Each is its date in days since 1970 and its half-open spans in seconds since then. Ten years cost 10 to 150 ms, of
    Korea, whose holidays follow the moon, 2 s: keep what it returns.
    """
    name = _LIKE.get(mic, mic)
    usual = None if name in _BROKEN else _usual_year(name)
    if usual is None:
        return None
    oldest, newest = usual.bound_min(), usual.bound_max()
    start = first if oldest is None else max(first, oldest.date())
    end = last if newest is None else min(last, newest.date())
    if start > end:
        return _guessed(usual, first, last)
    before = _guessed(usual, first, start - timedelta(days=1))
    return before + _scheduled(_calendar(name, start, end)) + _guessed(usual, end + timedelta(days=1), last)


@cache
def _usual_year(name: str) -> Any:
    try:
        return _calendar(name, *_KNOWN_YEAR)
    except InvalidCalendarName:
        return None


def _calendar(name: str, start: date, end: date) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the library's own use of what pandas is going to drop
        return get_calendar(name, start=start, end=end)


def _scheduled(calendar: Any) -> list[Dated]:
    table = calendar.schedule
    days = table.index.to_numpy("datetime64[D]").astype(int).tolist()
    columns = ("open", "break_start", "break_end", "close")
    moments = (table[one].to_numpy("datetime64[s]").astype(int).tolist() for one in columns)
    breaks = table["break_start"].notna().tolist()
    return [
        (day, ((opens, pauses), (resumes, closes)) if has_break else ((opens, closes),))
        for day, has_break, opens, pauses, resumes, closes in zip(days, breaks, *moments, strict=True)
    ]


def _guessed(usual: Any, first: date, last: date) -> list[Dated]:
    """Return a session of the present hours, without a break, for each weekday that has one."""
    opens, closes = usual.open_times[-1][1], usual.close_times[-1][1]
    days = (first + timedelta(days=i) for i in range((last - first).days + 1))
    return [
        ((day - _EPOCH).days, ((_at(day + timedelta(days=usual.open_offset), opens, usual), _at(day, closes, usual)),))
        for day in days
        if usual.weekmask[day.weekday()] == "1"
    ]


def _at(day: date, clock: time, usual: Any) -> int:
    return int(datetime.combine(day, clock, usual.tz).timestamp())
