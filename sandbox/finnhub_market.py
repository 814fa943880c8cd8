"""What Finnhub's simulator knows: candles, ticks, quotes, news and an economic series, by symbol and time.

Daily candles of shares are the real ones of the wheel `bokeh_sampledata` (2000 to 2013, splits not worked in). All else
is synthetic, a function of seed, symbol and time: sessions are every weekday from 9:30 to 16:00 in New York without
holidays, ticks follow the walk of another symbol until 20:00, and news are made up.

Deliberately not here: parameters, keys, errors and JSON (`dialects/finnhub.py`).
Invariant: what has happened never changes; nothing later than the asked moment shows.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from sandbox.listings import LISTED_SINCE_MS, LISTINGS
from sandbox.price_walk import PriceWalk
from sandbox.wiki_prices import load_table

NEW_YORK = ZoneInfo("America/New_York")
#: The synthetic price that each symbol follows; both have two decimals.
SHARES = {"AAPL": "SOLUSDT", "FB": "BNBUSDT", "GOOG": "ETHUSDT", "IBM": "LTCUSDT", "MSFT": "LTCUSD"}
PAIRS = {
    "BINANCE:BTCUSDT": "BTCUSDT",
    "BINANCE:ETHBTC": "ETHBTC",
    "OANDA:EUR_USD": "ADAUSDT",
    "OANDA:GBP_USD": "XRPUSDT",
}
CODES = {"MA-USA-656880": "Synthetic Activity Index", "MA-USA-656881": "Synthetic Price Index"}
CATEGORIES = ("general", "forex", "crypto", "merger")
OPEN, CLOSE, LAST_TICK = time(9, 30), time(16), time(20)
TICKS_A_MINUTE = 4
#: A piece of market news comes about every so often, and its id counts them.
_NEWS_EVERY_S = 600
_FIRST_MONTH = date(1990, 1, 1)
_DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Candle:
    """One candle; numbers as they are printed."""

    open_s: int
    open: str
    high: str
    low: str
    close: str
    volume: str


@dataclass(frozen=True, slots=True)
class Tick:
    """One trade, which has no number."""

    time_ms: int
    price: str
    size: str


@dataclass(frozen=True, slots=True)
class Article:
    """One piece of news; an id of 0 is what some of a company's have."""

    id: int
    time_s: int
    headline: str
    url: str
    source: str
    summary: str
    related: str


class FinnhubMarket:
    """One seed's market."""

    def __init__(self, seed: int) -> None:
        self.walk = PriceWalk(seed)
        self._table = load_table()
        self.days = lru_cache(maxsize=16)(self._days)
        self.ticks = lru_cache(maxsize=32)(self._ticks)

    def candles(self, symbol: str, minutes: int, span_s: tuple[int, int], *, now_s: float) -> Iterator[Candle]:
        """Yield the candles that open in `span_s`, both ends included, the forming one too."""
        width_s, last_s = minutes * 60, min(span_s[1], int(now_s))
        first_s = max(span_s[0], LISTED_SINCE_MS // 1000)
        for open_s in range(-(-first_s // width_s) * width_s, last_s + 1, width_s):
            candle = self.candle(symbol, open_s // 60, minutes, now_ms=int(now_s * 1000))
            if candle is not None:
                yield candle

    def daily_candles(
        self, symbol: str, span_s: tuple[int, int], *, in_new_york: bool, now_s: float
    ) -> Iterator[Candle]:
        """Yield the daily candles stamped in `span_s`, both ends in it: at midnight in New York or UTC (pairs: UTC)."""
        zone = NEW_YORK if in_new_york else UTC
        if symbol in SHARES:
            for day, *numbers in self.days(symbol):
                stamp = int(datetime.combine(day, time.min, zone).timestamp())
                if span_s[0] <= stamp <= span_s[1]:
                    yield Candle(stamp, *numbers)
            return
        first_s, last_s = max(span_s[0], LISTED_SINCE_MS // 1000), min(span_s[1], int(now_s))
        for open_s in range(-(-first_s // _DAY_S) * _DAY_S, last_s + 1, _DAY_S):
            candle = self.candle(symbol, open_s // 60, 1440, now_ms=int(now_s * 1000))
            if candle is not None:
                yield candle

    def quote(self, symbol: str, now_s: float) -> dict[str, str]:
        """Return the figures of the last price: c, d, dp, h, l, o and pc."""
        name, now_ms = SHARES[symbol], int(now_s * 1000)
        today = int(now_s) // _DAY_S * 1440
        day = self.walk.bar(name, today, today + 1440, now_ms=now_ms)
        before = self.walk.bar(name, today - 1440, today, now_ms=now_ms).close
        last = self.walk.quote(name, now_ms).bid
        change = last - before
        texts = {
            key: self._price(name, value)
            for key, value in zip("chlo", (last, day.high, day.low, day.open), strict=True)
        }
        rise = f"{change * 100 / before:.4f}"
        return texts | {"d": self._price(name, change), "dp": rise, "pc": self._price(name, before)}

    def bid_and_ask(self, symbol: str, now_s: float) -> dict[str, str]:
        """Return the best bid and ask and their volumes: b, bv, a, av."""
        name = SHARES[symbol]
        quote = self.walk.quote(name, int(now_s * 1000))
        texts = {"b": self._price(name, quote.bid), "a": self._price(name, quote.ask)}
        return texts | {"bv": str(1 + quote.bid_size % 40), "av": str(1 + quote.ask_size % 40)}

    def company_news(self, symbol: str, day: date) -> list[Article]:
        """Return a UTC day's articles about a company, newest first."""
        count = 3 + self.walk.numbers(f"{symbol}/news/{day}", 1)[0] % 6
        numbers = self.walk.numbers(f"{symbol}/news/{day}/times", count)
        midnight = int(datetime.combine(day, time.min, UTC).timestamp())
        found = [self._article(symbol, midnight + n * _DAY_S // 65_536, n, i) for i, n in enumerate(numbers)]
        return sorted(found, key=lambda article: article.time_s, reverse=True)

    def market_news(self, category: str, count: int, *, now_s: float) -> list[Article]:
        """Return the newest articles of a category, newest first."""
        newest = int(now_s) // _NEWS_EVERY_S - 1
        found = []
        for number in range(newest, newest - count, -1):
            chosen = self.walk.numbers(f"{category}/news/{number}", 2)
            related = ("", "AAPL", "AAPL,BRK.B", "BTC/USD,MSFT")[chosen[0] % 4]
            headline = f"{category.title()}: “{number}”, & what it means"
            url = f"https://news.example/{category}/{number}"
            when = number * _NEWS_EVERY_S + chosen[1] % _NEWS_EVERY_S
            found.append(Article(number, when, headline, url, "Example Wire", "", related))
        return found

    def series(self, code: str, *, now_s: float) -> list[tuple[str, str]]:
        """Return a series' months and values, oldest first; a month is known from the 15th of the next on."""
        known = datetime.fromtimestamp(now_s, UTC).date() - timedelta(days=45)
        month, found = _FIRST_MONTH, []
        while month <= known:
            number = self.walk.numbers(f"{code}/{month}", 1)[0]
            found.append((month.isoformat(), f"{90 + number % 2000 / 100:.2f}".rstrip("0").rstrip(".")))
            month = (month + timedelta(days=32)).replace(day=1)
        return found

    def candle(self, symbol: str, minute: int, minutes: int, *, now_ms: int) -> Candle | None:
        """Return the candle over the minutes in which the symbol trades, None where there are none."""
        name = SHARES.get(symbol) or PAIRS[symbol]
        first, end = minute, minute + minutes
        if symbol in SHARES:
            day = datetime.fromtimestamp(minute * 60, UTC).astimezone(NEW_YORK).date()
            session = minutes_of(day, OPEN, CLOSE)
            first, end = max(first, session.start), min(end, session.stop)
        elif symbol.startswith("OANDA") and _weekday(minute) > 4:
            return None
        this_minute = now_ms // 60_000
        if first >= end or first > this_minute:
            return None
        bar = self.walk.bar(name, first, end, now_ms=now_ms)
        volume = _text(bar.volume, LISTINGS[name].step_decimals)
        high, low = self._price(name, bar.high), self._price(name, bar.low)
        return Candle(minute * 60, self._price(name, bar.open), high, low, self._price(name, bar.close), volume)

    def _ticks(self, symbol: str, day: date) -> tuple[Tick, ...]:
        """Return an exchange day's ticks, ascending."""
        name, found = SHARES[symbol], []
        for minute in minutes_of(day, OPEN, LAST_TICK):
            bar = self.walk.minutes_of_hour(name, minute // 60)[minute % 60]
            numbers = self.walk.numbers(f"{symbol}/ticks/{minute}", 3 * TICKS_A_MINUTE)
            moments, places, sizes = (numbers[i::3] for i in range(3))
            for moment, place, size in zip(sorted(moments), places, sizes, strict=True):
                price = bar.low + (place * (bar.high - bar.low + 1) >> 16)
                found.append(
                    Tick(minute * 60_000 + moment * 60_000 // 65_536, self._price(name, price), str(1 + size % 500))
                )
        return tuple(found)

    def _days(self, symbol: str) -> tuple[tuple[date, str, str, str, str, str], ...]:
        page = json.loads(self._table.page({"ticker": symbol}), parse_float=str, parse_int=str)
        rows = page["datatable"]["data"]
        return tuple((date.fromisoformat(row[1]), *row[2:7]) for row in rows)

    def _article(self, symbol: str, time_s: int, number: int, place: int) -> Article:
        known = 0 if number % 7 == 0 else time_s * 10 + place
        url = f"https://news.example/{symbol}/{time_s}-{place}"
        summary = f'{symbol} "rose" by {number % 100} basis points.\nMore follows.' if number % 3 else ""
        return Article(known, time_s, f"{symbol} and the number {number}", url, "Example Wire", summary, symbol)

    def _price(self, name: str, ticks: int) -> str:
        return _text(ticks, LISTINGS[name].tick_decimals)


def is_day_over(day: date, now_s: float) -> bool:
    """Say whether an exchange day's ticks are there: they come at its end."""
    return now_s >= datetime.combine(day + timedelta(days=1), time.min, NEW_YORK).timestamp()


def _weekday(minute: int) -> int:
    return datetime.fromtimestamp(minute * 60, UTC).weekday()


def minutes_of(day: date, start: time, end: time) -> range:
    """Return the minutes since the epoch from one clock time to another in New York; none at weekends."""
    if day.weekday() > 4:
        return range(0)
    bounds = (int(datetime.combine(day, clock, NEW_YORK).timestamp()) // 60 for clock in (start, end))
    return range(*bounds)


def _text(units: int, decimals: int) -> str:
    """Print a number as JSON numbers usually are: without zeros at its end."""
    sign, (whole, part) = "-" * (units < 0), divmod(abs(units), 10**decimals)
    fraction = f"{part:0{decimals}d}".rstrip("0") if decimals else ""
    return f"{sign}{whole}.{fraction}" if fraction else f"{sign}{whole}"
