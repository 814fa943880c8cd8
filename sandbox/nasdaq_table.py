"""A table of Nasdaq Data Link's in memory: filter, choose columns, page by cursor.

Deliberately not here: which tables there are (`wiki_prices.py`, `nasdaq_retail.py`), keys, allowances and HTTP
(`dialects/nasdaq_data_link.py`).
Invariant: the pages of one query, joined, are exactly its rows, in the table's order (ticker, date), once each.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache

MAX_PER_PAGE = 10_000  # "qopts.per_page: the number of results per page, up to 10,000", which is the default too

_FILTERABLE = ("ticker", "date")
_OPTIONS = frozenset({"api_key", "qopts.columns", "qopts.per_page", "qopts.cursor_id"})


Filters = tuple[tuple[str, str], ...]


class BadQueryError(Exception):
    """A query that the table refuses, with the provider's code."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Row:
    """One row: the two filterable values, and every cell as JSON text."""

    ticker: str
    date: str
    cells: tuple[str, ...]


class DataTable:
    """The rows in the table's order; `columns` are the names of their cells, with their types."""

    def __init__(self, columns: Mapping[str, str], rows: Sequence[Row]) -> None:
        self._columns = columns
        self._rows = sorted(rows, key=lambda row: (row.ticker, row.date))
        # A client that pages repeats its filters, and filtering costs more than all the rest of a small page.
        self._filtered = lru_cache(maxsize=64)(self._filter)

    def page(self, query: Mapping[str, str], highest: int = MAX_PER_PAGE) -> bytes:
        """Return one page of at most `highest` rows as the body of an answer. Raises BadQueryError."""
        columns = self._chosen(query)
        rows = self._filtered(_filters(query))
        start = _decode_cursor(query, total=len(rows))
        per_page = min(_per_page(query), highest)
        shown = rows[start : start + per_page]
        end = start + len(shown)
        cursor = f'"{_encode_cursor(query, end)}"' if end < len(rows) else "null"
        positions = [list(self._columns).index(name) for name in columns]
        if len(positions) == len(self._columns) and positions == sorted(positions):
            data = ",".join([f"[{','.join(row.cells)}]" for row in shown])
        else:
            data = ",".join([f"[{','.join([row.cells[i] for i in positions])}]" for row in shown])
        described = ",".join(f'{{"name":"{name}","type":"{self._columns[name]}"}}' for name in columns)
        text = f'{{"datatable":{{"data":[{data}],"columns":[{described}]}},"meta":{{"next_cursor_id":{cursor}}}}}'
        return text.encode()

    def of(self, ticker: str) -> list[Row]:
        """Return the ticker's rows, ascending, for dialects that serve the same shares."""
        return [row for row in self._rows if row.ticker == ticker]

    def truth(self) -> dict[str, dict[str, object]]:
        """Return per ticker how many rows there are and the first and last date."""
        dates: dict[str, list[str]] = {}
        for row in self._rows:
            dates.setdefault(row.ticker, []).append(row.date)
        return {ticker: {"rows": len(days), "first": days[0], "last": days[-1]} for ticker, days in dates.items()}

    def _chosen(self, query: Mapping[str, str]) -> list[str]:
        names = query["qopts.columns"].split(",") if query.get("qopts.columns") else list(self._columns)
        for name in names:
            if name not in self._columns:
                raise BadQueryError(
                    "QESx04", f"You have specified an invalid column {name}. Check the table's columns."
                )
        return names

    def _filter(self, filters: Filters) -> list[Row]:
        rows = self._rows
        for parameter, value in filters:
            column, _, operator = parameter.partition(".")
            if column not in self._columns:
                raise _invalid_column(column)
            if column not in _FILTERABLE or operator not in ("", "gt", "gte", "lt", "lte"):
                raise BadQueryError("QESx04", f"You can't filter by {parameter}: only by {' and '.join(_FILTERABLE)}.")
            rows = _matching(rows, column, operator=operator, value=value)
        return rows


def _invalid_column(name: str) -> BadQueryError:
    return BadQueryError("QESx04", f"You have specified an invalid column {name}. Check the table's columns.")


def _matching(rows: list[Row], column: str, *, operator: str, value: str) -> list[Row]:
    if column == "date":
        for day in value.split(","):
            _check_date(day)
    cells = [row.ticker for row in rows] if column == "ticker" else [row.date for row in rows]
    pairs = zip(rows, cells, strict=True)
    match operator:
        case "gt":
            return [row for row, cell in pairs if cell > value]
        case "gte":
            return [row for row, cell in pairs if cell >= value]
        case "lt":
            return [row for row, cell in pairs if cell < value]
        case "lte":
            return [row for row, cell in pairs if cell <= value]
        case _:
            wanted = frozenset(value.split(","))
            return [row for row, cell in pairs if cell in wanted]


def _check_date(text: str) -> None:
    try:
        valid = date.fromisoformat(text).isoformat() == text
    except ValueError:
        valid = False
    if not valid:
        raise BadQueryError("QESx01", f"{text} is no valid date: write YYYY-MM-DD.")


def _per_page(query: Mapping[str, str]) -> int:
    text = query.get("qopts.per_page", str(MAX_PER_PAGE))
    if not re.fullmatch(r"\d{1,9}", text) or not 1 <= int(text) <= MAX_PER_PAGE:
        raise BadQueryError("QESx01", f"qopts.per_page must be a number from 1 to {MAX_PER_PAGE}.")
    return int(text)


def _encode_cursor(query: Mapping[str, str], start: int) -> str:
    """Return an opaque cursor. It holds only for the filters it was made with: another query would page wrongly."""
    return base64.urlsafe_b64encode(f"v1_{start}_{_fingerprint(query)}".encode()).decode().rstrip("=")


def _decode_cursor(query: Mapping[str, str], *, total: int) -> int:
    cursor = query.get("qopts.cursor_id")
    if not cursor:
        return 0
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
    except (binascii.Error, ValueError):
        text = ""
    match = re.fullmatch(r"v1_(\d{1,9})_(\w+)", text)
    if match is None or match[2] != _fingerprint(query) or int(match[1]) > total:
        raise BadQueryError("QESx01", "The qopts.cursor_id is invalid for this query.")
    return int(match[1])


def _fingerprint(query: Mapping[str, str]) -> str:
    return hashlib.sha256(repr(_filters(query)).encode()).hexdigest()[:12]


def _filters(query: Mapping[str, str]) -> Filters:
    """Return the column filters of a query. Sorted, `date` bounds come before `ticker`; the order changes no result."""
    return tuple(sorted((name, value) for name, value in query.items() if name not in _OPTIONS))
