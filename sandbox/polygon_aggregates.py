"""Polygon's bars of any width: base aggregates (minutes, days) put together, a page of so many bases at a time.

Deliberately not here: tickers, keys and HTTP (`dialects/polygon.py`). Invariant: a page ends between two bars, so the
pages of a query, joined, are its bars once each.
Source: https://massive.com/docs/rest/stocks/aggregates/custom-bars and https://massive.com/blog/aggs-api-updates,
autumn 2026: `limit` counts base aggregates, and the bounds stretch to the bars that they lie in.
"""

import re
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import NamedTuple

from sandbox.polygon_facts import SPLITS
from sandbox.polygon_market import NEW_YORK, Item, PolygonMarket, day_ms, session_of, texts
from sandbox.price_walk import MINUTE_MS, aggregate

Row = dict[str, str]
_MINUTES = {"minute": 1, "hour": 60}
_DAY = timedelta(days=1)


class BadRangeError(Exception):
    """Bounds that are refused, with the text."""


class Span(NamedTuple):
    """What a path asks for: `multiplier` x `timespan`, and both bounds as it wrote them."""

    multiplier: int
    timespan: str
    first: str
    last: str


class Page(NamedTuple):
    """The bars of a page, ascending, and where the next one begins (None after the last)."""

    rows: list[Row]
    bases: int
    next_first: str | None


def page(market: PolygonMarket, item: Item, span: Span, *, bases: int, adjusted: bool, now_ms: int) -> Page:
    """Return the first page of at most that many base aggregates, but at least a bar. Raises BadRangeError."""
    if span.timespan == "day" and span.multiplier == 1:
        return _days(market, item, span, bases=bases, adjusted=adjusted, now_ms=now_ms)
    if span.timespan not in _MINUTES:
        raise BadRangeError("the sandbox has bars of minutes, hours and one day")
    width = span.multiplier * _MINUTES[span.timespan]
    first, last = _moment_ms(item, span.first, is_end=False), _moment_ms(item, span.last, is_end=True)
    if last < first:
        raise BadRangeError("'to' must be greater than or equal to 'from'")
    start, end = first // MINUTE_MS // width * width, (last // MINUTE_MS // width + 1) * width
    minutes = market.minutes(item, start, end, now_ms=now_ms)
    buckets: dict[int, list[int]] = {}
    for place, (minute, _) in enumerate(minutes):
        buckets.setdefault(minute // width * width, []).append(place)
    rows: list[Row] = []
    used = 0
    for opens, places in buckets.items():
        if rows and used + len(places) > bases:
            return Page(rows, used, str(opens * MINUTE_MS))
        used += len(places)
        bar = aggregate([minutes[place][1] for place in places])
        day = session_of(item, opens * MINUTE_MS)
        rows.append(_scaled(item, texts(item, bar), day, adjusted=adjusted) | {"t": str(opens * MINUTE_MS)})
    return Page(rows, used, None)


def whole_day(market: PolygonMarket, item: Item, day: date, *, adjusted: bool, now_ms: int) -> Row | None:
    """Return the ticker's row of a whole market's day, whose time is the session's end."""
    row = market.day(item, day, now_ms=now_ms)
    if row is None:
        return None
    if item.market == "stocks":
        close_ms = int(datetime.combine(day, time(16), NEW_YORK).timestamp()) * 1000
    else:
        close_ms = int(datetime.combine(day + _DAY, time(), UTC).timestamp()) * 1000 - 1
    return {"T": f'"{item.ticker}"'} | _scaled(item, row, day, adjusted=adjusted) | {"t": str(close_ms)}


def _days(market: PolygonMarket, item: Item, span: Span, *, bases: int, adjusted: bool, now_ms: int) -> Page:
    first, last = _date(item, span.first), _date(item, span.last)
    if last < first:
        raise BadRangeError("'to' must be greater than or equal to 'from'")
    rows: list[Row] = []
    day = first
    while day <= min(last, session_of(item, now_ms)):
        row = market.day(item, day, now_ms=now_ms)
        if row is not None and len(rows) == bases:
            return Page(rows, bases, day.isoformat())
        if row is not None:
            rows.append(_scaled(item, row, day, adjusted=adjusted) | {"t": str(day_ms(item, day))})
        day += _DAY
    return Page(rows, len(rows), None)


def _scaled(item: Item, row: Row, day: date, *, adjusted: bool) -> Row:
    """Return the prices in the shares that there were after the last split, where that is asked for."""
    factor = Decimal(1)
    for on, before, after in SPLITS.get(item.ticker, ()) if adjusted and item.market == "stocks" else ():
        if day.isoformat() < on:
            factor = factor * before / after
    if factor == 1:
        return dict(row)
    return row | {name: f"{(Decimal(row[name]) * factor).quantize(Decimal('0.0001')):f}" for name in "ohlc"}


def _moment_ms(item: Item, text: str, *, is_end: bool) -> int:
    if re.fullmatch(r"\d{10,14}", text):
        return int(text)
    day = _date(item, text)
    zone = NEW_YORK if item.market in ("stocks", "indices") else UTC
    moment = datetime.combine(day + _DAY if is_end else day, time(), zone)
    return int(moment.timestamp()) * 1000 - (1 if is_end else 0)


def _date(item: Item, text: str) -> date:
    if re.fullmatch(r"\d{10,14}", text):
        return session_of(item, int(text))
    try:
        return date.fromisoformat(text) if re.fullmatch(r"\d{4}-\d\d-\d\d", text) else _refuse(text)
    except ValueError:
        return _refuse(text)


def _refuse(text: str) -> date:
    msg = f"Could not parse the time parameter: '{text}'. Use YYYY-MM-DD or Unix milliseconds"
    raise BadRangeError(msg)
