"""Bitfinex's windows followed from page to page, so that no bar or trade is lost or comes twice.

It has no cursor: a page holds the oldest rows from `start` on, both bounds inclusive, in milliseconds. Buckets without
trades are absent and ids have holes, so a page that was cut short looks like a whole one: what is left of the window
behind its last row is always asked for. Trades of one millisecond may stand on both sides of a page's end: the page is
cut before its last millisecond, which begins the next. Deliberately not here: what a row means (../bitfinex.py).
Invariant: a trade of the window stands on exactly one of its pages as they are cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import compress
from typing import Any

from ingest.errors import BadData
from ingest.market.times import epoch_ms_up
from ingest.providers import answers
from ingest.wire import Answer, Request

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Following:
    """Where the page after a page of trades begins. `lost`: more trades share the one before than a page can hold."""

    first_ms: int
    lost: bool = False


def bounds(start: datetime, end: datetime) -> tuple[tuple[str, str], ...]:
    """Return the parameters of `[start, end)`, oldest row first; none where it holds no whole millisecond."""
    first, last = epoch_ms_up(start), epoch_ms_up(end) - 1
    return (("start", str(first)), ("end", str(last)), ("sort", "1")) if first <= last else ()


def bad_page(expected: str, answer: Answer) -> BadData:
    """Return the error of a page that is none."""
    said = f"bitfinex sent a page that can't be used: expected {expected}"
    return BadData(said, rule="unparsable_page", provider="bitfinex", status=answer.status)


def rows_of(answer: Answer) -> list[Any]:
    """Return the list that the answer is, numbers as text. Raises BadData."""
    page = answers.load("bitfinex", answer, numbers_as_text=True)
    if type(page) is not list:
        raise bad_page(f"a list, found a JSON {type(page).__name__}", answer)
    return page


def starting_at(request: Request, first_ms: int) -> Request:
    """Return the same request from a later millisecond on."""
    return replace(request, params=tuple(("start", str(first_ms)) if p[0] == "start" else p for p in request.params))


def following(request: Request, what: Following) -> Request | None:
    """Return the request for the following trades, or None where they would lie behind the window's end.

    After lost ones the page need not begin with a trade: then what is before it is no part of the request any more.
    """
    after = starting_at(request, what.first_ms)
    if not what.lost:
        return after
    behind = what.first_ms > _span(request)[1]
    return None if behind else replace(after, start=_EPOCH + timedelta(milliseconds=what.first_ms))


def bars_after(request: Request, rows: Sequence[Any], width_ms: int) -> int | None:
    """Return the open of the first bar that a window's page left out, or None where none can be."""
    if request.start is None:
        return None
    first, last = _span(request)
    newest = max((ts for ts in _times(rows, place=0) if first <= ts <= last), default=None)
    return newest + width_ms if newest is not None and newest + width_ms <= last else None


def trades_after(request: Request, rows: Sequence[Any], answer: Answer) -> Following | None:
    """Return where the trades after this page's begin, or None after the last.

    A page whose trades are all of its first millisecond is the last. Raises BadData where trades would be missing:
    the page does not begin with the trade that the one before it ended with, or begins anew.
    """
    if request.start is None or request.end is None:
        return None
    first, last = _span(request)
    times = _times(rows, place=1)
    here = [ts for ts in times if first <= ts <= last]
    is_first_page = first == epoch_ms_up(request.start)
    if not here and not is_first_page:
        raise bad_page("at least the trade that the page before ended with", answer)
    if not here:
        return None
    newest = max(here)
    if newest > first:
        return Following(newest)
    if any(epoch_ms_up(request.start) <= ts < first for ts in times):
        raise bad_page("trades from its start on, found those of the page before", answer)
    is_full = len(here) >= int(dict(request.params)["limit"])
    return Following(first + 1, lost=True) if is_full else None


def cut(columns: list[list[Any]], after: Following | None) -> list[list[Any]]:
    """Return the columns of the page's trades (time first) without those that the next page begins with."""
    if after is None or after.lost:
        return columns
    kept = [ts != after.first_ms for ts in columns[0]]
    return [list(compress(column, kept)) for column in columns]


def _span(request: Request) -> tuple[int, int]:
    params = dict(request.params)
    return int(params["start"]), int(params["end"])


def _times(rows: Sequence[Any], *, place: int) -> list[int]:
    columns = answers.by_column(list(rows), place + 1)
    if columns is not None and answers.are_whole(columns[place]):
        return list(map(int, columns[place]))
    cells = (row[place] for row in rows if type(row) is list and len(row) > place)
    return [int(cell) for cell in cells if answers.is_whole(cell)]
