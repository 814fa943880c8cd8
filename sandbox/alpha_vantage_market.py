"""What Alpha Vantage's series are made of: real daily bars of shares, and synthetic minutes, money, coins and actions.

Days of shares are the wheel's (`wiki_prices.py`, 2000 to 2013). Synthetic, functions of seed, name and time: minutes of
shares (the walk of a coin, in the sessions of New York), rates of money, dividends and splits (which explain nothing
about the real prices). Coins are the market of `price_walk.py`.

Deliberately not here: labels, parameters and JSON (`dialects/alpha_vantage.py`).
Invariant: every number is text here already, so that whoever prints it and whoever expects it see the same digits.
"""

import json
import math
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

from sandbox.listings import LISTED_SINCE_MS, LISTINGS
from sandbox.nasdaq_table import DataTable
from sandbox.price_walk import PriceWalk
from sandbox.wiki_prices import load_table

NEW_YORK = ZoneInfo("America/New_York")
SHARES = ("AAPL", "FB", "GOOG", "IBM", "MSFT")
COINS = tuple(one.base_asset for one in LISTINGS.values() if one.quote_asset == "USD")
#: Units of the fifth decimal.
MONEY = {"EUR/USD": 110_000, "GBP/USD": 128_000, "USD/JPY": 11_000_000, "EUR/GBP": 86_000}
MONEY_SINCE = date(2000, 1, 3)

_WALK_OF_SHARE = {"AAPL": "BNBUSDT", "FB": "SOLUSDT", "GOOG": "ETHUSDT", "IBM": "LTCUSDT", "MSFT": "LTCUSD"}
_HOLIDAYS = ((1, 1), (7, 4), (12, 25))
#: Minutes of the New York day: "04:00 to 20:00" with extended hours, else 09:30 to 16:00.
_EXTENDED, _REGULAR = (240, 1_200), (570, 960)


class Row(NamedTuple):
    """A bar: when it begins (a date, or seconds since the epoch), and its cells."""

    at: date | int
    open: str
    high: str
    low: str
    close: str
    volume: str = ""


def row_of(at: date | int, prices: Sequence[str], volume: str = "") -> Row:
    opening, high, low, close = prices
    return Row(at, opening, high, low, close, volume)


class Adjusted(NamedTuple):
    """What an adjusted day has beside its bar."""

    close: str
    dividend: str
    split: str


class AlphaVantageMarket:
    """The market of one seed; rows ascend."""

    def __init__(self, seed: int) -> None:
        self.walk = PriceWalk(seed)
        self.days = lru_cache(maxsize=8)(self._days)

    def _days(self, share: str) -> tuple[tuple[Row, Adjusted], ...]:
        page = json.loads(_table().page({"ticker": share}), parse_float=str, parse_int=str)
        rows = page["datatable"]["data"]
        split_at = self.walk.numbers(f"{share}/split", 1)[0] % len(rows)
        found = []
        for i, (_, day, *prices, volume, adjusted) in enumerate(rows):
            paid = self._dividend(share, day, rows[i - 1][1] if i else day)
            cells = [_decimals(text, 4) for text in prices]
            more = Adjusted(_decimals(adjusted, 4), paid, "2.0" if i == split_at else "1.0")
            found.append((row_of(date.fromisoformat(day), cells, _decimals(volume, 0)), more))
        return tuple(found)

    def _dividend(self, share: str, day: str, before: str) -> str:
        """Return what is paid on the first session of March, June, September and December."""
        if day[:7] == before[:7] or int(day[5:7]) % 3:
            return "0.0000"
        return f"0.{1_000 + self.walk.numbers(f'{share}/dividend/{day}', 1)[0] % 9_000:04d}"

    def minutes(self, share: str, width_min: int, first: date, end: date, *, extended: bool, now_s: float) -> list[Row]:
        """Return a share's bars of the days `[first, end)` of New York, the one still forming last."""
        now_ms, symbol = int(now_s * 1000), _WALK_OF_SHARE[share]
        opens, closes = _EXTENDED if extended else _REGULAR
        rows = []
        for day in _weekdays(first, end):
            midnight = datetime(day.year, day.month, day.day, tzinfo=NEW_YORK)
            # Sessions never reach into the night in which the clocks change.
            noon_s = int(midnight.replace(hour=12).timestamp())
            for minute in range(opens // width_min * width_min, closes, width_min):
                at = noon_s + (minute - 720) * 60
                if at * 1000 < LISTED_SINCE_MS or at > now_s:
                    continue
                bar = self.walk.bar(symbol, at // 60, at // 60 + width_min, now_ms=now_ms)
                cells = [_scaled(price, LISTINGS[symbol].tick_decimals, 4) for price in bar[:4]]
                rows.append(row_of(at, cells, str(bar.volume // 1_000)))
        return rows

    def money_rate(self, pair: str, minute: int) -> int:
        """Return the rate at a minute since the epoch, in units of the fifth decimal."""
        days = minute / 1_440
        phase = self.walk.numbers(f"{pair}/phase", 1)[0] / 65_536
        wave = 0.08 * math.sin(math.tau * (days / 900 + phase)) + 0.01 * math.sin(math.tau * (days / 23 + phase))
        noise = self.walk.numbers(f"{pair}/{minute // 60}", 1)[0] / 65_536 - 0.5
        return round(MONEY[pair] * (1 + wave + 0.002 * noise))

    def money_bar(self, pair: str, at: date | int, minute: int, width_min: int) -> Row:
        """Return a bar of money, which has no volume."""
        opening, closing = self.money_rate(pair, minute), self.money_rate(pair, minute + width_min)
        up, down = (n * opening >> 27 for n in self.walk.numbers(f"{pair}/wicks/{minute}/{width_min}", 2))
        prices = opening, max(opening, closing) + up, min(opening, closing) - down, closing
        return row_of(at, [_scaled(price, 5, 5) for price in prices])

    def money_days(self, pair: str, first: date, end: date) -> list[Row]:
        """Return the weekdays' bars of `[first, end)`."""
        days = (max(first, MONEY_SINCE) + timedelta(days=i) for i in range(max(0, (end - first).days)))
        return [self.money_bar(pair, day, _minute_of(day), 1_440) for day in days if day < end and day.weekday() < 5]

    def money_minutes(self, pair: str, width_min: int, first_minute: int, now_s: float) -> list[Row]:
        """Return the bars from a minute on, without the weekend's (UTC)."""
        first = -(-first_minute // width_min) * width_min
        opens = range(first, int(now_s // 60) + 1, width_min)
        return [self.money_bar(pair, m * 60, m, width_min) for m in opens if (m // 1_440 + 3) % 7 < 5]

    def coin_rows(self, coin: str, width_min: int, first_minute: int, now_s: float) -> list[Row]:
        """Return a coin's bars in dollars from a minute on, the forming one last."""
        symbol, listing = f"{coin}USD", LISTINGS[f"{coin}USD"]
        first = -(-max(first_minute, LISTED_SINCE_MS // 60_000) // width_min) * width_min
        rows = []
        for minute in range(first, int(now_s // 60) + 1, width_min):
            bar = self.walk.bar(symbol, minute, minute + width_min, now_ms=int(now_s * 1000))
            at = date(1970, 1, 1) + timedelta(days=minute // 1_440) if width_min == 1_440 else minute * 60
            cells = [_scaled(price, listing.tick_decimals, 8) for price in bar[:4]]
            rows.append(row_of(at, cells, _scaled(bar.volume, listing.step_decimals, 8)))
        return rows

    def rate(self, pair: str, now_s: float) -> tuple[str, str, str, int] | None:
        """Return rate, bid and ask of money or of a coin in dollars, and when: the minute's; None for other pairs."""
        minute = int(now_s // 60)
        if pair in MONEY:
            rate = self.money_rate(pair, minute)
            return _scaled(rate, 5, 8), _scaled(rate - 1, 5, 8), _scaled(rate + 2, 5, 8), minute * 60
        coin, _, money = pair.partition("/")
        if coin not in COINS or money != "USD":
            return None
        quote, decimals = self.walk.quote(f"{coin}USD", minute * 60_000), LISTINGS[f"{coin}USD"].tick_decimals
        bid, ask = _scaled(quote.bid, decimals, 8), _scaled(quote.ask, decimals, 8)
        return bid, bid, ask, minute * 60


@lru_cache(maxsize=1)
def _table() -> DataTable:
    return load_table()


def _weekdays(first: date, end: date) -> Iterator[date]:
    for i in range((end - first).days):
        day = first + timedelta(days=i)
        if day.weekday() < 5 and (day.month, day.day) not in _HOLIDAYS:
            yield day


def _minute_of(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) // 60


def _decimals(text: str, places: int) -> str:
    """Print a decimal with so many places; the wheel's prices have no more, adjusted ones are rounded."""
    return str(Decimal(text).quantize(Decimal(1).scaleb(-places)))


def _scaled(units: int, decimals: int, places: int) -> str:
    return f"{Decimal(units).scaleb(-decimals):.{places}f}"
