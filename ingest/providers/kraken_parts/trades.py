"""Kraken's trades: read from their rows, and followed from page to page without losing or repeating one.

`since` counts time, many trades share one, and whether it is itself included is told both ways. Times are printed from
a float, up to 119 ns off. So a page is asked for a little early (`OVERLAP_NS`), and pages are cut at a printed time:
what is before it belongs to the one page, the rest to the next. Deliberately not here: requests (../kraken.py).
Invariant: a trade of the window stands on exactly one of its pages as they are cut.

Source: https://docs.kraken.com/api-reference/market-data/get-recent-trades, read 2026-11-24.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
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
    rows, rejects = answers.sound_rows_at_once(page, _trades_of, _SHAPE, instrument)
    if request.start is not None and request.end is not None:
        times = None if rejects else [row[0] for row in rows]
        first, following = _first_ns(request), cursor(result, answer, times)
        end = _epoch_ns(request.end) if following is None else following
        rows = without_newer(rows, end, _epoch_ns(answer.received_at + CLOCK_TOLERANCE))
        rows = [row for row in rows if not first - 2 * OVERLAP_NS <= row[0] < first]
    columns = list(zip(*rows, strict=True)) or [()] * len(_COLUMNS)
    values = dict(zip(_COLUMNS, map(list, columns), strict=True))
    return Parsed({"instrument": [instrument] * len(rows)} | values, "ns", rejects)


def cursor(result: Mapping[str, Any], answer: Answer, times: Sequence[int | None] | None = None) -> int | None:
    """Return the time in nanoseconds that the next page begins with, or None after the last.

    It is the newest trade's, or `last` where that is earlier: both say the same, and a row dated too late must not make
    the next page begin too late. Raises BadData where it can't be told or stands still: trades would be missing.
    `times` are those of its rows, where they are known already.
    """
    rows, request = rows_of(result, answer), answer.request
    if request.start is None or request.end is None:
        return None
    first, late = _first_ns(request), _epoch_ns(answer.received_at + CLOCK_TOLERANCE)
    if not rows and first > _epoch_ns(request.start):
        raise bad_page("at least the trade that the page before ended with", answer)
    every = map(_time_ns, rows) if times is None else times
    newest = max((ts for ts in every if ts is not None and ts <= late), default=None)
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


def _trades_of(rows: list[Any]) -> list[tuple[Any, ...]] | None:
    """Return the trades; rows of six fields, as once sent, have no id and are none. A null price is left to quality."""
    columns = answers.by_column(rows, _FIELDS)
    if columns is None:
        return None
    prices, sizes, sides, ids = columns[0], columns[1], columns[_SIDE], columns[_ID]
    times = list(map(_ns_of, columns[_TIME]))
    if None in times or not answers.are_whole(ids) or not answers.are_text_or_null((prices, sizes, sides)):
        return None
    if not set(sides) <= _TAKERS.keys():
        return None
    return list(zip(times, ids, prices, sizes, map(_TAKERS.get, sides), strict=True))


def _time_ns(row: Any) -> int | None:
    """Return the row's time; None where it has none."""
    return _ns_of(row[_TIME]) if type(row) is list and len(row) > _TIME else None


def _ns_of(text: Any) -> int | None:
    """Return a time in seconds as nanoseconds, digits beyond them dropped; None for what is none."""
    seconds = _SECONDS.fullmatch(text) if type(text) is str else None
    return None if seconds is None else int(f"{seconds[1]}{seconds[2] or '':0<9.9}")
