"""What Financial Modeling Prep is asked: addresses, symbols, dates, and the parts that a window is cut into.

Deliberately not here: which queries it has at all (../fmp.py), how a name is spelt (symbols.py). Invariant: the parts
of a window are the whole window, and each has as many days as an answer surely holds.

Source: https://site.financialmodelingprep.com/developer/docs/stable, 2026-06, called "docs".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from ingest.errors import FixRequest, UnknownName
from ingest.market.intervals import SECONDS
from ingest.market.times import first_date
from ingest.providers.contract import Query
from ingest.providers.fmp_parts import dates, symbols
from ingest.providers.fmp_parts.facts_rows import NEWS_ZONE, SPLITS
from ingest.providers.fmp_parts.prices import NEW_YORK
from ingest.wire import Request

#: "maximum 250 records per request", pages 0 to 100. Source: docs, news. Read at each call: a test can lower it.
NEWS_ROWS, LAST_NEWS_PAGE = 250, 100
#: Days of news a chain of pages covers, so that it ends long before the last page.
NEWS_DAYS = 7
#: 5,000 rows a call is said of daily bars: ten years are 3,653 days of crypto. Not documented.
DAILY_DAYS = 3_650
#: Days of intraday bars a call: "~3 days" is said of minutes and nothing of the others. Not documented.
INTRADAY_DAYS = {"1m": 1, "5m": 5, "15m": 15, "30m": 30}
#: "Max 90-day date range". Source: docs, economics.
SERIES_DAYS = 90
#: What live polls reach back: a quarter's GDP is known four months after the date it carries.
NEWEST_DAYS, NEWEST_SERIES_DAYS = 10, 180
#: At most 1,000 records an answer, which weekly payments fill in nineteen years. Source: docs, dividends and splits.
ACTION_PATHS = ("/dividends", SPLITS)


def asked(query: Query, names: Sequence[str], intervals: Mapping[str, str]) -> list[Request]:
    """Return the first pages that answer the query. Raises FixRequest for an instrument without such a dataset."""
    if query.dataset == "observations":
        return list(_series(names, query))
    return [request for name in names for request in _requests(name, query, intervals)]


def _requests(name: str, query: Query, intervals: Mapping[str, str]) -> Iterator[Request]:
    match query.dataset:
        case "bars":
            yield from _bars(name, query, intervals)
        case "quotes":
            yield Request("/quote", (("symbol", symbols.symbol(name, "quotes")),), (), (name,))
        case "books":
            yield Request("/aftermarket-quote", (("symbol", symbols.us_share(name, "books")),), (), (name,))
        case "actions":
            asked = (("symbol", symbols.share(name, "actions")),)
            bounds = (None, None) if query.start is None else (query.start, query.end)
            yield from (Request(path, asked, (), (name,), 1, *bounds) for path in ACTION_PATHS)
        case _:
            yield from _news(name, query)


def _bars(name: str, query: Query, intervals: Mapping[str, str]) -> Iterator[Request]:
    if query.interval is None or query.interval not in intervals:
        raise UnknownName("interval", str(query.interval), intervals, provider=symbols.PROVIDER)
    end = _end(query)
    if query.interval == "1d":
        yield from _days(name, query, end)
        return
    path = f"/historical-chart/{intervals[query.interval]}"
    symbol = ("symbol", symbols.us_share(name, "intraday bars"))
    if query.start is None:
        back = timedelta(seconds=5 * SECONDS[query.interval])
        span = (end - back).astimezone(NEW_YORK).date(), end.astimezone(NEW_YORK).date()
        yield Request(path, (symbol, *dates.bounds(*span)), (), (name,))
        return
    for first, last, start, until in dates.local_parts(query.start, end, INTRADAY_DAYS[query.interval], NEW_YORK):
        yield Request(path, (symbol, *dates.bounds(first, last)), (), (name,), 1, start, until)


def _days(name: str, query: Query, end: datetime) -> Iterator[Request]:
    address, native = symbols.day_bars(name)
    path, symbol = f"/historical-price-eod/{address}", ("symbol", native)
    if query.start is None:
        span = (end - timedelta(days=NEWEST_DAYS)).date(), end.date()
        yield Request(path, (symbol, *dates.bounds(*span)), (), (name,))
        return
    for first, last in dates.parts(first_date(query.start), dates.last_date(query.start, end), DAILY_DAYS):
        covered = dates.covered(first, last, query.start, end)
        yield Request(path, (symbol, *dates.bounds(first, last)), (), (name,), 1, *covered)


def _news(name: str, query: Query) -> Iterator[Request]:
    """Yield the first page; the feed of its own articles can't be asked by dates, so it has no window."""
    path, symbol = symbols.news_path(name)
    named = () if symbol is None else (("symbols", symbol),)
    paged = (("page", "0"), ("limit", str(NEWS_ROWS)))
    if query.start is None:
        yield Request(path, (*named, *paged), (), (name,))
        return
    if name == "ARTICLES":
        said = f"{symbols.PROVIDER} has the newest of its own articles only: poll ARTICLES, without start and end"
        raise FixRequest(said, provider=symbols.PROVIDER, instrument=name)
    for first, last, start, until in dates.local_parts(query.start, _end(query), NEWS_DAYS, NEWS_ZONE):
        yield Request(path, (*named, *dates.bounds(first, last), *paged), (), (name,), 1, start, until)


def _series(names: Sequence[str], query: Query) -> Iterator[Request]:
    end = _end(query)
    treasuries = tuple(name for name in names if symbols.check_series(name) in symbols.TREASURIES)
    start = end - timedelta(days=NEWEST_SERIES_DAYS) if query.start is None else query.start
    groups = [(name,) for name in names if name not in treasuries] + ([treasuries] if treasuries else [])
    for group in groups:
        named = (("name", symbols.INDICATORS[group[0]]),) if group[0] in symbols.INDICATORS else ()
        path = "/economic-indicators" if named else "/treasury-rates"
        for first, last in dates.parts(first_date(start), dates.last_date(start, end), SERIES_DAYS):
            span = dates.covered(first, last, start, end) if query.start is not None else (None, None)
            yield Request(path, (*named, *dates.bounds(first, last)), (), group, 1, *span)


def _end(query: Query) -> datetime:
    if query.end is None:
        raise FixRequest(f"{symbols.PROVIDER}: a query of {query.dataset} needs an end", provider=symbols.PROVIDER)
    return query.end
