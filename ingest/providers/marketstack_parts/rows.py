"""Marketstack's rows as columns: days, splits, dividends, prices.

Deliberately not here: pages and their errors (../marketstack.py). Invariant: a row is read whole or rejected, and its
numbers keep the digits they were sent with.
Source: https://marketstack.com/documentation_v2, read autumn 2026.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from ingest.market.records import Parsed
from ingest.providers import answers

_BAR_VALUES = {
    "open": "open",
    "high": "high",
    "low": "low",
    "close": "close",
    "volume": "volume",
    "adjusted_close": "adj_close",
}
_ACTION_DATES = {"declared_on": "declaration_date", "recorded_on": "record_date", "paid_on": "payment_date"}
_ACTION_COLUMNS = ("kind", "action_id", "amount", "split_from", "split_to", *_ACTION_DATES)
_BAR_SHAPE = "expected an object with an asked symbol, a day's date, and numbers or nulls"
_ACTION_SHAPE = "expected an object with an asked symbol, a date, and a split_factor or a dividend"
_PRICE_SHAPE = "expected an object with ticker, country and price as text"
#: A day as `2024-09-27` or its midnight, `2024-09-27T00:00:00+0000`, whose offset has no colon.
_DAY = re.compile(r"(\d{4}-\d\d-\d\d)(?:[T ]00:00:00(?:\.0+)?(?:[+-]00:?00|Z)?)?", re.ASCII)
HOME = "United States"


def parse_bars(rows: list[Any], named: Mapping[str, str]) -> Parsed:
    """Return the days in their order; `named` tells the instruments by the symbols an answer may call them."""
    return _table(rows, lambda row: _bar(row, named), tuple(_BAR_VALUES), _BAR_SHAPE)


def parse_actions(rows: list[Any], named: Mapping[str, str], *, splits: bool) -> Parsed:
    """Return splits, or else dividends, whose `date` is the ex-date."""
    read = _split if splits else _dividend
    return _table(rows, lambda row: read(row, named), _ACTION_COLUMNS, _ACTION_SHAPE)


def parse_prices(rows: list[Any], asked: Mapping[str, str]) -> Parsed:
    """Return the price of the one exchange that is at home: the same ticker is other shares, or other money, abroad."""
    names = ("instrument", "ts", "last")
    found, rejects = [], []
    for row in rows:
        cells: list[Any] = [row.get(name) for name in ("ticker", "country", "price")] if type(row) is dict else [None]
        if not all(type(cell) is str for cell in cells) or cells[0] not in asked:
            rejects.append(answers.reject(row, rule="wrong_shape", reason=_PRICE_SHAPE))
        elif cells[1] == HOME:
            found.append((asked[cells[0]], None, cells[2]))
    columns = list(zip(*found[:1], strict=True)) or [()] * len(names)
    return Parsed({name: list(c) for name, c in zip(names, columns, strict=True)}, "s", tuple(rejects))


def _table(
    rows: list[Any], read: Callable[[Any], tuple[Any, ...] | None], names: tuple[str, ...], shape: str
) -> Parsed:
    """Return dated rows as columns; `read` gives instrument, day and the named values."""
    sound, rejects = [], []
    for raw in rows:
        row = read(raw)
        if row is None:
            rejects.append(answers.reject(raw, rule="wrong_shape", reason=shape))
        else:
            sound.append(row)
    every = ("instrument", "ts", *names)
    columns = list(zip(*sound, strict=True)) or [()] * len(every)
    return Parsed({name: list(c) for name, c in zip(every, columns, strict=True)}, "date", tuple(rejects))


def _head(row: Any, named: Mapping[str, str]) -> tuple[str, str] | None:
    """Return the row's instrument and day."""
    symbol, date = (row.get("symbol"), row.get("date")) if type(row) is dict else (None, None)
    day = _DAY.fullmatch(date) if type(date) is str else None
    return (named[symbol], day[1]) if day is not None and type(symbol) is str and symbol in named else None


def _bar(row: Any, named: Mapping[str, str]) -> tuple[Any, ...] | None:
    head = _head(row, named)
    if head is None or not row.keys() >= set(_BAR_VALUES.values()):
        return None
    values = [row[name] for name in _BAR_VALUES.values()]
    return (*head, *values) if set(map(type, values)) <= answers.TEXT_OR_NULL else None


def _split(row: Any, named: Mapping[str, str]) -> tuple[Any, ...] | None:
    """`split_factor` is what one share becomes: 4.0 for Apple's of 2020, 0.5 for two that become one."""
    head = _head(row, named)
    factor = row.get("split_factor") if head is not None else None
    return (*head, "split", "", None, "1", factor, None, None, None) if head and type(factor) is str else None


def _dividend(row: Any, named: Mapping[str, str]) -> tuple[Any, ...] | None:
    head = _head(row, named)
    amount = row.get("dividend") if head is not None else None
    if head is None or type(amount) is not str:
        return None
    days = (row.get(name) for name in _ACTION_DATES.values())
    found = (_DAY.fullmatch(day) if type(day) is str else None for day in days)
    return (*head, "dividend", "", amount, None, None, *(day[1] if day is not None else None for day in found))
