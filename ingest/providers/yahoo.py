"""Yahoo Finance (unofficial): bars, dividends and splits of the keyless chart of a symbol, and quotes.

No contract, no support, and terms that restrict automated use: a source to compare with, never the only one.

Quotes are the chart's last price, or, with a cookie and its crumb, which belong together, bid and ask too
(yahoo_parts/quotes.py). Deliberately not here: /v10 (summaries), which wants them as well; the stream; 30m, which
"have long returned wrong (60m) bars", and 4h, 1wk, 1mo, which are better made of what is here; `1h` of anything but
pairs, because Yahoo's hours begin with the session (09:30 in New York) and ours are the clock's. Invariant: prices are
as Yahoo sends them: adjusted for splits, in the market's own unit (London in pence), with all their digits.

Sources, read autumn 2026: https://github.com/ranaroussi/yfinance (data.py, scrapers/history.py, utils.py, const.py;
issues 356, 1029, 1389, 1589), called "yfinance"; https://github.com/OpenBB-finance/OpenBB (recorded charts).
Symbols: yahoo_parts/symbols.py.
"""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Any

from ingest.errors import FixRequest, SlowDown, TickfarmError, UnknownName
from ingest.market.intervals import bar_open, seconds_of
from ingest.market.markets import EXCHANGES
from ingest.market.records import Parsed
from ingest.market.symbols import is_pair
from ingest.market.times import epoch_us, first_date
from ingest.providers import answers
from ingest.providers.contract import Facts, Query
from ingest.providers.yahoo_parts import charts, errors, events, quotes, symbols
from ingest.wire import Answer, Limit, Request

#: "Only 8 days worth of 1m granularity data are allowed to be fetched per request"; older answers say 7.
MINUTES_DAYS = 7
#: What a poll reaches back: bars of the day, then longer than any run of holidays, then a month of dividends.
NEWEST_INTRADAY, NEWEST_DAILY, NEWEST_ACTIONS = timedelta(hours=1), timedelta(days=10), timedelta(days=30)
#: A session of a date opens at most 14 hours before and ends 36 hours after that date's midnight UTC, in any zone.
EAST, WEST = timedelta(hours=14), timedelta(hours=12)
#: Yahoo says nothing about how long; yfinance's issues speak of minutes, so shorter waits only prolong it.
BLOCKED_S = 300.0
#: Without one that looks like a browser's it answers 429 or 403. This one still says who we are.
USER_AGENT = "Mozilla/5.0 (compatible; tickfarm)"

_YFINANCE = "https://github.com/ranaroussi/yfinance, autumn 2026"
_HEADERS = (("user-agent", USER_AGENT),)

facts = Facts(
    name="yahoo",
    title="Yahoo Finance",
    base_url="https://query2.finance.yahoo.com",
    mirrors=("https://query1.finance.yahoo.com",),
    docs_url="https://github.com/ranaroussi/yfinance",
    terms_url="https://legal.yahoo.com/us/en/yahoo/terms/product-atos/apiforydn/index.html",
    datasets=("bars", "quotes", "actions"),
    intervals={"1m": "1m", "5m": "5m", "15m": "15m", "1h": "1h", "1d": "1d"},
    # There is no limit of rows; the longest that one request asks for is seven days of minutes.
    page_rows=MINUTES_DAYS * 1440,
    # Exchanges that are delayed are so by up to 20 minutes; our choice is a little more.
    settle_s=1800.0,
    # Nothing is published. One request a second is the lower end of what clients live with: unconfirmed.
    limits=(Limit(1, 1, _YFINANCE),),
    key=quotes.KEY,
    batch={"bars": 1, "quotes": quotes.SYMBOLS, "actions": 1},
    # "The requested range must be within the last 30 (1m), 60, 730 (1h) days", less one for the clock and the margins.
    reach_days={"1m": 29, "5m": 59, "15m": 59, "1h": 729},
    trading="XNYS",
    exchanges=EXCHANGES,
    adjustment="splits",
)

#: HTTP 400 for a window before a symbol's first bar. Source: yfinance, YFPricesMissingError; it is no error of ours.
_NO_DATA = "Data doesn't exist for startDate"


def build(query: Query) -> list[Request]:
    """Return one request for each instrument, for minutes one for each seven days of it; quotes with a key in batches.

    A query of bars or actions without `start` reaches back from its `end`, which it needs. Raises FixRequest.
    """
    if query.dataset not in facts.datasets:
        raise UnknownName("dataset", query.dataset, facts.datasets, provider=facts.name)
    if query.dataset == "quotes" and query.has_key:
        return quotes.requests(query.instruments, _HEADERS)
    if query.dataset == "quotes":
        return [_chart(name, (("range", "1d"), ("interval", "1d"))) for name in dict.fromkeys(query.instruments)]
    end = query.end
    if end is None:
        raise FixRequest(f"{facts.name}: {query.dataset} need an end, the window's or now", provider=facts.name)
    requests = []
    for instrument in dict.fromkeys(query.instruments):
        interval = _interval(query, instrument)
        if query.start is None:
            requests.append(_newest(query, instrument, interval, end))
        else:
            requests += [_window(query, instrument, interval, span) for span in _spans(query.start, end, interval)]
    return requests


def next_page(request: Request, answer: Answer) -> Request | None:
    """Return None: a chart is whole."""
    return None


def error_of(answer: Answer) -> TickfarmError | None:
    """Return the error in the answer: a block by address first, then the status, then `error`, then a cut body.

    A window before the first bar is no error, though its status is 400.
    """
    code, description = errors.told(answer)
    if description.startswith(_NO_DATA):
        return None
    error = (
        errors.blocked(answer)
        or answers.limit_or_outage(facts.name, answer)
        or (errors.coded(code, answer) if code else None)
        or errors.bot_check(answer)
        or answers.refusal(facts.name, answer)
        or answers.not_json(facts.name, answer)
    )
    if isinstance(error, SlowDown) and error.retry_after_s is None:
        error.retry_after_s = BLOCKED_S
    return error


def parse(query: Query, answer: Answer) -> Parsed:
    """Return the chart's rows: bars as they come (charts.py says which are left out), actions, or one quote.

    What `quotes.PATH` answered is read as the quotes it is.
    """
    if answer.request.path == quotes.PATH:
        return quotes.parse(answer)
    chart = charts.chart_of(answer)
    instrument = (answer.request.instruments or query.instruments)[0]
    match query.dataset:
        case "quotes":
            return charts.parse_quote(chart, instrument)
        case "actions":
            return events.parse_actions(chart, instrument, answer)
        case _:
            return charts.parse_bars(chart, instrument, query.interval or "1d", answer)


def catalogue(text: str = "") -> Request | None:
    """Return the search for `text`, which needs no crumb either; without one there is no list."""
    params = (("q", text), ("quotesCount", "50"), ("newsCount", "0"))
    return Request("/v1/finance/search", params, _HEADERS) if text else None


def listed(answer: Answer) -> list[str]:
    """Return what the search found, as far as our grammar spells it, the best match first."""
    page: Any = answers.load(facts.name, answer)
    quotes = page.get("quotes") if type(page) is dict else None
    if type(quotes) is not list:
        raise charts.bad_page("expected quotes as a list", answer)
    natives = [quote.get("symbol") for quote in quotes if type(quote) is dict]
    named = (symbols.instrument_of(native) for native in natives if type(native) is str)
    return list(dict.fromkeys(name for name in named if name is not None))


def native_symbol(instrument: str) -> str:
    """Return Yahoo's symbol: `BRK.B` is `BRK-B`, `EUR-USD` is `EURUSD=X`. Raises FixRequest."""
    return symbols.native_symbol(instrument)


def instrument_of(native: str) -> str | None:
    """Return our spelling of Yahoo's symbol."""
    return symbols.instrument_of(native)


def _chart(
    instrument: str,
    params: tuple[tuple[str, str], ...],
    span: tuple[datetime | None, datetime | None] = (None, None),
) -> Request:
    path = f"/v8/finance/chart/{symbols.native_symbol(instrument)}"
    return Request(path, params, _HEADERS, (instrument,), 1, *span)


def _interval(query: Query, instrument: str) -> str:
    if query.dataset == "actions":
        return "1d"
    if query.interval is None or query.interval not in facts.intervals:
        raise UnknownName("interval", str(query.interval), facts.intervals, provider=facts.name)
    if query.interval == "1h" and not is_pair(instrument):
        said = f"{facts.name} has hours of the clock for pairs only, those of {instrument} begin with the session"
        raise FixRequest(f"{said}: ask for 15m", provider=facts.name, instrument=instrument)
    return query.interval


def _newest(query: Query, instrument: str, interval: str, end: datetime) -> Request:
    back = NEWEST_ACTIONS if query.dataset == "actions" else NEWEST_DAILY
    if interval != "1d":
        width = timedelta(seconds=seconds_of(interval))
        return _chart(instrument, _period(bar_open(end, interval) - max(NEWEST_INTRADAY, 4 * width), end, interval))
    return _chart(instrument, (*_period(end - back, end + EAST, interval), *_events(query)))


def _window(query: Query, instrument: str, interval: str, span: tuple[datetime, datetime]) -> Request:
    if interval != "1d":
        return _chart(instrument, _period(*span, interval), span)
    first, last = (datetime.combine(first_date(ts), time.min, UTC) for ts in span)
    return _chart(instrument, (*_period(first - EAST, last + WEST, interval), *_events(query)), span)


def _spans(start: datetime, end: datetime, interval: str) -> list[tuple[datetime, datetime]]:
    """Return the window in parts of seven days for minutes, else whole."""
    if interval != "1m":
        return [(start, end)]
    step, spans = timedelta(days=MINUTES_DAYS), []
    while start < end:
        spans.append((start, min(start + step, end)))
        start += step
    return spans


def _period(start: datetime, end: datetime, interval: str) -> tuple[tuple[str, str], ...]:
    """`period2` is exclusive; both are whole seconds."""
    bounds = [str(-(-epoch_us(ts) // 1_000_000)) for ts in (start, end)]
    spelled = ("interval", facts.intervals[interval])
    return (("period1", bounds[0]), ("period2", bounds[1]), spelled, ("includePrePost", "false"))


def _events(query: Query) -> tuple[tuple[str, str], ...]:
    return (("events", "div,splits"),) if query.dataset == "actions" else ()
