"""Alpha Vantage's series: bars, and the splits and dividends that stand in the rows of adjusted days.

Deliberately not here: what is asked (alpha_vantage.py). Invariant: cells are found by the words of their label, never
by its number ("5. volume" is "6. volume" in adjusted rows), and a time is converted from the zone the answer names.

Source: https://www.alphavantage.co/documentation and the test data of RomelTorres/alpha_vantage, autumn 2026.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from operator import itemgetter
from typing import Any
from zoneinfo import ZoneInfo

from ingest.errors import BadData
from ingest.market.records import Parsed, Reject
from ingest.providers import answers
from ingest.providers.alpha_vantage_parts.times import ZONES, When
from ingest.wire import Answer, Request

PROVIDER = "alpha_vantage"
#: "compact returns only the latest 100 data points".
COMPACT_ROWS = 100
#: A live poll: the bar still forming, and a few closed ones so that a missed poll heals at the next.
NEWEST_ROWS = 5
#: What an exchange's clock may be ahead; a row beyond it is not cut silently, quality says that it lies in the future.
_AHEAD = timedelta(days=1)
#: Nothing trades over a weekend and its holidays: a full page may begin that much after its window.
_CLOSED = timedelta(days=5)
#: They have no month or size to go further back by: "full" of minutes is some 30 days, a coin's days about a year.
_SHALLOW = ("FX_INTRADAY", "CRYPTO_INTRADAY", "DIGITAL_CURRENCY_DAILY")
#: The names under which a series' rows stand; `Meta Data` is beside them.
_SERIES = re.compile(r"(Weekly |Monthly )?(Adjusted )?Time Series.*", re.I)
_LABEL = re.compile(r"\d+[ab]?\. ([a-z ]+?)(?: \(([A-Z0-9]+)\))?", re.ASCII)
_BAR = {
    "open": "open",
    "high": "high",
    "low": "low",
    "close": "close",
    "adjusted close": "adjusted_close",
    "volume": "volume",
}
_PRICES = ("open", "high", "low", "close")
_BAR_SHAPE = "expected a time, and open, high, low, close and perhaps volume as text under their labels"
_ACTION_SHAPE = "expected a date, and dividend amount and split coefficient as decimal text under their labels"


def bars(answer: Answer, instrument: str) -> Parsed:
    """Return the bars of the request's part of the window, or the newest without one. Raises BadData."""
    market = dict(answer.request.params).get("market", "")

    def read(rows: list[Any]) -> list[dict[str, Any]] | None:
        if set(map(type, rows)) != {dict}:
            return None
        labelled, *others = set(map(tuple, rows))
        labels = {_BAR[words]: label for words, label in _labels(labelled, market).items() if words in _BAR}
        columns = [list(map(itemgetter(label), rows)) for label in labels.values()] if not others else []
        if others or not labels.keys() >= set(_PRICES) or not answers.are_text_or_null(columns):
            return None
        return [dict(zip(labels, values, strict=True)) for values in zip(*columns, strict=True)]

    kept, rejects, when = _kept(answer, instrument, read, _BAR_SHAPE)
    columns: dict[str, list[Any]] = {"instrument": [instrument] * len(kept), "ts": [ts for ts, _ in kept]}
    for column in _BAR.values():
        if column in _PRICES or any(column in row for _, row in kept):
            columns[column] = [row.get(column) for _, row in kept]
    return Parsed(columns, when.unit, rejects)


def actions(answer: Answer, instrument: str) -> Parsed:
    """Return the splits and dividends of adjusted days: a coefficient other than 1, an amount other than 0."""

    def read_one(cells: Any) -> dict[str, Any] | None:
        labels = _labels(tuple(cells), "") if type(cells) is dict else {}
        if not labels.keys() >= {"dividend amount", "split coefficient"}:
            return None
        amount, coefficient = cells[labels["dividend amount"]], cells[labels["split coefficient"]]
        paid, factor = _decimal(amount), _decimal(coefficient)
        return None if paid is None or factor is None else {"dividend": (amount, paid), "split": (coefficient, factor)}

    def read(rows: list[Any]) -> list[dict[str, Any]] | None:
        found = [row for row in map(read_one, rows) if row is not None]
        return found if len(found) == len(rows) else None

    kept, rejects, when = _kept(answer, instrument, read, _ACTION_SHAPE)
    found: list[tuple[Any, ...]] = []
    for ts, row in kept:
        (amount, paid), (coefficient, factor) = row["dividend"], row["split"]
        found += [(instrument, ts, "dividend", "", amount, None, None)] if paid != 0 else []
        found += [(instrument, ts, "split", "", None, "1", coefficient)] if factor != 1 else []
    names = ("instrument", "ts", "kind", "action_id", "amount", "split_from", "split_to")
    return Parsed({name: [row[i] for row in found] for i, name in enumerate(names)}, when.unit, rejects)


def older(request: Request, answer: Answer) -> datetime | None:
    """Return where a compact page that begins after its window begins; None where nothing is left to be asked for."""
    if request.start is None:
        return None
    try:
        rows, when = _page(answer)
    except BadData:
        return None
    times = [ts for ts in map(when.read, rows) if ts is not None]
    if len(times) < COMPACT_ROWS:
        return None
    oldest = when.moment(min(times))
    return oldest if oldest > request.start else None


def _page(answer: Answer) -> tuple[Mapping[str, Any], When]:
    """Return the rows by their time. Raises BadData. A page with nothing but `Meta Data` has none."""
    page = answers.load(PROVIDER, answer, numbers_as_text=True)
    meta = page.get("Meta Data") if type(page) is dict else None
    if type(meta) is not dict:
        raise _bad_page("Meta Data beside a time series", answer)
    series = [page[name] for name in page if _SERIES.fullmatch(name)]
    rows = series[0] if series else {}
    if len(series) > 1 or type(rows) is not dict:
        raise _bad_page("one time series, an object of rows by their time", answer)
    if "interval" not in dict(answer.request.params):
        return rows, When(None)
    named = [meta[label] for label in meta if label.endswith(" Time Zone")]
    zone = ZONES.get(named[0]) if named and type(named[0]) is str else None
    if zone is None:
        raise _bad_page(f"a time zone that is one of {', '.join(ZONES)}", answer)
    return rows, When(ZoneInfo(zone))


def _kept(
    answer: Answer,
    instrument: str,
    read: Callable[[list[Any]], list[dict[str, Any]] | None],
    shape: str,
) -> tuple[list[tuple[Any, dict[str, Any]]], tuple[Reject, ...], When]:
    """Return the times and cells of the request's part of the window, what could not be read, and how times are."""
    rows, when = _page(answer)
    times = {text: when.read(text) for text in rows}
    is_asked = _asked(answer, when, [ts for ts in times.values() if ts is not None])

    def read_timed(items: list[Any]) -> list[tuple[Any, ...]] | None:
        moments = [times[text] for text, _ in items]
        found = None if None in moments else read([cells for _, cells in items])
        return None if found is None else list(zip(moments, found, strict=True))

    asked = [(text, rows[text]) for text, ts in times.items() if ts is None or is_asked(ts)]
    kept, rejects = answers.sound_rows_at_once(asked, read_timed, shape, instrument)
    return kept, (*_begins_late(answer, instrument, when, times), *rejects), when


def _asked(answer: Answer, when: When, times: list[Any]) -> Callable[[Any], bool]:
    """Return what says whether a time belongs to the request; nearly every page holds more than was asked for."""
    start, end = answer.request.start, answer.request.end
    if start is None or end is None:
        first = sorted(times)[-NEWEST_ROWS:][0] if times else None
        return lambda ts: bool(ts >= first)
    low, high, late = when.bound(start), when.bound(end), when.bound(answer.received_at + _AHEAD)
    return lambda ts: bool(low <= ts < high or ts > max(high, late))


def _begins_late(answer: Answer, instrument: str, when: When, times: Mapping[str, Any]) -> Iterator[Reject]:
    """Report a page that holds all there is of a pair and begins after its window: what lies before can't be had."""
    params, start = dict(answer.request.params), answer.request.start
    oldest = min((ts for ts in times.values() if ts is not None), default=None)
    if start is None or oldest is None or params.get("outputsize") == "compact":
        return
    if params.get("function") in _SHALLOW and when.moment(oldest) > start + _CLOSED:
        reason = f"the provider's history of the pair begins at {when.moment(oldest).isoformat()}"
        yield answers.reject([str(oldest)], rule="missing_rows", reason=reason, instrument=instrument)


def _decimal(text: Any) -> Decimal | None:
    try:
        value = Decimal(text) if type(text) is str else None
    except InvalidOperation:
        return None
    return value if value is not None and value.is_finite() else None


@lru_cache(maxsize=64)
def _labels(labels: tuple[str, ...], market: str) -> dict[str, str]:
    """Return the label of each word; of a coin's prices those in the market's money, where a row has two."""
    found: dict[str, str] = {}
    for label in labels:
        match = _LABEL.fullmatch(label)
        if match is not None and (match[2] is None or match[2] == market):
            found.setdefault(match[1], label)
    return found


def _bad_page(expected: str, answer: Answer) -> BadData:
    said = f"{PROVIDER} sent a page that can't be used: expected {expected}"
    return BadData(said, rule="unparsable_page", provider=PROVIDER, status=answer.status)
