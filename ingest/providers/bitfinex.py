"""Bitfinex (REST API v2): bars, trades, quotes and books; keyless.

Everything is an array without field names, and longer than documented at any time. Errors are arrays too, mostly with
HTTP 500. Instruments are pairs in everybody's spelling (`BTC-USDT` is `tBTCUST`); perpetuals keep its own
(`BTCF0-USTF0`).

Deliberately not here: funding (`fUSD`, other shapes), raw books, WebSocket streams, and the sizes of a ticker: they are
"the sum of the 25 highest bid sizes", no size at the best price, which a book has.
Invariant: numbers keep the digits they were sent with, an amount at most loses its sign, and times are milliseconds.

Sources, read 2026-11-25: https://docs.bitfinex.com/reference (rest-public-candles, -trades, -ticker, -tickers, -book,
-conf), called "reference" below; https://docs.bitfinex.com/docs (rest-general, requirements-and-limitations).
"""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import Any

from ingest.errors import BadData, FixRequest, SlowDown, TickfarmError, TryAgain, UnknownName
from ingest.market.intervals import seconds_of, split_window
from ingest.market.records import BOOK_LEVELS, Parsed, Reject
from ingest.market.times import epoch_ms_up
from ingest.providers import answers
from ingest.providers.bitfinex_parts import books, pages, symbols
from ingest.providers.contract import Facts, Query
from ingest.wire import Answer, Limit, Request

#: "Number of records (Max 10000)", 100 without it. Source: reference. Read at each `build`, so a test can lower it.
PAGE_ROWS = 10_000
#: A live poll: the bar still forming, and a few closed ones so that a missed poll heals at the next.
NEWEST_ROWS = 5
#: A live poll of trades: some minutes of the busiest pair.
NEWEST_TRADES = 1_000
#: "The IP is blocked for 60 seconds", on that endpoint. Source: docs, requirements-and-limitations.
BLOCKED_S = 60.0

_REFERENCE = "https://docs.bitfinex.com/reference"

facts = Facts(
    name="bitfinex",
    title="Bitfinex",
    base_url="https://api-pub.bitfinex.com",
    # The host for authenticated calls serves the public ones too.
    mirrors=("https://api.bitfinex.com",),
    docs_url="https://docs.bitfinex.com/docs/rest-general",
    terms_url="https://www.bitfinex.com/legal/general/api-terms",
    datasets=("bars", "trades", "quotes", "books"),
    # It has 3h and wider than a day, too, and no 2h; 4h is only in clients' tables. Source: reference, candles.
    intervals={
        **{i: i for i in ("1m", "5m", "15m", "30m", "1h", "6h", "12h")},
        "1d": "1D",
    },
    page_rows=PAGE_ROWS,
    # Our choice, not documented: a candle appears with its first trade and changes a little after its end.
    settle_s=10.0,
    # Per IP address and endpoint, in requests a minute. Older copies of two pages say 90: the lower holds.
    limits=(
        Limit(30, 60, f"{_REFERENCE}/rest-public-candles, 2026-11-25", datasets=("bars",)),
        Limit(15, 60, f"{_REFERENCE}/rest-public-trades, 2026-11-25", datasets=("trades",)),
        Limit(90, 60, f"{_REFERENCE}/rest-public-tickers, 2026-11-25", datasets=("quotes",)),
        Limit(240, 60, f"{_REFERENCE}/rest-public-book, 2026-11-25", datasets=("books",)),
    ),
    # tickers takes a comma list; 100 keep the URL under 1 KB. The others name one symbol in their path.
    batch={"bars": 1, "trades": 1, "quotes": 100, "books": 1},
)

#: `[mts, open, CLOSE, HIGH, LOW, volume]`: close before high and low. Source: reference, candles.
_BAR_TIME, _BAR_FIELDS = 0, 6
_BAR_VALUES = {"open": 1, "high": 3, "low": 4, "close": 2, "volume": 5}
_BAR_SHAPE = f"expected a list of {_BAR_FIELDS}+ fields: whole milliseconds, then numbers"
#: `[id, mts, amount, price]`; "how much was bought (positive) or sold (negative)", by the taker. Source: reference.
_TRADE_ID, _TRADE_TIME, _TRADE_AMOUNT, _TRADE_PRICE, _TRADE_FIELDS = 0, 1, 2, 3, 4
_TRADE_SHAPE = f"expected a list of {_TRADE_FIELDS}+ fields: whole id and milliseconds, signed amount, price"
_TRADE_COLUMNS = ("ts", "trade_id", "price", "size", "side")
_CROWDED = "a page is full of trades of this millisecond, and those beyond it can't be asked for"
#: `[bid, bid_size, ask, ask_size, daily_change, daily_change_relative, last, ..]`. Source: reference, ticker.
_QUOTE_VALUES = {"bid": 0, "ask": 2, "last": 6}
_QUOTE_FIELDS = 7
_QUOTE_SHAPE = f"expected a list of {_QUOTE_FIELDS}+ fields: bid, its size, ask, its size, two changes, last price"

_RATE_TEXT = re.compile(r"rate.?limit", re.IGNORECASE)
_SYMBOL_TEXT = re.compile(r"\bsymbols?: invalid", re.IGNORECASE)
_TICKER = "/v2/ticker/"
_NO_KEY = "it wants a key, which market data needs none of"
#: What a code or text of an error means. Source: reference and docs; ccxt/ccxt bitfinex.py, autumn 2026.
_CODES: dict[str, tuple[type[TickfarmError], str]] = {
    "20060": (TryAgain, "it is under maintenance"),
    "temporarily_unavailable": (TryAgain, "it is not available now"),
    "10020": (FixRequest, "a parameter is invalid"),
    "10001": (FixRequest, _NO_KEY),
    "10100": (FixRequest, _NO_KEY),
    "10114": (FixRequest, _NO_KEY),
}
_ERROR_BYTES = 4096


def build(query: Query) -> list[Request]:
    """Return the first pages of each instrument; what they leave out of a window is `next_page`'s.

    Quotes of several instruments share a request, where one that does not exist is silently missing. Raises FixRequest
    for a start without an end.
    """
    natives = symbols.by_symbol(query.instruments)
    if query.start is not None and query.end is None:
        raise FixRequest("bitfinex: a window needs an end as well as a start", provider=facts.name)
    match query.dataset:
        case "bars":
            return [page for symbol, instrument in natives.items() for page in _candles(symbol, instrument, query)]
        case "trades":
            return [page for symbol, instrument in natives.items() for page in _trades(symbol, instrument, query)]
        case "quotes":
            names, size = list(natives), (facts.batch or {})["quotes"]
            return [_tickers({n: natives[n] for n in names[i : i + size]}) for i in range(0, len(names), size)]
        case "books":
            levels = ("len", str(BOOK_LEVELS))
            return [_request(f"book/{symbol}/P0", (instrument,), levels) for symbol, instrument in natives.items()]
        case _:
            raise UnknownName("dataset", query.dataset, facts.datasets, provider=facts.name)


def next_page(request: Request, answer: Answer) -> Request | None:
    """Return the request for what is left of the window after this page, or None where nothing is.

    That is also asked for after a page that is not full. None where `parse` will raise.
    """
    try:
        if request.path.startswith("/v2/candles/"):
            first = pages.bars_after(request, pages.rows_of(answer), _width_ms(request))
            return None if first is None else pages.starting_at(request, first)
        if request.path.startswith("/v2/trades/"):
            following = pages.trades_after(request, pages.rows_of(answer), answer)
            return None if following is None else pages.following(request, following)
    except BadData:
        pass
    return None


def error_of(answer: Answer) -> TickfarmError | None:
    """Return the error in the answer: its own error array or object first, since most come as a 500, then the status.

    An empty list with 200 is none: it says "no rows", and an unknown symbol's candles get it too.
    """
    error = (
        _told_error(answer)
        or answers.limit_or_outage(facts.name, answer)
        or _bot_check(answer)
        or answers.refusal(facts.name, answer)
        or answers.not_json(facts.name, answer)
    )
    if isinstance(error, SlowDown) and error.retry_after_s is None:
        error.retry_after_s = BLOCKED_S
    return error


def parse(query: Query, answer: Answer) -> Parsed:
    """Return the page's rows in its order: a window's ascending, a live poll's newest first, the forming bar too.

    Of a window's trades, those of the page's last millisecond are left to the next page, which begins with it.
    """
    page = pages.rows_of(answer)
    asked = answer.request.instruments or query.instruments
    match query.dataset:
        case "quotes":
            return _parse_quotes(page, asked, answer)
        case "books":
            return books.parse(page, asked[0])
        case "trades":
            return _parse_trades(page, asked[0], answer)
        case _:
            columns, rejects = answers.sound_columns(page, _bars_of, _BAR_FIELDS, _BAR_SHAPE, asked[0])
            values = {"instrument": [asked[0]] * len(columns[_BAR_TIME]), "ts": columns[_BAR_TIME]}
            return Parsed(values | {name: columns[i] for name, i in _BAR_VALUES.items()}, "ms", rejects)


def catalogue(text: str = "") -> Request | None:
    """Return the request for all pairs, perpetuals after the others."""
    return Request("/v2/conf/pub:list:pair:exchange,pub:list:pair:futures")


def listed(answer: Answer) -> list[str]:
    """Return every pair our grammar can spell, but for test pairs. Each list of the answer is a list of names."""
    found: dict[str, None] = {}
    for names in pages.rows_of(answer):
        if type(names) is not list or not all(type(name) is str for name in names):
            raise pages.bad_page("lists of names", answer)
        pairs = (symbols.instrument_of(f"t{name}") for name in names)
        found |= dict.fromkeys(pair for pair in pairs if pair is not None)
    return list(found)


def native_symbol(instrument: str) -> str:
    """Return the symbol: `BTC-USDT` is `tBTCUST`. Raises FixRequest for anything but a pair in our spelling."""
    return symbols.native_symbol(instrument)


def instrument_of(native: str) -> str | None:
    """Return the pair of a symbol; None for funding, test pairs and what our grammar has no name for."""
    return symbols.instrument_of(native)


def _request(
    endpoint: str,
    instruments: tuple[str, ...],
    *params: tuple[str, str],
    span: tuple[datetime | None, datetime | None] = (None, None),
) -> Request:
    return Request(f"/v2/{endpoint}", params, (), instruments, 1, *span)


def _candles(symbol: str, instrument: str, query: Query) -> list[Request]:
    """Return pages of at most 10,000 buckets each; a live poll goes back from `end`, newest first."""
    if query.interval is None or query.interval not in facts.intervals:
        raise UnknownName("interval", str(query.interval), facts.intervals, provider=facts.name)
    path = f"candles/trade:{facts.intervals[query.interval]}:{symbol}/hist"
    if query.start is None:
        end = [] if query.end is None else [("end", str(epoch_ms_up(query.end) - 1))]
        return [_request(path, (instrument,), *end, ("sort", "-1"), ("limit", str(NEWEST_ROWS)))]
    spans = split_window(query.start, query.end or query.start, query.interval, PAGE_ROWS)
    return [page for span in spans for page in _window(path, instrument, *span)]


def _trades(symbol: str, instrument: str, query: Query) -> list[Request]:
    path = f"trades/{symbol}/hist"
    if query.start is None or query.end is None:
        return [_request(path, (instrument,), ("sort", "-1"), ("limit", str(NEWEST_TRADES)))]
    return _window(path, instrument, query.start, query.end)


def _window(path: str, instrument: str, start: datetime, end: datetime) -> list[Request]:
    """Return the request for a window's oldest rows; none where it lies inside one millisecond."""
    bounds = pages.bounds(start, end)
    limit = ("limit", str(PAGE_ROWS))
    return [_request(path, (instrument,), *bounds, limit, span=(start, end))] if bounds else []


def _tickers(natives: dict[str, str]) -> Request:
    """Ask for one by itself, because then an unknown one is refused."""
    if len(natives) == 1:
        return _request(f"ticker/{next(iter(natives))}", tuple(natives.values()))
    return _request("tickers", tuple(natives.values()), ("symbols", ",".join(natives)))


def _width_ms(request: Request) -> int:
    """Return the width of the bars a request asks for: `/v2/candles/trade:1D:tBTCUSD/hist`."""
    theirs = request.path.split(":")[1]
    return next(seconds_of(ours) * 1000 for ours, name in facts.intervals.items() if name == theirs)


def _told_error(answer: Answer) -> TickfarmError | None:
    """Return the error of `["error", code, text]` or `{"error": text}`; neither's text is quoted."""
    code, text = _error_array(answer)
    if not code:
        told = answers.error_object(answer, b'"error"').get("error")
        code = text = told if type(told) is str else ""
    if not code:
        return None
    instrument, status = answers.only_instrument(answer), answer.status
    if code == "11010" or _RATE_TEXT.search(text):
        wait = answers.retry_after_s(answer.headers)
        said = f"bitfinex says slow down (HTTP {status})"
        return SlowDown(said, provider=facts.name, status=status, retry_after_s=wait)
    if code == "10020" and _SYMBOL_TEXT.search(text) and instrument is not None:
        unknown = UnknownName("instrument", instrument, ("those in pub:list:pair:exchange",), provider=facts.name)
        unknown.instrument, unknown.status = instrument, status
        return unknown
    # A code that nobody documents is its moment where the status says so, and our request otherwise.
    new = (TryAgain, "its side failed") if status >= 500 else (FixRequest, "it can't answer the request as asked")
    kind, advice = _CODES.get(code, new)
    said = f"bitfinex error for {answer.request.path}: {advice}"
    return kind(said, provider=facts.name, instrument=instrument, status=status)


def _error_array(answer: Answer) -> tuple[str, str]:
    """Return code and text of `["error", 10020, "symbol: invalid"]`, ("", "") if the body is none."""
    if len(answer.body) > _ERROR_BYTES or b'"error"' not in answer.body[:32]:
        return "", ""
    try:
        body = json.loads(answer.body)
    except (ValueError, RecursionError):
        return "", ""
    if type(body) is not list or body[:1] != ["error"]:
        return "", ""
    code, text = [*map(str, body[1:3]), "", ""][:2]
    return code or "?", text


def _bot_check(answer: Answer) -> TryAgain | None:
    """Return TryAgain for a refusal in HTML: its own refusals are JSON, so that one is its CDN's, and passes."""
    if 400 <= answer.status < 500 and answer.body[:64].lstrip()[:1] == b"<":
        said = f"bitfinex: HTTP {answer.status} with an HTML page, as its CDN's bot check sends"
        return TryAgain(said, provider=facts.name, status=answer.status)
    return None


def _bars_of(rows: list[Any]) -> list[list[Any]] | None:
    """Return the rows' documented fields by column; a null price is left to the quality rules, as with the others."""
    columns = answers.by_column(rows, _BAR_FIELDS)
    if columns is None or not answers.are_whole(columns[_BAR_TIME]) or not answers.are_text_or_null(columns):
        return None
    return [list(map(int, columns[_BAR_TIME])), *columns[_BAR_TIME + 1 :]]


def _parse_trades(page: list[Any], instrument: str, answer: Answer) -> Parsed:
    columns, rejects = answers.sound_columns(page, _trades_of, len(_TRADE_COLUMNS), _TRADE_SHAPE, instrument)
    following = pages.trades_after(answer.request, page, answer)
    if following is not None and following.lost:
        lost = answers.reject(page[-1], rule="missing_rows", reason=_CROWDED, instrument=instrument)
        rejects = (*rejects, lost)
    values = dict(zip(_TRADE_COLUMNS, pages.cut(columns, following), strict=True))
    return Parsed({"instrument": [instrument] * len(values["ts"])} | values, "ms", rejects)


def _trades_of(rows: list[Any]) -> list[list[Any]] | None:
    """Return time, id, price, size and the taker's side, which is the amount's sign."""
    columns = answers.by_column(rows, _TRADE_FIELDS)
    if columns is None:
        return None
    ids, times, amounts, prices = (columns[i] for i in (_TRADE_ID, _TRADE_TIME, _TRADE_AMOUNT, _TRADE_PRICE))
    if not answers.are_whole(ids) or not answers.are_whole(times) or set(map(type, amounts)) != {str}:
        return None
    if not answers.are_text_or_null([prices]):
        return None
    sides = ["sell" if amount.startswith("-") else "buy" for amount in amounts]
    sizes = [amount.removeprefix("-") for amount in amounts]
    return [list(map(int, times)), ids, prices, sizes, sides]


def _parse_quotes(page: list[Any], asked: tuple[str, ...], answer: Answer) -> Parsed:
    """Return the tickers; they have no time. One that was asked for and did not come is a finding."""
    if answer.request.path.startswith(_TICKER):
        named: list[tuple[Any, Any]] = [(symbols.native_symbol(asked[0]), page)]
    else:
        named = [(row[0], row[1:]) if type(row) is list and row else (None, row) for row in page]
    left = symbols.by_symbol(asked)
    values: dict[str, list[Any]] = {name: [] for name in ("instrument", "ts", *_QUOTE_VALUES)}
    rejects: list[Reject] = []
    for symbol, row in named:
        instrument = left.pop(symbol, None) if type(symbol) is str else None
        cells = _quote_cells(row)
        if instrument is None:
            reason = "expected a symbol that was asked for, once"
            rejects.append(answers.reject([symbol, row], rule="unknown_symbol", reason=reason))
        elif cells is None:
            rejects.append(answers.reject(row, rule="wrong_shape", reason=_QUOTE_SHAPE, instrument=instrument))
        else:
            for column, cell in zip(values, (instrument, None, *cells), strict=True):
                values[column].append(cell)
    reason = "no ticker came: the pair does not exist, or is gone"
    missing = (answers.reject(s, rule="missing_rows", reason=reason, instrument=i) for s, i in left.items())
    return Parsed(values, "ms", (*rejects, *missing))


def _quote_cells(row: Any) -> list[Any] | None:
    if type(row) is not list or len(row) < _QUOTE_FIELDS:
        return None
    cells = [row[place] for place in _QUOTE_VALUES.values()]
    return cells if set(map(type, cells)) <= answers.TEXT_OR_NULL else None
