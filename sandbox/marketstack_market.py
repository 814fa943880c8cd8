"""What Marketstack lists in the sandbox: daily rows, splits, dividends and last prices.

AAPL, IBM, MSFT, GOOG and FB have the real daily bars of the wheel `bokeh_sampledata` (`wiki_prices.py`), raw and
adjusted, to 2013-03-01; AAPL's split of 2005 and MSFT's of 2003 are real. All else is synthetic and a function of seed,
symbol and time: BRK-B and TSCO.XLON have the prices of coins of `price_walk.py` on weekdays, every dividend is made up.
Deliberately not here: paging, parameters, refusals (`dialects/marketstack.py`).
Invariant: a symbol has one row a day, ascending, and numbers are printed as JSON numbers with a decimal point.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from sandbox.listings import LISTED_SINCE_MS, LISTINGS
from sandbox.price_walk import MINUTES_PER_DAY, PriceWalk
from sandbox.wiki_prices import load_table

_SATURDAY = 5
#: A day's row appears some hours after the close.
APPEARS_S = 24 * 3600


@dataclass(frozen=True, slots=True)
class Symbol:
    """One symbol; `walk` is the coin whose prices it has, "" where the wheel has its days."""

    native: str
    instrument: str
    name: str
    exchange: str
    code: str
    country: str
    currency: str
    walk: str = ""


SYMBOLS = {
    one.native: one
    for one in (
        Symbol("AAPL", "AAPL", "Apple Inc", "XNAS", "NASDAQ", "United States", "usd"),
        Symbol("FB", "FB", "Facebook Inc", "XNAS", "NASDAQ", "United States", "usd"),
        Symbol("GOOG", "GOOG", "Google Inc", "XNAS", "NASDAQ", "United States", "usd"),
        Symbol("IBM", "IBM", "International Business Machines", "XNYS", "NYSE", "United States", "usd"),
        Symbol("MSFT", "MSFT", "Microsoft Corp", "XNAS", "NASDAQ", "United States", "usd"),
        Symbol("BRK-B", "BRK.B", "Berkshire Hathaway Inc", "XNYS", "NYSE", "United States", "usd", "BNBUSDT"),
        Symbol("TSCO.XLON", "TSCO.LON", "Tesco PLC", "XLON", "LON", "United Kingdom", "gbp", "LTCUSD"),
    )
}
_SPLITS = {
    "AAPL": (("2005-02-28", "2.0"), ("2014-06-09", "7.0"), ("2020-08-31", "4.0")),
    "MSFT": (("2003-02-18", "2.0"),),
}
_FIRST_DIVIDEND = {"IBM": 2000, "MSFT": 2003, "TSCO.XLON": 2018}


@dataclass(frozen=True, slots=True)
class Day:
    """A symbol's day: numbers as JSON texts; all but open, high, low, close and volume are the adjusted ones."""

    symbol: Symbol
    day: str
    open: str
    high: str
    low: str
    close: str
    volume: str
    adj_close: str


@dataclass(frozen=True, slots=True)
class Dividend:
    """A dividend by its ex-date."""

    symbol: Symbol
    day: str
    amount: str
    declared: str
    recorded: str
    paid: str


class MarketstackMarket:
    """Days, actions and prices of one seed's market."""

    def __init__(self, seed: int) -> None:
        self._walk = PriceWalk(seed)
        table = load_table()
        self._real = {
            native: [self._day(symbol, row.date, row.cells[2:]) for row in table.of(native)]
            for native, symbol in SYMBOLS.items()
            if not symbol.walk
        }

    def days(self, symbol: Symbol, first: str, last: str, *, now_s: float) -> list[Day]:
        """Return the rows of the dates from `first` to `last`, both inclusive, that have appeared."""
        if not symbol.walk:
            return [row for row in self._real[symbol.native] if first <= row.day <= last]
        appeared = datetime.fromtimestamp(now_s - APPEARS_S, UTC).date().isoformat()
        return [self._synthetic(symbol, day) for day in _weekdays(first, min(last, appeared))]

    def splits(self, symbol: Symbol, first: str, last: str) -> list[tuple[str, str]]:
        """Return date and factor of the splits of those dates."""
        return [split for split in _SPLITS.get(symbol.native, ()) if first <= split[0] <= last]

    def dividends(self, symbol: Symbol, first: str, last: str, *, now_s: float) -> list[Dividend]:
        """Return the dividends of those dates: quarterly, on the 8th or the next weekday, a cent more each year."""
        since = _FIRST_DIVIDEND.get(symbol.native)
        found = []
        for year in range(since or 1, (datetime.fromtimestamp(now_s, UTC).year if since else 0) + 1):
            for month in (2, 5, 8, 11):
                ex = _next_weekday(date(year, month, 8))
                days = [ex + timedelta(days=away) for away in (-14, 1, 21)]
                amount = str(Decimal("0.25") + Decimal("0.01") * (year - (since or 0)))
                one = Dividend(symbol, ex.isoformat(), amount, *(day.isoformat() for day in days))
                found.append(one)
        today = datetime.fromtimestamp(now_s, UTC).date().isoformat()
        return [one for one in found if first <= one.day <= min(last, today)]

    def price(self, symbol: Symbol, *, now_s: float) -> str:
        """Return the last price: the last day's close, since nobody trades here."""
        last = self.days(symbol, "1900-01-01" if not symbol.walk else _days_ago(now_s, 8), "2999-01-01", now_s=now_s)[
            -1
        ]
        return last.close

    def _synthetic(self, symbol: Symbol, day: date) -> Day:
        first = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) // 60
        bar = self._walk.bar(symbol.walk, first, first + MINUTES_PER_DAY, now_ms=(first + MINUTES_PER_DAY) * 60_000)
        decimals = LISTINGS[symbol.walk].tick_decimals
        prices = [str(Decimal(ticks).scaleb(-decimals)) for ticks in bar[:4]]
        return self._day(symbol, day.isoformat(), (*prices, str(bar.volume), prices[3]))

    @staticmethod
    def _day(symbol: Symbol, day: str, cells: tuple[str, ...]) -> Day:
        opening, high, low, close, volume, adjusted = map(_printed, cells)
        return Day(symbol, day, opening, high, low, close, volume, adjusted)


def _printed(text: str) -> str:
    """Return a number with a decimal point, as Marketstack prints volumes too (`34025967.0`)."""
    return text if "." in text else f"{text}.0"


def _days_ago(now_s: float, days: int) -> str:
    return datetime.fromtimestamp(now_s - days * 86_400, UTC).date().isoformat()


def _weekdays(first: str, last: str) -> Iterator[date]:
    listed = datetime.fromtimestamp(LISTED_SINCE_MS / 1000, UTC).date() + timedelta(days=1)
    day = max(date.fromisoformat(first), listed)
    while day.isoformat() <= last:
        if day.weekday() < _SATURDAY:
            yield day
        day += timedelta(days=1)


def _next_weekday(day: date) -> date:
    return day + timedelta(days=max(0, 7 - day.weekday()) if day.weekday() >= _SATURDAY else 0)
