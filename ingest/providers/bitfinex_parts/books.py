"""A Bitfinex book, which lists bids and asks together, made one row with the best levels of each side first.

Deliberately not here: raw books (`R0`), which list single orders. Invariant: prices and sizes keep their digits, and
an ask's size only loses its sign.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from ingest.market.records import BOOK_LEVELS, Parsed
from ingest.providers import answers

SHAPE = "expected levels of [price, count, amount], numbers, amount above 0 for a bid and below for an ask"
_COLUMNS = ("instrument", "ts", "bid_prices", "bid_sizes", "ask_prices", "ask_sizes")
_NUMBER = re.compile(r"-?\d{1,40}(?:\.\d{1,40})?(?:[eE][+-]?\d{1,3})?", re.ASCII)


def parse(levels: list[Any], instrument: str) -> Parsed:
    """Return the one row, or none for an empty list: that is no book, and what an unknown symbol may get."""
    bids: list[tuple[str, str]] = []
    asks: list[tuple[str, str]] = []
    for level in levels:
        found = _level(level)
        if found is None:
            reject = answers.reject(level, rule="wrong_shape", reason=SHAPE, instrument=instrument)
            return Parsed({name: [] for name in _COLUMNS}, "ms", (reject,))
        (asks if level[2].startswith("-") else bids).append(found)
    bids.sort(key=_price, reverse=True)
    asks.sort(key=_price)
    sides = [",".join(level[cell] for level in side[:BOOK_LEVELS]) for side in (bids, asks) for cell in (0, 1)]
    values = [[value] if levels else [] for value in (instrument, None, *sides)]
    return Parsed(dict(zip(_COLUMNS, values, strict=True)), "ms")


def _price(level: tuple[str, str]) -> Decimal:
    return Decimal(level[0])


def _level(level: Any) -> tuple[str, str] | None:
    """Return price and size, which has lost its sign."""
    if type(level) is not list or len(level) < 3:
        return None
    price, amount = level[0], level[2]
    if any(type(cell) is not str or _NUMBER.fullmatch(cell) is None for cell in (price, amount)):
        return None
    return (price, amount.lstrip("-")) if Decimal(amount) != 0 else None
