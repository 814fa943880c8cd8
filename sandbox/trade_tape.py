"""Every single trade of the synthetic market since the listing, by time or by id, without state.

Deliberately not here: bars and quotes (`price_walk.py`); how a provider numbers and prints trades (`dialects/`).
Invariant: ids run from 1 without a gap, times never fall, and the trades of any second make up its bar: open, high,
low, close, volume and their number (not its quote and taker amounts, which are shared out by themselves).
"""

from bisect import bisect_left, bisect_right
from functools import lru_cache
from itertools import accumulate
from typing import NamedTuple

from sandbox.listings import LISTED_SINCE_MS
from sandbox.price_walk import MINUTE_MS, MINUTES_PER_HOUR, Bar, PriceWalk, share_out

_HOUR_MS = MINUTES_PER_HOUR * MINUTE_MS
_LISTED_HOUR = LISTED_SINCE_MS // _HOUR_MS
# A second has 64 moments at which trades happen, so that several often share one, as they do on an exchange.
_MOMENT_US = 1_000_000 // 64


class Trade(NamedTuple):
    """One trade: price in ticks, size in lot steps; `taker_buys` says which side came later."""

    id: int
    time_us: int
    price: int
    size: int
    taker_buys: bool


class TradeTape:
    """The trades of one walk. Costs about 1 us a trade; the last minutes asked for are kept."""

    def __init__(self, walk: PriceWalk) -> None:
        self._walk = walk
        self._minute = lru_cache(maxsize=128)(self._trades_of_minute)
        self._first_ids = lru_cache(maxsize=512)(self._first_ids_of_hour)

    def trades(self, symbol: str, start_ms: int, end_ms: int) -> list[Trade]:
        """Return the trades of `[start_ms, end_ms)`, ascending. The end should not be after now."""
        return self.trades_from(symbol, self.first_id(symbol, start_ms), None, end_ms)

    def trades_from(self, symbol: str, first_id: int, count: int | None, now_ms: int) -> list[Trade]:
        """Return up to `count` trades (None: all) with ids from `first_id` on that happened before `now_ms`."""
        first = max(first_id, 1)
        end = self.first_id(symbol, now_ms)
        if count is not None:
            end = min(end, first + count)
        found: list[Trade] = []
        while first < end:
            trades = self._minute(symbol, self._minute_of(symbol, first, now_ms))
            offset = first - trades[0].id
            found += trades[offset : offset + end - first]
            first = trades[-1].id + 1
        return found

    def newest(self, symbol: str, count: int, now_ms: int) -> list[Trade]:
        """Return the last `count` trades before `now_ms`, ascending."""
        return self.trades_from(symbol, self.first_id(symbol, now_ms) - count, count, now_ms)

    def first_id(self, symbol: str, time_ms: int) -> int:
        """Return the id of the first trade at or after the time, 1 before the listing."""
        if time_ms <= LISTED_SINCE_MS:
            return 1
        trades = self._minute(symbol, time_ms // MINUTE_MS)
        return trades[0].id + bisect_left(trades, time_ms * 1000, key=lambda trade: trade.time_us)

    def _minute_of(self, symbol: str, trade_id: int, now_ms: int) -> int:
        hours = range(_LISTED_HOUR, now_ms // _HOUR_MS + 1)
        nth = bisect_right(hours, trade_id - 1, key=lambda hour: self._walk.trades_before(symbol, hour)) - 1
        first_ids = self._first_ids(symbol, hours[nth])
        return hours[nth] * MINUTES_PER_HOUR + bisect_right(first_ids, trade_id) - 1

    def _first_ids_of_hour(self, symbol: str, hour: int) -> tuple[int, ...]:
        """Return the first id of each of the hour's 60 minutes."""
        counts = [bar.trades for bar in self._walk.minutes_of_hour(symbol, hour)]
        return tuple(accumulate(counts[:-1], initial=self._walk.trades_before(symbol, hour) + 1))

    def _trades_of_minute(self, symbol: str, minute: int) -> tuple[Trade, ...]:
        seconds = self._walk.seconds_of_minute(symbol, minute)
        hour, offset = divmod(minute, MINUTES_PER_HOUR)
        next_id = self._first_ids(symbol, hour)[offset]
        numbers = iter(self._walk.numbers(f"{symbol}/tape/{minute}", 3 * sum(bar.trades for bar in seconds) + 60))
        trades: list[Trade] = []
        for nth, bar in enumerate(seconds):
            moment_us = (minute * 60 + nth) * 1_000_000 + next(numbers) % _MOMENT_US
            draws = [[next(numbers) for _ in range(bar.trades)] for _ in range(3)]
            trades += _trades_of_second(bar, next_id, moment_us, draws)
            next_id += bar.trades
        return tuple(trades)


def _trades_of_second(bar: Bar, first_id: int, moment_us: int, draws: list[list[int]]) -> list[Trade]:
    """Make the second's trades: the first at its open, the last at its close, the others between its low and high."""
    moments, weights, places = draws
    sizes = share_out(bar.volume - bar.trades, [1 + weight for weight in weights])
    span = bar.high - bar.low + 1
    prices = [bar.low + (place * span >> 16) for place in places]
    prices[0], prices[-1] = bar.open, bar.close
    trades = []
    last = bar.open
    for nth, (moment, size, price) in enumerate(zip(sorted(moments), sizes, prices, strict=True)):
        # A buyer who comes later lifts the price; where it stays, the draw that sized the trade decides.
        taker_buys = price > last or (price == last and weights[nth] % 2 == 0)
        trades.append(Trade(first_id + nth, moment_us + (moment >> 10) * _MOMENT_US, price, 1 + size, taker_buys))
        last = price
    return trades
