"""Alpha Vantage's economic indicators: their documented names and intervals, over synthetic values.

Deliberately not here: JSON and errors (`dialects/alpha_vantage.py`).
Invariant: a value is a function of seed, series and date alone; dates of a holiday are listed with ".".
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta

SINCE = date(2000, 1, 1)
MATURITIES = {"3month": "3-Month", "2year": "2-Year", "5year": "5-Year", "7year": "7-Year", "10year": "10-Year"}
MATURITIES |= {"30year": "30-Year"}
#: Days until a date's value is published.
LAG_DAYS = 30
_HOLIDAYS = ((1, 1), (7, 4), (12, 25))


@dataclass(frozen=True, slots=True)
class Indicator:
    """A function: the name it prints, its unit, and its intervals, the default one first."""

    name: str
    unit: str
    intervals: tuple[str, ...]
    typical: int


INDICATORS = {
    "REAL_GDP": Indicator("Real Gross Domestic Product", "billions of dollars", ("annual", "quarterly"), 1_900_000),
    "REAL_GDP_PER_CAPITA": Indicator(
        "Real Gross Domestic Product per Capita", "chained 2012 dollars", ("quarterly",), 5_900_000
    ),
    "TREASURY_YIELD": Indicator("{} Treasury Constant Maturity Rate", "percent", ("monthly", "daily", "weekly"), 350),
    "FEDERAL_FUNDS_RATE": Indicator("Effective Federal Funds Rate", "percent", ("monthly", "daily", "weekly"), 300),
    "CPI": Indicator(
        "Consumer Price Index for all Urban Consumers", "index 1982-1984=100", ("monthly", "semiannual"), 25_000
    ),
    "INFLATION": Indicator("Inflation - US Consumer Prices", "percent", ("annual",), 270),
    "RETAIL_SALES": Indicator("Advance Retail Sales: Retail Trade", "millions of dollars", ("monthly",), 50_000_000),
    "DURABLES": Indicator("Manufacturer New Orders: Durable Goods", "millions of dollars", ("monthly",), 25_000_000),
    "UNEMPLOYMENT": Indicator("Unemployment Rate", "percent", ("monthly",), 510),
    "NONFARM_PAYROLL": Indicator("Total Nonfarm Payroll", "thousands of persons", ("monthly",), 14_000_000),
}

Numbers = Callable[[str, int], tuple[int, ...]]


def values(numbers: Numbers, series: str, typical: int, interval: str, now: date) -> list[tuple[str, str]]:
    """Return `(date, value)` of a series, oldest first, as far as it is published."""
    return [
        (day.isoformat(), _value(numbers, series, typical, day, interval))
        for day in _dates(interval, now - timedelta(days=LAG_DAYS))
    ]


def _value(numbers: Numbers, series: str, typical: int, day: date, interval: str) -> str:
    if interval == "daily" and (day.month, day.day) in _HOLIDAYS:
        return "."
    moved = typical + typical * (numbers(f"{series}/{day}", 1)[0] - 32_768) // 327_680
    return f"{moved // 100}.{moved % 100:02d}"


def _dates(interval: str, until: date) -> list[date]:
    every_day = [SINCE + timedelta(days=i) for i in range((until - SINCE).days + 1)]
    months = {"monthly": range(1, 13), "quarterly": range(1, 13, 3), "semiannual": (1, 7), "annual": (1,)}
    if interval in months:
        return [day for day in every_day if day.day == 1 and day.month in months[interval]]
    return [day for day in every_day if (day.weekday() < 5 if interval == "daily" else day.weekday() == 2)]
