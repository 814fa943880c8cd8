"""The time-series datasets of the sandbox's Nasdaq Data Link: columns, rows, and the answers made of them.

WIKI/<ticker> has the real bars of `wiki_prices.py` (its columns but those that the wheel lacks), FRED/UNRATENSA the
real unemployment rates of `fred_series.py`. LBMA/GOLD is synthetic: a function of the date alone, under the real one's
columns and dates, frozen at 2023-12-28 as that is, with its nulls: no euro before 1999, no afternoon before holidays.

Deliberately not here: keys, allowances and HTTP (`dialects/nasdaq_data_link.py`). Invariant: every number is served as
the text it has here, and whole ones stand among decimals.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache

from sandbox.fred_series import unemployment_rates
from sandbox.nasdaq_table import BadQueryError, DataTable

_PATH = re.compile(r"/datasets/(\w+)/(\w+)(/data|/metadata)?\.json", re.ASCII)
_OPTIONS = frozenset({"api_key", "start_date", "end_date", "order", "limit", "column_index", "collapse", "transform"})
_GOLD_FIRST, _GOLD_LAST, _EURO_FIRST = date(1968, 1, 2), date(2023, 12, 28), date(1999, 1, 4)
_GOLD_COLUMNS = ("USD (AM)", "USD (PM)", "GBP (AM)", "GBP (PM)", "EURO (AM)", "EURO (PM)")
#: Of the wheel's columns, after ticker and date.
_WIKI_COLUMNS = ("Open", "High", "Low", "Close", "Volume", "Adj. Close")
_SATURDAY = 5

#: A date, and the text of each value; None is a null.
Line = tuple[date, tuple[str | None, ...]]


@dataclass(frozen=True, slots=True)
class Dataset:
    """One dataset, its rows ascending."""

    database: str
    code: str
    name: str
    frequency: str
    columns: tuple[str, ...]
    lines: tuple[Line, ...]


class NasdaqSeries:
    """All datasets."""

    def __init__(self, table: DataTable) -> None:
        self._table = table
        # Each is made when it is asked for: the longest takes 150 ms.
        self.dataset = cache(self._make)

    def body(self, path: str, query: Mapping[str, str]) -> bytes | None:
        """Return the answer to a path of datasets, None where there is no such dataset. Raises BadQueryError."""
        match = _PATH.fullmatch(path)
        dataset = self.dataset(match[1].upper(), match[2].upper()) if match else None
        if match is None or dataset is None:
            return None
        described = {
            "dataset_code": dataset.code,
            "database_code": dataset.database,
            "name": dataset.name,
            "newest_available_date": str(dataset.lines[-1][0]),
            "oldest_available_date": str(dataset.lines[0][0]),
            "column_names": ["Date", *dataset.columns],
            "frequency": dataset.frequency,
            "type": "Time Series",
        }
        if match[3] == "/metadata":
            return json.dumps({"dataset": described}, separators=(",", ":")).encode()
        names, head, rows = _selected(dataset, query)
        if match[3] is None:
            head = described | head
        inner = json.dumps(head | {"column_names": ["Date", *names]}, separators=(",", ":"))
        data = ",".join(f'["{day}",{",".join(value or "null" for value in values)}]' for day, values in rows)
        return f'{{"{"dataset_data" if match[3] else "dataset"}":{inner[:-1]},"data":[{data}]}}}}'.encode()

    def _make(self, database: str, code: str) -> Dataset | None:
        match database:
            case "WIKI":
                rows = self._table.of(code)
                lines = tuple((date.fromisoformat(row.date), row.cells[2:]) for row in rows)
                title = f"{code} Prices, Dividends, Splits and Trading Volume"
                return Dataset(database, code, title, "daily", _WIKI_COLUMNS, lines) if lines else None
            case "FRED" if code == "UNRATENSA":
                rates = tuple((day, (value,)) for day, value in unemployment_rates().items())
                return Dataset(database, code, "Unemployment Rate", "monthly", ("Value",), rates)
            case "LBMA" if code == "GOLD":
                return Dataset(database, code, "Gold Price: London Fixings", "daily", _GOLD_COLUMNS, tuple(_gold()))
            case _:
                return None


def _selected(
    dataset: Dataset, query: Mapping[str, str]
) -> tuple[Sequence[str], dict[str, object], Sequence[tuple[date, Sequence[str | None]]]]:
    """Return the columns, the head and the rows that a query selects; the newest first unless it says otherwise."""
    for name in query:
        if name not in _OPTIONS:
            raise BadQueryError("QESx04", f"You have used an invalid parameter: {name}.")
    for name in ("collapse", "transform"):
        if query.get(name, "none") != "none":
            raise BadQueryError("QESx04", f"{name} is not simulated by the sandbox.")
    start, end = _day(query, "start_date", date.min), _day(query, "end_date", date.max)
    order, limit, index = query.get("order", "desc"), _whole(query, "limit"), _whole(query, "column_index")
    if order not in ("asc", "desc"):
        raise BadQueryError("QESx04", "order must be asc or desc.")
    if index is not None and not 1 <= index <= len(dataset.columns):
        raise BadQueryError("QESx04", f"column_index must be a number from 1 to {len(dataset.columns)}.")
    wanted = slice(None) if index is None else slice(index - 1, index)
    rows = [(day, values[wanted]) for day, values in dataset.lines if start <= day <= end]
    if order == "desc":
        rows.reverse()
    head: dict[str, object] = {
        "limit": limit,
        "transform": None,
        "column_index": index,
        "start_date": str(max(start, dataset.lines[0][0])),
        "end_date": str(min(end, dataset.lines[-1][0])),
        "frequency": dataset.frequency,
        "collapse": None,
        "order": query.get("order"),
    }
    return dataset.columns[wanted], head, rows[:limit]


def _day(query: Mapping[str, str], name: str, default: date) -> date:
    text = query.get(name)
    if text is None:
        return default
    try:
        day = date.fromisoformat(text)
    except ValueError as cause:
        raise BadQueryError("QESx04", f"{name} is no valid date: write YYYY-MM-DD.") from cause
    return day


def _whole(query: Mapping[str, str], name: str) -> int | None:
    text = query.get(name)
    if text is None:
        return None
    if not re.fullmatch(r"\d{1,9}", text):
        raise BadQueryError("QESx04", f"{name} must be a number.")
    return int(text)


def _gold() -> Iterator[Line]:
    day = _GOLD_FIRST
    while day <= _GOLD_LAST:
        if day.weekday() < _SATURDAY and (day.month, day.day) not in ((1, 1), (12, 25), (12, 26)):
            years = (day - _GOLD_FIRST).days / 365.25
            dollars = 35 * math.exp(years / 14 + 0.3 * math.sin(years / 2.5)) + math.sin(day.toordinal() * 12.9898)
            rates = (1.0, 0.62, 0.9)
            values = [_text(dollars * rate * fixing) for rate in rates for fixing in (1.0, 1.0008)]
            shut = (day.month, day.day) in ((12, 24), (12, 31))
            hidden = [(shut and place % 2 == 1) or (place > 3 and day < _EURO_FIRST) for place in range(len(values))]
            yield day, tuple(None if hide else value for hide, value in zip(hidden, values, strict=True))
        day += timedelta(days=1)


def _text(value: float) -> str:
    """Return two decimals at most, and none for a whole number, as the real answers have them."""
    return f"{value:.2f}".rstrip("0").rstrip(".")
