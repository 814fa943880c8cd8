"""Real series of FRED's, read out of the files of two installed wheels; nothing where they are not installed.

statsmodels ships two vintages of the Federal Reserve Bank of New York's nowcast, of 2016-06-29 and 2016-07-29 (BSD):
29 series from 1985 on, 85 of their values revised between the two; and five series of the national accounts from 1959
on, as FRED had them on 2009-12-15 (public domain). arch ships (NCSA) the core consumer prices as published on
2018-12-12, and without vintages the oil price and the VIX, with blanks on holidays, and the closes of two indices of
shares, without their holidays. Deliberately not here: the packages themselves, which would import scipy; synthetic
series (`fred_series.py`). Invariant: a value is the file's text.
"""

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from functools import lru_cache

from sandbox.wheel_files import arch_rows, installed

MISSING = "."
VINTAGES = (date(2016, 6, 29), date(2016, 7, 29))
_VINTAGE_FILES = "statsmodels/tsa/statespace/tests/results/frbny_nowcast/Nowcasting/data/US"
_DAILY_FILES = {
    "DCOILWTICO": (
        *("Crude Oil Prices: West Texas Intermediate", "Dollars per Barrel"),
        *("arch/data/wti/wti.csv.gz", "DCOILWTICO"),
    ),
    "VIXCLS": ("CBOE Volatility Index: VIX", "Index", "arch/data/vix/vix.csv.gz", "vix"),
    "NASDAQCOM": ("NASDAQ Composite Index", "Index Feb 5, 1971=100", "arch/data/nasdaq/nasdaq.csv.gz", "Close"),
    "SP500": ("S&P 500", "Index", "arch/data/sp500/sp500.csv.gz", "Close"),
}
_CORE_PRICES = ("CPILFESL", "arch/data/core_cpi/core-cpi.csv.gz")
#: When the file's last month, November 2018, was published; the next release changed the seasonal factors.
_CORE_PRICES_OF = date(2018, 12, 12)
_ACCOUNTS = "statsmodels/datasets/macrodata/macrodata.csv"
#: "Accessed December 15, 2009". Source: the docstring beside the file.
_ACCOUNTS_OF = date(2009, 12, 15)
#: The file's columns that are a quarterly series of FRED's as they stand, "Bil. of chained 2005 US$".
_ACCOUNTS_IDS = {
    "realgdp": "GDPC1",
    "realcons": "PCECC96",
    "realinv": "GPDIC1",
    "realgovt": "GCEC1",
    "realdpi": "DPIC96",
}
_QUARTER_ENDS = frozenset({3, 6, 9, 12})

#: (published on, value), oldest first.
History = tuple[tuple[date, str], ...]


@dataclass(frozen=True, slots=True)
class FileSeries:
    """A series of a file: each date with all that was published of it. Without an archive each has one value."""

    id: str
    title: str
    frequency: str
    units: str
    is_archived: bool
    histories: Mapping[date, History]


@lru_cache(maxsize=1)
def file_series() -> dict[str, FileSeries]:
    """Return the series by their ids, none of a wheel that is not installed; one in two files has both's vintages."""
    found: dict[str, FileSeries] = {}
    for one in (*_accounts(), *_nowcast(), *_core_prices(), *_daily()):
        found[one.id] = _joined(found[one.id], one) if one.id in found else one
    return found


def _joined(earlier: FileSeries, later: FileSeries) -> FileSeries:
    """Return the later file's series with what was published before; a value that stayed is not published again."""
    histories = dict(earlier.histories)
    for day, history in later.histories.items():
        known = histories.get(day, ())
        histories[day] = (*known, *history[known[-1][1] == history[0][1] if known else 0 :])
    return replace(later, histories=dict(sorted(histories.items())))


def _accounts() -> Iterator[FileSeries]:
    file = installed("statsmodels", _ACCOUNTS)
    if file is None:
        return
    rows = list(csv.DictReader(file.read_text().splitlines()))
    for column, name in _ACCOUNTS_IDS.items():
        quarters = ((date(int(row["year"]), 3 * int(row["quarter"]) - 2, 1), row[column]) for row in rows)
        known = {day: ((_ACCOUNTS_OF, value),) for day, value in quarters}
        yield FileSeries(name, f"{name}, of the national accounts", "Quarterly", "As published", True, known)


def _nowcast() -> Iterator[FileSeries]:
    """Yield the series of the two vintages. FRED dates a quarter by its first month, the files by its last."""
    folder = installed("statsmodels", _VINTAGE_FILES)
    if folder is None:
        return
    published: dict[str, dict[date, list[tuple[date, str]]]] = {}
    for vintage in VINTAGES:
        for row in csv.DictReader((folder / f"{vintage}.csv").read_text().splitlines()):
            day = datetime.strptime(row.pop("Date"), "%m/%d/%y").date()  # noqa: DTZ007  a date has no zone
            for name, value in row.items():
                history = published.setdefault(name, {}).setdefault(day, [])
                if value and (not history or history[-1][1] != value):
                    history.append((vintage, value))
    for name, days in published.items():
        known = {day: tuple(history) for day, history in days.items() if history}
        is_quarterly = {day.month for day in known} <= _QUARTER_ENDS
        dated = {day.replace(month=day.month - 2): history for day, history in known.items()} if is_quarterly else known
        frequency = "Quarterly" if is_quarterly else "Monthly"
        yield FileSeries(name, f"{name}, a series of the nowcast", frequency, "As published", True, dated)


def _core_prices() -> Iterator[FileSeries]:
    name, place = _CORE_PRICES
    values = _by_date(place, name)
    if values:
        known = {day: ((_CORE_PRICES_OF, value),) for day, value in values.items()}
        yield FileSeries(name, "Consumer Prices Less Food and Energy", "Monthly", "As published", True, known)


def _daily() -> Iterator[FileSeries]:
    for name, (title, units, place, column) in _DAILY_FILES.items():
        values = _by_date(place, column)
        if values:
            histories = {day: ((day + timedelta(days=1), value or MISSING),) for day, value in values.items()}
            yield FileSeries(name, title, "Daily", units, False, histories)


def _by_date(place: str, column: str) -> dict[date, str]:
    """Return a column of one of arch's files, by date; nothing where it is not installed."""
    return {day: row[column] for day, row in arch_rows(place)}
