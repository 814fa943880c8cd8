"""Financial Modeling Prep (stable API): bars, quotes, best bid and ask, actions, news, economic series, treasury rates.

Errors come as an object where a list is expected, with HTTP 200 too, and the text of a spent quota says "upgrade your
plan": limits are told before plans. Instruments: shares (`AAPL`, `BRK.B`, `TSCO.LON`), `INDEX.VIX`, pairs (`EUR-USD`,
`BTC-USD`); for news those, or GENERAL, STOCKS, CRYPTO, FOREX, PRESS.RELEASES, ARTICLES; economic series `REAL.GDP`,
`TREASURY.10Y` (fmp_parts/symbols.py). Bid and ask come from another address than the last price: they are `books`.

Actions are all splits and dividends of a share, two requests whatever the window: nothing but a symbol can be asked
for. A dividend's amount is `adjDividend`: the documentation calls it "adjusted" and no more, its values are worked down
for every later split (Apple's 0.205 for the 0.82 in `dividend`, what was paid before the 4:1), and so are the daily
bars it has to fit. A split changes all amounts before it, so a poll brings the whole list. `limit` is left out: free
plans refuse one above 5, and one was seen to get the whole list without it (AAPL, 2026-09-11).

Deliberately not here: batch quotes (paid for), calendars, streaming, bars unadjusted or adjusted for dividends, whose
keys are adjOpen.. in both, intraday bars of pairs, indices and other countries, whose zone is nowhere documented, and
hourly ones, which begin at half past.
Invariant: numbers keep the digits they were sent with.

Sources, read 2026-11-25: https://site.financialmodelingprep.com/developer/docs/stable (2026-06, as copied publicly),
called "docs"; client fmpsdk (2026-08); OpenBB-finance/OpenBB openbb_fmp.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from ingest.errors import FixRequest, TickfarmError, TryAgain, UnknownName
from ingest.market.intervals import SECONDS
from ingest.market.markets import EXCHANGES
from ingest.market.records import Parsed
from ingest.market.times import first_date
from ingest.providers import answers
from ingest.providers.contract import Facts, Query
from ingest.providers.fmp_parts import dates, errors, rows, symbols
from ingest.wire import Answer, KeySpec, Limit, Request

#: "maximum 250 records per request", pages 0 to 100. Source: docs, news. Read at each `build`: a test can lower it.
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
ACTION_PATHS = ("/dividends", rows.SPLITS)

_PRICING = "https://site.financialmodelingprep.com/developer/docs/pricing, autumn 2026"

facts = Facts(
    name="fmp",
    title="Financial Modeling Prep",
    base_url="https://financialmodelingprep.com/stable",
    docs_url="https://site.financialmodelingprep.com/developer/docs/stable",
    terms_url="https://site.financialmodelingprep.com/terms-of-service",
    datasets=("bars", "quotes", "books", "actions", "news", "observations"),
    # Its hours and four hours begin with the session, at half past: bars of another grid than ours. Source: docs, chart
    # (1hour: 15:30, 4hour: 13:30).
    intervals={"1m": "1min", "5m": "5min", "15m": "15min", "30m": "30min", "1d": "full"},
    page_rows=5_000,
    # Our choice: half a day past UTC midnight is past every US session's end and the same evening's corrections.
    settle_s=12 * 3600.0,
    # "250 requests/day" (Basic); whether the day is the calendar's is not said, so it slides.
    limits=(Limit(250, 86_400, _PRICING),),
    plans={
        "starter": (Limit(300, 60, _PRICING),),
        "premium": (Limit(750, 60, _PRICING),),
        "ultimate": (Limit(3_000, 60, _PRICING),),
    },
    # "Include your API key in the request header as: apikey: YOUR_API_KEY". Source: docs.
    key=KeySpec(
        env="FMP_API_KEY",
        place="header",
        name="apikey",
        required=True,
        where_to_get="https://site.financialmodelingprep.com/developer/docs/dashboard",
    ),
    batch={"bars": 1, "quotes": 1, "books": 1, "actions": 1, "news": 1, "observations": len(symbols.TREASURIES)},
    trading="XNYS",
    exchanges=dict(EXCHANGES) | {"DE": "XETR", "TO": "XTSE", "SS": "XSHG", "BO": "XBOM"},
    # "full" is adjusted for splits. Source: OpenBB openbb_fmp.
    adjustment="splits",
    paid={"news": "Starter (ARTICLES is free)"},
    aliases=("financialmodelingprep",),
)


def build(query: Query) -> list[Request]:
    """Return the requests, by dates: of daily bars one, of others one for as many days as an answer surely holds.

    All asked treasury rates share theirs. Raises FixRequest for a start without an end, or a poll without `end`.
    """
    if query.dataset not in facts.datasets:
        raise UnknownName("dataset", query.dataset, facts.datasets, provider=facts.name)
    if query.start is not None and query.end is None:
        raise FixRequest(f"{facts.name}: a window needs an end as well as a start", provider=facts.name)
    names = tuple(dict.fromkeys(query.instruments))
    if query.dataset == "observations":
        return list(_series(names, query))
    return [request for name in names for request in _requests(name, query)]


def next_page(request: Request, answer: Answer) -> Request | None:
    """Return the request for the news after this page's, of a window, until a page is empty.

    A page with fewer rows than the limit does not end it: a plan may have a smaller one.
    """
    params = dict(request.params)
    if request.start is None or "page" not in params or answer.body.strip() == b"[]":
        return None
    if int(params["page"]) >= LAST_NEWS_PAGE:
        return None
    params["page"] = str(int(params["page"]) + 1)
    return replace(request, params=tuple(params.items()))


def error_of(answer: Answer) -> TickfarmError | None:
    """Return the error in the answer: an outage, its text (limits first), the status, a symbol that does not exist."""
    said = errors.said_in(answer)
    outage = answers.limit_or_outage(facts.name, answer)
    return (
        (outage if isinstance(outage, TryAgain) else None)
        or (errors.limit(said, answer) if errors.LIMIT.search(said) else None)
        or outage
        or errors.refused(said, answer)
        or errors.unknown_symbol(answer)
        or answers.not_json(facts.name, answer)
    )


def parse(query: Query, answer: Answer) -> Parsed:
    """Return the answer's rows in its order, from the newest."""
    page = answers.load(facts.name, answer, numbers_as_text=True)
    asked = answer.request.instruments or query.instruments
    match query.dataset:
        case "bars":
            return rows.bars(page, asked[0], query.interval or "", answer)
        case "quotes":
            return rows.quotes(page, asked[0], answer)
        case "books":
            return rows.books(page, asked[0], answer)
        case "actions":
            return rows.actions(page, asked[0], answer)
        case "news":
            return rows.news(page, asked[0], answer)
        case _:
            return rows.observations(page, asked, answer)


def catalogue(text: str = "") -> Request | None:
    """Return the request for all shares, or with a text for what symbols are found by it."""
    return Request("/search-symbol", (("query", text),)) if text else Request("/stock-list")


def listed(answer: Answer) -> list[str]:
    """Return the instruments of either that our grammar can spell."""
    found = rows.list_of(answers.load(facts.name, answer), answer)
    if any(type(one) is not dict or type(one.get("symbol")) is not str for one in found):
        raise rows.bad_page("a list of objects with a symbol", answer)
    names = (symbols.instrument_of(one["symbol"]) for one in found)
    return list(dict.fromkeys(name for name in names if name is not None))


def native_symbol(instrument: str) -> str:
    """Return the spelling of bars and quotes: `BRK-B`, `TSCO.L`, `^VIX`, `EURUSD`."""
    return symbols.native_symbol(instrument)


def instrument_of(native: str) -> str | None:
    """Return our spelling, None where our grammar has none."""
    return symbols.instrument_of(native)


def _requests(name: str, query: Query) -> Iterator[Request]:
    match query.dataset:
        case "bars":
            yield from _bars(name, query)
        case "quotes":
            yield Request("/quote", (("symbol", symbols.native_symbol(name)),), (), (name,))
        case "books":
            yield Request("/aftermarket-quote", (("symbol", symbols.us_share(name, "books")),), (), (name,))
        case "actions":
            asked = (("symbol", symbols.share(name, "actions")),)
            bounds = (None, None) if query.start is None else (query.start, query.end)
            yield from (Request(path, asked, (), (name,), 1, *bounds) for path in ACTION_PATHS)
        case _:
            yield from _news(name, query)


def _bars(name: str, query: Query) -> Iterator[Request]:
    if query.interval is None or query.interval not in facts.intervals:
        raise UnknownName("interval", str(query.interval), facts.intervals, provider=facts.name)
    end, native = _end(query), facts.intervals[query.interval]
    if query.interval == "1d":
        path, symbol = "/historical-price-eod/full", ("symbol", symbols.native_symbol(name))
        if query.start is None:
            span = (end - timedelta(days=NEWEST_DAYS)).date(), end.date()
            yield Request(path, (symbol, *dates.bounds(*span)), (), (name,))
            return
        for first, last in dates.parts(first_date(query.start), dates.last_date(query.start, end), DAILY_DAYS):
            covered = dates.covered(first, last, query.start, end)
            yield Request(path, (symbol, *dates.bounds(first, last)), (), (name,), 1, *covered)
        return
    path, symbol = f"/historical-chart/{native}", ("symbol", symbols.us_share(name, "intraday bars"))
    if query.start is None:
        back = timedelta(seconds=5 * SECONDS[query.interval])
        span = (end - back).astimezone(rows.NEW_YORK).date(), end.astimezone(rows.NEW_YORK).date()
        yield Request(path, (symbol, *dates.bounds(*span)), (), (name,))
        return
    for first, last, start, until in dates.local_parts(query.start, end, INTRADAY_DAYS[query.interval], rows.NEW_YORK):
        yield Request(path, (symbol, *dates.bounds(first, last)), (), (name,), 1, start, until)


def _news(name: str, query: Query) -> Iterator[Request]:
    """Yield the first page; the feed of its own articles can't be asked by dates, so it has no window."""
    path, symbol = symbols.news_path(name)
    named = () if symbol is None else (("symbols", symbol),)
    paged = (("page", "0"), ("limit", str(NEWS_ROWS)))
    if query.start is None:
        yield Request(path, (*named, *paged), (), (name,))
        return
    if name == "ARTICLES":
        said = f"{facts.name} has the newest of its own articles only: poll ARTICLES, without start and end"
        raise FixRequest(said, provider=facts.name, instrument=name)
    for first, last, start, until in dates.local_parts(query.start, _end(query), NEWS_DAYS, rows.NEWS_ZONE):
        yield Request(path, (*named, *dates.bounds(first, last), *paged), (), (name,), 1, start, until)


def _series(names: tuple[str, ...], query: Query) -> Iterator[Request]:
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
        raise FixRequest(f"{facts.name}: a query of {query.dataset} needs an end", provider=facts.name)
    return query.end
