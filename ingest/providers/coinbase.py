"""Coinbase (Exchange REST API): bars, trades, quotes and books; keyless.

Deliberately not here: the Advanced Trade API (other shapes under another host), statistics, WebSocket streams.
Invariant: numbers keep the digits they were sent with, and every time is UTC: candles count seconds, the rest is ISO
text read to the microsecond.

Sources, read 2026-11-24: https://docs.cdp.coinbase.com/api-reference/exchange-api/rest-api/products, called "products"
below (get-product-candles, -trades, -ticker, -book, get-all-known-trading-pairs), and
https://docs.cdp.coinbase.com/exchange/rest-api, called "rest-api" (pagination, rate-limits, requests).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from ingest.errors import BadData, FixRequest, SlowDown, TickfarmError, TryAgain, UnknownName
from ingest.market.intervals import SECONDS, bar_open, first_open, split_window
from ingest.market.records import Parsed
from ingest.market.symbols import is_instrument, is_pair, validate
from ingest.market.times import epoch_us
from ingest.providers import answers
from ingest.providers.contract import Facts, Query
from ingest.wire import Answer, Limit, Request

#: "The maximum number of data points for a single request is 300 candles", more is refused. Source: products.
PAGE_ROWS = 300
#: "Maximum 1000 (default 1000)". Source: rest-api, pagination.
TRADES_PAGE_ROWS = 1000
#: A live poll: the bar still forming, and a few closed ones so that a missed poll heals at the next.
NEWEST_ROWS = 5
#: How far a trade may be dated after our clock and still be one that is newer than the window. Our choice.
CLOCK_TOLERANCE = timedelta(minutes=1)

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

#: `[time, low, high, open, close, volume]`: low before high, both before open. Source: products.
_CANDLE_TIME, _CANDLE_FIELDS = 0, 6
_CANDLE_VALUES = {"open": 3, "high": 2, "low": 1, "close": 4, "volume": 5}
_CANDLE_SHAPE = "expected a list of a whole time in seconds and low, high, open, close, volume"
_TRADE_SHAPE = "expected an object with a whole trade_id, an ISO time, price, size, and side buy or sell"
_QUOTE_SHAPE = "expected an object with text or null for bid, ask and price"
_BOOK_SHAPE = "expected bids and asks as lists of [price, size, ..] in text, a whole sequence and an ISO time"
#: "The side indicates the maker order side": the taker is on the other. Source: products, get-product-trades.
_TAKERS = {"buy": "sell", "sell": "buy", None: None}
_TRADE_COLUMNS = ("ts", "trade_id", "price", "size", "side")
#: A book is the whole aggregated one: there is no parameter for its depth, and level 1 is one price a side.
_ENDPOINTS: dict[str, tuple[str, tuple[tuple[str, str], ...]]] = {
    "trades": ("trades", (("limit", str(TRADES_PAGE_ROWS)),)),
    "quotes": ("ticker", ()),
    "books": ("book", (("level", "2"),)),
}
#: Fractions of three to nine digits are sent. Source: products, examples.
_ISO_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?Z", re.ASCII)

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
        cursor = _older(request, answer, _page(answer))
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
    page = _page(answer)
    instrument = (answer.request.instruments or query.instruments)[0]
    if query.dataset == "bars":
        return _parse_candles(_rows(page, answer), instrument, query, answer)
    if query.dataset == "trades":
        _older(answer.request, answer, page)  # raises where the page before this one can't be asked for
        return _parse_trades(_rows(page, answer), instrument, answer)
    return _parse_object(page, query.dataset, instrument, answer)


def catalogue(text: str = "") -> Request | None:
    """Return the request for all products."""
    return Request("/products")


def listed(answer: Answer) -> list[str]:
    """Return every product our grammar can spell, whatever its status: history outlives trading."""
    try:
        names = [product["id"] for product in _rows(_page(answer), answer)]
    except (KeyError, TypeError) as cause:
        raise _bad_page("expected products with an id", answer) from cause
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


def _page(answer: Answer) -> Any:
    return answers.load(facts.name, answer, numbers_as_text=True)


def _rows(page: Any, answer: Answer) -> list[Any]:
    if type(page) is not list:
        raise _bad_page(f"expected a list, found a JSON {type(page).__name__}", answer)
    return page


def _bad_page(expected: str, answer: Answer) -> BadData:
    said = f"coinbase sent a page that can't be used: {expected}"
    return BadData(said, rule="unparsable_page", provider=facts.name, status=answer.status)


def _parse_candles(page: list[Any], instrument: str, query: Query, answer: Answer) -> Parsed:
    rows, rejects = answers.sound_rows_at_once(page, _candles_of, _CANDLE_SHAPE, instrument)
    if answer.request.start is not None:
        start_s = epoch_us(answer.request.start) / 1_000_000
        page_before_s = start_s - PAGE_ROWS * SECONDS.get(query.interval or "", SECONDS["1d"])
        rows = [row for row in rows if not page_before_s <= row[_CANDLE_TIME] < start_s]
    columns = list(zip(*rows, strict=True)) or [()] * _CANDLE_FIELDS
    values = {"instrument": [instrument] * len(rows), "ts": list(columns[_CANDLE_TIME])}
    return Parsed(values | {name: list(columns[i]) for name, i in _CANDLE_VALUES.items()}, "s", rejects)


def _candles_of(rows: list[Any]) -> list[tuple[Any, ...]] | None:
    """Return the rows' documented fields; a null price is left to the quality rules, as with trades and quotes."""
    columns = answers.by_column(rows, _CANDLE_FIELDS)
    if columns is None or not answers.are_whole(columns[_CANDLE_TIME]) or not answers.are_text_or_null(columns):
        return None
    return list(zip(map(int, columns[_CANDLE_TIME]), *columns[_CANDLE_TIME + 1 :], strict=True))


def _older(request: Request, answer: Answer, page: Any) -> str | None:
    """Return the cursor of the page before this one, or None if it reaches the window's start or trade 1.

    Raises BadData where it can't be told, or the cursor stands still: trades would be missing, or asked for for ever.
    Ids count from 1, so an empty page after a higher one says nothing; an empty first page is a product never traded.
    """
    rows = _rows(page, answer)
    before = dict(request.params).get("after")
    if request.start is None or (not rows and before is None):
        return None
    times = (_epoch_us(row.get("time")) for row in reversed(rows) if type(row) is dict)
    oldest = next((time for time in times if time is not None), None)
    if oldest is None:
        raise _bad_page("expected trades with an ISO time", answer)
    if oldest < epoch_us(request.start):
        return None
    last = rows[-1].get("trade_id") if type(rows[-1]) is dict else None
    # Only where the last trade has no id: the header is right unless rows are missing at the page's end.
    cursor = last if answers.is_whole(last) else answer.headers.get("cb-after")
    if cursor is None or not answers.is_whole(cursor) or (before is not None and int(cursor) >= int(before)):
        raise _bad_page("expected its last trade_id to be below the one it was asked with", answer)
    return cursor if int(cursor) > 1 else None


def _parse_trades(page: list[Any], instrument: str, answer: Answer) -> Parsed:
    rows, rejects = answers.sound_rows_at_once(page, _trades_of, _TRADE_SHAPE, instrument)
    if answer.request.start is not None and answer.request.end is not None:
        rows = _in_window(rows, answer.request.start, answer.request.end, answer.received_at)
    columns = list(zip(*rows, strict=True)) or [()] * len(_TRADE_COLUMNS)
    values = dict(zip(_TRADE_COLUMNS, map(list, columns), strict=True))
    return Parsed({"instrument": [instrument] * len(rows)} | values, "us", rejects)


def _trades_of(rows: list[Any]) -> list[tuple[Any, ...]] | None:
    columns = answers.by_member(rows, ("time", *_TRADE_COLUMNS[1:]))
    if columns is None:
        return None
    times, ids, prices, sizes, sides = columns
    moments = list(map(_epoch_us, times))
    if None in moments or not answers.are_whole(ids) or not answers.are_text_or_null((prices, sizes, sides)):
        return None
    if not set(sides) <= _TAKERS.keys():
        return None
    return list(zip(moments, ids, prices, sizes, map(_TAKERS.get, sides), strict=True))


def _in_window(
    trades: Sequence[tuple[Any, ...]], start: datetime, end: datetime, received_at: datetime
) -> list[tuple[Any, ...]]:
    """Cut the newer trades off the page's head and the older ones off its tail; one dated in the future stays."""
    start_us, end_us, late_us = epoch_us(start), epoch_us(end), epoch_us(received_at + CLOCK_TOLERANCE)
    times = [trade[0] for trade in trades]
    first = next((i for i, ts in enumerate(times) if ts < end_us), len(times))
    last = next((i for i in reversed(range(len(times))) if times[i] >= start_us), -1)
    return [trades[i] for i in range(last + 1) if i >= first or times[i] > late_us]


def _parse_object(page: Any, dataset: str, instrument: str, answer: Answer) -> Parsed:
    """Return the one row of a ticker or a book, or its Reject. Raises BadData for what is neither."""
    needed, read, shape = (
        ({"bid", "ask"}, _quote, _QUOTE_SHAPE) if dataset == "quotes" else ({"bids", "asks"}, _book, _BOOK_SHAPE)
    )
    if type(page) is not dict or not needed <= page.keys():
        raise _bad_page(f"expected an object with {' and '.join(sorted(needed))}", answer)
    row = read(page)
    if row is None:
        reject = answers.reject(page, rule="wrong_shape", reason=shape, instrument=instrument)
        return Parsed({"instrument": [], "ts": []}, "us", (reject,))
    return Parsed({"instrument": [instrument]} | {name: [value] for name, value in row.items()}, "us")


def _quote(page: dict[str, Any]) -> dict[str, Any] | None:
    """Return best bid, best ask and last price. The `time` is the last trade's, so the quote has none of its own.

    The `size` is that trade's too: a ticker has no sizes of bid and ask. Source: products, get-product-ticker.
    """
    prices = {"bid": page["bid"], "ask": page["ask"], "last": page.get("price")}
    return {"ts": None, **prices} if set(map(type, prices.values())) <= answers.TEXT_OR_NULL else None


def _book(page: dict[str, Any]) -> dict[str, Any] | None:
    bids, asks = answers.book_side(page["bids"]), answers.book_side(page["asks"])
    sequence, time = page.get("sequence"), page.get("time")
    ts = None if time is None else _epoch_us(time)
    if bids is None or asks is None or (time is not None and ts is None):
        return None
    if sequence is not None and not answers.is_whole(sequence):
        return None
    names = ("ts", "bid_prices", "bid_sizes", "ask_prices", "ask_sizes", "sequence")
    return dict(zip(names, (ts, *bids, *asks, sequence), strict=True))


def _epoch_us(text: Any) -> int | None:
    """Return microseconds since 1970, digits beyond them dropped; None for what is no ISO time in UTC."""
    found = _ISO_TIME.fullmatch(text) if type(text) is str else None
    if found is None:
        return None
    second_us = _second_us(found[1])
    return None if second_us is None else second_us + int(f"{found[2] or '':0<6.6}")


@lru_cache(maxsize=1_024)
def _second_us(text: str) -> int | None:
    """Many trades of a page share a second, and reading it is most of what a trade takes."""
    try:
        return epoch_us(datetime.fromisoformat(f"{text}Z"))
    except ValueError:  # a 30th of February
        return None
