"""FMP's prices as rows: daily bars of three adjustments, intraday bars, the last price, the best bid and ask.

Deliberately not here: what is asked (questions.py), and news, actions and observations (facts_rows.py). Invariant:
numbers keep the digits they were sent with, and a row is read whole or rejected.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any
from zoneinfo import ZoneInfo

from ingest.market.records import Parsed
from ingest.providers import answers
from ingest.providers.fmp_parts.pages import (
    DATE,
    Row,
    has_all,
    inside,
    list_of,
    matches,
    moment_of,
    of_dates,
    own,
    parsed,
)
from ingest.providers.fmp_parts.symbols import FULL, day_bars, native_symbol
from ingest.wire import Answer

#: Intraday times have no zone: "calNewYork.setTimeZone(..)", says the maintainer.
#: Source: https://github.com/FinancialModelingPrepAPI/Financial-Modeling-Prep-API/issues/43.
NEW_YORK = ZoneInfo("America/New_York")

_BAR = ("open", "high", "low", "close", "volume")
#: Of both other adjustments: only the address tells which of them a price is of.
_ADJUSTED_BAR = ("adjOpen", "adjHigh", "adjLow", "adjClose", "volume")
_BAR_SHAPE = "expected an object with a date and numbers or nulls in open, high, low, close and volume"
_ADJUSTED_SHAPE = "expected an object with a date and numbers or nulls in adjOpen, adjHigh, adjLow, adjClose and volume"
_QUOTE_SHAPE = "expected an object with the asked symbol, a price, and seconds or milliseconds in timestamp"
_BOOK_SHAPE = "expected an object with the asked symbol, bidPrice, bidSize, askPrice, askSize and timestamp"
_ZERO = re.compile(r"0*\.?0*", re.ASCII)
#: Seconds have ten digits for a long time to come, milliseconds thirteen.
_FIRST_MS = 10**11


def bars(page: Any, instrument: str, interval: str, answer: Answer) -> Parsed:
    """Return the bars, newest first: days by their date, others by New York's clock, which `date` is written in."""
    names = ("instrument", "ts", *_BAR)
    if interval != "1d":
        rows, rejects = answers.sound_rows(list_of(page, answer), _minute, _BAR_SHAPE, instrument)
        return parsed("s", rejects, names, [(instrument, *row) for row in inside(rows, answer)])
    address, symbol = day_bars(instrument)
    keys, shape = (_BAR, _BAR_SHAPE) if address == FULL else (_ADJUSTED_BAR, _ADJUSTED_SHAPE)
    rows, rejects = answers.sound_rows(list_of(page, answer), lambda row: _day(row, keys), shape, instrument)
    rows, foreign = own(rows, symbol)
    return parsed("date", rejects + foreign, names, [(instrument, *row) for row in of_dates(rows, answer)])


def quotes(page: Any, instrument: str, answer: Answer) -> Parsed:
    """Return the last price of `quote`, a list of one."""

    def read(row: Any) -> Row | None:
        cells = _cells(row, instrument, ("price",))
        return None if cells is None else (instrument, *cells)

    rows, rejects = answers.sound_rows(list_of(page, answer), read, _QUOTE_SHAPE, instrument)
    return parsed("ms", rejects, ("instrument", "ts", "last"), rows)


def books(page: Any, instrument: str, answer: Answer) -> Parsed:
    """Return the best bid and ask of `aftermarket-quote` as a book of one level; a price of zero is no order."""

    def read(row: Any) -> Row | None:
        cells = _cells(row, instrument, ("bidPrice", "bidSize", "askPrice", "askSize"))
        return None if cells is None else (instrument, cells[0], *_side(*cells[1:3]), *_side(*cells[3:]))

    rows, rejects = answers.sound_rows(list_of(page, answer), read, _BOOK_SHAPE, instrument)
    return parsed("ms", rejects, ("instrument", "ts", "bid_prices", "bid_sizes", "ask_prices", "ask_sizes"), rows)


def _day(row: Any, keys: Sequence[str]) -> Row | None:
    """Return date, prices, volume and symbol of a day's bar. Legacy rows have no symbol."""
    if not has_all(row, keys) or not matches(DATE, row.get("date")):
        return None
    values = [row.get(name) for name in (*keys, "symbol")]
    return (row["date"], *values) if set(map(type, values)) <= answers.TEXT_OR_NULL else None


def _minute(row: Any) -> Row | None:
    when = moment_of(row.get("date"), NEW_YORK) if has_all(row, _BAR) else None
    values = [row[name] for name in _BAR] if when is not None else [0]
    return (when, *values) if set(map(type, values)) <= answers.TEXT_OR_NULL else None


def _cells(row: Any, instrument: str, names: Sequence[str]) -> list[Any] | None:
    """Return the time in milliseconds, told by its magnitude, and the cells; None for another symbol's."""
    if not has_all(row, names) or row.get("symbol") != native_symbol(instrument):
        return None
    when, values = row.get("timestamp"), [row[name] for name in names]
    if not answers.is_whole(when) or not set(map(type, values)) <= answers.TEXT_OR_NULL:
        return None
    return [int(when) if int(when) >= _FIRST_MS else int(when) * 1000, *values]


def _side(price: Any, size: Any) -> tuple[str, str]:
    is_none = price is None or size is None or _ZERO.fullmatch(price) or "," in price + size or not size
    return ("", "") if is_none else (price, size)
