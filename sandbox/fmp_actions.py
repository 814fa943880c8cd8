"""Splits and dividends of FMP's simulator, as they stand on a day.

Splits have dates and ratios of real ones, but FB's, which is made up so that there is a reverse one. Dividends are
synthetic: one a quarter, in November 2004 a special one of MSFT on the same day. They explain nothing about the prices.

Deliberately not here: parameters and JSON (`dialects/fmp.py`). Invariant: what was paid never changes, and what is
adjusted changes on the day of a split only.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal

from sandbox.finnhub_market import Candle
from sandbox.price_walk import PriceWalk

#: Date, new shares, old shares; the oldest first.
SPLITS = {
    "AAPL": (("2000-06-21", 2, 1), ("2005-02-28", 2, 1), ("2014-06-09", 7, 1), ("2020-08-31", 4, 1)),
    "FB": (("2012-11-12", 1, 3),),
    "GOOG": (("2014-03-27", 2002, 1000), ("2022-07-18", 20, 1)),
    "MSFT": (("1999-03-29", 2, 1), ("2003-02-18", 2, 1)),
}
_FIRST_YEAR = {"AAPL": 1988, "IBM": 1990, "MSFT": 2003}
_SPECIAL = {("MSFT", "2004-11-08"): "3"}
#: Older ones have no day of declaration; since 2024 an ex-date is the record date.
_DECLARED_SINCE, _SAME_DAY_SINCE = date(2000, 1, 1), date(2024, 5, 28)
_PLACES = Decimal("1e-8")
#: What a dividend takes off the prices before it; they are synthetic, so is this.
_LESS, _PRICE_PLACES = Decimal("0.995"), Decimal("1e-4")


@dataclass(frozen=True, slots=True)
class Dividend:
    """One dividend; dates and numbers as they are printed, an unknown date as ""."""

    day: str
    recorded: str
    paid: str
    declared: str
    adjusted: str
    amount: str
    frequency: str


def splits(symbol: str, today: date) -> list[tuple[str, int, int]]:
    """Return the splits up to a day, oldest first."""
    return [one for one in SPLITS.get(symbol, ()) if one[0] <= str(today)]


def dividends(walk: PriceWalk, symbol: str, today: date) -> list[Dividend]:
    """Return the dividends that are declared by a day, oldest first; of one day the quarter's comes first."""
    found = []
    for ex in _ex_dates(symbol, today):
        declared = ex - timedelta(days=11)
        if declared > today:
            continue
        amounts = [(f"0.{100 + walk.numbers(f'{symbol}/dividend/{ex}', 1)[0] % 800}".rstrip("0"), "Quarterly")]
        special = _SPECIAL.get((symbol, str(ex)))
        amounts += [(special, "Irregular")] if special else []
        recorded = ex if ex >= _SAME_DAY_SINCE else ex + timedelta(days=3)
        dates = str(ex), str(recorded), str(ex + timedelta(days=6)), str(declared) if ex >= _DECLARED_SINCE else ""
        found += [Dividend(*dates, _adjusted(text, symbol, ex, today), text, often) for text, often in amounts]
    return found


def less_dividends(
    walk: PriceWalk, symbol: str, days: Iterable[tuple[date, Candle]], today: date
) -> Iterator[tuple[date, Candle]]:
    """Yield the days with prices that are worked down for each dividend paid after them."""
    paid = [one.day for one in dividends(walk, symbol, today) if one.day <= str(today)]
    for day, candle in days:
        factor = _LESS ** sum(1 for ex in paid if ex > str(day))
        texts = (candle.open, candle.high, candle.low, candle.close)
        prices = [f"{(Decimal(text) * factor).quantize(_PRICE_PLACES).normalize():f}" for text in texts]
        yield day, replace(candle, open=prices[0], high=prices[1], low=prices[2], close=prices[3])


def _ex_dates(symbol: str, today: date) -> Iterator[date]:
    """Yield the first weekday from the eighth on, of each quarter's second month, to the next quarter's end."""
    since = _FIRST_YEAR.get(symbol)
    for year in range(since, today.year + 2) if since else ():
        for month in (2, 5, 8, 11):
            day = date(year, month, 8)
            yield day + timedelta(days=(7 - day.weekday()) if day.weekday() > 4 else 0)


def _adjusted(amount: str, symbol: str, ex: date, today: date) -> str:
    """Return an amount in today's shares."""
    value = Decimal(amount)
    for day, new, old in splits(symbol, today):
        if day > str(ex):
            value = value * old / new
    return f"{value.quantize(_PLACES).normalize():f}"
