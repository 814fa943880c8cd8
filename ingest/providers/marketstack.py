"""Marketstack (apilayer), API v2: daily bars, splits, dividends and last prices of shares.

Deliberately not here: `/intraday`, whose rows are no bars. Its documentation calls `open`, `high`, `low` those "of the
asset on the current day" and `close` the "previous day's closing price", and its example (AAPL, 2024-09-27 16:00) has
just these: 227.52 is the close of the day before. So `5m` and the like are refused as unknown intervals. Nor are its
rows quotes: `date` is a mark of the interval's grid and no price's own time, and bid and ask are null without an
agreement with IEX. Nor commodities, bonds, the v1 API, and the newer base https://api.apilayer.net/marketstack/v2,
which can be set as the base URL and is unconfirmed.
Invariant: prices are raw and `adjusted_close` is theirs, with all their digits; a request weighs as many of the month's
requests as it names symbols.

Sources: https://docs.apilayer.com/marketstack (getting-started, api-key-authentication), read autumn 2026, called
"docs"; what https://marketstack.com/documentation_v2 printed besides, called "v2 docs". Symbols, and how we spell them:
marketstack_parts/symbols.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from ingest.errors import BadData, FixRequest, TickfarmError, TryAgain, UnknownName
from ingest.market.markets import EXCHANGES
from ingest.market.records import Parsed
from ingest.market.times import first_date
from ingest.providers import answers
from ingest.providers.contract import Facts, Query
from ingest.providers.marketstack_parts import errors, symbols
from ingest.providers.marketstack_parts.rows import HOME, parse_actions, parse_bars, parse_prices
from ingest.wire import Answer, KeySpec, Limit, Request

#: "Default limit value is 100, maximum allowed limit value is 1000." Source: v2 docs. Read at each `build`.
PAGE_ROWS = 1_000
#: "Maximum: 100 symbols", each of which "consumes one API request": 100 would be all of the free plan's month.
SYMBOLS = 20
#: What polls reach back: longer than any run of exchange holidays; a month of splits and dividends.
NEWEST_DAYS, NEWEST_ACTIONS_DAYS = 10, 30

_DOCS = "https://docs.apilayer.com/marketstack/docs/api-key-authentication, autumn 2026"
_PRICING = "https://marketstack.com/pricing, autumn 2026"
_MONTH_S = 31 * 86_400

facts = Facts(
    name="marketstack",
    title="Marketstack",
    base_url="https://api.marketstack.com/v2",
    docs_url="https://docs.apilayer.com/marketstack/docs/getting-started",
    terms_url="https://marketstack.com/terms",
    datasets=("bars", "quotes", "actions"),
    intervals={"1d": "1d"},
    page_rows=PAGE_ROWS,
    # Our choice: a day "appears some hours after the close", and half a day past UTC midnight is past every session's.
    settle_s=12 * 3600.0,
    limits=(
        Limit(5, 1, _DOCS),
        # "The stock price endpoint: one API call per minute." Source: v2 docs.
        Limit(1, 60, "https://marketstack.com/documentation_v2, autumn 2026", datasets=("quotes",)),
        # 100 requests a month are free (an older page says 1,000), counted by symbol.
        Limit(100, _MONTH_S, _PRICING, unit="weight", resets="UTC"),
    ),
    plans={
        "basic": (Limit(5, 1, _DOCS), Limit(10_000, _MONTH_S, _PRICING, unit="weight", resets="UTC")),
    },
    key=KeySpec(
        env="MARKETSTACK_API_KEY",
        place="query",
        name="access_key",
        required=True,
        where_to_get="https://marketstack.com/dashboard",
    ),
    batch={"bars": SYMBOLS, "quotes": 1, "actions": SYMBOLS},
    # "Available for up to 15 years back"; the free plan has 12 months of it. Source: v2 docs.
    reach_days={"1d": 15 * 365},
    trading="XNYS",
    exchanges=EXCHANGES,
    paid={"quotes": "Professional"},
    left_out={
        "intraday rows as bars": "open, high and low are those of the day so far and close is the day before's",
        "intraday rows as quotes": "their time is a mark of the grid and not that of the price, of whose market (IEX "
        "alone, or all) nothing is said; `quotes` are its last prices",
    },
)


def build(query: Query) -> list[Request]:
    """Return the first page for each batch of symbols, of splits and dividends both; quotes one by one.

    A query without `start` reaches back from its `end`, at the same price as the latest day alone. A window without
    any midnight UTC has no day in it, so nothing is asked. Raises FixRequest.
    """
    natives = {native_symbol(instrument): instrument for instrument in query.instruments}
    match query.dataset:
        case "quotes":
            return [_price(native, instrument) for native, instrument in natives.items()]
        case "bars" if query.interval not in facts.intervals:
            raise UnknownName("interval", str(query.interval), facts.intervals, provider=facts.name)
        case "bars":
            return _batches(query, natives, ("/eod",), NEWEST_DAYS)
        case "actions":
            return _batches(query, natives, ("/splits", "/dividends"), NEWEST_ACTIONS_DAYS)
        case _:
            raise UnknownName("dataset", query.dataset, facts.datasets, provider=facts.name)


def next_page(request: Request, answer: Answer) -> Request | None:
    """Return the request for the rows after this page's, None after the last or where `parse` will raise."""
    try:
        page = _page(answer)
    except BadData:
        return None
    if page is None or not page[0] or page[1] != _offset(request):
        return None
    reached, total = page[1] + len(page[0]), page[2]
    kept = tuple(param for param in request.params if param[0] != "offset")
    return replace(request, params=(*kept, ("offset", str(reached)))) if reached < total else None


def error_of(answer: Answer) -> TickfarmError | None:
    """Return the error in the answer: an outage first, then `error` whatever the status, then a body cut short."""
    by_status = answers.limit_or_outage(facts.name, answer)
    if isinstance(by_status, TryAgain):
        return by_status
    code = errors.code_of(answer)
    return (
        (errors.coded(code, answer) if code else None)
        or by_status
        or errors.by_status(answer)
        or answers.refusal(facts.name, answer)
        or answers.not_json(facts.name, answer)
    )


def parse(query: Query, answer: Answer) -> Parsed:
    """Return the page's rows in its order (ascending dates; symbols of a date as they come); quotes have no time.

    A price's `trade_last` says no zone, so the receive time dates it. Raises BadData for an empty page before the end.
    """
    page = _page(answer)
    if page is None:
        raise _bad_page("expected pagination and a list in data", answer)
    rows, offset, total = page
    if offset != _offset(answer.request):
        raise _bad_page(f"it begins at {offset}, the request asked for {_offset(answer.request)}", answer)
    if not rows and offset < total:
        raise _bad_page(f"no rows at {offset} of {total}, so the rows after it can't be read", answer)
    asked = {native_symbol(one): one for one in answer.request.instruments or query.instruments}
    if query.dataset == "quotes":
        return parse_prices(rows, asked)
    # The answer may name a class with the dot that the question had to replace.
    named = asked | {native.replace("-", "."): one for native, one in asked.items()}
    if query.dataset == "bars":
        return parse_bars(rows, named)
    return parse_actions(rows, named, splits=answer.request.path == "/splits")


def catalogue(text: str = "") -> Request | None:
    """Return the search for `text`; the whole list would take a third of the free plan's month or more."""
    return Request("/tickerslist", (("search", text), ("limit", str(PAGE_ROWS)))) if text else None


def listed(answer: Answer) -> list[str]:
    """Return what the search found, as far as our grammar spells it."""
    page = _page(answer)
    if page is None:
        raise _bad_page("expected pagination and a list in data", answer)
    natives = [row.get("ticker") for row in page[0] if type(row) is dict]
    named = (instrument_of(native) for native in natives if type(native) is str)
    return list(dict.fromkeys(name for name in named if name is not None))


def native_symbol(instrument: str) -> str:
    """Return the symbol: `BRK.B` is `BRK-B`, `TSCO.LON` is `TSCO.XLON`. Raises FixRequest for a pair."""
    return symbols.native_symbol(instrument)


def instrument_of(native: str) -> str | None:
    """Return our spelling of a symbol."""
    return symbols.instrument_of(native)


def _price(native: str, instrument: str) -> Request:
    if "." in native:
        said = f"{facts.name} has last prices of shares of the {HOME} only, of others its exchange codes are not told"
        raise FixRequest(said, provider=facts.name, instrument=instrument)
    return Request("/stockprice", (("ticker", native),), (), (instrument,), 1)


def _batches(query: Query, natives: Mapping[str, str], paths: tuple[str, ...], newest_days: int) -> list[Request]:
    """`date_from` and `date_to` are both inclusive."""
    if query.end is None:
        raise FixRequest(f"{facts.name}: {query.dataset} need an end, the window's or now", provider=facts.name)
    start = query.start or query.end - timedelta(days=newest_days)
    first, last = first_date(start), first_date(query.end) - timedelta(days=1)
    if last < first:
        return []
    span: tuple[datetime | None, datetime | None] = (start, query.end) if query.start is not None else (None, None)
    fixed = (("date_from", first.isoformat()), ("date_to", last.isoformat()), ("sort", "ASC"))
    sized = (*fixed, ("limit", str(PAGE_ROWS)), ("offset", "0"))
    names, requests = list(natives), []
    for some in (names[i : i + SYMBOLS] for i in range(0, len(names), SYMBOLS)):
        params = (("symbols", ",".join(some)), *sized)
        instruments = tuple(natives[name] for name in some)
        requests += [Request(path, params, (), instruments, len(some), *span) for path in paths]
    return requests


def _page(answer: Answer) -> tuple[list[Any], int, int] | None:
    """Return the rows, the offset of the first and the total; None where the body is no page. Raises BadData.

    Prices come without pagination, and `total` has been seen as text.
    """
    body = answers.load(facts.name, answer, numbers_as_text=True)
    rows = body.get("data") if type(body) is dict else None
    if type(rows) is not list:
        return None
    if answer.request.path == "/stockprice":
        return rows, 0, len(rows)
    paging = body.get("pagination")
    cells: tuple[Any, Any] = (paging.get("offset"), paging.get("total")) if type(paging) is dict else (None, None)
    return (rows, int(cells[0]), int(cells[1])) if all(map(answers.is_whole, cells)) else None


def _offset(request: Request) -> int:
    return int(dict(request.params).get("offset", "0"))


def _bad_page(expected: str, answer: Answer) -> BadData:
    said = f"{facts.name} sent a page that can't be used: {expected}"
    return BadData(said, rule="unparsable_page", provider=facts.name, status=answer.status)
