"""What an archive of IEX Cloud holds: real days of shares; synthetic minutes, trades, quotes and articles.

Days are the wheel's (`wiki_prices.py`, 2000 to 2013). Minutes, trades and quotes are the walk of a coin, the minutes in
the sessions of New York, trades and quotes round the clock; some minutes have no trade at the venue.

Deliberately not here: paths and JSON (`dialects/iex.py`). Invariant: every number is text here already, so that whoever
prints it and whoever expects it see the same digits; a minute that is over never changes.
"""

import json
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

from sandbox.listings import LISTED_SINCE_MS, LISTINGS
from sandbox.nasdaq_table import DataTable
from sandbox.price_walk import PriceWalk
from sandbox.trade_tape import Trade, TradeTape
from sandbox.wiki_prices import load_table

NEW_YORK = ZoneInfo("America/New_York")
SHARES = ("AAPL", "FB", "GOOG", "IBM", "MSFT")
#: Listed, but neither with bars nor to be spelled in every grammar.
OTHER_SYMBOLS = ("AIG+", "BAC-A", "BRK.B")
ARTICLE_EVERY_S = 10_800
_WALK_OF_SHARE = {"AAPL": "BNBUSDT", "FB": "SOLUSDT", "GOOG": "ETHUSDT", "IBM": "LTCUSDT", "MSFT": "LTCUSD"}
_LEVELS = 12
_OPENS, _CLOSES = 570, 960  # minutes of the day in New York


class Day(NamedTuple):
    """A day: its date, split-adjusted prices and volume, and the fully adjusted close."""

    date: str
    open: str
    high: str
    low: str
    close: str
    volume: str
    adjusted: str


class Minute(NamedTuple):
    """A minute: when it begins, in seconds since the epoch, and its cells; prices are None without a trade."""

    at_s: int
    prices: tuple[str, str, str, str] | None
    volume: str
    trades: str


class Top(NamedTuple):
    """The best bid and ask ("0" for none), the last trade, and when the quote changed."""

    bid: str
    bid_size: str
    ask: str
    ask_size: str
    last: Trade
    updated_ms: int


class Level(NamedTuple):
    """A price of the book, its size, and when it last changed."""

    price: str
    size: str
    at_ms: int


class IexMarket:
    """The market of one seed; rows ascend."""

    def __init__(self, seed: int) -> None:
        self.walk = PriceWalk(seed)
        self._tape = TradeTape(self.walk)
        self.days = lru_cache(maxsize=8)(_days)

    def minutes(self, share: str, day: date, now_s: float) -> list[Minute]:
        """Return the minutes of a day's session, as far as they are over; none on weekends."""
        if day.weekday() > 4:
            return []
        opens = datetime(day.year, day.month, day.day, 9, 30, tzinfo=NEW_YORK)
        first, symbol = int(opens.timestamp()) // 60, _WALK_OF_SHARE[share]
        minutes = range(first, first + _CLOSES - _OPENS)
        return [
            self._minute(share, symbol, minute)
            for minute in minutes
            if minute * 60_000 >= LISTED_SINCE_MS and (minute + 1) * 60 <= now_s
        ]

    def _minute(self, share: str, symbol: str, minute: int) -> Minute:
        if self.walk.numbers(f"{share}/quiet/{minute}", 1)[0] % 9 == 0:
            return Minute(minute * 60, None, "0", "0")
        bar = self.walk.bar(symbol, minute, minute + 1, now_ms=(minute + 1) * 60_000)
        opening, high, low, close = (price_text(share, price) for price in bar[:4])
        return Minute(minute * 60, (opening, high, low, close), str(bar.volume // 1_000), str(bar.trades))

    def trades(self, share: str, count: int, now_s: float) -> list[Trade]:
        """Return the last `count` trades, the newest first, as the venue lists them."""
        return self._tape.newest(_WALK_OF_SHARE[share], count, int(now_s * 1000))[::-1]

    def top(self, share: str, now_s: float) -> Top:
        """Return bid and ask of this second; now and then a side is empty."""
        now_ms = int(now_s) * 1000
        quote, (last,) = self.walk.quote(_WALK_OF_SHARE[share], now_ms), self.trades(share, 1, now_s)
        bid, bid_size = price_text(share, quote.bid), str(quote.bid_size)
        if self.walk.numbers(f"{share}/empty/{now_ms}", 1)[0] % 3 == 0:
            bid, bid_size = "0", "0"
        return Top(bid, bid_size, price_text(share, quote.ask), str(quote.ask_size), last, now_ms)

    def book(self, share: str, now_s: float) -> tuple[list[Level], list[Level]]:
        """Return bids and asks of this second, best first; the best of each have changed last."""
        now_ms = int(now_s) * 1000
        found = self.walk.book(_WALK_OF_SHARE[share], now_ms, _LEVELS)
        bids, asks = (
            [Level(price_text(share, price), str(size), now_ms - 7 * nth) for nth, (price, size) in enumerate(side)]
            for side in (found.bids, found.asks)
        )
        return bids, asks

    def articles(self, share: str, count: int, now_s: float) -> list[dict[str, object]]:
        """Return the last articles, the newest first."""
        newest = int(now_s) // ARTICLE_EVERY_S
        return [self._article(share, newest - i) for i in range(count)]

    def _article(self, share: str, number: int) -> dict[str, object]:
        late, other = self.walk.numbers(f"{share}/news/{number}", 2)
        about = dict.fromkeys((share, SHARES[other % len(SHARES)], OTHER_SYMBOLS[other % 3]))
        return {
            "datetime": (number * ARTICLE_EVERY_S - late % ARTICLE_EVERY_S) * 1000,
            "headline": f"{share}: a synthetic headline — no. {number}",
            "source": ("Example Wire", "Synthetic Post")[late % 2],
            "url": f"https://cloud.iexapis.com/v1/news/article/{share}-{number}",
            "summary": "This text is made up.",
            "related": ",".join(about),
            "image": f"https://cloud.iexapis.com/v1/news/image/{share}-{number}",
            "lang": "en",
            "hasPaywall": late % 4 == 0,
            "uuid": f"{share.lower()}-{number}",
        }


def price_text(share: str, ticks: int) -> str:
    """Print a price as a JSON number, without zeros at its end."""
    value = Decimal(ticks).scaleb(-LISTINGS[_WALK_OF_SHARE[share]].tick_decimals)
    return f"{value.normalize():f}"


def _days(share: str) -> tuple[Day, ...]:
    page = json.loads(_table().page({"ticker": share}), parse_float=str, parse_int=str)
    return tuple(Day(*row[1:]) for row in page["datatable"]["data"])


@lru_cache(maxsize=1)
def _table() -> DataTable:
    return load_table()
