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

from datetime import datetime

from ingest.errors import BadData, FixRequest, SlowDown, TickfarmError, UnknownName
from ingest.market.intervals import seconds_of, split_window
from ingest.market.records import BOOK_LEVELS, Parsed
from ingest.market.times import epoch_ms_up
from ingest.providers import answers
from ingest.providers.bitfinex_parts import books, errors, pages, rows, symbols
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
        errors.told_error(answer)
        or answers.limit_or_outage(facts.name, answer)
        or errors.bot_check(answer)
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
            return rows.parse_quotes(page, asked, answer)
        case "books":
            return books.parse(page, asked[0])
        case "trades":
            return rows.parse_trades(page, asked[0], answer)
        case _:
            return rows.parse_bars(page, asked[0])


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
