"""Binance's pages as columns: klines, tickers, aggregate trades, a book; and the id with which the next page begins.

Deliberately not here: what is asked for, and errors (../binance.py). Invariant: prices and sizes keep the text they
were sent as; times are whole milliseconds. Sources: those of ../binance.py.
"""

from __future__ import annotations

from typing import Any

from ingest.errors import BadData
from ingest.market.records import Parsed, Reject
from ingest.market.times import epoch_ms, epoch_ms_up
from ingest.providers import answers
from ingest.providers.binance_parts import symbols
from ingest.wire import Answer, Request

_NAME = "binance"
#: How far a trade may be dated after our clock and still be a newer one that was not asked for. Our choice.
CLOCK_TOLERANCE_MS = 60_000
# Kline positions. Source: rest-api.md "Kline/Candlestick data", 2026-07-21.
_OPEN_MS, _TRADES, _KLINE_FIELDS = 0, 8, 12
_KLINE_TEXT = {"open": 1, "high": 2, "low": 3, "close": 4, "volume": 5, "quote_volume": 7}
_KLINE_SHAPE = f"expected a list of {_KLINE_FIELDS}+ fields: whole open time and trade count, text for the rest"
_QUOTE_TEXT = {"bid": "bidPrice", "bid_size": "bidQty", "ask": "askPrice", "ask_size": "askQty"}
#: Fields of an aggregate trade; `m`: "Was the buyer the maker?", so its taker sold. Source: rest-api.md, 2026-07-21.
_TRADE_FIELDS = {"ts": "T", "trade_id": "a", "price": "p", "size": "q", "side": "m"}
_TRADE_SHAPE = "expected an object: whole T and a, text for p and q, true or false for m"
_BOOK_COLUMNS = ("bid_prices", "bid_sizes", "ask_prices", "ask_sizes", "sequence")
_BOOK_SHAPE = "expected a whole lastUpdateId, and levels that begin with price and size as text"


def bad_page(expected: str, answer: Answer) -> BadData:
    said = f"binance sent a page that can't be used: {expected}"
    return BadData(said, rule="unparsable_page", provider=_NAME, status=answer.status)


def parse_klines(page: list[Any], instrument: str) -> Parsed:
    """Transpose the page if all its rows are sound, else the sound ones among them."""
    rejects: list[Reject] = []
    columns = _transposed(page)
    if columns is None:
        sound = []
        for row in page:
            if _transposed([row]) is None:
                rejects.append(answers.reject(row, rule="wrong_shape", reason=_KLINE_SHAPE, instrument=instrument))
            else:
                sound.append(row[:_KLINE_FIELDS])
        columns = answers.by_column(sound, _KLINE_FIELDS) or [[]] * _KLINE_FIELDS
    values: dict[str, list[Any]] = {"instrument": [instrument] * len(columns[0]), "ts": columns[_OPEN_MS]}
    values |= {name: columns[position] for name, position in _KLINE_TEXT.items()}
    values["trade_count"] = list(map(str, columns[_TRADES]))
    return Parsed(values, "ms", tuple(rejects))


def _transposed(page: list[Any]) -> list[list[Any]] | None:
    """Return the rows by column, or None if the shape of any is off; a null price is left to the quality rules."""
    columns = answers.by_column(page, _KLINE_FIELDS)
    if columns is None or any(set(map(type, columns[i])) != {int} for i in (_OPEN_MS, _TRADES)):
        return None
    return columns if answers.are_text_or_null(columns[i] for i in _KLINE_TEXT.values()) else None


def parse_tickers(page: list[Any], asked: tuple[str, ...]) -> Parsed:
    natives = {symbols.native_symbol(instrument): instrument for instrument in asked}
    rejects: list[Reject] = []
    values: dict[str, list[Any]] = {name: [] for name in ("instrument", "ts", *_QUOTE_TEXT)}
    for row in page:
        symbol = row.get("symbol") if type(row) is dict else None
        instrument = natives.get(symbol) if type(symbol) is str else None
        cells = [row.get(field) for field in _QUOTE_TEXT.values()] if instrument is not None else []
        if instrument is None:
            reason = "expected an object whose symbol was asked for"
            rejects.append(answers.reject(row, rule="unknown_symbol", reason=reason))
        elif not set(map(type, cells)) <= answers.TEXT_OR_NULL:
            reason = f"expected text for {', '.join(_QUOTE_TEXT.values())}"
            rejects.append(answers.reject(row, rule="wrong_shape", reason=reason, instrument=instrument))
        else:
            for name, cell in zip(values, (instrument, None, *cells), strict=True):
                values[name].append(cell)
    return Parsed(values, "ms", tuple(rejects))


def next_id(request: Request, page: list[Any], answer: Answer) -> int | None:
    """Return the id the next page begins with, or None if this page reaches the window's end or is empty.

    Raises BadData where that can't be told or the ids stand still: trades would be missing, or asked for for ever.
    """
    if request.start is None or request.end is None or not page:
        return None
    start_ms, end_ms, late_ms = epoch_ms(request.start), epoch_ms_up(request.end), _late_ms(request, answer)
    times = (row.get("T") for row in reversed(page) if type(row) is dict)
    newest = next((time for time in times if type(time) is int and start_ms <= time < max(end_ms, late_ms)), None)
    if newest is None:
        raise bad_page("expected trades dated in milliseconds, not before the window's start", answer)
    if newest >= end_ms:
        return None
    last_id = page[-1].get("a") if type(page[-1]) is dict else None
    if type(last_id) is not int or last_id < int(dict(request.params).get("fromId", "0")):
        raise bad_page("expected its last trade to have an id not below the one asked for", answer)
    return last_id + 1


def _late_ms(request: Request, answer: Answer) -> int:
    """Return before when a trade may be dated that is newer than the window: only pages that go by id have those."""
    return epoch_ms(answer.received_at) + CLOCK_TOLERANCE_MS if "fromId" in dict(request.params) else 0


def parse_trades(page: list[Any], instrument: str, answer: Answer) -> Parsed:
    """Read the trades; one dated in the future stays, for the quality rules to find."""
    late_ms = _late_ms(answer.request, answer)
    end_ms = late_ms if answer.request.end is None else epoch_ms_up(answer.request.end)
    rows, rejects = answers.sound_rows_at_once(page, _trades_of, _TRADE_SHAPE, instrument)
    rows = [row for row in rows if not end_ms <= row[0] < late_ms]
    columns = list(zip(*rows, strict=True)) or [()] * len(_TRADE_FIELDS)
    values = dict(zip(_TRADE_FIELDS, map(list, columns), strict=True))
    return Parsed({"instrument": [instrument] * len(rows)} | values, "ms", rejects)


def _trades_of(rows: list[Any]) -> list[tuple[Any, ...]] | None:
    columns = answers.by_member(rows, _TRADE_FIELDS.values())
    if columns is None or not answers.are_text_or_null(columns[2:4]):
        return None
    times, ids, prices, sizes, makers = columns
    if {*map(type, times), *map(type, ids)} != {int} or set(map(type, makers)) != {bool}:
        return None
    sides = ["sell" if buyer_is_maker else "buy" for buyer_is_maker in makers]
    return list(zip(times, map(str, ids), prices, sizes, sides, strict=True))


def parse_book(answer: Answer, instrument: str) -> Parsed:
    """Return the book as one row, or its Reject. Raises BadData for what is no book."""
    page = answers.load(_NAME, answer)
    if type(page) is not dict or not {"bids", "asks"} <= page.keys():
        raise bad_page("expected an object with bids and asks", answer)
    bids, asks, sequence = answers.book_side(page["bids"]), answers.book_side(page["asks"]), page.get("lastUpdateId")
    if bids is None or asks is None or type(sequence) is not int:
        reject = answers.reject(page, rule="wrong_shape", reason=_BOOK_SHAPE, instrument=instrument)
        return Parsed({name: [] for name in ("instrument", "ts", *_BOOK_COLUMNS)}, "ms", (reject,))
    row = zip(_BOOK_COLUMNS, (*bids, *asks, str(sequence)), strict=True)
    return Parsed({"instrument": [instrument], "ts": [None], **{name: [value] for name, value in row}}, "ms")
