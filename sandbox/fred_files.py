"""Real series of FRED's, read out of the files of two installed wheels; nothing where they are not installed.

statsmodels ships two vintages of the Federal Reserve Bank of New York's nowcast, of 2016-06-29 and 2016-07-29 (BSD):
29 series from 1985 on, 85 of their values revised between the two. arch ships the oil price and the VIX (NCSA), with
blanks on holidays and no vintages. Deliberately not here: the packages themselves, which would import scipy; synthetic
series (`fred_series.py`). Invariant: a value is the file's text.
"""

import csv
import gzip
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

MISSING = "."
VINTAGES = (date(2016, 6, 29), date(2016, 7, 29))
_VINTAGE_FILES = "statsmodels/tsa/statespace/tests/results/frbny_nowcast/Nowcasting/data/US"
_DAILY_FILES = {
    "DCOILWTICO": ("Crude Oil Prices: West Texas Intermediate", "Dollars per Barrel", "arch/data/wti/wti.csv.gz"),
    "VIXCLS": ("CBOE Volatility Index: VIX", "Index", "arch/data/vix/vix.csv.gz"),
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
    """Return the series by their ids, none of a wheel that is not installed."""
    found = [*_nowcast(), *_daily()]
    return {one.id: one for one in found}


def _nowcast() -> Iterator[FileSeries]:
    """Yield the series of the two vintages. FRED dates a quarter by its first month, the files by its last."""
    folder = _installed("statsmodels", _VINTAGE_FILES)
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


def _daily() -> Iterator[FileSeries]:
    for name, (title, units, place) in _DAILY_FILES.items():
        file = _installed("arch", place)
        if file is None:
            continue
        histories: dict[date, History] = {}
        for day_text, value in list(csv.reader(gzip.decompress(file.read_bytes()).decode().splitlines()))[1:]:
            day = datetime.strptime(day_text, "%m/%d/%Y").date()  # noqa: DTZ007  a date has no zone
            histories[day] = ((day + timedelta(days=1), value or MISSING),)
        yield FileSeries(name, title, "Daily", units, False, histories)


def _installed(package: str, place: str) -> Path | None:
    """Return where a package's file or folder lies, without importing it; None where it is not installed."""
    try:
        found = Path(str(distribution(package).locate_file(place)))
    except PackageNotFoundError:
        return None
    return found if found.exists() else None
