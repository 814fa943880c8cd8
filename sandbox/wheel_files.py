"""Files of installed wheels, found without importing the packages; nothing where they are not installed.

Deliberately not here: what the files hold (`fred_files.py`, `yahoo_market.py`). Invariant: a value is the file's text.
"""

import csv
import gzip
from datetime import date, datetime
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path


def arch_rows(place: str) -> list[tuple[date, dict[str, str]]]:
    """Return the dated rows of one of arch's files, by their columns' names; none where it is not installed."""
    file = installed("arch", place)
    if file is None:
        return []
    rows = csv.DictReader(gzip.decompress(file.read_bytes()).decode().splitlines())
    return [(datetime.strptime(row["Date"], "%m/%d/%Y").date(), row) for row in rows]  # noqa: DTZ007  a date has no zone


def installed(package: str, place: str) -> Path | None:
    """Return where a package's file or folder lies, without importing it; None where it is not installed."""
    try:
        found = Path(str(distribution(package).locate_file(place)))
    except PackageNotFoundError:
        return None
    return found if found.exists() else None
