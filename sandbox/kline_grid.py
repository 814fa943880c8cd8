"""The grid a kline opens on: number the buckets of an interval and say when each opens.

Deliberately not here: prices, and which bounds a request may set.
Invariant: `open_ms(index(t)) <= t < open_ms(index(t) + 1)` for every interval and time zone.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

_SECOND_MS = 1_000
_MINUTE_MS = 60 * _SECOND_MS
_HOUR_MS = 60 * _MINUTE_MS
_DAY_MS = 24 * _HOUR_MS
_MONDAY_MS = 4 * _DAY_MS  # 1970-01-05, the first Monday after the epoch

# Case sensitive: 1m is a minute, 1M a month (width 0: a month has none).
INTERVAL_WIDTHS_MS: dict[str, int] = {
    "1s": _SECOND_MS,
    **{f"{n}m": n * _MINUTE_MS for n in (1, 3, 5, 15, 30)},
    **{f"{n}h": n * _HOUR_MS for n in (1, 2, 4, 6, 8, 12)},
    "1d": _DAY_MS,
    "3d": 3 * _DAY_MS,
    "1w": 7 * _DAY_MS,
    "1M": 0,
}


@dataclass(frozen=True, slots=True)
class KlineGrid:
    """The buckets of one interval in one time zone, whose offset shifts where they open."""

    interval: str
    zone_offset_ms: int = 0

    def index(self, time_ms: int) -> int:
        """Return the number of the bucket that holds the time."""
        local_ms = time_ms + self.zone_offset_ms
        if self.interval == "1M":
            month = datetime.fromtimestamp(local_ms // 1000, UTC)
            return month.year * 12 + month.month - 1
        return (local_ms - self._origin_ms()) // INTERVAL_WIDTHS_MS[self.interval]

    def open_ms(self, index: int) -> int:
        """Return when the bucket opens, in UTC ms."""
        if self.interval == "1M":
            year, month = divmod(index, 12)
            return int(datetime(year, month + 1, 1, tzinfo=UTC).timestamp()) * 1000 - self.zone_offset_ms
        return index * INTERVAL_WIDTHS_MS[self.interval] + self._origin_ms() - self.zone_offset_ms

    def index_not_before(self, time_ms: int) -> int:
        """Return the number of the first bucket that opens at or after the time."""
        index = self.index(time_ms)
        return index if self.open_ms(index) == time_ms else index + 1

    def _origin_ms(self) -> int:
        return _MONDAY_MS if self.interval == "1w" else 0
