"""What Kraken's pairs are called and trade: the synthetic market, less the minutes in which a quiet pair has no trade.

Deliberately not here: how anything is printed (`dialects/kraken.py`).
Invariant: bars and trades leave out the same minutes, so a bar is always the aggregate of the trades that are served.
Source: https://docs.kraken.com/api-reference/market-data/get-tradable-asset-pairs, read 2026-11-24.
"""

from typing import NamedTuple

from sandbox.listings import LISTED_SINCE_MS, LISTINGS, Listing
from sandbox.price_walk import MINUTE_MS, MINUTES_PER_DAY, MINUTES_PER_HOUR, Bar, PriceWalk, aggregate, flat
from sandbox.trade_tape import Trade, TradeTape

NS_PER_MS = 1_000_000
_MINUTE_US = MINUTE_MS * 1000
#: Trades read from the tape at a time.
_CHUNK = 1000


class Pair(NamedTuple):
    """One pair: the key answers have it under, its names, its two assets, and the instrument of the market it is."""

    key: str
    altname: str
    wsname: str
    base: str
    quote: str
    symbol: str

    @property
    def listing(self) -> Listing:
        return LISTINGS[self.symbol]


PAIRS = (
    Pair("XXBTZUSD", "XBTUSD", "XBT/USD", "XXBT", "ZUSD", "BTCUSD"),
    Pair("XETHZUSD", "ETHUSD", "ETH/USD", "XETH", "ZUSD", "ETHUSD"),
    Pair("SOLUSD", "SOLUSD", "SOL/USD", "SOL", "ZUSD", "SOLUSD"),
    Pair("XXRPZUSD", "XRPUSD", "XRP/USD", "XXRP", "ZUSD", "XRPUSD"),
    Pair("ADAUSD", "ADAUSD", "ADA/USD", "ADA", "ZUSD", "ADAUSD"),
    Pair("XDGUSD", "XDGUSD", "XDG/USD", "XXDG", "ZUSD", "DOGEUSD"),
    Pair("XLTCZUSD", "LTCUSD", "LTC/USD", "XLTC", "ZUSD", "LTCUSD"),
    Pair("XBTUSDT", "XBTUSDT", "XBT/USDT", "XXBT", "USDT", "BTCUSDT"),
    Pair("ETHUSDT", "ETHUSDT", "ETH/USDT", "XETH", "USDT", "ETHUSDT"),
)
#: Every name a request may use; case does not count.
PAIR_OF_NAME = {name: pair for pair in PAIRS for name in (pair.key, pair.altname, pair.wsname)}

#: This pair has no trades in these minutes of these hours (UTC): five in a row and every ninth.
QUIET_KEY = "XLTCZUSD"
QUIET_HOURS = range(3)
QUIET_MINUTES = tuple(minute for minute in range(MINUTES_PER_HOUR) if minute % 9 == 0 or 30 <= minute < 35)


class KrakenMarket:
    """Bars and trades of one seed's market by pair."""

    def __init__(self, seed: int) -> None:
        self.walk = PriceWalk(seed)
        self._tape = TradeTape(self.walk)

    def bar(self, pair: Pair, start_minute: int, end_minute: int, *, now_ms: int) -> Bar:
        """Return the bar of `[start_minute, end_minute)` as far as it has happened.

        Without trades it is flat at the last price before it. The start must not be after now; minutes before the
        listing are left out.
        """
        start_minute = max(start_minute, LISTED_SINCE_MS // MINUTE_MS)
        until = min(end_minute, now_ms // MINUTE_MS + 1)
        spans = _lively_spans(start_minute, until) if pair.key == QUIET_KEY else [(start_minute, end_minute)]
        parts = [self.walk.bar(pair.symbol, start, end, now_ms=now_ms) for start, end in spans]
        if parts:
            return aggregate(parts)
        before = start_minute - 1
        while is_quiet(before):
            before -= 1
        return flat(self.walk.bar(pair.symbol, before, before + 1, now_ms=now_ms).close)

    def newest(self, pair: Pair, count: int, *, now_ms: int) -> list[Trade]:
        """Return the last `count` trades, ascending."""
        found: list[Trade] = []
        before_id = self._tape.first_id(pair.symbol, now_ms)
        while len(found) < count and before_id > 1:
            first_id = max(1, before_id - max(count, _CHUNK))
            found = [*self._served(pair, first_id, before_id - first_id, now_ms=now_ms), *found]
            before_id = first_id
        return found[-count:]

    def since(self, pair: Pair, since_ns: int, count: int, *, now_ms: int) -> list[Trade]:
        """Return the oldest `count` trades at or after the time, ascending."""
        found: list[Trade] = []
        end_id = self._tape.first_id(pair.symbol, now_ms)
        first_id = self._tape.first_id(pair.symbol, min(since_ns // NS_PER_MS, now_ms))
        while len(found) < count and first_id < end_id:
            served = self._served(pair, first_id, _CHUNK, now_ms=now_ms)
            found += [trade for trade in served if time_ns(trade) >= since_ns]
            first_id += _CHUNK
        return found[:count]

    def _served(self, pair: Pair, first_id: int, count: int, *, now_ms: int) -> list[Trade]:
        trades = self._tape.trades_from(pair.symbol, first_id, count, now_ms)
        if pair.key != QUIET_KEY:
            return trades
        return [trade for trade in trades if not is_quiet(trade.time_us // _MINUTE_US)]


def time_ns(trade: Trade) -> int:
    """Return when the trade happened; those of one microsecond share a nanosecond too."""
    return trade.time_us * 1000 + trade.time_us * 7919 % 1000


def is_quiet(minute: int) -> bool:
    """Say whether the quiet pair has no trades in this minute (since the epoch)."""
    return minute // MINUTES_PER_HOUR % 24 in QUIET_HOURS and minute % MINUTES_PER_HOUR in QUIET_MINUTES


def _lively_spans(start: int, end: int) -> list[tuple[int, int]]:
    """Cut the quiet minutes out of `[start, end)`; what lies between two of them is one span."""
    spans: list[tuple[int, int]] = []
    minute = start
    while minute < end:
        day, offset = divmod(minute, MINUTES_PER_DAY)
        quiet_hours_over = offset >= len(QUIET_HOURS) * MINUTES_PER_HOUR
        until = min(end, (day + 1) * MINUTES_PER_DAY) if quiet_hours_over else minute + 1
        if quiet_hours_over or not is_quiet(minute):
            first = spans.pop()[0] if spans and spans[-1][1] == minute else minute
            spans.append((first, until))
        minute = until
    return spans
