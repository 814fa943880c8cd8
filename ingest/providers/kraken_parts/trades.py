"""Kraken's trades: read from their rows, and followed from page to page without losing or repeating one.

`since` counts time, many trades share one, and whether it is itself included is told both ways. Times are printed from
a float, up to 119 ns off. So a page is asked for a little early (`OVERLAP_NS`), and pages are cut at a printed time:
what is before it belongs to the one page, the rest to the next. Deliberately not here: requests (../kraken.py).
Invariant: a trade of the window stands on exactly one of its pages as they are cut.

Source: https://docs.kraken.com/api-reference/market-data/get-recent-trades, read 2026-11-24.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from ingest.market.records import Parsed
from ingest.market.times import epoch_us
from ingest.providers import answers
from ingest.providers.kraken_parts.pages import (
    CLOCK_TOLERANCE,
    bad_page,
    rows_of,
    without_newer,
)
from ingest.wire import Answer, Request

#: "Returns the last 1000 trades by default"; `count` is at most that.
PAGE_ROWS = 1000
#: More than a printed time is off and far less than 1,000 trades take: the fastest known took 13,000 ns.
OVERLAP_NS = 1_000

_NS_PER_S = 1_000_000_000
#: `[price, volume, time, side, order type, miscellaneous, trade_id]`.
_TIME, _SIDE, _ID, _FIELDS = 2, 3, 6, 7
_SHAPE = f"expected a list of {_FIELDS}+ fields: price, volume, seconds, b or s, two more, a whole id"
_COLUMNS = ("ts", "trade_id", "price", "size", "side")
_TAKERS = {"b": "buy", "s": "sell"}
_SECONDS = re.compile(r"(\d{1,18})(?:\.(\d+))?", re.ASCII)
#: `last` counts nanoseconds; shorter ones have been seen and are no time.
_LAST = re.compile(r"\d{19}", re.ASCII)


def since_of(first: datetime | int) -> tuple[str, str]:
    """Return the parameter that brings the trades from `first` on (a moment, or nanoseconds), and a few before it."""
    first_ns = first if isinstance(first, int) else _epoch_ns(first)
    return "since", str(first_ns - OVERLAP_NS)


def parse(result: Mapping[str, Any], instrument: str, answer: Answer) -> Parsed:
    """Return the page's trades, those of a window cut at both ends. Raises BadData."""
    page, request = rows_of(result, answer), answer.request
    rows, rejects = answers.sound_rows(page, _trade, _SHAPE, instrument)
    if request.start is not None and request.end is not None:
        first, following = _first_ns(request), cursor(result, answer)
        end = _epoch_ns(request.end) if following is None else following
        rows = without_newer(rows, end, _epoch_ns(answer.received_at + CLOCK_TOLERANCE))
        rows = [row for row in rows if not first - 2 * OVERLAP_NS <= row[0] < first]
    columns = list(zip(*rows, strict=True)) or [()] * len(_COLUMNS)
    values = dict(zip(_COLUMNS, map(list, columns), strict=True))
    return Parsed({"instrument": [instrument] * len(rows)} | values, "ns", rejects)


def cursor(result: Mapping[str, Any], answer: Answer) -> int | None:
    """Return the time in nanoseconds that the next page begins with, or None after the last.

    It is the newest trade's, or `last` where that is earlier: both say the same, and a row dated too late must not make
    the next page begin too late. Raises BadData where it can't be told or stands still: trades would be missing.
    """
    rows, request = rows_of(result, answer), answer.request
    if request.start is None or request.end is None:
        return None
    first, late = _first_ns(request), _epoch_ns(answer.received_at + CLOCK_TOLERANCE)
    if not rows and first > _epoch_ns(request.start):
        raise bad_page("at least the trade that the page before ended with", answer)
    newest = max((ts for ts in map(_time_ns, rows) if ts is not None and ts <= late), default=None)
    if rows and newest is None:
        raise bad_page("trades with a time in seconds", answer)
    if newest is None or newest <= first:
        if len(rows) >= PAGE_ROWS:
            raise bad_page("a page of trades that reaches further than the one before", answer)
        return None
    last = result.get("last")
    if type(last) is str and _LAST.fullmatch(last) and int(last) > first:
        newest = min(newest, int(last))
    return newest if newest < _epoch_ns(request.end) else None


def _first_ns(request: Request) -> int:
    """Return the time of the first trade that a page of a window is asked for."""
    return int(dict(request.params)["since"]) + OVERLAP_NS


def _epoch_ns(moment: datetime) -> int:
    return epoch_us(moment) * 1_000


def _trade(row: Any) -> tuple[Any, ...] | None:
    """Return the trade; rows of six fields, as once sent, have no id and are none. A null price is left to quality."""
    ts = _time_ns(row)
    if ts is None or len(row) < _FIELDS or not answers.is_whole(row[_ID]) or type(row[_SIDE]) is not str:
        return None
    side = _TAKERS.get(row[_SIDE])
    if side is None or not set(map(type, row[:2])) <= answers.TEXT_OR_NULL:
        return None
    return ts, row[_ID], row[0], row[1], side


def _time_ns(row: Any) -> int | None:
    """Return the row's time, digits beyond nanoseconds dropped; None where it has none."""
    text = row[_TIME] if type(row) is list and len(row) > _TIME else None
    seconds = _SECONDS.fullmatch(text) if type(text) is str else None
    return None if seconds is None else int(seconds[1]) * _NS_PER_S + int((seconds[2] or "0").ljust(9, "0")[:9])
