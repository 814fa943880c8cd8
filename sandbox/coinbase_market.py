"""What Coinbase's products trade: the synthetic market, less the minutes in which a quiet product has no trade.

Deliberately not here: how anything is printed (`dialects/coinbase.py`).
Invariant: bars and trades leave out the same minutes, so a bar is always the aggregate of the trades that are served.
"""

from sandbox.listings import LISTED_SINCE_MS
from sandbox.price_walk import MINUTE_MS, MINUTES_PER_DAY, MINUTES_PER_HOUR, Bar, PriceWalk, aggregate
from sandbox.trade_tape import Trade, TradeTape

PRODUCTS = {f"{asset}-USD": f"{asset}USD" for asset in ("BTC", "ETH", "SOL", "XRP", "ADA", "DOGE", "LTC")}
#: This product has no trades in these minutes of these hours (UTC): a whole quarter of an hour and every seventh.
QUIET_PRODUCT = "LTC-USD"
QUIET_HOURS = range(6)
QUIET_MINUTES = tuple(minute for minute in range(60) if minute % 7 == 0 or 15 <= minute < 30)

_MINUTE_US = MINUTE_MS * 1000
#: Trades read from the tape at a time in search of some outside the quiet minutes.
_CHUNK = 1000


class CoinbaseMarket:
    """Bars and trades of one seed's market by product id."""

    def __init__(self, seed: int) -> None:
        self.walk = PriceWalk(seed)
        self._tape = TradeTape(self.walk)

    def bar(self, product: str, start_minute: int, end_minute: int, *, now_ms: int) -> Bar | None:
        """Return the bar of `[start_minute, end_minute)` as far as it has happened, None where nothing was traded."""
        if end_minute * MINUTE_MS <= LISTED_SINCE_MS or start_minute * MINUTE_MS > now_ms:
            return None
        spans = [(start_minute, end_minute)]
        if product == QUIET_PRODUCT:
            spans = _lively_spans(start_minute, min(end_minute, now_ms // MINUTE_MS + 1))
        parts = [self.walk.bar(PRODUCTS[product], start, end, now_ms=now_ms) for start, end in spans]
        bar = aggregate(parts) if parts else None
        return bar if bar is not None and bar.trades > 0 else None

    def trades_before(self, product: str, before_id: int | None, count: int, *, now_ms: int) -> list[Trade]:
        """Return the newest `count` trades, or the newest of those with a lower id than `before_id`; ascending."""
        if before_id is None:
            newest = self._tape.newest(PRODUCTS[product], 1, now_ms)
            before_id = newest[-1].id + 1 if newest else 1
        found: list[Trade] = []
        while len(found) < count and before_id > 1:
            first_id = max(1, before_id - max(_CHUNK, count))
            found = [*self._served(product, first_id, before_id - first_id, now_ms=now_ms), *found]
            before_id = first_id
        return found[-count:]

    def trades_after(self, product: str, after_id: int, count: int, *, now_ms: int) -> list[Trade]:
        """Return the oldest `count` trades with a higher id than `after_id`; ascending."""
        newest = self._tape.newest(PRODUCTS[product], 1, now_ms)
        found: list[Trade] = []
        while len(found) < count and newest and after_id < newest[-1].id:
            found += self._served(product, after_id + 1, _CHUNK, now_ms=now_ms)
            after_id += _CHUNK
        return found[:count]

    def trades_between(self, product: str, start_us: int, end_us: int, *, now_ms: int) -> list[Trade]:
        """Return the trades of the half-open window, as far as they have happened; ascending."""
        first_id = self._tape.first_id(PRODUCTS[product], start_us // 1000)
        before_id = self._tape.first_id(PRODUCTS[product], min(end_us // 1000 + 1, now_ms))
        found = self._served(product, first_id, before_id - first_id, now_ms=now_ms)
        return [trade for trade in found if start_us <= trade.time_us < end_us]

    def _served(self, product: str, first_id: int, count: int, *, now_ms: int) -> list[Trade]:
        trades = self._tape.trades_from(PRODUCTS[product], first_id, count, now_ms)
        if product != QUIET_PRODUCT:
            return trades
        return [trade for trade in trades if not is_quiet(trade.time_us // _MINUTE_US)]


def is_quiet(minute: int) -> bool:
    """Say whether the quiet product has no trades in this minute (since the epoch)."""
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
