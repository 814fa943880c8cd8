"""How Alpha Vantage writes times: days as dates, or the naive time of a zone that the answer names.

Deliberately not here: which of the two a page has (series.py). Invariant: a time is converted from the zone that the
answer names, and never guessed.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from ingest.market.times import first_date

#: "US/Eastern" is an alias that some systems leave out of their time zones.
ZONES = {"US/Eastern": "America/New_York", "America/New_York": "America/New_York", "UTC": "UTC", "GMT": "UTC"}
#: Seconds past an hour by how they end a time.
_PAST_HOUR = {f":{second // 60:02}:{second % 60:02}": second for second in range(3600)}


class When:
    """How a page writes its times: days as dates, or the naive time of a zone as seconds."""

    def __init__(self, zone: ZoneInfo | None) -> None:
        self.unit: Any = "date" if zone is None else "s"
        self.read: Callable[[Any], Any] = _day if zone is None else lambda text: _second_at_once(text, zone)

    def moment(self, ts: Any) -> datetime:
        if self.unit == "date":
            return datetime.combine(date.fromisoformat(ts), datetime.min.time(), UTC)
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=ts)

    def bound(self, moment: datetime) -> Any:
        """Return the first time that is not before `moment`, as this page writes it."""
        if self.unit == "date":
            return first_date(moment).isoformat()
        return -int((datetime(1970, 1, 1, tzinfo=UTC) - moment) // timedelta(seconds=1))


def second(text: Any, zone_name: Any) -> int | None:
    """Return the seconds since 1970 of a naive time of a zone by its name there, None where either is none."""
    zone = ZONES.get(zone_name) if type(zone_name) is str else None
    return None if zone is None else _second(text, ZoneInfo(zone))


def _day(text: Any) -> str | None:
    try:
        return text if len(text) == len("2024-05-31") and date.fromisoformat(text).isoformat() == text else None
    except ValueError:
        return None


def _second(text: Any, zone: ZoneInfo) -> int | None:
    try:
        moment = datetime.fromisoformat(text) if type(text) is str else None
    except ValueError:
        return None
    if moment is None or moment.tzinfo is not None or len(text) != len("2024-05-31 19:55:00"):
        return None
    return int(moment.replace(tzinfo=zone).timestamp())


def _second_at_once(text: str, zone: ZoneInfo) -> int | None:
    """Return the same; a zone's offset is looked up once an hour, which takes a fifth of the time."""
    past_s = _PAST_HOUR.get(text[13:])
    hour_s = None if past_s is None else _hour(text[:13], zone)
    return _second(text, zone) if past_s is None or hour_s is None else hour_s + past_s


@lru_cache(maxsize=1_024)
def _hour(text: str, zone: ZoneInfo) -> int | None:
    """Return the seconds since 1970 of an hour's begin, or None where a zone's offset changes inside it."""
    first, last = (_second(text + past, zone) for past in (":00:00", ":59:59"))
    return first if first is not None and last is not None and last - first == _PAST_HOUR[":59:59"] else None
