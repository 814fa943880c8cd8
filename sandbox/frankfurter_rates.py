"""Reference rates of currencies against the euro: synthetic, deterministic in seed, currency and date.

Deliberately not here: paths and errors (`dialects/frankfurter.py`). Invariant: a rate exists on each TARGET business
day since 1999-01-04 on which its currency has one, from 16:00 in Frankfurt on, and never changes.
Source: https://www.ecb.europa.eu (euro foreign exchange reference rates; TARGET closing days), autumn 2026.
"""

from datetime import date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from sandbox.price_walk import PriceWalk

FIRST_DAY = date(1999, 1, 4)
_FRANKFURT = ZoneInfo("Europe/Berlin")
_PUBLISHED_AT = time(16)
_SATURDAY = 5

#: Code -> (name, level in units of its last decimal, decimals, first year, year from which on it is the euro or gone).
CURRENCIES: dict[str, tuple[str, int, int, int, int]] = {
    "AUD": ("Australian Dollar", 16_500, 4, 1999, 9999),
    "BGN": ("Bulgarian Lev", 19_558, 4, 2000, 2026),
    "BRL": ("Brazilian Real", 60_200, 4, 2008, 9999),
    "CAD": ("Canadian Dollar", 14_900, 4, 1999, 9999),
    "CHF": ("Swiss Franc", 9_600, 4, 1999, 9999),
    "CZK": ("Czech Koruna", 25_200, 3, 1999, 9999),
    "DKK": ("Danish Krone", 74_600, 4, 1999, 9999),
    "GBP": ("British Pound", 85_000, 5, 1999, 9999),
    "HUF": ("Hungarian Forint", 40_200, 2, 1999, 9999),
    "IDR": ("Indonesian Rupiah", 1_742_500, 2, 2005, 9999),
    "JPY": ("Japanese Yen", 16_300, 2, 1999, 9999),
    "NOK": ("Norwegian Krone", 115_000, 4, 1999, 9999),
    "RUB": ("Russian Ruble", 870_000, 4, 2005, 2022),
    "SEK": ("Swedish Krona", 113_000, 4, 1999, 9999),
    "USD": ("United States Dollar", 10_900, 4, 1999, 9999),
}


class ReferenceRates:
    """The rates of one seed; those of a day are kept once made."""

    def __init__(self, seed: int) -> None:
        self._walk = PriceWalk(seed)
        self.of_day = lru_cache(maxsize=16_384)(self._of_day)

    def _of_day(self, day: date) -> dict[str, float]:
        """Return what a euro is in each currency, by code, empty on a day without rates."""
        if day < FIRST_DAY or not is_business_day(day):
            return {}
        found = {}
        for code, (_, level, decimals, since, until) in CURRENCIES.items():
            if since <= day.year < until:
                (drawn,) = self._walk.numbers(f"ECB/{code}/{day}", 1)
                found[code] = round((level + level * (drawn - 32_768) // 655_360) / 10**decimals, decimals)
        return found


def is_business_day(day: date) -> bool:
    """Say whether TARGET is open: on weekdays but for six holidays."""
    good_friday = _easter(day.year) - timedelta(days=2)
    closed = {(1, 1), (5, 1), (12, 25), (12, 26)}
    return (
        day.weekday() < _SATURDAY
        and (day.month, day.day) not in closed
        and day not in (good_friday, good_friday + timedelta(days=3))
    )


def newest_day(now_s: float) -> date:
    """Return the newest business day whose rates are out."""
    local = datetime.fromtimestamp(now_s, _FRANKFURT)
    day = local.date() if local.time() >= _PUBLISHED_AT else local.date() - timedelta(days=1)
    while not is_business_day(day):
        day -= timedelta(days=1)
    return day


def cross(rates: dict[str, float], base: str, code: str) -> float | None:
    """Return what one of the base is in the other currency; a cross is rounded; None where one is missing."""
    if base == "EUR":
        return rates.get(code)
    all_rates = rates | {"EUR": 1.0} if rates else {}
    if base not in all_rates or code not in all_rates:
        return None
    return _rounded(all_rates[code] / all_rates[base])


def _rounded(value: float) -> float:
    """Round as the service's source does (lib/roundable.rb): the larger, the fewer decimals."""
    if value > 5000:
        return float(round(value))
    steps = ((80, 2), (20, 3), (1, 4), (0.0001, 5))
    decimals = next((decimals for above, decimals in steps if value > above), 6)
    return float(f"{value:.{decimals}f}")


def _easter(year: int) -> date:
    """Return Easter Sunday (the Gregorian computus of Meeus, Jones and Butcher)."""
    golden, (century, of_century) = year % 19, divmod(year, 100)
    leaps, rest = divmod(century, 4)
    moon = (19 * golden + century - leaps - (century - (century + 8) // 25 + 1) // 3 + 15) % 30
    weekday = (32 + 2 * rest + 2 * (of_century // 4) - moon - of_century % 4) % 7
    late = (golden + 11 * moon + 22 * weekday) // 451
    month, day = divmod(moon + weekday - 7 * late + 114, 31)
    return date(year, month, day + 1)
