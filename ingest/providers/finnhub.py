"""Finnhub: quotes and news on the free plan; bars, trades, the best bid and ask, and economic series on paid ones.

An unknown symbol's quote is a 200 full of zeros. Instruments: shares (`AAPL`, `TSCO.L`), pairs (`EUR-USD`, `BTC-USDT`:
bars only), economic codes with dots (`MA.USA.656880`), and for news a share or one of GENERAL, FOREX, CRYPTO, MERGER.
The best bid and ask are paid for while the last price is not, so they are a dataset of their own: `books`, one level.

Deliberately not here: WebSocket streams, calendars, dividends and splits, FX rates (their answer has no date), social
sentiment (counts, no posts), historical NBBO (quotes have no history here). Invariant: numbers keep their digits.

Sources, read 2026-11-25: https://github.com/Finnhub-Stock-API/finnhub-go api/openapi.yaml of 2026-06, called "openapi";
https://finnhub.io/docs/api as quoted publicly; https://github.com/finnhubio/Finnhub-API issues, called "issues".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from ingest.errors import FixRequest, TickfarmError, UnknownName
from ingest.market.intervals import SECONDS, bar_open, first_open, split_window
from ingest.market.markets import EXCHANGES
from ingest.market.records import Parsed
from ingest.market.times import epoch_us, first_date, midnight
from ingest.providers import answers
from ingest.providers.contract import Facts, Query
from ingest.providers.finnhub_parts import errors, rows, symbols
from ingest.wire import Answer, KeySpec, Limit, Request

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

_LIMITS = "https://finnhub.io/docs/api/rate-limit, autumn 2026"
_PAID = "a market data plan"

facts = Facts(
    name="finnhub",
    title="Finnhub",
    base_url="https://finnhub.io/api/v1",
    # Source: https://github.com/Finnhub-Stock-API/finnhub-python client.py, which uses it.
    mirrors=("https://api.finnhub.io/api/v1",),
    docs_url="https://finnhub.io/docs/api",
    terms_url="https://finnhub.io/terms-of-service",
    datasets=("bars", "trades", "quotes", "books", "news", "observations"),
    # "Supported resolution includes 1, 5, 15, 30, 60, D, W, M". Source: openapi. 60 is on the full hour: issues, 309.
    intervals={"1m": "1", "5m": "5", "15m": "15", "30m": "30", "1h": "60", "1d": "D"},
    page_rows=TICK_ROWS,
    # Our choice: trades are reported late by some venues.
    settle_s=900.0,
    # Free: 60 a minute; "On top of all plan's limit, there is a 30 API calls/ second limit."
    limits=(Limit(60, 60, _LIMITS), Limit(30, 1, _LIMITS)),
    key=KeySpec(
        env="FINNHUB_API_KEY",
        place="header",
        name="X-Finnhub-Token",
        required=True,
        where_to_get="https://finnhub.io/register",
    ),
    batch=dict.fromkeys(("bars", "trades", "quotes", "books", "news", "observations"), 1),
    # "up to 1 year back" on the free plan. Source: https://finnhub.io/docs/api/company-news as quoted publicly.
    reach_days={"news": 365},
    trading="XNYS",
    exchanges=dict(EXCHANGES)
    | {"L": "XLON", "DE": "XETR", "F": "XFRA", "TO": "XTSE", "T": "XTKS", "SS": "XSHG", "BO": "XBOM"},
    # "Daily data will be adjusted for Splits. Intraday data will remain unadjusted." Source: openapi.
    adjustment="splits",
    paid={"bars": _PAID, "trades": _PAID, "books": _PAID, "observations": "an economic data plan"},
)

_CANDLES = {symbols.FX: "/forex/candle", symbols.CRYPTO: "/crypto/candle"}
_COUNT, _TOTAL = (re.compile(rb'"%s"\s*:\s*(\d{1,9})\b' % name) for name in (b"count", b"total"))


def build(query: Query) -> list[Request]:
    """Return the requests, one or more an instrument: by months (intraday bars) or by days (trades, news).

    Raises FixRequest for a window of market news, which can only be polled, and for a live poll of trades, which are
    asked for by their date.
    """
    if query.dataset not in facts.datasets:
        raise UnknownName("dataset", query.dataset, facts.datasets, provider=facts.name)
    if query.start is not None and query.end is None:
        raise FixRequest(f"{facts.name}: a window needs an end as well as a start", provider=facts.name)
    names = dict.fromkeys(query.instruments)
    return [request for name in names for request in _requests(name, query)]


def next_page(request: Request, answer: Answer) -> Request | None:
    """Return the request for the day's next ticks, or None once they are as many as `total` says.

    "If count < limit, all data for that date has been returned" (openapi) decides where there is no total.
    """
    if request.path != "/stock/tick":
        return None
    params = dict(request.params)
    count, total = (_number(pattern, answer.body) for pattern in (_COUNT, _TOTAL))
    if not count:
        return None
    read = int(params["skip"]) + count
    if count < int(params["limit"]) if total is None else read >= total:
        return None
    params["skip"] = str(read)
    return replace(request, params=tuple(params.items()))


def error_of(answer: Answer) -> TickfarmError | None:
    """Return the error in the answer: status first, then `{"error": ".."}`, then the zeros of an unknown symbol."""
    return (
        errors.by_status(answer, errors.said_in(answer))
        or answers.refusal(facts.name, answer)
        or errors.in_a_200(answer)
        or errors.unknown_symbol(answer)
        or answers.not_json(facts.name, answer)
    )


def parse(query: Query, answer: Answer) -> Parsed:
    """Return the answer's rows in its order: bars and ticks ascending, news from the newest."""
    page = answers.load(facts.name, answer, numbers_as_text=True)
    instrument = (answer.request.instruments or query.instruments)[0]
    match query.dataset:
        case "bars":
            return rows.candles(page, instrument, query.interval or "", answer)
        case "trades":
            return rows.ticks(page, instrument, answer)
        case "quotes":
            return rows.quote(page, instrument, answer)
        case "books":
            return rows.best_bid_and_ask(page, instrument, answer)
        case "news":
            return rows.news(page, instrument, answer)
        case _:
            return rows.observations(page, instrument, answer)


def catalogue(text: str = "") -> Request | None:
    """Return the request for all US shares, or with a text for what is found by it anywhere."""
    return Request("/search", (("q", text),)) if text else Request("/stock/symbol", (("exchange", "US"),))


def listed(answer: Answer) -> list[str]:
    """Return the instruments of either that our grammar can spell."""
    page = answers.load(facts.name, answer, numbers_as_text=True)
    found = page.get("result") if type(page) is dict else page
    if type(found) is not list or any(type(one) is not dict or type(one.get("symbol")) is not str for one in found):
        raise rows.bad_page("a list of objects with a symbol", answer)
    names = (symbols.instrument_of(one["symbol"]) for one in found)
    return list(dict.fromkeys(name for name in names if name is not None))


def native_symbol(instrument: str) -> str:
    """Return the spelling of bars: `OANDA:EUR_USD`, `BINANCE:BTCUSDT`, `AAPL`. Raises FixRequest for other pairs."""
    return symbols.native_symbol(instrument)


def instrument_of(native: str) -> str | None:
    """Return our spelling, None for a symbol of another exchange."""
    return symbols.instrument_of(native)


def _requests(name: str, query: Query) -> Iterator[Request]:
    span = (query.start, query.end) if query.start is not None else (None, None)
    match query.dataset:
        case "bars":
            yield from _candles(name, query)
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


def _candles(name: str, query: Query) -> Iterator[Request]:
    """Yield a request a month of intraday bars, one for all days."""
    if query.interval is None or query.interval not in facts.intervals:
        raise UnknownName("interval", str(query.interval), facts.intervals, provider=facts.name)
    width, native = timedelta(seconds=SECONDS[query.interval]), symbols.native_symbol(name)
    path = _CANDLES.get(native.partition(":")[0], "/stock/candle")
    base = (("symbol", native), ("resolution", facts.intervals[query.interval]))
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
        said = f"{facts.name} has trades by their date, a day late: give start and end"
        raise FixRequest(said, provider=facts.name, instrument=name)
    for day, first, until in _days(start, _end(query)):
        params = (("symbol", symbol), ("date", day.isoformat()), ("limit", str(TICK_ROWS)), ("skip", "0"))
        yield Request("/stock/tick", params, (), (name,), 1, first, until)


def _news(name: str, query: Query) -> Iterator[Request]:
    """Yield a request a day: longer spans are said to be cut at some 250 articles without a word."""
    if name in symbols.TOPICS:
        if query.start is not None:
            said = f"{facts.name} has the newest market news only: poll {name}, without start and end"
            raise FixRequest(said, provider=facts.name, instrument=name)
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


def _number(pattern: re.Pattern[bytes], body: bytes) -> int | None:
    """Return a member's number without decoding the rows: in a JSON string its quotes would be escaped."""
    found = pattern.search(body)
    return None if found is None else int(found[1])


def _end(query: Query) -> datetime:
    if query.end is None:
        raise FixRequest(f"{facts.name}: a query of {query.dataset} needs an end", provider=facts.name)
    return query.end


def _seconds(name: str, moment: datetime) -> tuple[str, str]:
    """Return a bound in whole seconds, rounded up: `to` is a second before an end, so that no open is lost."""
    return name, str(-(-epoch_us(moment) // 1_000_000))
