"""What polygon is asked: paths, parameters and bounds of the first page of each dataset.

Deliberately not here: which queries it has at all (../polygon.py) and how a ticker is spelt (tickers.py). Invariant: a
window's requests cover each of its bars, rows and days, and nothing beyond it but the rest of its last bar.

Source: https://massive.com/docs/rest, called "docs"; https://github.com/massive-com/client-python 2.9.1
(.massive/rest.json), called "client"; both read autumn 2026.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta

from ingest.errors import FixRequest, UnknownName
from ingest.market.intervals import SECONDS, bar_open, first_open
from ingest.market.times import epoch_ms, epoch_us, first_date, midnight
from ingest.providers.contract import Query
from ingest.providers.polygon_parts import tickers
from ingest.wire import Request

#: "Max 50000": of bars it "limits the number of base aggregates" (minutes or days) that are read for a page, so a page
#: of wider bars has fewer. Source: docs, custom bars. Read at each `build`, so that a test can lower it.
PAGE_ROWS = 50_000
#: "default is 10 and max is 1000" for news, splits and dividends. Source: docs.
FEW_ROWS = 1_000
#: A live poll of bars: a few closed ones so that a missed poll heals, and no less than what comes 15 minutes late.
NEWEST_BARS, NEWEST_SPAN = 5, timedelta(hours=1)
#: Longer than any run of exchange holidays; by whole markets, where each day is a call, long enough for most.
NEWEST_DAYS, NEWEST_MARKET_DAYS = 10, 4
NEWEST_TRADES, NEWEST_NEWS = 1_000, 50
#: Economic tables are "updated monthly" but for yields; a dividend is known weeks before its ex-date.
NEWEST_FACT_DAYS, NEWEST_ACTION_DAYS = 120, 30

_NS_PER_US = 1_000
_WHOLE_MARKETS: Mapping[tickers.Market, str] = {
    "stocks": "locale/us/market/stocks",
    "fx": "locale/global/market/fx",
    "crypto": "locale/global/market/crypto",
}
GROUPED = "/v2/aggs/grouped/"
BOOKS = "/v2/snapshot/locale/global/markets/crypto/tickers"
_SATURDAY = 5


def asked(query: Query, names: Sequence[str], intervals: Mapping[str, str]) -> list[Request]:
    """Return the first pages that answer the query. Raises FixRequest for an instrument without such a dataset."""
    if query.dataset == "bars":
        return _bars(query, names, intervals)
    if query.dataset == "observations":
        return _observations(query, names)
    if query.dataset == "actions":
        kinds = (("splits", "execution_date"), ("dividends", "ex_dividend_date"))
        return [_actions(query, name, kind, day) for name in names for kind, day in kinds]
    one: Mapping[str, Callable[[Query, str], Request]] = {
        "trades": _trades,
        "quotes": _quotes,
        "books": _book,
        "news": _news,
    }
    return [one[query.dataset](query, name) for name in names]


def _bars(query: Query, names: Sequence[str], intervals: Mapping[str, str]) -> list[Request]:
    """Ask each ticker for its days, or where that is fewer calls, each day for its whole market.

    A poll asks a whole market for days that are over: the free plan refuses today's.
    """
    if query.interval is None or query.interval not in intervals or query.end is None:
        raise UnknownName("interval", str(query.interval), intervals, provider="polygon")
    markets: dict[tickers.Market, list[str]] = {}
    for name in names:
        markets.setdefault(tickers.market_of(name), []).append(name)
    requests = []
    for market, some in markets.items():
        days = _days(query.start, query.end, weekdays_only=market == "stocks")
        if query.interval == "1d" and market in _WHOLE_MARKETS and 0 < len(days) < len(some):
            path = f"{GROUPED}{_WHOLE_MARKETS[market]}"
            requests += [_whole_market(f"{path}/{day}", some, None if query.start is None else day) for day in days]
        else:
            requests += [_aggregates(query, query.end, name, intervals) for name in some]
    return requests


def _whole_market(path: str, names: Sequence[str], day: date | None) -> Request:
    start = None if day is None else midnight(day)
    end = None if start is None else start + timedelta(days=1)
    return Request(path, (("adjusted", "false"),), (), tuple(names), 1, start, end)


def _days(start: datetime | None, end: datetime, *, weekdays_only: bool) -> list[date]:
    if start is None:
        first, after = end.date() - timedelta(days=NEWEST_MARKET_DAYS), end.date()
    else:
        first, after = first_date(start), first_date(end)
    days = (first + timedelta(days=i) for i in range((after - first).days))
    return [day for day in days if not weekdays_only or day.weekday() < _SATURDAY]


def _aggregates(query: Query, end: datetime, name: str, intervals: Mapping[str, str]) -> Request:
    """Both ends are included, and what they lie in is answered whole: from the first bar's start to the last one's end.

    A window in which no bar opens asks for the one after it, which `parse` leaves out.
    """
    interval = str(query.interval)
    width = timedelta(seconds=SECONDS[interval])
    if interval == "1d":
        first = first_date(end - timedelta(days=NEWEST_DAYS) if query.start is None else query.start)
        bounds = f"{first}/{max(first, first_date(end) - timedelta(days=1))}"
    else:
        newest = bar_open(end, interval) - max((NEWEST_BARS - 1) * width, NEWEST_SPAN)
        opens = newest if query.start is None else first_open(query.start, interval)
        closes = max(bar_open(end - timedelta(microseconds=1), interval), opens) + width
        bounds = f"{epoch_ms(opens)}/{epoch_ms(closes) - 1}"
    raw = () if tickers.market_of(name) == "indices" else (("adjusted", "false"),)
    path = f"/v2/aggs/ticker/{tickers.ticker_of(name)}/range/{intervals[interval]}/{bounds}"
    params = (*raw, ("sort", "asc"), ("limit", str(PAGE_ROWS)))
    return Request(path, params, (), (name,), 1, *_span(query))


def _trades(query: Query, name: str) -> Request:
    if tickers.market_of(name) not in ("stocks", "crypto"):
        raise _no_such(name, "trades: shares and coins have")
    path = f"/v3/trades/{tickers.ticker_of(name, mark='-')}"
    if query.start is None or query.end is None:
        return Request(path, (("order", "desc"), ("sort", "timestamp"), ("limit", str(NEWEST_TRADES))), (), (name,))
    bounds = [(how, str(epoch_us(at) * _NS_PER_US)) for how, at in (("gte", query.start), ("lt", query.end))]
    params = (*((f"timestamp.{how}", ns) for how, ns in bounds), ("order", "asc"), ("sort", "timestamp"))
    return Request(path, (*params, ("limit", str(PAGE_ROWS))), (), (name,), 1, query.start, query.end)


def _quotes(query: Query, name: str) -> Request:
    """Ask for the newest: a share's last best bid and offer, or the last of a pair's quotes."""
    if query.start is not None:
        raise FixRequest("polygon: quotes are polled, a window of them is not asked for", provider="polygon")
    match tickers.market_of(name):
        case "stocks":
            return Request(f"/v2/last/nbbo/{tickers.ticker_of(name)}", (), (), (name,))
        case "fx":
            newest = (("order", "desc"), ("sort", "timestamp"), ("limit", "1"))
            return Request(f"/v3/quotes/{tickers.ticker_of(name, mark='-')}", newest, (), (name,))
        case _:
            raise _no_such(name, "quotes: shares and money have, coins have books")


def _book(query: Query, name: str) -> Request:
    """Deprecated "2024-07-01" in the specification (client), which still has it."""
    if tickers.market_of(name) != "crypto":
        raise _no_such(name, "books: coins have")
    return Request(f"{BOOKS}/{tickers.ticker_of(name)}/book", (), (), (name,))


def _news(query: Query, name: str) -> Request:
    path, ticker = "/v2/reference/news", ("ticker", tickers.ticker_of(name))
    if query.start is None or query.end is None:
        newest = (("order", "desc"), ("sort", "published_utc"), ("limit", str(NEWEST_NEWS)))
        return Request(path, (ticker, *newest), (), (name,))
    moments = [(how, at.isoformat().replace("+00:00", "Z")) for how, at in (("gte", query.start), ("lt", query.end))]
    params = (ticker, *((f"published_utc.{how}", text) for how, text in moments), ("order", "asc"))
    more = (("sort", "published_utc"), ("limit", str(FEW_ROWS)))
    return Request(path, (*params, *more), (), (name,), 1, query.start, query.end)


def _observations(query: Query, names: Sequence[str]) -> list[Request]:
    """A table has several series in its columns, so it is asked for once."""
    tables: dict[str, list[str]] = {}
    for name in names:
        tables.setdefault(tickers.series_of(name)[0], []).append(name)
    bounds = _dates(query, "date", NEWEST_FACT_DAYS)
    params = (*bounds, ("sort", "date.asc"), ("limit", str(PAGE_ROWS)))
    return [Request(f"/fed/v1/{table}", params, (), tuple(some), 1, *_span(query)) for table, some in tables.items()]


def _actions(query: Query, name: str, kind: str, day: str) -> Request:
    if tickers.market_of(name) != "stocks":
        raise _no_such(name, "actions: shares have")
    params = (("ticker", tickers.ticker_of(name)), *_dates(query, day, NEWEST_ACTION_DAYS))
    more = (("order", "asc"), ("sort", day), ("limit", str(FEW_ROWS)))
    return Request(f"/v3/reference/{kind}", (*params, *more), (), (name,), 1, *_span(query))


def _dates(query: Query, name: str, newest_days: int) -> tuple[tuple[str, str], ...]:
    """Return the bounds as parameters; a poll has no end, since what is announced lies ahead."""
    if query.end is None:
        return ()
    if query.start is None:
        return ((f"{name}.gte", str(query.end.date() - timedelta(days=newest_days))),)
    return (f"{name}.gte", str(first_date(query.start))), (f"{name}.lt", str(first_date(query.end)))


def _span(query: Query) -> tuple[datetime | None, datetime | None]:
    return (query.start, query.end) if query.start is not None else (None, None)


def _no_such(name: str, what: str) -> FixRequest:
    return FixRequest(f"polygon has no {what}; found {name!r}", provider="polygon", instrument=name)
