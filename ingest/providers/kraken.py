"""Kraken (spot REST API): bars, trades, quotes and books; keyless.

Errors come with HTTP 200 in `error`, where an entry that begins with W is a warning and the result is good. Answers
call a pair otherwise than requests do (`XBTUSD` is `XXBTZUSD`), so pairs are told by their legs.

Deliberately not here: WebSocket streams, spreads, and bars older than the newest 720, which only its trades reach.
Invariant: numbers keep the digits they were sent with, and a trade's time is counted in nanoseconds without a float.

Sources, read 2026-11-24: https://docs.kraken.com/api-reference/market-data (get-ohlc-data, get-recent-trades,
get-ticker-information, get-order-book, get-tradable-asset-pairs), called "market-data" below;
https://docs.kraken.com/exchange/guides, called "guides"; https://support.kraken.com, called "support".
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from ingest.errors import BadData, FixRequest, SlowDown, TickfarmError, TryAgain, UnknownName
from ingest.market.intervals import SECONDS, bar_open, first_open
from ingest.market.records import BOOK_LEVELS, Parsed, Reject
from ingest.market.symbols import is_instrument
from ingest.market.times import epoch_us
from ingest.providers import answers
from ingest.providers.contract import Facts, Query
from ingest.providers.kraken_parts import pairs, trades
from ingest.providers.kraken_parts.pages import (
    CLOCK_TOLERANCE,
    bad_page,
    only_pair,
    result_of,
    rows_of,
    without_newer,
)
from ingest.wire import Answer, Limit, Request

#: "Returns up to 720 of the most recent entries (older data cannot be retrieved, ..)". Source: market-data.
REACH_BARS = 720
#: A live poll: the bar still forming, and a few closed ones so that a missed poll heals at the next.
NEWEST_ROWS = 5
#: "Temporary lockouts typically last approximately 15 minutes." Source: support, article 360001491786.
LOCKOUT_S = 900.0

facts = Facts(
    name="kraken",
    title="Kraken",
    base_url="https://api.kraken.com",
    docs_url="https://docs.kraken.com/exchange/guides/rest/introduction",
    terms_url="https://www.kraken.com/legal",
    datasets=("bars", "trades", "quotes", "books"),
    # In minutes; it has weeks and 15 days (21600) too, and no 2h, 6h, 12h. Source: market-data, get-ohlc-data.
    intervals={"1m": "1", "5m": "5", "15m": "15", "30m": "30", "1h": "60", "4h": "240", "1d": "1440"},
    page_rows=REACH_BARS,
    # Our choice: a bar is committed with its end, by their clock.
    settle_s=5.0,
    # "Calling the public endpoints at a frequency of 1 per second (or less) would remain within the rate limits". They
    # count "by IP address and currency pair for calls to Trades and OHLC": more room, which is not used here.
    limits=(Limit(1, 1, "https://support.kraken.com/articles/206548367-what-are-the-api-rate-limits-, 2026-11-24"),),
    # Ticker takes a comma list; 100 keep the URL under 1 KB. The others name one pair. Source: market-data.
    batch={"bars": 1, "trades": 1, "quotes": 100, "books": 1},
    reach_bars=REACH_BARS,
)

#: `[time, open, high, low, close, vwap, volume, count]`. Source: market-data, get-ohlc-data.
_BAR_TIME, _BAR_COUNT, _BAR_FIELDS = 0, 7, 8
_BAR_VALUES = {"open": 1, "high": 2, "low": 3, "close": 4, "volume": 6, "trade_count": _BAR_COUNT}
_BAR_SHAPE = f"expected a list of {_BAR_FIELDS}+ fields: whole time and count, text for prices and volume"
#: `a`, `b`: [price, whole lot volume, lot volume]; `c`: [price, lot volume]. Source: market-data.
_QUOTE_CELLS = {"bid": ("b", 0), "bid_size": ("b", 2), "ask": ("a", 0), "ask_size": ("a", 2), "last": ("c", 0)}
_QUOTE_SHAPE = "expected an object with a and b of three texts or more, and c"
_BOOK_SHAPE = "expected asks and bids as lists of [price, volume, ..] in text"

_NO_ERROR = re.compile(rb'\s*\{\s*"error"\s*:\s*\[\s*\]')
_THROTTLED_UNTIL = re.compile(r"Throttled:\s*(\d{10})\b", re.ASCII)
_UNKNOWN_PAIR = "a pair does not exist; ask for each by itself to see which"
#: What an entry of `error` means; any other is a FixRequest. Source: support, article 360001491786; guides, errors.
_ERRORS: tuple[tuple[re.Pattern[str], type[TickfarmError], str], ...] = (
    (re.compile(r"EService:\s*Throttled"), SlowDown, "too many requests at once"),
    (re.compile(r"EGeneral:Temporary lockout"), SlowDown, "it has locked us out for a while"),
    (re.compile(r"E\w+:Rate limit exceeded|EGeneral:Too many requests"), SlowDown, "too many requests"),
    (re.compile(r"EQuery:(Unknown|Invalid) asset"), FixRequest, _UNKNOWN_PAIR),
    (re.compile(r"EService:|EDatabase:|EGeneral:(Internal|Unknown) error"), TryAgain, "its side failed"),
    (re.compile(r"EAPI:|EAuth:|EGeneral:Permission"), FixRequest, "it wants a key, which market data needs none of"),
)


def build(query: Query) -> list[Request]:
    """Return one request for each instrument (quotes: for each 100); the pages of trades after it are `next_page`'s.

    A window of bars is one page, because `since` reaches no further back than a page does. Raises FixRequest for a
    start without an end.
    """
    natives = pairs.by_altname(query.instruments)
    if query.start is not None and query.end is None:
        raise FixRequest("kraken: a window needs an end as well as a start", provider=facts.name)
    match query.dataset:
        case "bars":
            return [_ohlc(pair, instrument, query) for pair, instrument in natives.items()]
        case "trades":
            return [_trades(pair, instrument, query) for pair, instrument in natives.items()]
        case "quotes":
            names, size = list(natives), (facts.batch or {})["quotes"]
            return [_tickers({n: natives[n] for n in names[i : i + size]}) for i in range(0, len(names), size)]
        case "books":
            count = ("count", str(BOOK_LEVELS))
            return [_request("Depth", (instrument,), ("pair", pair), count) for pair, instrument in natives.items()]
        case _:
            raise UnknownName("dataset", query.dataset, facts.datasets, provider=facts.name)


def next_page(request: Request, answer: Answer) -> Request | None:
    """Return the request for the trades after this page's, or None once the window's end, or now, is reached.

    Any page with newer trades has a following one, so a page cut short loses nothing; a window that ends now costs a
    request more. None where `parse` will raise.
    """
    if request.start is None or not request.path.endswith("/Trades"):
        return None
    try:
        cursor = trades.cursor(result_of(answer), answer)
    except BadData:
        return None
    if cursor is None:
        return None
    since = trades.since_of(cursor)
    return replace(request, params=tuple(since if param[0] == since[0] else param for param in request.params))


def error_of(answer: Answer) -> TickfarmError | None:
    """Return the error in the answer: status first, then the entries of `error`, then a body cut short.

    "Status codes other than 200 indicate that there was an issue with the request reaching our servers" (guides).
    """
    texts = _error_texts(answer)
    error = (
        answers.limit_or_outage(facts.name, answer)
        or _listed_error(texts, answer)
        or _bot_check(answer)
        or answers.refusal(facts.name, answer)
        or answers.not_json(facts.name, answer)
    )
    if isinstance(error, SlowDown) and error.retry_after_s is None:
        error.retry_after_s = _told_wait_s(texts, answer)
    return error


def parse(query: Query, answer: Answer) -> Parsed:
    """Return the page's rows in its order: bars and trades ascending, the forming bar last.

    There is no parameter for a window's end, so rows at the page's end that are newer are cut off. So are the trades at
    both ends of a page that the page beside it has, too. Any other row outside the window stays, for the quality rules.
    """
    result = result_of(answer)
    asked = answer.request.instruments or query.instruments
    match query.dataset:
        case "quotes":
            return _parse_tickers(result, asked)
        case "books":
            return _parse_book(only_pair(result, answer), asked[0])
        case "trades":
            return trades.parse(result, asked[0], answer)
        case _:
            return _parse_bars(rows_of(result, answer), asked[0], answer)


def catalogue(text: str = "") -> Request | None:
    """Return the request for all pairs."""
    return Request("/0/public/AssetPairs")


def listed(answer: Answer) -> list[str]:
    """Return every pair our grammar can spell, whatever its status: history outlives trading.

    One without a `wsname` is traded in the dark and has no public data.
    """
    found = []
    for pair in result_of(answer).values():
        name = pair.get("wsname", "") if type(pair) is dict else None
        if type(name) is not str:
            raise bad_page("pairs with a wsname", answer)
        instrument = pairs.instrument_of(name)
        if is_instrument(instrument) and name.count("/") == 1 and pair.get("altname") == pairs.altname(instrument):
            found.append(instrument)
    return found


def native_symbol(instrument: str) -> str:
    """Return the name to ask with: `BTC-USD` is `XBTUSD`. Raises FixRequest for anything but a pair in our spelling."""
    return pairs.altname(instrument)


def instrument_of(native: str) -> str | None:
    """Return the pair of a name with a slash, `XBT/USD`; without one, the quote is told by the few that there are."""
    return pairs.instrument_named(native)


def _request(
    endpoint: str,
    instruments: tuple[str, ...],
    *params: tuple[str, str],
    span: tuple[datetime | None, datetime | None] = (None, None),
) -> Request:
    return Request(f"/0/public/{endpoint}", params, (), instruments, 1, *span)


def _ohlc(pair: str, instrument: str, query: Query) -> Request:
    """`since` is exclusive in fact, so it is a second before the first bar that is wanted."""
    if query.interval is None or query.interval not in facts.intervals:
        raise UnknownName("interval", str(query.interval), facts.intervals, provider=facts.name)
    params = [("pair", pair), ("interval", facts.intervals[query.interval])]
    first = None
    if query.start is not None:
        first = first_open(query.start, query.interval)
    elif query.end is not None:
        first = bar_open(query.end, query.interval) - timedelta(seconds=SECONDS[query.interval] * (NEWEST_ROWS - 1))
    if first is not None:
        params.append(("since", str(epoch_us(first) // 1_000_000 - 1)))
    return _request("OHLC", (instrument,), *params, span=_span(query))


def _trades(pair: str, instrument: str, query: Query) -> Request:
    """Without `since` the newest page is sent, with it the oldest from there on."""
    since = () if query.start is None else (trades.since_of(query.start),)
    count = ("count", str(trades.PAGE_ROWS))
    return _request("Trades", (instrument,), ("pair", pair), *since, count, span=_span(query))


def _tickers(natives: dict[str, str]) -> Request:
    return _request("Ticker", tuple(natives.values()), ("pair", ",".join(natives)))


def _span(query: Query) -> tuple[datetime | None, datetime | None]:
    return (query.start, query.end) if query.start is not None else (None, None)


def _error_texts(answer: Answer) -> list[str]:
    """Return the entries of `error` but for warnings. Pages of rows begin with an empty one and are not decoded."""
    if _NO_ERROR.match(answer.body):
        return []
    try:
        body = answers.load(facts.name, answer)
    except BadData:
        return []
    texts = body.get("error") if type(body) is dict else None
    return [text for text in texts if type(text) is str and text[:1] not in ("W", "")] if type(texts) is list else []


def _listed_error(texts: Sequence[str], answer: Answer) -> TickfarmError | None:
    if not texts:
        return None
    instrument = answers.only_instrument(answer)
    known = (rule for rule in _ERRORS if any(rule[0].match(text) for text in texts))
    _, kind, advice = next(known, (None, FixRequest, "it can't answer the request as asked"))
    if advice is _UNKNOWN_PAIR and instrument is not None:
        unknown = UnknownName("instrument", instrument, ("those in /0/public/AssetPairs",), provider=facts.name)
        unknown.instrument, unknown.status = instrument, answer.status
        return unknown
    message = f"kraken error for {answer.request.path}: {advice}"
    wait = answers.retry_after_s(answer.headers)
    return kind(message, provider=facts.name, instrument=instrument, status=answer.status, retry_after_s=wait)


def _told_wait_s(texts: Sequence[str], answer: Answer) -> float | None:
    """Return the wait that the error states: "EService: Throttled: [UNIX timestamp]", or that of a lockout."""
    for text in texts:
        until = _THROTTLED_UNTIL.search(text)
        if until is not None:
            return max(0.0, int(until[1]) - epoch_us(answer.received_at) / 1_000_000)
    return LOCKOUT_S if any("Temporary lockout" in text for text in texts) else None


def _bot_check(answer: Answer) -> TryAgain | None:
    """Return TryAgain for a refusal in HTML: its own refusals are JSON, so that one is its CDN's, and passes."""
    if 400 <= answer.status < 500 and answer.body[:64].lstrip()[:1] == b"<":
        said = f"kraken: HTTP {answer.status} with an HTML page, as its CDN's bot check sends"
        return TryAgain(said, provider=facts.name, status=answer.status)
    return None


def _parse_bars(page: list[Any], instrument: str, answer: Answer) -> Parsed:
    rows, rejects = answers.sound_rows_at_once(page, _bars_of, _BAR_SHAPE, instrument)
    if answer.request.end is not None:
        late_s = epoch_us(answer.received_at + CLOCK_TOLERANCE) // 1_000_000
        rows = without_newer(rows, -(-epoch_us(answer.request.end) // 1_000_000), late_s)
    columns = list(zip(*rows, strict=True)) or [()] * _BAR_FIELDS
    values = {"instrument": [instrument] * len(rows), "ts": list(columns[_BAR_TIME])}
    return Parsed(values | {name: list(columns[i]) for name, i in _BAR_VALUES.items()}, "s", rejects)


def _bars_of(rows: list[Any]) -> list[tuple[Any, ...]] | None:
    """Return the rows' documented fields; a null price is left to the quality rules, as with trades and quotes."""
    columns = answers.by_column(rows, _BAR_FIELDS)
    if columns is None or not answers.are_text_or_null(columns):
        return None
    if not answers.are_whole(columns[_BAR_TIME]) or not answers.are_whole(columns[_BAR_COUNT]):
        return None
    return list(zip(map(int, columns[_BAR_TIME]), *columns[_BAR_TIME + 1 :], strict=True))


def _parse_tickers(result: Mapping[str, Any], asked: tuple[str, ...]) -> Parsed:
    names = pairs.by_any_name(asked)
    rejects: list[Reject] = []
    values: dict[str, list[Any]] = {name: [] for name in ("instrument", "ts", *_QUOTE_CELLS)}
    for name, row in result.items():
        instrument, cells = names.get(name), _quote_cells(row)
        if instrument is None:
            reason = "expected a pair that was asked for"
            rejects.append(answers.reject({name: row}, rule="unknown_symbol", reason=reason))
        elif cells is None:
            reject = answers.reject({name: row}, rule="wrong_shape", reason=_QUOTE_SHAPE, instrument=instrument)
            rejects.append(reject)
        else:
            for column, cell in zip(values, (instrument, None, *cells), strict=True):
                values[column].append(cell)
    return Parsed(values, "s", tuple(rejects))


def _quote_cells(row: Any) -> list[Any] | None:
    """Return bid, bid size, ask, ask size and last price; a ticker has no time."""
    cells = []
    for field, place in _QUOTE_CELLS.values():
        texts = row.get(field) if type(row) is dict else None
        if type(texts) is not list or len(texts) <= place or type(texts[place]) not in answers.TEXT_OR_NULL:
            return None
        cells.append(texts[place])
    return cells


def _parse_book(book: Any, instrument: str) -> Parsed:
    """Return the one row of a book. The third cell dates a level's last change, so the book has no time of its own."""
    bids, asks = (answers.book_side(book.get(side) if type(book) is dict else None) for side in ("bids", "asks"))
    if bids is None or asks is None:
        reject = answers.reject(book, rule="wrong_shape", reason=_BOOK_SHAPE, instrument=instrument)
        return Parsed({"instrument": [], "ts": []}, "s", (reject,))
    names = ("instrument", "ts", "bid_prices", "bid_sizes", "ask_prices", "ask_sizes")
    row = (instrument, None, *bids, *asks)
    return Parsed({name: [value] for name, value in zip(names, row, strict=True)}, "s")
