"""Coinbase (Exchange REST API): bars, trades, quotes and books; keyless.

Deliberately not here: the Advanced Trade API, which has other shapes under another host (coinbase_advanced.py),
statistics, WebSocket streams; what the pages mean (coinbase_parts/pages.py).
Invariant: numbers keep the digits they were sent with, and every time is UTC: candles count seconds, the rest is ISO
text read to the microsecond.

Sources, read 2026-11-24: https://docs.cdp.coinbase.com/api-reference/exchange-api/rest-api/products, called "products"
below (get-product-candles, -trades, -ticker, -book, get-all-known-trading-pairs), and
https://docs.cdp.coinbase.com/exchange/rest-api, called "rest-api" (pagination, rate-limits, requests).
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from ingest.errors import BadData, FixRequest, SlowDown, TickfarmError, TryAgain, UnknownName
from ingest.market.intervals import SECONDS, bar_open, first_open, split_window
from ingest.market.records import Parsed
from ingest.market.symbols import is_instrument, is_pair, validate
from ingest.providers import answers
from ingest.providers.coinbase_parts import pages
from ingest.providers.contract import Facts, Query
from ingest.wire import Answer, Limit, Request

#: "The maximum number of data points for a single request is 300 candles", more is refused. Source: products.
PAGE_ROWS = 300
#: "Maximum 1000 (default 1000)". Source: rest-api, pagination.
TRADES_PAGE_ROWS = 1000
#: A live poll: the bar still forming, and a few closed ones so that a missed poll heals at the next.
NEWEST_ROWS = 5

_DOCS = "https://docs.cdp.coinbase.com/exchange/rest-api/rate-limits"

facts = Facts(
    name="coinbase",
    title="Coinbase",
    base_url="https://api.exchange.coinbase.com",
    docs_url="https://docs.cdp.coinbase.com/exchange/introduction/welcome",
    terms_url="https://www.coinbase.com/legal/market_data",
    datasets=("bars", "trades", "quotes", "books"),
    # "granularity must be one of {60, 300, 900, 3600, 21600, 86400}", in seconds. Source: products.
    intervals={"1m": "60", "5m": "300", "15m": "900", "1h": "3600", "6h": "21600", "1d": "86400"},
    page_rows=PAGE_ROWS,
    # Our choice: "historical rate data may be incomplete", so a closed candle gets a little longer.
    settle_s=5.0,
    # Pages are cut by a trade_id (`after`, a cursor) and a product's ids count its trades; that none is left out is
    # not documented. A number that is missing for good costs two requests and ends with what the answers covered.
    trade_ids="contiguous",
    # "Requests per second per IP: 10", in bursts up to 15 (a token bucket): 10 in any second never exceeds it.
    limits=(Limit(10, 1, f"{_DOCS}, 2026-11-24"),),
    # Every endpoint names one product in its path. Source: products.
    batch={"bars": 1, "trades": 1, "quotes": 1, "books": 1},
)

#: A book is the whole aggregated one: there is no parameter for its depth, and level 1 is one price a side.
_ENDPOINTS: dict[str, tuple[str, tuple[tuple[str, str], ...]]] = {
    "trades": ("trades", (("limit", str(TRADES_PAGE_ROWS)),)),
    "quotes": ("ticker", ()),
    "books": ("book", (("level", "2"),)),
}
#: Texts of `{"message":".."}` that say more than their status, which is 200 or 4xx; "more than 300 candles" or an
#: unknown granularity is a plain 400. Source: rest-api, requests; the texts are those its clients know.
_LIMIT_TEXT = re.compile(r"rate limit exceeded", re.IGNORECASE)
_OUTAGE_TEXT = re.compile(r"under maintenance|cancel only mode|internal server error", re.IGNORECASE)


def build(query: Query) -> list[Request]:
    """Return the query's requests: all pages of bars, or one request a product, whose trades `next_page` follows.

    A window of trades is reached from the newest trade backwards, 1,000 a request: one that ended long ago costs the
    requests for everything since, too. Raises FixRequest for a start without an end.
    """
    products = list(dict.fromkeys(native_symbol(instrument) for instrument in query.instruments))
    if query.start is not None and query.end is None:
        raise FixRequest("coinbase: a window needs an end as well as a start", provider=facts.name)
    if query.dataset == "bars":
        return [page for product in products for page in _candles(product, query)]
    if query.dataset not in facts.datasets:
        raise UnknownName("dataset", query.dataset, facts.datasets, provider=facts.name)
    endpoint, params = _ENDPOINTS[query.dataset]
    span = (query.start, query.end) if query.start is not None else (None, None)
    return [_request(product, endpoint, *params, span=span) for product in products]


def next_page(request: Request, answer: Answer) -> Request | None:
    """Return the request for the trades before this page's, or None once the window's start is reached.

    The cursor is the id of the last trade received, so a page cut short loses nothing. None where `parse` will raise.
    """
    if request.start is None or not request.path.endswith("/trades"):
        return None
    try:
        cursor = pages.older(request, answer, pages.page_of(answer))
    except BadData:
        return None
    kept = tuple(param for param in request.params if param[0] != "after")
    return None if cursor is None else replace(request, params=(*kept, ("after", cursor)))


def error_of(answer: Answer) -> TickfarmError | None:
    """Return the error in the answer: a known message, else the status, else a body cut short."""
    return (
        _worded_error(answer)
        or answers.limit_or_outage(facts.name, answer)
        or _bot_check(answer)
        or answers.refusal(facts.name, answer)
        or answers.not_json(facts.name, answer)
    )


def parse(query: Query, answer: Answer) -> Parsed:
    """Return the page's rows in its order (bars and trades: newest first).

    Cut off are candles up to a page before `start`, which "may precede your declared start value", and in a window of
    trades those newer than it, passed on the way there, and those of the last page that are older. Any other row
    outside the window stays, for the quality rules to find.
    """
    page = pages.page_of(answer)
    instrument = (answer.request.instruments or query.instruments)[0]
    if query.dataset == "bars":
        return pages.parse_candles(pages.rows_of(page, answer), instrument, query, answer, page_rows=PAGE_ROWS)
    if query.dataset == "trades":
        pages.older(answer.request, answer, page)  # raises where the page before this one can't be asked for
        return pages.parse_trades(pages.rows_of(page, answer), instrument, answer)
    return pages.parse_object(page, query.dataset, instrument, answer)


def catalogue(text: str = "") -> Request | None:
    """Return the request for all products."""
    return Request("/products")


def listed(answer: Answer) -> list[str]:
    """Return every product our grammar can spell, whatever its status: history outlives trading."""
    try:
        names = [product["id"] for product in pages.rows_of(pages.page_of(answer), answer)]
    except (KeyError, TypeError) as cause:
        raise pages.bad_page("expected products with an id", answer) from cause
    return [name for name in names if type(name) is str and is_pair(name) and is_instrument(name)]


def native_symbol(instrument: str) -> str:
    """Return the product's id, which is our spelling. Raises FixRequest for anything but a pair."""
    if not is_pair(validate(instrument)):
        said = f"coinbase has pairs only, like BTC-USD; found {instrument!r}"
        raise FixRequest(said, provider=facts.name, instrument=instrument)
    return instrument.strip()


def instrument_of(native: str) -> str | None:
    """Return the pair of a product's id, which is our spelling."""
    return native if is_pair(native) and is_instrument(native) else None


def _request(
    product: str,
    endpoint: str,
    *params: tuple[str, str],
    span: tuple[datetime | None, datetime | None] = (None, None),
) -> Request:
    return Request(f"/products/{product}/{endpoint}", params, (), (product,), 1, *span)


def _candles(product: str, query: Query) -> list[Request]:
    """Return the pages of the window, each of at most 300 candles however bounds and buckets are counted.

    Both bounds are inclusive there, so a page begins at its first candle and ends a second before the next page's.
    """
    if query.interval is None or query.interval not in facts.intervals:
        raise UnknownName("interval", str(query.interval), facts.intervals, provider=facts.name)
    granularity = ("granularity", facts.intervals[query.interval])
    if query.start is None:
        if query.end is None:
            return [_request(product, "candles", granularity)]  # without bounds: the newest 300
        newest = bar_open(query.end, query.interval)
        first = newest - timedelta(seconds=SECONDS[query.interval] * (NEWEST_ROWS - 1))
        return [_request(product, "candles", granularity, ("start", _iso(first)), ("end", _iso(newest)))]
    pages = []
    for start, end in split_window(query.start, query.end or query.start, query.interval, PAGE_ROWS):
        # The last whole second before `end`: candles open on whole seconds, so no bound needs a fraction.
        last = (end - timedelta(microseconds=1)).replace(microsecond=0)
        first = first_open(start, query.interval)
        bounds = (("start", _iso(min(first, last))), ("end", _iso(last)))
        pages.append(_request(product, "candles", granularity, *bounds, span=(start, end)))
    return pages


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _worded_error(answer: Answer) -> TickfarmError | None:
    """Return the error of a known `{"message":".."}`, in a 200 too. The status alone decides about a 429 and a 5xx."""
    if answer.status == 429 or answer.status >= 500:
        return None
    body = answers.error_object(answer, b'"message"')
    text, instrument = str(body.get("message", "")), answers.only_instrument(answer)
    if text.casefold() == "notfound" and instrument is not None:
        unknown = UnknownName("instrument", instrument, ("those in /products",), provider=facts.name)
        unknown.instrument, unknown.status = instrument, answer.status
        return unknown
    kind = SlowDown if _LIMIT_TEXT.search(text) else TryAgain if _OUTAGE_TEXT.search(text) else None
    if kind is None:
        return None
    message = f"coinbase can't answer {answer.request.path} now (HTTP {answer.status}); see the archived answer"
    return kind(message, provider=facts.name, status=answer.status, retry_after_s=answers.retry_after_s(answer.headers))


def _bot_check(answer: Answer) -> TryAgain | None:
    """Return TryAgain for a refusal in HTML: its own refusals are JSON, so that one is its CDN's, and passes."""
    if 400 <= answer.status < 500 and answer.body[:64].lstrip()[:1] == b"<":
        said = f"coinbase: HTTP {answer.status} with an HTML page, as its CDN's bot check sends"
        return TryAgain(said, provider=facts.name, status=answer.status)
    return None
