"""What Polygon's tickers trade in the sandbox: bars, trades and quotes of shares, coins, money and an index.

Daily bars of AAPL, FB, GOOG, IBM and MSFT until 2013 are real (`wiki_prices.py`, raw). All else is synthetic: each
ticker borrows a listing of the market (`price_walk.py`, `trade_tape.py`), whose prices are not its own, and since
2017-08-17 only. Shares trade from 04:00 to 20:00 in New York on weekdays, the index from 09:30 to 16:00, all others
always; there are no holidays. Deliberately not here: HTTP and paging (`dialects/polygon.py`).
Invariant: a minute without a trade has no bar, and a wider bar is the aggregate of the minutes that are served.
"""

import json
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

from sandbox.listings import LISTED_SINCE_MS, LISTINGS
from sandbox.price_walk import MINUTE_MS, Bar, PriceWalk
from sandbox.trade_tape import Trade, TradeTape
from sandbox.wiki_prices import load_table

NEW_YORK = ZoneInfo("America/New_York")
_SESSIONS = {"stocks": (time(4), time(20)), "indices": (time(9, 30), time(16))}
_REGULAR = (time(9, 30), time(16))
_SATURDAY = 5
_EXPONENT_FROM = 10**7


class Item(NamedTuple):
    """One ticker: its market, the listing it borrows, its two legs where it is a pair, its name."""

    ticker: str
    market: str
    symbol: str
    legs: tuple[str, str]
    name: str


ITEMS: dict[str, Item] = {
    item.ticker: item
    for item in (
        Item("AAPL", "stocks", "SOLUSD", ("", ""), "Apple Inc."),
        Item("FB", "stocks", "LTCUSD", ("", ""), "Facebook, Inc."),
        Item("GOOG", "stocks", "ETHUSD", ("", ""), "Alphabet Inc. Class C"),
        Item("IBM", "stocks", "BNBUSDT", ("", ""), "International Business Machines"),
        Item("KIMpL", "stocks", "LTCUSDT", ("", ""), "Kimco Realty Corp. Preferred L"),
        Item("MSFT", "stocks", "SOLUSDT", ("", ""), "Microsoft Corp"),
        Item("C:EURUSD", "fx", "ADAUSD", ("EUR", "USD"), "Euro - United States Dollar"),
        Item("C:GBPUSD", "fx", "XRPUSD", ("GBP", "USD"), "Great Britain Pound - United States Dollar"),
        Item("I:SPX", "indices", "ETHUSDT", ("", ""), "S&P 500"),
        Item("X:BTCUSD", "crypto", "BTCUSD", ("BTC", "USD"), "Bitcoin - United States Dollar"),
        Item("X:DOGEUSD", "crypto", "DOGEUSD", ("DOGE", "USD"), "Dogecoin - United States Dollar"),
        Item("X:ETHUSD", "crypto", "ETHUSD", ("ETH", "USD"), "Ethereum - United States Dollar"),
    )
}
#: With a hyphen between the legs, as trades and quotes want a pair.
ITEM_OF_MARKED = {f"{one.ticker[:2]}{'-'.join(one.legs)}": one for one in ITEMS.values() if one.legs[0]}
ITEM_OF_MARKED |= {one.ticker: one for one in ITEMS.values() if not one.legs[0]}


class PolygonMarket:
    """The market of one seed by ticker."""

    def __init__(self, seed: int) -> None:
        self.walk = PriceWalk(seed)
        self.tape = TradeTape(self.walk)
        self._wiki = lru_cache(maxsize=8)(_real_days)

    def minutes(self, item: Item, first: int, end: int, *, now_ms: int) -> list[tuple[int, Bar]]:
        """Return the bars of the minutes of `[first, end)` (since the epoch) that had a trade, as far as they are."""
        first, end = max(first, LISTED_SINCE_MS // MINUTE_MS), min(end, now_ms // MINUTE_MS + 1)
        found = [minute for minute in range(first, end) if is_traded(item, minute)]
        bars = [(minute, self.walk.bar(item.symbol, minute, minute + 1, now_ms=now_ms)) for minute in found]
        return [(minute, bar) for minute, bar in bars if bar.trades]

    def day(self, item: Item, day: date, *, now_ms: int) -> dict[str, str] | None:
        """Return a session's bar as the texts of its fields, None where there was none."""
        if item.market in _SESSIONS and day.weekday() >= _SATURDAY:
            return None
        real = self._wiki(item.ticker).get(day) if item.market == "stocks" else None
        if real is not None:
            return real
        start, end = session_minutes(item, day)
        if start * MINUTE_MS < LISTED_SINCE_MS or start * MINUTE_MS > now_ms:
            return None
        return texts(item, self.walk.bar(item.symbol, start, end, now_ms=now_ms))

    def trades(self, item: Item, start_ns: int, end_ns: int, *, now_ms: int) -> list[Trade]:
        """Return the trades of `[start_ns, end_ns)` that happened before now, ascending."""
        end_ms = min(end_ns // 1_000_000 + 1, now_ms)
        start_ms = max(start_ns // 1_000_000, LISTED_SINCE_MS)
        found = self.tape.trades(item.symbol, start_ms, end_ms) if start_ms < end_ms else []
        return [
            one for one in found if start_ns <= time_ns(one) < end_ns and is_traded(item, one.time_us // 60_000_000)
        ]


def is_traded(item: Item, minute: int) -> bool:
    """Say whether the ticker has trades in this minute (since the epoch): before and after the session in some only."""
    if item.market not in _SESSIONS:
        return minute % 61 != 0
    local = datetime.fromtimestamp(minute * 60, NEW_YORK)
    start, end = _SESSIONS[item.market]
    if local.weekday() >= _SATURDAY or not start <= local.time() < end:
        return False
    return _REGULAR[0] <= local.time() < _REGULAR[1] or minute % 7 != 0


def session_minutes(item: Item, day: date) -> tuple[int, int]:
    """Return the minutes of the day's bar: regular hours in New York, or the UTC day."""
    if item.market not in _SESSIONS:
        start = int(datetime.combine(day, time(), UTC).timestamp()) // 60
        return start, start + 1440
    bounds = (int(datetime.combine(day, at, NEW_YORK).timestamp()) // 60 for at in _REGULAR)
    return next(bounds), next(bounds)


def day_ms(item: Item, day: date) -> int:
    """Return the time that a daily bar carries: midnight in New York, or of UTC for what always trades."""
    zone = NEW_YORK if item.market in _SESSIONS else UTC
    return int(datetime.combine(day, time(), zone).timestamp()) * 1000


def session_of(item: Item, ms: int) -> date:
    """Return the date in which a moment lies there."""
    return datetime.fromtimestamp(ms / 1000, NEW_YORK if item.market in _SESSIONS else UTC).date()


def time_ns(trade: Trade) -> int:
    """Return when the trade happened; those of one microsecond share a nanosecond too."""
    return trade.time_us * 1000 + trade.time_us * 7919 % 1000


def price(item: Item, ticks: int) -> str:
    return number(ticks, LISTINGS[item.symbol].tick_decimals)


def size(item: Item, steps: int) -> str:
    return number(steps, LISTINGS[item.symbol].step_decimals)


def number(units: int, decimals: int) -> str:
    """Print a number of the last decimal's units exactly."""
    whole, part = divmod(units, 10**decimals)
    return f"{whole}.{part:0{decimals}d}" if decimals else str(whole)


def texts(item: Item, bar: Bar) -> dict[str, str]:
    """Return a bar's fields; an index has prices only, money counts its quotes instead of a volume."""
    fields = {name: price(item, ticks) for name, ticks in zip("ohlc", bar[:4], strict=True)}
    if item.market == "indices":
        return fields
    if item.market == "fx":
        return fields | {"v": str(bar.trades), "n": str(bar.trades)}
    average = price(item, bar.quote_volume // max(bar.volume, 1))
    return fields | {"v": size(item, bar.volume), "vw": average, "n": str(bar.trades)}


def _real_days(ticker: str) -> dict[date, dict[str, str]]:
    """Return the wheel's bars of a share; a large volume with an exponent, as it is seen there."""
    page = json.loads(load_table().page({"ticker": ticker}), parse_float=str, parse_int=str)
    days = {}
    for _, day, opening, high, low, close, volume, _ in page["datatable"]["data"]:
        fields = {"o": opening, "h": high, "l": low, "c": close, "v": _exponent(volume)}
        days[date.fromisoformat(day)] = fields
    return days


def _exponent(volume: str) -> str:
    whole = volume.removesuffix(".0")
    if not whole.isdigit() or int(whole) < _EXPONENT_FROM:
        return volume
    digits = whole.rstrip("0")
    return f"{digits[0]}.{digits[1:] or '0'}e+{len(whole) - 1:02d}"


def weekdays(first: date, last: date) -> list[date]:
    """Return the weekdays from one date to another, both included."""
    days = (first + timedelta(days=i) for i in range((last - first).days + 1))
    return [day for day in days if day.weekday() < _SATURDAY]
