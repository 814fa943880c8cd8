"""Bitfinex's rows as columns: bars, trades, tickers.

Deliberately not here: books (books.py), which rows a page holds of its window (pages.py). Invariant: numbers keep the
digits they were sent with, an amount at most loses its sign, and times are milliseconds.
Sources: those of ../bitfinex.py.
"""

from __future__ import annotations

from typing import Any

from ingest.market.records import Parsed, Reject
from ingest.providers import answers
from ingest.providers.bitfinex_parts import pages, symbols
from ingest.wire import Answer

#: `[mts, open, CLOSE, HIGH, LOW, volume]`: close before high and low. Source: reference, candles.
_BAR_TIME, _BAR_FIELDS = 0, 6
_BAR_VALUES = {"open": 1, "high": 3, "low": 4, "close": 2, "volume": 5}
_BAR_SHAPE = f"expected a list of {_BAR_FIELDS}+ fields: whole milliseconds, then numbers"
#: `[id, mts, amount, price]`; "how much was bought (positive) or sold (negative)", by the taker. Source: reference.
_TRADE_ID, _TRADE_TIME, _TRADE_AMOUNT, _TRADE_PRICE, _TRADE_FIELDS = 0, 1, 2, 3, 4
_TRADE_SHAPE = f"expected a list of {_TRADE_FIELDS}+ fields: whole id and milliseconds, signed amount, price"
_TRADE_COLUMNS = ("ts", "trade_id", "price", "size", "side")
_CROWDED = "a page is full of trades of this millisecond, and those beyond it can't be asked for"
#: `[bid, bid_size, ask, ask_size, daily_change, daily_change_relative, last, ..]`. Source: reference, ticker.
_QUOTE_VALUES = {"bid": 0, "ask": 2, "last": 6}
_QUOTE_FIELDS = 7
_QUOTE_SHAPE = f"expected a list of {_QUOTE_FIELDS}+ fields: bid, its size, ask, its size, two changes, last price"
_TICKER = "/v2/ticker/"


def parse_bars(page: list[Any], instrument: str) -> Parsed:
    columns, rejects = answers.sound_columns(page, _bars_of, _BAR_FIELDS, _BAR_SHAPE, instrument)
    values = {"instrument": [instrument] * len(columns[_BAR_TIME]), "ts": columns[_BAR_TIME]}
    return Parsed(values | {name: columns[i] for name, i in _BAR_VALUES.items()}, "ms", rejects)


def _bars_of(rows: list[Any]) -> list[list[Any]] | None:
    """Return the rows' documented fields by column; a null price is left to the quality rules, as with the others."""
    columns = answers.by_column(rows, _BAR_FIELDS)
    if columns is None or not answers.are_whole(columns[_BAR_TIME]) or not answers.are_text_or_null(columns):
        return None
    return [list(map(int, columns[_BAR_TIME])), *columns[_BAR_TIME + 1 :]]


def parse_trades(page: list[Any], instrument: str, answer: Answer) -> Parsed:
    columns, rejects = answers.sound_columns(page, _trades_of, len(_TRADE_COLUMNS), _TRADE_SHAPE, instrument)
    following = pages.trades_after(answer.request, page, answer)
    if following is not None and following.lost:
        lost = answers.reject(page[-1], rule="missing_rows", reason=_CROWDED, instrument=instrument)
        rejects = (*rejects, lost)
    values = dict(zip(_TRADE_COLUMNS, pages.cut(columns, following), strict=True))
    return Parsed({"instrument": [instrument] * len(values["ts"])} | values, "ms", rejects)


def _trades_of(rows: list[Any]) -> list[list[Any]] | None:
    """Return time, id, price, size and the taker's side, which is the amount's sign."""
    columns = answers.by_column(rows, _TRADE_FIELDS)
    if columns is None:
        return None
    ids, times, amounts, prices = (columns[i] for i in (_TRADE_ID, _TRADE_TIME, _TRADE_AMOUNT, _TRADE_PRICE))
    if not answers.are_whole(ids) or not answers.are_whole(times) or set(map(type, amounts)) != {str}:
        return None
    if not answers.are_text_or_null([prices]):
        return None
    sides = ["sell" if amount.startswith("-") else "buy" for amount in amounts]
    sizes = [amount.removeprefix("-") for amount in amounts]
    return [list(map(int, times)), ids, prices, sizes, sides]


def parse_quotes(page: list[Any], asked: tuple[str, ...], answer: Answer) -> Parsed:
    """Return the tickers; they have no time. One that was asked for and did not come is a finding."""
    if answer.request.path.startswith(_TICKER):
        named: list[tuple[Any, Any]] = [(symbols.native_symbol(asked[0]), page)]
    else:
        named = [(row[0], row[1:]) if type(row) is list and row else (None, row) for row in page]
    left = symbols.by_symbol(asked)
    values: dict[str, list[Any]] = {name: [] for name in ("instrument", "ts", *_QUOTE_VALUES)}
    rejects: list[Reject] = []
    for symbol, row in named:
        instrument = left.pop(symbol, None) if type(symbol) is str else None
        cells = _quote_cells(row)
        if instrument is None:
            reason = "expected a symbol that was asked for, once"
            rejects.append(answers.reject([symbol, row], rule="unknown_symbol", reason=reason))
        elif cells is None:
            rejects.append(answers.reject(row, rule="wrong_shape", reason=_QUOTE_SHAPE, instrument=instrument))
        else:
            for column, cell in zip(values, (instrument, None, *cells), strict=True):
                values[column].append(cell)
    reason = "no ticker came: the pair does not exist, or is gone"
    missing = (answers.reject(s, rule="missing_rows", reason=reason, instrument=i) for s, i in left.items())
    return Parsed(values, "ms", (*rejects, *missing))


def _quote_cells(row: Any) -> list[Any] | None:
    if type(row) is not list or len(row) < _QUOTE_FIELDS:
        return None
    cells = [row[place] for place in _QUOTE_VALUES.values()]
    return cells if set(map(type, cells)) <= answers.TEXT_OR_NULL else None
