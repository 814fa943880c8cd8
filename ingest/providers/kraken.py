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

from dataclasses import replace
from datetime import datetime, timedelta

from ingest.errors import BadData, FixRequest, SlowDown, TickfarmError, UnknownName
from ingest.market.intervals import SECONDS, bar_open, first_open
from ingest.market.records import BOOK_LEVELS, Parsed
from ingest.market.symbols import is_instrument
from ingest.market.times import epoch_us
from ingest.providers import answers
from ingest.providers.contract import Facts, Query
from ingest.providers.kraken_parts import errors, pairs, rows, trades
from ingest.providers.kraken_parts.pages import (
    bad_page,
    only_pair,
    result_of,
    rows_of,
)
from ingest.wire import Answer, Limit, Request

#: "Returns up to 720 of the most recent entries (older data cannot be retrieved, ..)". Source: market-data.
REACH_BARS = 720
#: A live poll: the bar still forming, and a few closed ones so that a missed poll heals at the next.
NEWEST_ROWS = 5

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
    texts = errors.texts_of(answer)
    error = (
        answers.limit_or_outage(facts.name, answer)
        or errors.listed(texts, answer)
        or errors.bot_check(answer)
        or answers.refusal(facts.name, answer)
        or answers.not_json(facts.name, answer)
    )
    if isinstance(error, SlowDown) and error.retry_after_s is None:
        error.retry_after_s = errors.told_wait_s(texts, answer)
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
            return rows.parse_tickers(result, asked)
        case "books":
            return rows.parse_book(only_pair(result, answer), asked[0])
        case "trades":
            return trades.parse(result, asked[0], answer)
        case _:
            return rows.parse_bars(rows_of(result, answer), asked[0], answer)


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
