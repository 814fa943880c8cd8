"""The series that the sandbox's FRED has: their dates, and every value of each date with the day it was published.

What the files of installed wheels hold is real (`fred_files.py`); of the five ids that are both, a `FredMarket` has
either. UNRATENSA is real, too: the unadjusted unemployment rate 1948 to 2016 of the Bureau of Labor Statistics (public
domain), read out of the wheel `bokeh_sampledata`; only its days of publication are made up. All other values are
synthetic functions of seed, series, date and vintage under the names of real series. How they are revised follows what
the vintages of 2016 show (jobs: the two months before; production: five; output: three years each July).

Deliberately not here: requests, limits and bodies (`dialects/fred.py`). Invariant: a value that was published for a
date on a day never changes, and two vintages of a date that follow each other differ.
"""

import csv
import importlib.resources
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from hashlib import blake2b

from sandbox.fred_files import MISSING, FileSeries, History, file_series

_DAY = timedelta(days=1)
_FRIDAY, _THURSDAY, _WEDNESDAY, _SATURDAY = 4, 3, 2, 5


@dataclass(frozen=True, slots=True)
class Series:
    """One series. `archived_from` is its first vintage: all that was published before counts as published then."""

    id: str
    title: str
    frequency: str
    units: str
    begins: date
    level: float
    decimals: int
    #: how much a revision moves a value at most, as a part of the level
    moves: float
    publications: Callable[[date], Iterator[date]]
    archived_from: date | None = date(1927, 1, 28)
    #: years back from today that are shown, where its owner allows no more
    shown_years: int | None = None
    #: what FRED calls notes: here whether the figures are real
    notes: str = "Synthetic figures under the name of a real series."


def _month_after(day: date, months: int = 1) -> date:
    years, month = divmod(day.month - 1 + months, 12)
    return date(day.year + years, month + 1, 1)


def _weekday(month: date, weekday: int, nth: int = 1) -> date:
    """Return the nth such weekday of a month."""
    return month + timedelta(days=(weekday - month.weekday()) % 7 + 7 * (nth - 1))


def _jobs(day: date) -> Iterator[date]:
    """The first Friday of each of the next three months, then each February's benchmark for five years."""
    yield from (_weekday(_month_after(day, n), _FRIDAY) for n in (1, 2, 3))
    yield from (_weekday(date(day.year + n, 2, 1), _FRIDAY) for n in range(1, 6))


def _adjusted_rate(day: date) -> Iterator[date]:
    """The first Friday of the next month, then new seasonal factors each January for five years."""
    yield _weekday(_month_after(day), _FRIDAY)
    yield from (_weekday(date(day.year + n, 1, 1), _FRIDAY, 2) for n in range(1, 6))


def _first_friday(day: date) -> Iterator[date]:
    yield _weekday(_month_after(day), _FRIDAY)


def _production(day: date) -> Iterator[date]:
    yield from (_month_after(day, n) + 15 * _DAY for n in range(1, 7))


def _output(day: date) -> Iterator[date]:
    """Three estimates, a month apart; then each July's revision for three years."""
    yield from (_month_after(day, n) + 27 * _DAY for n in (3, 4, 5))
    yield from (date(day.year + n, 7, 29) for n in (1, 2, 3))


def _next_workday(day: date) -> Iterator[date]:
    after = day + _DAY
    while after.weekday() >= _SATURDAY:
        after += _DAY
    yield after


def _projections(day: date) -> Iterator[date]:
    """Four meetings a year, from three years before until the year's own end."""
    for year in range(day.year - 3, day.year + 1):
        yield from (_weekday(date(year, month, 1), _WEDNESDAY, 3) for month in (3, 6, 9, 12))


_REAL = "UNRATENSA"
SERIES: dict[str, Series] = {
    one.id: one
    for one in (
        Series(
            _REAL,
            "Unemployment Rate",
            *("Monthly", "Percent", date(1948, 1, 1), 0, 1, 0, _first_friday),
            notes="Real figures; the days of publication are made up.",
        ),
        Series("UNRATE", "Unemployment Rate", "Monthly", "Percent", date(1948, 1, 1), 5.5, 1, 0.03, _adjusted_rate),
        Series(
            "PAYEMS",
            "All Employees, Total Nonfarm",
            *("Monthly", "Thousands of Persons", date(1939, 1, 1), 140_000, 0, 0.001, _jobs),
        ),
        Series(
            "INDPRO",
            "Industrial Production: Total Index",
            *("Monthly", "Index 2017=100", date(1919, 1, 1), 100, 4, 0.002, _production),
        ),
        Series(
            "GDPC1",
            "Real Gross Domestic Product",
            *("Quarterly", "Billions of Chained 2017 Dollars", date(1947, 1, 1), 20_000, 3, 0.004, _output),
            archived_from=date(1991, 12, 4),
        ),
        Series(
            "DGS10",
            "Market Yield on U.S. Treasury Securities at 10-Year Constant Maturity",
            *("Daily", "Percent", date(1990, 1, 2), 4.2, 2, 0, _next_workday),
            archived_from=date(2005, 1, 3),
        ),
        Series(
            "FEDTARMD",
            "FOMC Summary of Economic Projections for the Fed Funds Rate, Median",
            *("Annual", "Percent", date(2012, 1, 1), 2.5, 1, 0.08, _projections),
            archived_from=date(2015, 9, 17),
        ),
        Series(
            "SP500",
            "S&P 500",
            *("Daily", "Index", date(1990, 1, 2), 4_000, 2, 0, _next_workday),
            archived_from=None,
            shown_years=10,
        ),
    )
}
#: The household survey of October 2025 was not taken, so that its rate is listed as missing.
_NEVER_TAKEN = {("UNRATE", date(2025, 10, 1))}
_MONTHS = {"Monthly": 1, "Quarterly": 3, "Annual": 12}


class FredMarket:
    """All series of a seed. `real_first`: of an id that is real in a file and synthetic as well, have the real one."""

    def __init__(self, seed: int, *, real_first: bool = False) -> None:
        self._seed = seed
        files = file_series()
        self._files = {name: one for name, one in files.items() if real_first or name not in SERIES}
        self.series = SERIES | {name: _described(one) for name, one in self._files.items()}
        self._real = unemployment_rates()
        # A client asks for the pages of a series one after the other; the longest takes about 50 ms to make.
        self._made = lru_cache(maxsize=32)(self._make)

    def histories(self, name: str, today: date) -> list[tuple[date, History]]:
        """Return each date of the series of which anything was published by `today`, with all that was by then."""
        series = self.series[name]
        shown_from = date.min
        if series.shown_years is not None:
            shown_from = today.replace(year=today.year - series.shown_years, day=min(today.day, 28))
        return [one for one in self._made(name, today) if one[0] >= shown_from]

    def vintages(self, name: str, today: date) -> list[date]:
        """Return the days on which anything of the series was published, ascending."""
        return sorted({day for _, history in self._made(name, today) for day, _ in history})

    def _make(self, name: str, today: date) -> list[tuple[date, History]]:
        if name in self._files:
            every = self._files[name].histories.items()
            known = ((day, tuple(one for one in history if one[0] <= today)) for day, history in every)
            return [(day, history) for day, history in known if history]
        series = SERIES[name]
        found = ((day, self._history(series, day, today)) for day in self._dates(series, today))
        return [(day, history) for day, history in found if history]

    def _dates(self, series: Series, today: date) -> Iterator[date]:
        if series.id == _REAL:
            yield from self._real
            return
        day, last = series.begins, today.replace(year=today.year + 4, day=1)
        while day <= last:
            if series.frequency == "Daily":
                if day > today:
                    return
                if day.weekday() < _SATURDAY:
                    yield day
                day += _DAY
            else:
                yield day
                day = _month_after(day, _MONTHS[series.frequency])

    def _history(self, series: Series, day: date, today: date) -> History:
        """Return what was published for the date; what is before the archive's first day collapses into that."""
        found: dict[date, str] = {}
        last = ""
        for number, published in enumerate(sorted(set(series.publications(day)))):
            at = max(published, series.archived_from or published)
            if at > today:
                break
            value = self._value(series, day, number)
            if value != last or at in found:
                found[at] = last = value
        return tuple(_without_repeats(found))

    def _value(self, series: Series, day: date, number: int) -> str:
        if series.id == _REAL:
            return self._real[day]
        if (series.id, day) in _NEVER_TAKEN or (series.frequency == "Daily" and _is_holiday(day)):
            return MISSING
        years = (day - date(2017, 1, 1)).days / 365.25
        base = series.level * (1 + 0.02 * years / (1 + abs(years) / 20) + 0.12 * math.sin(years / 1.3))
        noise = 0.01 * self._dice(series.id, day, -1)
        revision = series.moves * sum(self._dice(series.id, day, n) for n in range(1, number + 1))
        return f"{base + series.level * (noise + revision):.{series.decimals}f}"

    def _dice(self, *parts: object) -> float:
        """Return a number in [-1, 1) that is always the same for the same parts."""
        digest = blake2b(repr((self._seed, *parts)).encode(), digest_size=4).digest()
        return int.from_bytes(digest) / 2**31 - 1


def _described(one: FileSeries) -> Series:
    """Return a file's series as FRED describes it; nothing of its values is made up."""
    first = min(history[0][0] for history in one.histories.values())
    return Series(
        *(one.id, one.title, one.frequency, one.units, min(one.histories), 0, 0, 0, _first_friday),
        archived_from=first if one.is_archived else None,
        shown_years=SERIES[one.id].shown_years if one.id in SERIES else None,
        notes="Real figures, as they were known on the days of their vintages." if one.is_archived else "Real.",
    )


def _without_repeats(found: dict[date, str]) -> Iterator[tuple[date, str]]:
    last = None
    for day, value in found.items():
        if value != last:
            yield day, value
        last = value


def _is_holiday(day: date) -> bool:
    """Say whether the bond market is shut on a weekday: listed, with a missing value."""
    fixed = (day.month, day.day) in ((1, 1), (7, 4), (12, 25))
    return fixed or (day.month == 11 and day == _weekday(day.replace(day=1), _THURSDAY, 4))


def unemployment_rates() -> dict[date, str]:
    """Return the real rates by month, as the wheel's file writes them."""
    text = (importlib.resources.files("bokeh_sampledata") / "_data" / "unemployment1948.csv").read_text()
    header, *lines = csv.reader(text.splitlines())
    if header[0] != "Year" or len(header) != 14:
        msg = f"unemployment1948.csv has the columns {header}, expected Year, twelve months, Annual"
        raise ValueError(msg)
    return {date(int(line[0]), month, 1): line[month] for line in lines for month in range(1, 13) if line[month]}
