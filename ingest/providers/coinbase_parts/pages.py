"""Coinbase's pages as columns: candles, trades, a ticker, a book; and the cursor of the page of trades before one.

Deliberately not here: what is asked for, and errors (../coinbase.py). Invariant: numbers keep the digits they were sent
with, and every time is UTC: candles count seconds, the rest is ISO text read to the microsecond.
Sources: those of ../coinbase.py.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from ingest.errors import BadData
from ingest.market.intervals import SECONDS
from ingest.market.records import Parsed
from ingest.market.times import epoch_us
from ingest.providers import answers
from ingest.providers.contract import Query
from ingest.wire import Answer, Request

_NAME = "coinbase"
#: How far a trade may be dated after our clock and still be one that is newer than the window. Our choice.
CLOCK_TOLERANCE = timedelta(minutes=1)
#: `[time, low, high, open, close, volume]`: low before high, both before open. Source: products.
_CANDLE_TIME, _CANDLE_FIELDS = 0, 6
_CANDLE_VALUES = {"open": 3, "high": 2, "low": 1, "close": 4, "volume": 5}
_CANDLE_SHAPE = "expected a list of a whole time in seconds and low, high, open, close, volume"
_TRADE_SHAPE = "expected an object with a whole trade_id, an ISO time, price, size, and side buy or sell"
_QUOTE_SHAPE = "expected an object with text or null for bid, ask and price"
_BOOK_SHAPE = "expected bids and asks as lists of [price, size, ..] in text, a whole sequence and an ISO time"
#: "The side indicates the maker order side": the taker is on the other. Source: products, get-product-trades.
_TAKERS = {"buy": "sell", "sell": "buy", None: None}
_TRADE_COLUMNS = ("ts", "trade_id", "price", "size", "side")
#: Fractions of three to nine digits are sent. Source: products, examples.
_ISO_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?Z", re.ASCII)


def page_of(answer: Answer) -> Any:
    return answers.load(_NAME, answer, numbers_as_text=True)


def rows_of(page: Any, answer: Answer) -> list[Any]:
    if type(page) is not list:
        raise bad_page(f"expected a list, found a JSON {type(page).__name__}", answer)
    return page


def bad_page(expected: str, answer: Answer) -> BadData:
    said = f"coinbase sent a page that can't be used: {expected}"
    return BadData(said, rule="unparsable_page", provider=_NAME, status=answer.status)


def parse_candles(page: list[Any], instrument: str, query: Query, answer: Answer, *, page_rows: int) -> Parsed:
    """Return the candles, without those of up to a page before `start`, which the provider may send along."""
    rows, rejects = answers.sound_rows_at_once(page, _candles_of, _CANDLE_SHAPE, instrument)
    if answer.request.start is not None:
        start_s = epoch_us(answer.request.start) / 1_000_000
        page_before_s = start_s - page_rows * SECONDS.get(query.interval or "", SECONDS["1d"])
        rows = [row for row in rows if not page_before_s <= row[_CANDLE_TIME] < start_s]
    columns = list(zip(*rows, strict=True)) or [()] * _CANDLE_FIELDS
    values = {"instrument": [instrument] * len(rows), "ts": list(columns[_CANDLE_TIME])}
    return Parsed(values | {name: list(columns[i]) for name, i in _CANDLE_VALUES.items()}, "s", rejects)


def _candles_of(rows: list[Any]) -> list[tuple[Any, ...]] | None:
    """Return the rows' documented fields; a null price is left to the quality rules, as with trades and quotes."""
    columns = answers.by_column(rows, _CANDLE_FIELDS)
    if columns is None or not answers.are_whole(columns[_CANDLE_TIME]) or not answers.are_text_or_null(columns):
        return None
    return list(zip(map(int, columns[_CANDLE_TIME]), *columns[_CANDLE_TIME + 1 :], strict=True))


def older(request: Request, answer: Answer, page: Any) -> str | None:
    """Return the cursor of the page before this one, or None if it reaches the window's start or trade 1.

    Raises BadData where it can't be told, or the cursor stands still: trades would be missing, or asked for for ever.
    Ids count from 1, so an empty page after a higher one says nothing; an empty first page is a product never traded.
    """
    rows = rows_of(page, answer)
    before = dict(request.params).get("after")
    if request.start is None or (not rows and before is None):
        return None
    times = (_epoch_us(row.get("time")) for row in reversed(rows) if type(row) is dict)
    oldest = next((time for time in times if time is not None), None)
    if oldest is None:
        raise bad_page("expected trades with an ISO time", answer)
    if oldest < epoch_us(request.start):
        return None
    last = rows[-1].get("trade_id") if type(rows[-1]) is dict else None
    # Only where the last trade has no id: the header is right unless rows are missing at the page's end.
    cursor = last if answers.is_whole(last) else answer.headers.get("cb-after")
    if cursor is None or not answers.is_whole(cursor) or (before is not None and int(cursor) >= int(before)):
        raise bad_page("expected its last trade_id to be below the one it was asked with", answer)
    return cursor if int(cursor) > 1 else None


def parse_trades(page: list[Any], instrument: str, answer: Answer) -> Parsed:
    rows, rejects = answers.sound_rows_at_once(page, _trades_of, _TRADE_SHAPE, instrument)
    if answer.request.start is not None and answer.request.end is not None:
        rows = _in_window(rows, answer.request.start, answer.request.end, answer.received_at)
    columns = list(zip(*rows, strict=True)) or [()] * len(_TRADE_COLUMNS)
    values = dict(zip(_TRADE_COLUMNS, map(list, columns), strict=True))
    return Parsed({"instrument": [instrument] * len(rows)} | values, "us", rejects)


def _trades_of(rows: list[Any]) -> list[tuple[Any, ...]] | None:
    columns = answers.by_member(rows, ("time", *_TRADE_COLUMNS[1:]))
    if columns is None:
        return None
    times, ids, prices, sizes, sides = columns
    moments = list(map(_epoch_us, times))
    if None in moments or not answers.are_whole(ids) or not answers.are_text_or_null((prices, sizes, sides)):
        return None
    if not set(sides) <= _TAKERS.keys():
        return None
    return list(zip(moments, ids, prices, sizes, map(_TAKERS.get, sides), strict=True))


def _in_window(
    trades: Sequence[tuple[Any, ...]], start: datetime, end: datetime, received_at: datetime
) -> list[tuple[Any, ...]]:
    """Cut the newer trades off the page's head and the older ones off its tail; one dated in the future stays."""
    start_us, end_us, late_us = epoch_us(start), epoch_us(end), epoch_us(received_at + CLOCK_TOLERANCE)
    times = [trade[0] for trade in trades]
    first = next((i for i, ts in enumerate(times) if ts < end_us), len(times))
    last = next((i for i in reversed(range(len(times))) if times[i] >= start_us), -1)
    return [trades[i] for i in range(last + 1) if i >= first or times[i] > late_us]


def parse_object(page: Any, dataset: str, instrument: str, answer: Answer) -> Parsed:
    """Return the one row of a ticker or a book, or its Reject. Raises BadData for what is neither."""
    needed, read, shape = (
        ({"bid", "ask"}, _quote, _QUOTE_SHAPE) if dataset == "quotes" else ({"bids", "asks"}, _book, _BOOK_SHAPE)
    )
    if type(page) is not dict or not needed <= page.keys():
        raise bad_page(f"expected an object with {' and '.join(sorted(needed))}", answer)
    row = read(page)
    if row is None:
        reject = answers.reject(page, rule="wrong_shape", reason=shape, instrument=instrument)
        return Parsed({"instrument": [], "ts": []}, "us", (reject,))
    return Parsed({"instrument": [instrument]} | {name: [value] for name, value in row.items()}, "us")


def _quote(page: dict[str, Any]) -> dict[str, Any] | None:
    """Return best bid, best ask and last price. The `time` is the last trade's, so the quote has none of its own.

    The `size` is that trade's too: a ticker has no sizes of bid and ask. Source: products, get-product-ticker.
    """
    prices = {"bid": page["bid"], "ask": page["ask"], "last": page.get("price")}
    return {"ts": None, **prices} if set(map(type, prices.values())) <= answers.TEXT_OR_NULL else None


def _book(page: dict[str, Any]) -> dict[str, Any] | None:
    bids, asks = answers.book_side(page["bids"]), answers.book_side(page["asks"])
    sequence, time = page.get("sequence"), page.get("time")
    ts = None if time is None else _epoch_us(time)
    if bids is None or asks is None or (time is not None and ts is None):
        return None
    if sequence is not None and not answers.is_whole(sequence):
        return None
    names = ("ts", "bid_prices", "bid_sizes", "ask_prices", "ask_sizes", "sequence")
    return dict(zip(names, (ts, *bids, *asks, sequence), strict=True))


def _epoch_us(text: Any) -> int | None:
    """Return microseconds since 1970, digits beyond them dropped; None for what is no ISO time in UTC."""
    found = _ISO_TIME.fullmatch(text) if type(text) is str else None
    if found is None:
        return None
    second_us = _second_us(found[1])
    return None if second_us is None else second_us + int(f"{found[2] or '':0<6.6}")


@lru_cache(maxsize=1_024)
def _second_us(text: str) -> int | None:
    """Many trades of a page share a second, and reading it is most of what a trade takes."""
    try:
        return epoch_us(datetime.fromisoformat(f"{text}Z"))
    except ValueError:  # a 30th of February
        return None
