"""What Coinbase Advanced Trade says of the present: the best bid and ask beside its last trades, and the book.

Deliberately not here: those trades, because whose side `side` is is not documented; candles (../coinbase_advanced.py).
Invariant: numbers keep the digits they were sent with, and an empty text is no number.

Source: https://docs.cdp.coinbase.com/api-reference/advanced-trade-api/rest-api/public (get-public-market-trades,
get-public-product-book), 2026-11-30.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from ingest.errors import BadData
from ingest.market.records import Parsed
from ingest.market.times import epoch_us
from ingest.providers import answers
from ingest.wire import Answer

_NAME = "coinbase_advanced"
_QUOTE_SHAPE = "expected text or null for best_bid, best_ask and the price of the newest trade"
_BOOK_SHAPE = "expected the asked product_id, bids and asks as lists of objects with price and size, and an ISO time"
#: Six digits after the second are documented; what is finer than those is cut off.
_ISO_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z", re.ASCII)


def quote(answer: Answer, instrument: str) -> Parsed:
    """Return the best bid, best ask and last price. Raises BadData.

    A time stands beside the trades only and is theirs, so that the quote has none of its own; nor has it sizes.
    """
    page = _object(answer, ("best_bid", "best_ask", "trades"))
    trades = page["trades"]
    newest = trades[0] if type(trades) is list and trades else {}
    if type(trades) is not list or type(newest) is not dict:
        raise _bad_page("trades, a list of objects", answer)
    prices = {"bid": page["best_bid"], "ask": page["best_ask"], "last": newest.get("price")}
    if not answers.are_text_or_null([list(prices.values())]):
        return _rejected(page, _QUOTE_SHAPE, instrument)
    columns: dict[str, list[Any]] = {"instrument": [instrument], "ts": [None]}
    columns |= {name: [price or None] for name, price in prices.items()}
    return Parsed(columns, "us")


def book(answer: Answer, instrument: str) -> Parsed:
    """Return the book, best price first, at its own time. Raises BadData."""
    page = _object(answer, ("pricebook",))["pricebook"]
    if type(page) is not dict or not page.keys() >= {"bids", "asks"}:
        raise _bad_page("a pricebook with bids and asks", answer)
    bids, asks, ts = _side(page["bids"]), _side(page["asks"]), _moment(page.get("time"))
    if bids is None or asks is None or ts is None or page.get("product_id") != instrument:
        return _rejected(page, _BOOK_SHAPE, instrument)
    names = ("bid_prices", "bid_sizes", "ask_prices", "ask_sizes")
    columns: dict[str, list[Any]] = {"instrument": [instrument], "ts": [ts]}
    return Parsed(columns | dict(zip(names, ([text] for text in (*bids, *asks)), strict=True)), "us")


def _object(answer: Answer, needed: tuple[str, ...]) -> dict[str, Any]:
    page = answers.load(_NAME, answer, numbers_as_text=True)
    if type(page) is not dict or not page.keys() >= set(needed):
        raise _bad_page(f"an object with {' and '.join(needed)}", answer)
    return page


def _side(levels: Any) -> tuple[str, str] | None:
    if type(levels) is not list:
        return None
    columns = answers.by_member(levels, ("price", "size")) if levels else [[], []]
    return None if columns is None else answers.book_side(list(map(list, zip(*columns, strict=True))))


def _moment(text: Any) -> int | None:
    """Return microseconds since 1970, None for what is no ISO time in UTC."""
    if type(text) is not str or _ISO_TIME.fullmatch(text) is None:
        return None
    try:
        return epoch_us(datetime.fromisoformat(text))
    except ValueError:  # a 30th of February
        return None


def _rejected(page: dict[str, Any], shape: str, instrument: str) -> Parsed:
    bad = answers.reject(page, rule="wrong_shape", reason=shape, instrument=instrument)
    return Parsed({"instrument": [], "ts": []}, "us", (bad,))


def _bad_page(expected: str, answer: Answer) -> BadData:
    said = f"{_NAME} sent a page that can't be used: expected {expected}"
    return BadData(said, rule="unparsable_page", provider=_NAME, status=answer.status)
