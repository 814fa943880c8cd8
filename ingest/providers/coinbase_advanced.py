"""Coinbase Advanced Trade: bars, quotes and books, keyless, from another host and in other shapes than coinbase.py.

Deliberately not here: trades, because its documentation does not say whose side `side` is; what wants a signed token
(`/brokerage/products/..`); `4h`, which the documentation lists for those only. Invariant: numbers keep the digits they
were sent with; a candle's `start` is in seconds, UTC.

Sources, read 2026-11-30: https://docs.cdp.coinbase.com/api-reference/advanced-trade-api/rest-api/public, called
"public" (get-public-product-candles, -book, get-public-market-trades, list-public-products). What the most candles of a
page look like in practice: ccxt/ccxt pull request 25171 and KmiQ/coinbase-advanced-python pull request 26.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from ingest.errors import BadData, FixRequest, TickfarmError, UnknownName
from ingest.market.intervals import SECONDS, bar_open, first_open, split_window
from ingest.market.records import BOOK_LEVELS, Parsed
from ingest.market.symbols import is_instrument, is_pair, validate
from ingest.market.times import epoch_us
from ingest.providers import answers
from ingest.providers.coinbase_advanced_parts import errors, snapshots
from ingest.providers.contract import Facts, Query
from ingest.wire import Answer, Limit, Request

#: "The number of candle buckets to be returned. By default, returns 350 (max 350)", and who asks for too many is told
#: that it "should be less than" the most there may be. Source: public; KmiQ/coinbase-advanced-python, 26.
PAGE_ROWS = 349
#: One client found that no more than 300 came (ccxt/ccxt, 25171): a page of that many may have been cut.
MAYBE_CUT_ROWS = 300
#: A live poll: the bar still forming, and a few closed ones so that a missed poll heals at the next.
NEWEST_ROWS = 5

_MARKET, _BOOK = "/api/v3/brokerage/market/products", "/api/v3/brokerage/market/product_book"
_VALUES = ("open", "high", "low", "close", "volume")
_SHAPE = "expected an object with a whole start in seconds and text or null for open, high, low, close and volume"
_DOCS = "https://docs.cloud.coinbase.com/advanced-trade-api/docs/rest-api-rate-limits"

facts = Facts(
    name="coinbase_advanced",
    title="Coinbase Advanced Trade",
    base_url="https://api.coinbase.com",
    docs_url="https://docs.cdp.coinbase.com/coinbase-app/advanced-trade-apis/overview",
    terms_url="https://www.coinbase.com/legal/market_data",
    datasets=("bars", "quotes", "books"),
    # The enum of `granularity`. Source: public.
    intervals={
        "1m": "ONE_MINUTE",
        "5m": "FIVE_MINUTE",
        "15m": "FIFTEEN_MINUTE",
        "30m": "THIRTY_MINUTE",
        "1h": "ONE_HOUR",
        "2h": "TWO_HOUR",
        "6h": "SIX_HOUR",
        "1d": "ONE_DAY",
    },
    page_rows=PAGE_ROWS,
    # Our choice, as for coinbase.py, whose market it is.
    settle_s=5.0,
    # "max 30 req/second for private data, 10 req/s for public data", by IP address.
    limits=(Limit(10, 1, f"{_DOCS}, 2026-11-30"),),
    batch={"bars": 1, "quotes": 1, "books": 1},
    left_out={"trades": "its documentation does not say whose side `side` is; coinbase has them of the same market"},
)


def build(query: Query) -> list[Request]:
    """Return the pages of the window for each product, each of fewer than 350 candles however they are counted.

    Raises FixRequest for bars without an end (both bounds are required there), and for a window of what has none.
    """
    if query.dataset not in facts.datasets:
        raise UnknownName("dataset", query.dataset, facts.datasets, provider=facts.name)
    products = list(dict.fromkeys(native_symbol(instrument) for instrument in query.instruments))
    if query.dataset != "bars":
        if query.start is not None:
            raise FixRequest(f"{facts.name} has only the newest {query.dataset}; leave out the window")
        return [_snapshot(query.dataset, product) for product in products]
    if query.interval is None or query.interval not in facts.intervals:
        raise UnknownName("interval", str(query.interval), facts.intervals, provider=facts.name)
    if query.end is None:
        raise FixRequest(f"{facts.name}: bars need an end, the window's or now", provider=facts.name)
    return [page for product in products for page in _pages(product, query.interval, query.start, query.end)]


def next_page(request: Request, answer: Answer) -> Request | None:
    """Return the request for what a page of 300 or more may have left out: the candles before its oldest one."""
    if request.start is None:  # quotes, books and polls
        return None
    try:
        candles = _candles(answer)
        oldest_s = min(int(candle["start"]) for candle in candles) if len(candles) >= MAYBE_CUT_ROWS else None
    except (BadData, KeyError, TypeError, ValueError):
        return None  # `parse` says what is wrong with it
    bounds = dict(request.params)
    if oldest_s is None or not int(bounds["start"]) < oldest_s <= int(bounds["end"]):
        return None
    return replace(request, params=tuple((bounds | {"end": str(oldest_s - 1)}).items()))


def error_of(answer: Answer) -> TickfarmError | None:
    """Return the error in the answer: a known code, else the status, else a body cut short."""
    return (
        errors.coded(answer)
        or answers.limit_or_outage(facts.name, answer)
        or errors.bot_check(answer)
        or answers.refusal(facts.name, answer)
        or answers.not_json(facts.name, answer)
    )


def parse(query: Query, answer: Answer) -> Parsed:
    """Return the quote or book, or the candles as they come, newest first, without one from before a window's start.

    Whether a bucket that holds the start comes along is not documented, so that one is cut off.
    """
    instrument = (answer.request.instruments or query.instruments)[0]
    if query.dataset != "bars":
        return (snapshots.quote if query.dataset == "quotes" else snapshots.book)(answer, instrument)
    rows, rejects = answers.sound_rows_at_once(_candles(answer), _rows, _SHAPE, instrument)
    if answer.request.start is not None:
        start_s = epoch_us(answer.request.start) / 1_000_000
        rows = [row for row in rows if not start_s - SECONDS[query.interval or "1d"] < row[0] < start_s]
    columns = list(zip(*rows, strict=True)) or [()] * (1 + len(_VALUES))
    values = dict(zip(("ts", *_VALUES), map(list, columns), strict=True))
    return Parsed({"instrument": [instrument] * len(rows)} | values, "s", rejects)


def catalogue(text: str = "") -> Request | None:
    """Return the request for all products of the spot market."""
    return Request(_MARKET, (("product_type", "SPOT"),))


def listed(answer: Answer) -> list[str]:
    """Return every product our grammar can spell, whatever its status: history outlives trading."""
    try:
        names = [product["product_id"] for product in answers.load(facts.name, answer)["products"]]
    except (KeyError, TypeError) as cause:
        raise _bad_page("expected products with a product_id", answer) from cause
    return [name for name in names if type(name) is str and is_pair(name) and is_instrument(name)]


def native_symbol(instrument: str) -> str:
    """Return the product's id, which is our spelling. Raises FixRequest for anything but a pair."""
    if not is_pair(validate(instrument)):
        said = f"{facts.name} has pairs only, like BTC-USD; found {instrument!r}"
        raise FixRequest(said, provider=facts.name, instrument=instrument)
    return instrument.strip()


def instrument_of(native: str) -> str | None:
    """Return the pair of a product's id, which is our spelling."""
    return native if is_pair(native) and is_instrument(native) else None


def _snapshot(dataset: str, product: str) -> Request:
    """Return the request for the best prices, which come with some last trades and at least one, or for a book."""
    if dataset == "quotes":
        return Request(f"{_MARKET}/{product}/ticker", (("limit", "1"),), (), (product,))
    return Request(_BOOK, (("product_id", product), ("limit", str(BOOK_LEVELS))), (), (product,))


def _pages(product: str, interval: str, start: datetime | None, end: datetime) -> list[Request]:
    """Return the pages. Whether `end` is inclusive is not documented: each ends a second before the next begins."""
    if start is None:
        newest = bar_open(end, interval)
        first = newest - timedelta(seconds=SECONDS[interval] * (NEWEST_ROWS - 1))
        return [_page(product, interval, first, newest + timedelta(seconds=SECONDS[interval] - 1))]
    found = []
    for since, until in split_window(start, end, interval, PAGE_ROWS):
        last = (until - timedelta(microseconds=1)).replace(microsecond=0)
        found.append(_page(product, interval, min(first_open(since, interval), last), last, (since, until)))
    return found


def _page(
    product: str,
    interval: str,
    first: datetime,
    last: datetime,
    span: tuple[datetime | None, datetime | None] = (None, None),
) -> Request:
    bounds = (("start", _seconds(first)), ("end", _seconds(last)), ("granularity", facts.intervals[interval]))
    return Request(f"{_MARKET}/{product}/candles", bounds, (), (product,), 1, *span)


def _seconds(moment: datetime) -> str:
    return str(int(moment.astimezone(UTC).timestamp()))


def _candles(answer: Answer) -> list[Any]:
    page = answers.load(facts.name, answer, numbers_as_text=True)
    candles = page.get("candles") if type(page) is dict else None
    if type(candles) is not list:
        raise _bad_page("expected candles as a list", answer)
    return candles


def _rows(candles: list[Any]) -> list[tuple[Any, ...]] | None:
    columns = answers.by_member(candles, ("start", *_VALUES))
    if columns is None or not answers.are_whole(columns[0]) or not answers.are_text_or_null(columns):
        return None
    return list(zip(map(int, columns[0]), *columns[1:], strict=True))


def _bad_page(expected: str, answer: Answer) -> BadData:
    said = f"{facts.name} sent a page that can't be used: {expected}"
    return BadData(said, rule="unparsable_page", provider=facts.name, status=answer.status)
