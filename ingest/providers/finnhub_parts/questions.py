"""What Finnhub is asked: paths and parameters, by months (intraday bars), by days (trades, news), or at once.

Deliberately not here: which queries it has at all (../finnhub.py), how a name is spelt (symbols.py). Invariant: the
requests of a window cover each of its rows, and none of them twice.

Sources: those of ../finnhub.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from ingest.errors import FixRequest, UnknownName
from ingest.market.intervals import SECONDS, bar_open, first_open, split_window
from ingest.market.times import epoch_us, first_date, midnight
from ingest.providers.contract import Query
from ingest.providers.finnhub_parts import rows, symbols
from ingest.wire import Request

_NAME = "finnhub"
#: "Maximum value: 25000". Source: openapi, /stock/tick. Read at each `build`, so that a test can lower it.
TICK_ROWS = 25_000
#: "Only 1 month of intraday will be returned at a time" (openapi, /stock/candle), the end of what was asked for
#: (issues, 406). The shortest month is never cut.
INTRADAY_DAYS = 28
#: A live poll's bars: the forming one and a few closed ones; of days, more than any run of exchange holidays.
NEWEST_BARS, NEWEST_DAYS = 5, 10
#: What a live poll of a company's news reaches back: over a weekend.
NEWEST_NEWS_DAYS = 3
#: Whether a date is UTC's or the exchange's is not documented, so days are asked for by both; New York is the latest.
_WESTMOST = ZoneInfo("America/New_York")
_CANDLES = {symbols.FX: "/forex/candle", symbols.CRYPTO: "/crypto/candle"}


def asked(name: str, query: Query, intervals: Mapping[str, str]) -> Iterator[Request]:
    """Yield the requests that answer a query of one instrument. Raises FixRequest for what has no such dataset."""
    span = (query.start, query.end) if query.start is not None else (None, None)
    match query.dataset:
        case "bars":
            yield from _candles(name, query, intervals)
        case "trades":
            yield from _ticks(name, query)
        case "quotes":
            yield Request("/quote", (("symbol", symbols.share(name, "quotes")),), (), (name,))
        case "books":
            yield Request("/stock/bidask", (("symbol", symbols.share(name, "books")),), (), (name,))
        case "news":
            yield from _news(name, query)
        case _:
            yield Request("/economic", (("code", symbols.economic_code(name)),), (), (name,), 1, *span)


def _candles(name: str, query: Query, intervals: Mapping[str, str]) -> Iterator[Request]:
    """Yield a request a month of intraday bars, one for all days."""
    if query.interval is None or query.interval not in intervals:
        raise UnknownName("interval", str(query.interval), intervals, provider=_NAME)
    width, native = timedelta(seconds=SECONDS[query.interval]), symbols.native_symbol(name)
    path = _CANDLES.get(native.partition(":")[0], "/stock/candle")
    base = (("symbol", native), ("resolution", intervals[query.interval]))
    end = _end(query)
    if query.start is None:
        back = timedelta(days=NEWEST_DAYS) if query.interval == "1d" else (NEWEST_BARS - 1) * width
        first, last = bar_open(end, query.interval) - back, end
        yield Request(path, (*base, _seconds("from", first), _seconds("to", last)), (), (name,))
        return
    if query.interval == "1d":
        first, last = midnight(first_date(query.start)), midnight(first_date(end)) - timedelta(days=1)
        last = max(first, last + timedelta(seconds=rows.LATEST_STAMP_S))
        yield Request(path, (*base, _seconds("from", first), _seconds("to", last)), (), (name,), 1, query.start, end)
        return
    for start, until in split_window(query.start, end, query.interval, timedelta(days=INTRADAY_DAYS) // width):
        first = first_open(start, query.interval)
        last = max(first, until - timedelta(seconds=1))
        yield Request(path, (*base, _seconds("from", first), _seconds("to", last)), (), (name,), 1, start, until)


def _ticks(name: str, query: Query) -> Iterator[Request]:
    symbol, start = symbols.share(name, "trades"), query.start
    if start is None:
        said = f"{_NAME} has trades by their date, a day late: give start and end"
        raise FixRequest(said, provider=_NAME, instrument=name)
    for day, first, until in _days(start, _end(query)):
        params = (("symbol", symbol), ("date", day.isoformat()), ("limit", str(TICK_ROWS)), ("skip", "0"))
        yield Request("/stock/tick", params, (), (name,), 1, first, until)


def _news(name: str, query: Query) -> Iterator[Request]:
    """Yield a request a day: longer spans are said to be cut at some 250 articles without a word."""
    if name in symbols.TOPICS:
        if query.start is not None:
            said = f"{_NAME} has the newest market news only: poll {name}, without start and end"
            raise FixRequest(said, provider=_NAME, instrument=name)
        yield Request("/news", (("category", name.lower()),), (), (name,))
        return
    symbol, end = symbols.share(name, "news"), _end(query)
    if query.start is None:
        first, last = (end - timedelta(days=NEWEST_NEWS_DAYS)).date(), end.date()
        params = (("symbol", symbol), ("from", first.isoformat()), ("to", last.isoformat()))
        yield Request("/company-news", params, (), (name,))
        return
    for day, start, until in _days(query.start, end):
        params = (("symbol", symbol), ("from", day.isoformat()), ("to", day.isoformat()))
        yield Request("/company-news", params, (), (name,), 1, start, until)


def _days(start: datetime, end: datetime) -> Iterator[tuple[date, datetime, datetime]]:
    """Yield each date that may hold rows of the window, by UTC or by New York, and the part of the window it may hold.

    Both readings put a row into exactly one date, so no row comes twice.
    """
    day, last = start.astimezone(_WESTMOST).date(), (end - timedelta(microseconds=1)).astimezone(UTC).date()
    while day <= last:
        after = midnight(day) + timedelta(days=1, seconds=rows.LATEST_STAMP_S)
        span = max(start, midnight(day)), min(end, after)
        if span[0] < span[1]:
            yield day, *span
        day += timedelta(days=1)


def _end(query: Query) -> datetime:
    if query.end is None:
        raise FixRequest(f"{_NAME}: a query of {query.dataset} needs an end", provider=_NAME)
    return query.end


def _seconds(name: str, moment: datetime) -> tuple[str, str]:
    """Return a bound in whole seconds, rounded up: `to` is a second before an end, so that no open is lost."""
    return name, str(-(-epoch_us(moment) // 1_000_000))
