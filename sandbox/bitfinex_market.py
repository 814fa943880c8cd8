"""What Bitfinex's pairs trade: the synthetic market, less the minutes in which a quiet pair has no trade.

Deliberately not here: how anything is printed (`dialects/bitfinex.py`). All of it is made up, from seed, pair and time.
Invariant: bars and trades leave out the same minutes, so a bar is always the aggregate of the trades that are served;
ids rise with time and have holes, as ids that count the trades of all pairs do.
"""

from typing import NamedTuple

from sandbox.listings import LISTED_SINCE_MS, LISTINGS, Listing
from sandbox.price_walk import MINUTE_MS, MINUTES_PER_DAY, MINUTES_PER_HOUR, Bar, PriceWalk, aggregate
from sandbox.trade_tape import Trade, TradeTape

_MINUTE_US = MINUTE_MS * 1000
#: Every id of the tape becomes this many of the exchange's.
_ID_STEP, _FIRST_ID = 7, 1_000_000


class Pair(NamedTuple):
    """One pair: its symbol there, what people call it, and the instrument of the market it is."""

    symbol: str
    common: str
    market: str

    @property
    def listing(self) -> Listing:
        return LISTINGS[self.market]


#: Six characters run together, else a colon; "UST" is Tether's dollar. Perpetuals end in F0.
#: Source: https://docs.bitfinex.com/docs/rest-general and /reference/rest-public-conf, read 2026-11-25.
PAIRS = (
    Pair("tBTCUSD", "BTC-USD", "BTCUSD"),
    Pair("tETHUSD", "ETH-USD", "ETHUSD"),
    Pair("tSOLUSD", "SOL-USD", "SOLUSD"),
    Pair("tXRPUSD", "XRP-USD", "XRPUSD"),
    Pair("tADAUSD", "ADA-USD", "ADAUSD"),
    Pair("tDOGE:USD", "DOGE-USD", "DOGEUSD"),
    Pair("tLTCUSD", "LTC-USD", "LTCUSD"),
    Pair("tETHBTC", "ETH-BTC", "ETHBTC"),
    Pair("tBTCUST", "BTC-USDT", "BTCUSDT"),
    Pair("tETHUST", "ETH-USDT", "ETHUSDT"),
    Pair("tDOGE:UST", "DOGE-USDT", "DOGEUSDT"),
    Pair("tBTCF0:USTF0", "BTCF0-USTF0", "BTCUSDT"),
)
PAIR_OF_SYMBOL = {pair.symbol: pair for pair in PAIRS}
PAIR_OF_COMMON = {pair.common: pair for pair in PAIRS}

#: This pair has no trades in these minutes of these hours (UTC): the first three and every eighth.
QUIET_SYMBOL = "tLTCUSD"
QUIET_HOURS = range(4)
QUIET_MINUTES = tuple(minute for minute in range(MINUTES_PER_HOUR) if minute % 8 == 0 or minute < 3)


class BitfinexMarket:
    """Bars and trades of one seed's market by pair."""

    def __init__(self, seed: int) -> None:
        self.walk = PriceWalk(seed)
        self._tape = TradeTape(self.walk)

    def bar(self, pair: Pair, open_ms: int, end_ms: int, *, now_ms: int) -> Bar | None:
        """Return the bar of `[open_ms, end_ms)` as far as it has happened, None where nothing was traded."""
        start, end = max(open_ms, LISTED_SINCE_MS) // MINUTE_MS, min(end_ms, now_ms + MINUTE_MS) // MINUTE_MS
        if start >= end:
            return None
        spans = _lively_spans(start, end) if pair.symbol == QUIET_SYMBOL else [(start, end)]
        parts = [self.walk.bar(pair.market, *span, now_ms=now_ms) for span in spans]
        bar = aggregate(parts) if parts else None
        return bar if bar is not None and bar.trades > 0 else None

    def oldest(self, pair: Pair, start_ms: int, end_ms: int, count: int, *, now_ms: int) -> list[Trade]:
        """Return the first `count` trades of `[start_ms, end_ms)` that have happened, ascending."""
        found: list[Trade] = []
        first = self._tape.first_id(pair.market, min(start_ms, now_ms))
        end = self._tape.first_id(pair.market, max(LISTED_SINCE_MS, min(end_ms, now_ms)))
        while len(found) < count and first < end:
            some = min(count, end - first)
            found += self._served(pair, first, some, now_ms=now_ms)
            first += some
        return found[:count]

    def newest(self, pair: Pair, start_ms: int, end_ms: int, count: int, *, now_ms: int) -> list[Trade]:
        """Return the last `count` of them, ascending."""
        found: list[Trade] = []
        first = self._tape.first_id(pair.market, max(LISTED_SINCE_MS, min(start_ms, now_ms)))
        end = self._tape.first_id(pair.market, max(LISTED_SINCE_MS, min(end_ms, now_ms)))
        while len(found) < count and first < end:
            some = min(count, end - first)
            found = [*self._served(pair, end - some, some, now_ms=now_ms), *found]
            end -= some
        return found[-count:]

    def _served(self, pair: Pair, first_id: int, count: int, *, now_ms: int) -> list[Trade]:
        trades = self._tape.trades_from(pair.market, first_id, count, now_ms)
        if pair.symbol == QUIET_SYMBOL:
            trades = [trade for trade in trades if not is_quiet(trade.time_us // _MINUTE_US)]
        return [trade._replace(id=_FIRST_ID + _ID_STEP * trade.id) for trade in trades]


def is_quiet(minute: int) -> bool:
    """Say whether the quiet pair has no trades in this minute (since the epoch)."""
    return minute // MINUTES_PER_HOUR % 24 in QUIET_HOURS and minute % MINUTES_PER_HOUR in QUIET_MINUTES


def _lively_spans(start: int, end: int) -> list[tuple[int, int]]:
    """Cut the quiet minutes out of `[start, end)`; what is left of a day after the quiet hours is one span."""
    spans = []
    minute = start
    while minute < end:
        day, offset = divmod(minute, MINUTES_PER_DAY)
        quiet_hours_over = offset >= len(QUIET_HOURS) * MINUTES_PER_HOUR
        until = min(end, (day + 1) * MINUTES_PER_DAY) if quiet_hours_over else minute + 1
        if quiet_hours_over or not is_quiet(minute):
            spans.append((minute, until))
        minute = until
    return spans
