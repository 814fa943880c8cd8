"""Kraken's rows as columns: bars, tickers, a book.

Deliberately not here: trades (trades.py). Invariant: numbers keep the digits they were sent with.
Sources: those of ../kraken.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ingest.market.records import Parsed, Reject
from ingest.market.times import epoch_us
from ingest.providers import answers
from ingest.providers.kraken_parts import pairs
from ingest.providers.kraken_parts.pages import (
    CLOCK_TOLERANCE,
    without_newer,
)
from ingest.wire import Answer

#: `[time, open, high, low, close, vwap, volume, count]`. Source: market-data, get-ohlc-data.
_BAR_TIME, _BAR_COUNT, _BAR_FIELDS = 0, 7, 8
_BAR_VALUES = {"open": 1, "high": 2, "low": 3, "close": 4, "volume": 6, "trade_count": _BAR_COUNT}
_BAR_SHAPE = f"expected a list of {_BAR_FIELDS}+ fields: whole time and count, text for prices and volume"
#: `a`, `b`: [price, whole lot volume, lot volume]; `c`: [price, lot volume]. Source: market-data.
_QUOTE_CELLS = {"bid": ("b", 0), "bid_size": ("b", 2), "ask": ("a", 0), "ask_size": ("a", 2), "last": ("c", 0)}
_QUOTE_SHAPE = "expected an object with a and b of three texts or more, and c"
_BOOK_SHAPE = "expected asks and bids as lists of [price, volume, ..] in text"


def parse_bars(page: list[Any], instrument: str, answer: Answer) -> Parsed:
    rows, rejects = answers.sound_rows_at_once(page, _bars_of, _BAR_SHAPE, instrument)
    if answer.request.end is not None:
        late_s = epoch_us(answer.received_at + CLOCK_TOLERANCE) // 1_000_000
        rows = without_newer(rows, -(-epoch_us(answer.request.end) // 1_000_000), late_s)
    columns = list(zip(*rows, strict=True)) or [()] * _BAR_FIELDS
    values = {"instrument": [instrument] * len(rows), "ts": list(columns[_BAR_TIME])}
    return Parsed(values | {name: list(columns[i]) for name, i in _BAR_VALUES.items()}, "s", rejects)


def _bars_of(rows: list[Any]) -> list[tuple[Any, ...]] | None:
    """Return the rows' documented fields; a null price is left to the quality rules, as with trades and quotes."""
    columns = answers.by_column(rows, _BAR_FIELDS)
    if columns is None or not answers.are_text_or_null(columns):
        return None
    if not answers.are_whole(columns[_BAR_TIME]) or not answers.are_whole(columns[_BAR_COUNT]):
        return None
    return list(zip(map(int, columns[_BAR_TIME]), *columns[_BAR_TIME + 1 :], strict=True))


def parse_tickers(result: Mapping[str, Any], asked: tuple[str, ...]) -> Parsed:
    names = pairs.by_any_name(asked)
    rejects: list[Reject] = []
    values: dict[str, list[Any]] = {name: [] for name in ("instrument", "ts", *_QUOTE_CELLS)}
    for name, row in result.items():
        instrument, cells = names.get(name), _quote_cells(row)
        if instrument is None:
            reason = "expected a pair that was asked for"
            rejects.append(answers.reject({name: row}, rule="unknown_symbol", reason=reason))
        elif cells is None:
            reject = answers.reject({name: row}, rule="wrong_shape", reason=_QUOTE_SHAPE, instrument=instrument)
            rejects.append(reject)
        else:
            for column, cell in zip(values, (instrument, None, *cells), strict=True):
                values[column].append(cell)
    return Parsed(values, "s", tuple(rejects))


def _quote_cells(row: Any) -> list[Any] | None:
    """Return bid, bid size, ask, ask size and last price; a ticker has no time."""
    cells = []
    for field, place in _QUOTE_CELLS.values():
        texts = row.get(field) if type(row) is dict else None
        if type(texts) is not list or len(texts) <= place or type(texts[place]) not in answers.TEXT_OR_NULL:
            return None
        cells.append(texts[place])
    return cells


def parse_book(book: Any, instrument: str) -> Parsed:
    """Return the one row of a book. The third cell dates a level's last change, so the book has no time of its own."""
    bids, asks = (answers.book_side(book.get(side) if type(book) is dict else None) for side in ("bids", "asks"))
    if bids is None or asks is None:
        reject = answers.reject(book, rule="wrong_shape", reason=_BOOK_SHAPE, instrument=instrument)
        return Parsed({"instrument": [], "ts": []}, "s", (reject,))
    names = ("instrument", "ts", "bid_prices", "bid_sizes", "ask_prices", "ask_sizes")
    row = (instrument, None, *bids, *asks)
    return Parsed({name: [value] for name, value in zip(names, row, strict=True)}, "s")
