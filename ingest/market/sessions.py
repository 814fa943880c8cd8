"""The sessions of every calendar: a trading day, its date and the spans of time in which the market is open.

    "always"  coins: every day of UTC, all of it
    "fx"      money: Monday to Friday, each from 17:00 in New York of the day before
    "ecb"     reference rates: the days of TARGET, until the day's rates are out
    "XNYS"    an exchange by its MIC (exchanges.py); one that nobody knows counts as "always"

Deliberately not here: what is counted with them (calendars.py). Invariant: sessions ascend and never overlap.
"""

from __future__ import annotations

from bisect import bisect_left
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

from dateutil.easter import easter

#: A name of the table above.
Calendar = str

DAY_S = 86_400
_EPOCH = date(1970, 1, 1)
_WEEKDAYS = 5
#: "Opening Sunday 5 PM EST, and running continuously until Friday 5 PM EST". Source: forextradinghub.net/forex-hours,
#: read autumn 2026; that it follows New York's summer time is what brokers do. Holidays are days like others.
_NEW_YORK, _FX_TURN = ZoneInfo("America/New_York"), time(17)
#: "Usually updated at around 16:00 CET every working day, except on TARGET closing days". Source: ecb.europa.eu, euro
#: foreign exchange reference rates, read autumn 2026.
_FRANKFURT, _ECB_RELEASE = ZoneInfo("Europe/Berlin"), time(16)


class Session(NamedTuple):
    """A trading day: its date in days since 1970, and its half-open spans in seconds since then, ascending."""

    day: int
    spans: tuple[tuple[int, int], ...]


def sessions_of(calendar: Calendar, first: int, past: int) -> list[Session]:
    """Return the sessions dated from day `first` to before day `past` (days since 1970), ascending.

    Exchanges load pandas with the first call, and every decade of a calendar is worked out once: exchanges.py says at
    what cost.
    """
    if calendar == "always":
        return [_whole(day) for day in range(first, past)]
    found: list[Session] = []
    for decade in range(_decade_of(first), _decade_of(past - 1) + 1) if first < past else ():
        days, sessions = _decade(calendar, decade)
        found += sessions[bisect_left(days, first) : bisect_left(days, past)]
    return found


def date_of(day: int) -> date:
    """Return the date that lies this many days after 1970-01-01."""
    return date.fromordinal(_EPOCH.toordinal() + day)


def _decade_of(day: int) -> int:
    return date_of(day).year // 10


@cache
def _decade(calendar: Calendar, decade: int) -> tuple[list[int], list[Session]]:
    first, last = date(decade * 10, 1, 1), date(decade * 10 + 9, 12, 31)
    days = range((first - _EPOCH).days, (last - _EPOCH).days + 1)
    match calendar:
        case "fx":
            found = [_fx(day) for day in days if date_of(day).weekday() < _WEEKDAYS]
        case "ecb":
            found = [_ecb(day) for day in days if _is_target_day(date_of(day))]
        case _:
            from ingest.market.exchanges import sessions_on  # noqa: PLC0415

            dated = sessions_on(calendar, first, last)
            found = [_whole(day) for day in days] if dated is None else [Session(*one) for one in dated]
    return [one.day for one in found], found


def _whole(day: int) -> Session:
    return Session(day, ((day * DAY_S, (day + 1) * DAY_S),))


def _fx(day: int) -> Session:
    return Session(day, ((_at(day - 1, _FX_TURN, _NEW_YORK), _at(day, _FX_TURN, _NEW_YORK)),))


def _ecb(day: int) -> Session:
    return Session(day, ((day * DAY_S, _at(day, _ECB_RELEASE, _FRANKFURT)),))


def _is_target_day(on: date) -> bool:
    """Say whether TARGET settles that day. Its days before 2002 are unconfirmed."""
    easter_sunday = easter(on.year)
    closed = {(1, 1), (12, 25)}
    if on.year >= 2000:
        good_friday, monday = easter_sunday - timedelta(days=2), easter_sunday + timedelta(days=1)
        closed |= {(5, 1), (12, 26), (good_friday.month, good_friday.day), (monday.month, monday.day)}
    if on.year in (1999, 2001):
        closed.add((12, 31))
    return on.weekday() < _WEEKDAYS and (on.month, on.day) not in closed


def _at(day: int, clock: time, zone: ZoneInfo) -> int:
    return int(datetime.combine(date_of(day), clock, zone).astimezone(UTC).timestamp())
