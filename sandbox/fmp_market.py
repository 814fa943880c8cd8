"""What FMP's simulator knows: bars, quotes, news, economic series and treasury rates, by symbol and time.

Bars and quotes are those of `finnhub_market.py` (real days of the wheel `bokeh_sampledata`, else synthetic); news and
the economy are synthetic functions of seed, name and time, at New York's clock.

Deliberately not here: parameters, keys, errors and JSON (`dialects/fmp.py`).
Invariant: what has happened never changes; nothing later than the asked moment shows.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from sandbox.finnhub_market import CLOSE, NEW_YORK, OPEN, SHARES, Candle, FinnhubMarket, minutes_of

#: Symbols of pairs, and what they follow.
PAIRS = {"BTCUSD": "BINANCE:BTCUSDT", "EURUSD": "OANDA:EUR_USD"}
#: Months between two values of an indicator, and days until one is known.
INDICATORS = {
    "GDP": (3, 118),
    "realGDP": (3, 118),
    "CPI": (1, 42),
    "federalFunds": (1, 32),
    "unemploymentRate": (1, 35),
}
TENORS = (*(f"month{n}" for n in (1, 2, 3, 6)), *(f"year{n}" for n in (1, 2, 3, 5, 7, 10, 20, 30)))
FEEDS = ("general", "stock", "crypto", "forex", "press-releases", "articles")
_FIRST_MONTH = date(1990, 1, 1)
#: An article of a feed or about a symbol comes about every so often.
_NEWS_EVERY_S = 7_200


@dataclass(frozen=True, slots=True)
class Article:
    """One article; `time_s` counts UTC seconds, `symbol` is what it is about."""

    time_s: int
    title: str
    url: str
    publisher: str
    site: str
    text: str
    symbol: str | None


class FmpMarket:
    """One seed's market."""

    def __init__(self, seed: int) -> None:
        self.market = FinnhubMarket(seed)

    def days(self, symbol: str, first: date, last: date, *, now_s: float) -> Iterator[tuple[date, Candle]]:
        """Yield the daily bars of a symbol from one date to another, both included, ascending."""
        bounds = (int(datetime.combine(day, time.min, UTC).timestamp()) for day in (first, last))
        span = next(bounds), next(bounds)
        for one in self.market.daily_candles(PAIRS.get(symbol, symbol), span, in_new_york=False, now_s=now_s):
            yield datetime.fromtimestamp(one.open_s, UTC).date(), one

    def minutes(self, symbol: str, width: int, first: date, last: date, *, now_s: float) -> list[Candle]:
        """Return the bars of a share from one date in New York to another, both included, ascending.

        Those of an hour and of four begin with the session, at half past (the documentation's examples: 15:30, 13:30).
        """
        days = (first + timedelta(days=n) for n in range((last - first).days + 1))
        opens = (minute for day in days for minute in minutes_of(day, OPEN, CLOSE)[::width])
        bars = (self.market.candle(symbol, minute, width, now_ms=int(now_s * 1000)) for minute in opens)
        return [one for one in bars if one is not None]

    def news(self, name: str, first: date, last: date, *, now_s: float) -> list[Article]:
        """Return a feed's or symbol's articles from one date in New York to another, both included, newest first."""
        start_s, end_s = midnight_s(first), min(midnight_s(last + timedelta(days=1)), int(now_s) + 1)
        numbers = range(end_s // _NEWS_EVERY_S + 1, start_s // _NEWS_EVERY_S - 2, -1)
        every = (self._article(name, number) for number in numbers)
        return [one for one in every if start_s <= one.time_s < end_s]

    def indicator(self, name: str, *, now_s: float) -> list[tuple[date, str]]:
        """Return an indicator's dates and values, oldest first, as far as they are known."""
        months, delay = INDICATORS[name]
        known = datetime.fromtimestamp(now_s, UTC).date() - timedelta(days=delay)
        month, found = _FIRST_MONTH, []
        while month <= known:
            number = self.market.walk.numbers(f"{name}/{month}", 1)[0]
            found.append((month, f"{number / 1000:.3f}".rstrip("0").rstrip(".")))
            for _ in range(months):
                month = (month + timedelta(days=32)).replace(day=1)
        return found

    def treasury(self, day: date, *, now_s: float) -> dict[str, str | None] | None:
        """Return a weekday's rates by tenor, from New York's evening on; the shortest is missing now and then."""
        evening = datetime.combine(day, time(18), NEW_YORK).timestamp()
        if day.weekday() > 4 or now_s < evening:
            return None
        numbers = self.market.walk.numbers(f"treasury/{day}", len(TENORS))
        rates: dict[str, str | None] = {t: f"{3 + n / 40_000:.2f}" for t, n in zip(TENORS, numbers, strict=True)}
        return rates | ({"month1": None} if numbers[0] % 9 == 0 else {})

    def _article(self, name: str, number: int) -> Article:
        moved, chosen, about = self.market.walk.numbers(f"{name}/news/{number}", 3)
        time_s = number * _NEWS_EVERY_S + moved % _NEWS_EVERY_S
        symbol = name if name in (*SHARES, *PAIRS) else (None, "AAPL", "BRK-B", "BTCUSD", "^VIX", "RDS.F")[about % 6]
        title = f"{name}: \"{number}\" & what follows, says 'a source'"
        url = f"https://news.example/{name}/{number}"
        text = f"It was {chosen} yesterday…\nMore later." if chosen % 5 else ""
        return Article(time_s, title, url, "Example Wire", "news.example", text, symbol)


def midnight_s(day: date) -> int:
    """Return the second at which a date begins in New York."""
    return int(datetime.combine(day, time.min, NEW_YORK).timestamp())


def local_text(time_s: int) -> str:
    """Print a moment as New York's clock shows it, without a zone."""
    return f"{datetime.fromtimestamp(time_s, NEW_YORK):%Y-%m-%d %H:%M:%S}"
