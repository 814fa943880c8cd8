"""Binance (spot): bars from `klines`, quotes from `ticker/bookTicker`; keyless.

Deliberately not here: trades, books and WebSocket streams. Invariant: no `X-MBX-TIME-UNIT` header is ever sent, so
every time is in milliseconds ("wrong unit" is a quality rule, never a guess made here).

Source for all facts: https://github.com/binance/binance-spot-api-docs (rest-api.md, errors.md,
faqs/market_data_only.md), state of 2026-07-21.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from ingest.errors import BadData, FixRequest, SlowDown, TickfarmError, TryAgain, UnknownName
from ingest.market.intervals import split_window
from ingest.market.records import Parsed, Reject
from ingest.market.symbols import is_instrument, is_pair, validate
from ingest.market.times import epoch_ms, epoch_ms_up
from ingest.providers import answers
from ingest.providers.contract import Facts, Query
from ingest.wire import Answer, Limit, Request

#: "limit: Default 500; Maximum 1000." Source: rest-api.md "Kline/Candlestick data", 2026-07-21.
PAGE_ROWS = 1000
#: A live poll: the bar still forming, and a few closed ones so that a missed poll heals at the next.
NEWEST_ROWS = 5
#: Source: rest-api.md, 2026-07-21: klines 2; bookTicker 2 for one symbol, 4 for more.
KLINES_WEIGHT, TICKER_WEIGHT, TICKERS_WEIGHT = 2, 2, 4
CATALOGUE_WEIGHT = 20  # Source: rest-api.md "Exchange information", 2026-07-21.

_DOCS = "https://github.com/binance/binance-spot-api-docs/blob/master/rest-api.md"

facts = Facts(
    name="binance",
    title="Binance",
    # The market-data-only host. Source: faqs/market_data_only.md, 2026-07-21.
    base_url="https://data-api.binance.vision",
    docs_url=_DOCS,
    terms_url="https://www.binance.com/en/terms",
    datasets=("bars", "quotes"),
    # Its spelling is ours; case counts ("1m" is a minute, "1M" a month). Source: rest-api.md, 2026-07-21.
    intervals={i: i for i in ("1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "12h", "1d")},
    page_rows=PAGE_ROWS,
    # Our choice, not documented: covers the difference between our clock and theirs.
    settle_s=2.0,
    limits=(
        # "REQUEST_WEIGHT ... MINUTE ... 6000", per IP. Source: rest-api.md exchangeInfo.rateLimits, 2026-07-21.
        Limit(6_000, 60, f"{_DOCS} exchangeInfo.rateLimits, 2026-07-21", "weight"),
        # "RAW_REQUESTS ... 5 MINUTE ... 61000", per IP; CHANGELOG announces 300,000. Source: as above.
        Limit(61_000, 300, f"{_DOCS} exchangeInfo.rateLimits, 2026-07-21", "requests"),
    ),
    # klines take one symbol; bookTicker any number, 100 keep the URL under 2 KB. Source: rest-api.md, 2026-07-21.
    batch={"bars": 1, "quotes": 100},
)

_SPARE_KEY = "the API key was refused; market data needs none, so unset BINANCE_API_KEY"
_TROUBLE = "its side failed; reads may be repeated"
_BAD_SYMBOL = -1121
#: What to do about a code; any other negative one is a FixRequest. Source: errors.md, 2026-07-21.
_CODES: dict[int, tuple[type[TickfarmError], str]] = {
    -1000: (TryAgain, _TROUBLE),  # UNKNOWN
    -1001: (TryAgain, _TROUBLE),  # DISCONNECTED
    -1006: (TryAgain, _TROUBLE),  # UNEXPECTED_RESP
    -1007: (TryAgain, _TROUBLE),  # TIMEOUT
    -1008: (TryAgain, _TROUBLE),  # SERVER_BUSY
    -1016: (TryAgain, _TROUBLE),  # SERVICE_SHUTTING_DOWN
    -1003: (SlowDown, "too many requests"),  # TOO_MANY_REQUESTS
    -1002: (FixRequest, _SPARE_KEY),  # UNAUTHORIZED
    -2014: (FixRequest, _SPARE_KEY),  # BAD_API_KEY_FMT
    -2015: (FixRequest, _SPARE_KEY),  # REJECTED_MBX_KEY
    _BAD_SYMBOL: (FixRequest, "a symbol does not exist; ask for each by itself to see which"),
}
#: 418: banned; 403: web firewall, "slow down, then a person". Source: rest-api.md "HTTP Return Codes", 2026-07-21.
_SLOW_STATUSES = frozenset({403, 418, 429})
#: "IP banned until %s": epoch milliseconds. Source: errors.md -1003, 2026-07-21.
_BANNED_UNTIL = re.compile(r"until (\d{13})\b")

# Kline positions. Source: rest-api.md "Kline/Candlestick data", 2026-07-21.
_OPEN_MS, _TRADES, _KLINE_FIELDS = 0, 8, 12
_KLINE_TEXT = {"open": 1, "high": 2, "low": 3, "close": 4, "volume": 5, "quote_volume": 7}
_KLINE_SHAPE = f"expected a list of {_KLINE_FIELDS}+ fields: whole open time and trade count, text for the rest"
_QUOTE_TEXT = {"bid": "bidPrice", "bid_size": "bidQty", "ask": "askPrice", "ask_size": "askQty"}
_TEXT_OR_NULL = frozenset({str, type(None)})


def build(query: Query) -> list[Request]:
    """Return all requests of the query at once: a page of klines holds a known span, so none waits for another."""
    natives = _natives(query.instruments)
    if query.dataset == "quotes":
        names = list(natives)
        size = (facts.batch or {})["quotes"]
        return [_tickers({n: natives[n] for n in names[i : i + size]}) for i in range(0, len(names), size)]
    if query.dataset != "bars":
        raise UnknownName("dataset", query.dataset, facts.datasets, provider=facts.name)
    if query.interval is None or query.interval not in facts.intervals:
        raise UnknownName("interval", str(query.interval), facts.intervals, provider=facts.name)
    interval = query.interval  # its spelling is ours
    return [page for symbol, instrument in natives.items() for page in _klines(symbol, instrument, query, interval)]


def next_page(request: Request, answer: Answer) -> Request | None:
    """Return None: `build` has asked for every page already."""
    return None


def error_of(answer: Answer) -> TickfarmError | None:
    """Return the error in the answer: status first, then an object with a negative `code`, then a body cut short."""
    body = answers.error_object(answer, b'"code"')
    error = (
        answers.limit_or_outage(facts.name, answer, slow=_SLOW_STATUSES)
        or _coded_error(body.get("code"), answer)
        or answers.refusal(facts.name, answer)
        or answers.not_json(facts.name, answer)
    )
    if isinstance(error, SlowDown) and error.retry_after_s is None:
        until = _BANNED_UNTIL.search(str(body.get("msg", "")))
        error.retry_after_s = max(0.0, (int(until[1]) - epoch_ms(answer.received_at)) / 1000) if until else None
    return error


def parse(query: Query, answer: Answer) -> Parsed:
    """Return the page's rows in its order. Quotes have no time of their own, so their `ts` is None throughout."""
    page = answers.load(facts.name, answer)
    asked = answer.request.instruments or query.instruments
    if query.dataset == "quotes" and isinstance(page, dict):
        page = [page]  # "symbol=" answers with one object, "symbols=" with a list
    if not isinstance(page, list):
        found = f"binance: expected a list of {query.dataset}, found a JSON {type(page).__name__}"
        raise BadData(found, rule="unparsable_page", provider=facts.name)
    return _parse_tickers(page, asked) if query.dataset == "quotes" else _parse_klines(page, asked[0])


def catalogue() -> Request | None:
    """Return the request for all symbols; they have no separator, so base and quote come only from here."""
    return Request("/api/v3/exchangeInfo", weight=CATALOGUE_WEIGHT)


def listed(answer: Answer) -> list[str]:
    """Return every pair whose legs our grammar can spell, whatever its status: history outlives trading."""
    page = answers.load(facts.name, answer)
    try:
        pairs = [f"{symbol['baseAsset']}-{symbol['quoteAsset']}" for symbol in page["symbols"]]
    except (KeyError, TypeError) as cause:
        said = "binance: expected symbols with baseAsset and quoteAsset"
        raise BadData(said, rule="unparsable_page", provider=facts.name) from cause
    return [pair for pair in pairs if is_instrument(pair)]


def native_symbol(instrument: str) -> str:
    """Return the pair's legs run together: `BTC-USDT` is `BTCUSDT`. Raises FixRequest for anything but a pair."""
    if not is_pair(validate(instrument)):
        said = f"binance has pairs only, like BTC-USDT; found {instrument!r}"
        raise FixRequest(said, provider=facts.name, instrument=instrument)
    return instrument.replace("-", "")


def _natives(instruments: Iterable[str]) -> dict[str, str]:
    """Return native symbol -> instrument, each once. Two pairs with one native symbol could not be told apart."""
    natives: dict[str, str] = {}
    for instrument in instruments:
        native = native_symbol(instrument)
        if natives.setdefault(native, instrument) != instrument:
            said = f"{natives[native]} and {instrument} are both {native!r} at binance; ask for one of them"
            raise FixRequest(said, provider=facts.name, instrument=instrument)
    return natives


def _tickers(natives: dict[str, str]) -> Request:
    """The list form takes a JSON array without spaces: `symbols=["BTCUSDT","BNBUSDT"]`."""
    if len(natives) == 1:
        params, weight = ("symbol", next(iter(natives))), TICKER_WEIGHT
    else:
        params, weight = ("symbols", json.dumps(list(natives), separators=(",", ":"))), TICKERS_WEIGHT
    instruments = tuple(natives.values())
    return Request("/api/v3/ticker/bookTicker", (params,), instruments=instruments, weight=weight)


def _klines(symbol: str, instrument: str, query: Query, interval: str) -> list[Request]:
    if query.start is not None and query.end is None:
        raise FixRequest("binance: a window of bars needs an end as well as a start", provider=facts.name)
    pages: list[tuple[datetime | None, datetime | None]] = [(None, query.end)]
    if query.start is not None and query.end is not None:
        pages = [*split_window(query.start, query.end, interval, PAGE_ROWS)]
    requests = []
    for start, end in pages:
        params = [("symbol", symbol), ("interval", interval)]
        if start is not None:
            params.append(("startTime", str(epoch_ms_up(start))))
        if end is not None:
            params.append(("endTime", str(epoch_ms_up(end) - 1)))  # inclusive there, half-open here
        params.append(("limit", str(NEWEST_ROWS if start is None else PAGE_ROWS)))
        span = (start, end) if start is not None else (None, None)
        requests.append(Request("/api/v3/klines", tuple(params), (), (instrument,), KLINES_WEIGHT, *span))
    return requests


def _coded_error(code: Any, answer: Answer) -> TickfarmError | None:
    """Return the error of `{"code":-1121,"msg":"Invalid symbol."}`, or None if `code` is no error code."""
    if type(code) is not int or code >= 0:
        return None
    instrument = answers.only_instrument(answer)
    if code == _BAD_SYMBOL and instrument is not None:
        unknown = UnknownName("instrument", instrument, ("those in /api/v3/exchangeInfo",), provider=facts.name)
        unknown.instrument, unknown.status = instrument, answer.status
        return unknown
    kind, advice = _CODES.get(code, (FixRequest, "it can't answer the request as asked"))
    message = f"binance error {code} for {answer.request.path}: {advice}"
    wait = answers.retry_after_s(answer.headers)
    return kind(message, provider=facts.name, instrument=instrument, status=answer.status, retry_after_s=wait)


def _parse_klines(page: list[Any], instrument: str) -> Parsed:
    """Transpose the page if all its rows are sound, else the sound ones among them."""
    rejects: list[Reject] = []
    columns = _transposed(page)
    if columns is None:
        sound = []
        for row in page:
            if _transposed([row]) is None:
                rejects.append(answers.reject(row, rule="wrong_shape", reason=_KLINE_SHAPE, instrument=instrument))
            else:
                sound.append(row[:_KLINE_FIELDS])
        columns = list(zip(*sound, strict=True)) or [()] * _KLINE_FIELDS
    values: dict[str, list[Any]] = {"instrument": [instrument] * len(columns[0]), "ts": list(columns[_OPEN_MS])}
    values |= {name: list(columns[position]) for name, position in _KLINE_TEXT.items()}
    values["trade_count"] = list(map(str, columns[_TRADES]))
    return Parsed(values, "ms", tuple(rejects))


def _transposed(page: list[Any]) -> list[tuple[Any, ...]] | None:
    """Return the rows by column, or None if the shape of any is off; a null price is left to the quality rules."""
    if set(map(type, page)) != {list}:
        return None
    try:
        columns = list(zip(*page, strict=True))
    except ValueError:
        return None
    if len(columns) < _KLINE_FIELDS or any(set(map(type, columns[i])) != {int} for i in (_OPEN_MS, _TRADES)):
        return None
    return columns if all(set(map(type, columns[i])) <= _TEXT_OR_NULL for i in _KLINE_TEXT.values()) else None


def _parse_tickers(page: list[Any], asked: tuple[str, ...]) -> Parsed:
    natives = {native_symbol(instrument): instrument for instrument in asked}
    rejects: list[Reject] = []
    values: dict[str, list[Any]] = {name: [] for name in ("instrument", "ts", *_QUOTE_TEXT)}
    for row in page:
        symbol = row.get("symbol") if type(row) is dict else None
        instrument = natives.get(symbol) if type(symbol) is str else None
        cells = [row.get(field) for field in _QUOTE_TEXT.values()] if instrument is not None else []
        if instrument is None:
            reason = "expected an object whose symbol was asked for"
            rejects.append(answers.reject(row, rule="unknown_symbol", reason=reason))
        elif not set(map(type, cells)) <= _TEXT_OR_NULL:
            reason = f"expected text for {', '.join(_QUOTE_TEXT.values())}"
            rejects.append(answers.reject(row, rule="wrong_shape", reason=reason, instrument=instrument))
        else:
            for name, cell in zip(values, (instrument, None, *cells), strict=True):
                values[name].append(cell)
    return Parsed(values, "ms", tuple(rejects))
