"""Binance (spot): bars from `klines`, trades from `aggTrades`, quotes from `ticker/bookTicker`, books from `depth`.

Deliberately not here: keys (none is needed), single fills and WebSocket streams. Invariant: no `X-MBX-TIME-UNIT` header
is ever sent, so every time is in milliseconds ("wrong unit" is a quality rule, never a guess made here).

Source for all facts: https://github.com/binance/binance-spot-api-docs (rest-api.md, errors.md,
faqs/market_data_only.md), state of 2026-07-21.
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime
from typing import Any

from ingest.errors import BadData, FixRequest, SlowDown, TickfarmError, UnknownName
from ingest.market.intervals import split_window
from ingest.market.records import BOOK_LEVELS, Parsed
from ingest.market.symbols import is_instrument
from ingest.market.times import epoch_ms_up
from ingest.providers import answers
from ingest.providers.binance_parts import errors, pages, symbols
from ingest.providers.contract import Facts, Query, UsageHeader
from ingest.wire import Answer, Limit, Request

#: "limit: Default 500; Maximum 1000." Source: rest-api.md "Kline/Candlestick data", "Aggregate trades", 2026-07-21.
PAGE_ROWS = 1000
#: A live poll: the bar still forming, and a few closed ones so that a missed poll heals at the next.
NEWEST_ROWS = 5
#: Source: rest-api.md, 2026-07-21: klines 2; aggTrades 4; depth 5 up to limit 100; bookTicker 2, for several symbols 4.
KLINES_WEIGHT, TRADES_WEIGHT, DEPTH_WEIGHT, TICKER_WEIGHT, TICKERS_WEIGHT = 2, 4, 5, 2, 4
CATALOGUE_WEIGHT = 20  # Source: rest-api.md "Exchange information", 2026-07-21.

_DOCS = "https://github.com/binance/binance-spot-api-docs/blob/master/rest-api.md"
_AGG_TRADES, _DEPTH = "/api/v3/aggTrades", "/api/v3/depth"

facts = Facts(
    name="binance",
    title="Binance",
    # The market-data-only host. Source: faqs/market_data_only.md, 2026-07-21.
    base_url="https://data-api.binance.vision",
    # In the documented order of failover. Source: rest-api.md "General API Information", 2026-07-21.
    mirrors=(
        "https://api.binance.com",
        "https://api-gcp.binance.com",
        "https://api1.binance.com",
        "https://api2.binance.com",
        "https://api3.binance.com",
        "https://api4.binance.com",
    ),
    docs_url=_DOCS,
    terms_url="https://www.binance.com/en/terms",
    datasets=("bars", "trades", "quotes", "books"),
    # Its spelling is ours; case counts ("1m" is a minute, "1M" a month). Source: rest-api.md, 2026-07-21.
    intervals={i: i for i in ("1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "12h", "1d")},
    page_rows=PAGE_ROWS,
    # Our choice, not documented: covers the difference between our clock and theirs.
    settle_s=2.0,
    # Observed, not documented: a minute without a trade comes as a kline with zero trades. Holes are the exchange's
    # outages, the time before a listing, and pages cut short.
    has_every_bar=True,
    # Of aggTrades, whose next page is `fromId = last a + 1`. Source: rest-api.md, 2026-07-21.
    trade_ids="contiguous",
    limits=(
        # "REQUEST_WEIGHT ... MINUTE ... 6000", per IP. Source: rest-api.md exchangeInfo.rateLimits, 2026-07-21.
        Limit(6_000, 60, f"{_DOCS} exchangeInfo.rateLimits, 2026-07-21", "weight"),
        # "RAW_REQUESTS ... 5 MINUTE ... 61000", per IP; CHANGELOG announces 300,000. Source: as above.
        Limit(61_000, 300, f"{_DOCS} exchangeInfo.rateLimits, 2026-07-21", "requests"),
    ),
    # "X-MBX-USED-WEIGHT-(intervalNum)(intervalLetter)" is the current used weight. Source: as above, "IP Limits".
    usage_headers=(UsageHeader("x-mbx-used-weight-1m", 60, "weight"),),
    # bookTicker alone takes several symbols, any number; 100 keep the URL under 2 KB. Source: rest-api.md, 2026-07-21.
    batch={"bars": 1, "trades": 1, "quotes": 100, "books": 1},
    left_out={
        "single fills (api/v3/trades)": "it has the newest thousand alone, under other ids; aggTrades has all of them, "
        "those of one order at one price added up"
    },
)

#: 418: banned; 403: web firewall, "slow down, then a person". Source: rest-api.md "HTTP Return Codes", 2026-07-21.
_SLOW_STATUSES = frozenset({403, 418, 429})


def build(query: Query) -> list[Request]:
    """Return all pages of bars at once, since a page of klines holds a known span; of trades the first page."""
    natives = symbols.by_native(query.instruments)
    if query.start is not None and query.end is None:
        raise FixRequest("binance: a window needs an end as well as a start", provider=facts.name)
    match query.dataset:
        case "bars":
            return [page for symbol, instrument in natives.items() for page in _klines(symbol, instrument, query)]
        case "trades":
            return [page for symbol, instrument in natives.items() for page in _trades(symbol, instrument, query)]
        case "quotes":
            names, size = list(natives), (facts.batch or {})["quotes"]
            return [_tickers({n: natives[n] for n in names[i : i + size]}) for i in range(0, len(names), size)]
        case "books":
            limit = ("limit", str(BOOK_LEVELS))
            return [Request(_DEPTH, (("symbol", s), limit), (), (i,), DEPTH_WEIGHT) for s, i in natives.items()]
        case _:
            raise UnknownName("dataset", query.dataset, facts.datasets, provider=facts.name)


def next_page(request: Request, answer: Answer) -> Request | None:
    """Return the request for the trades after this page's, or None once the window's end is reached.

    The cursor is the last trade's id, which loses nothing where trades share a millisecond. A page that is not full
    should be the last, but one with rows missing isn't full either: so the one trade after it is asked for, and only
    one beyond the end (or none) ends the window. None where `parse` will raise.
    """
    if request.path != _AGG_TRADES:
        return None
    try:
        page = _list(answer, "trades")
        next_id = pages.next_id(request, page, answer)
    except BadData:
        return None
    params = dict(request.params)
    limit = PAGE_ROWS if len(page) >= int(params["limit"]) else 1
    following = (("symbol", params["symbol"]), ("fromId", str(next_id)), ("limit", str(limit)))
    return None if next_id is None else replace(request, params=following)


def error_of(answer: Answer) -> TickfarmError | None:
    """Return the error in the answer: status first, then an object with a negative `code`, then a body cut short."""
    body = answers.error_object(answer, b'"code"')
    error = (
        answers.limit_or_outage(facts.name, answer, slow=_SLOW_STATUSES)
        or errors.coded(body.get("code"), answer)
        or answers.refusal(facts.name, answer)
        or answers.not_json(facts.name, answer)
    )
    if isinstance(error, SlowDown) and error.retry_after_s is None:
        error.retry_after_s = errors.banned_for_s(str(body.get("msg", "")), answer)
    return error


def parse(query: Query, answer: Answer) -> Parsed:
    """Return the page's rows in its order. Quotes and books have no time of their own, so their `ts` is None.

    Cut off are the trades of a window's last pages that are newer than it: pages that go by id have no upper bound.
    """
    asked = answer.request.instruments or query.instruments
    if query.dataset == "books":
        return pages.parse_book(answer, asked[0])
    page = _list(answer, query.dataset)
    if query.dataset == "trades":
        pages.next_id(answer.request, page, answer)  # raises where the page after this one can't be asked for
        return pages.parse_trades(page, asked[0], answer)
    return pages.parse_tickers(page, asked) if query.dataset == "quotes" else pages.parse_klines(page, asked[0])


def catalogue(text: str = "") -> Request | None:
    """Return the request for all symbols; they have no separator, so base and quote come only from here."""
    return Request("/api/v3/exchangeInfo", weight=CATALOGUE_WEIGHT)


def listed(answer: Answer) -> list[str]:
    """Return every pair whose legs our grammar can spell, whatever its status: history outlives trading."""
    page = answers.load(facts.name, answer)
    try:
        pairs = [f"{symbol['baseAsset']}-{symbol['quoteAsset']}" for symbol in page["symbols"]]
    except (KeyError, TypeError) as cause:
        raise pages.bad_page("expected symbols with baseAsset and quoteAsset", answer) from cause
    return [pair for pair in pairs if is_instrument(pair)]


def native_symbol(instrument: str) -> str:
    """Return the pair's legs run together: `BTC-USDT` is `BTCUSDT`. Raises FixRequest for anything but a pair."""
    return symbols.native_symbol(instrument)


def instrument_of(native: str) -> str | None:
    """Return the pair of a symbol, told by what pairs are quoted in."""
    return symbols.instrument_of(native)


def _tickers(natives: dict[str, str]) -> Request:
    """The list form takes a JSON array without spaces: `symbols=["BTCUSDT","BNBUSDT"]`."""
    if len(natives) == 1:
        params, weight = ("symbol", next(iter(natives))), TICKER_WEIGHT
    else:
        params, weight = ("symbols", json.dumps(list(natives), separators=(",", ":"))), TICKERS_WEIGHT
    instruments = tuple(natives.values())
    return Request("/api/v3/ticker/bookTicker", (params,), instruments=instruments, weight=weight)


def _klines(symbol: str, instrument: str, query: Query) -> list[Request]:
    interval = query.interval  # its spelling is ours
    if interval is None or interval not in facts.intervals:
        raise UnknownName("interval", str(interval), facts.intervals, provider=facts.name)
    pages: list[tuple[datetime | None, datetime | None]] = [(None, query.end)]
    if query.start is not None and query.end is not None:
        pages = [*split_window(query.start, query.end, interval, PAGE_ROWS)]
    requests = []
    for start, end in pages:
        rows = ("limit", str(NEWEST_ROWS if start is None else PAGE_ROWS))
        params = (("symbol", symbol), ("interval", interval), *_bounds(start, end), rows)
        span = (start, end) if start is not None else (None, None)
        requests.append(Request("/api/v3/klines", params, (), (instrument,), KLINES_WEIGHT, *span))
    return requests


def _trades(symbol: str, instrument: str, query: Query) -> list[Request]:
    """Return the window's first page, or the newest; no page where the window lies inside one millisecond."""
    start, end = query.start, query.end
    if start is not None and end is not None and epoch_ms_up(start) >= epoch_ms_up(end):
        return []
    params = (("symbol", symbol), *_bounds(start, end), ("limit", str(PAGE_ROWS)))
    page = Request(_AGG_TRADES, params, (), (instrument,), TRADES_WEIGHT)
    return [page if start is None else replace(page, start=start, end=end)]


def _bounds(start: datetime | None, end: datetime | None) -> list[tuple[str, str]]:
    """Both bounds are inclusive there, half-open here."""
    bounds = [("startTime", str(epoch_ms_up(start)))] if start is not None else []
    return [*bounds, ("endTime", str(epoch_ms_up(end) - 1))] if end is not None else bounds


def _list(answer: Answer, dataset: str) -> list[Any]:
    page = answers.load(facts.name, answer)
    if dataset == "quotes" and isinstance(page, dict):
        return [page]  # "symbol=" answers with one object, "symbols=" with a list
    if not isinstance(page, list):
        raise pages.bad_page(f"expected a list of {dataset}, found a JSON {type(page).__name__}", answer)
    return page
