"""What must come of Kraken's sandbox: examples to copy whole, their rows, and its own errors with what must follow.

Deliberately not here: how it answers (`dialects/kraken.py`). Invariant: rows come from the market, never an answer.
Sources: those of the dialect. Bars reach 720 back from now, so their examples are days ago; trades reach back for ever.
"""

import json
from decimal import Decimal

from sandbox.contract import ErrorCase, Example
from sandbox.digits import printed
from sandbox.kraken_market import PAIRS, KrakenMarket, Pair, time_ns
from sandbox.listings import LISTED_SINCE_MS
from sandbox.moments import NS_PER_MS, NS_PER_S, iso, ns_of, opens_ms
from sandbox.price_walk import MINUTE_MS
from sandbox.trade_tape import Trade

Row = dict[str, str | None]

#: An instrument as people write it -> its pair.
NATIVES = {f"{pair.listing.base_asset}-{pair.listing.quote_asset}": pair for pair in PAIRS}
_WIDTHS_MS = {"1m": MINUTE_MS, "5m": 5 * MINUTE_MS, "1h": 60 * MINUTE_MS, "1d": 1440 * MINUTE_MS}
EXAMPLES = (
    # Nearly all of the 720 that there are, in the one page that there is.
    Example("bars", "BTC-USD", "1m", "-11:50:00", "-00:05:00"),
    # With bars in which nothing was traded; bounds off the grid.
    Example("bars", "LTC-USD", "5m", "-1d00:02:30", "-1d20:02:30"),
    Example("bars", "DOGE-USD", "1h", "-28d00:00:00", "-1d00:00:00"),
    Example("bars", "ETH-USDT", "1d", "-700d00:00:00", "-2d00:00:00"),
    # Some 3,600 trades, many of them in one moment.
    Example("trades", "BTC-USD", "", "2024-03-05T12:00:00Z", "2024-03-05T12:12:00Z"),
    Example("trades", "LTC-USD", "", "2024-03-05T00:20:00.250Z", "2024-03-05T00:50:00.750Z"),
    Example("quotes", "BTC-USD"),
    Example("quotes", "DOGE-USD"),
    Example("books", "BTC-USDT"),
    Example("books", "XRP-USD"),
)

_ERRORS = "https://support.kraken.com/articles/360001491786-api-error-messages, 2026-11-24"
_GUIDES = "https://docs.kraken.com/exchange/guides/rest/introduction, 2026-11-24"
_LIMITS = "https://docs.kraken.com/exchange/guides/rest/ratelimits, 2026-11-24"
_BARS = Example("bars", "BTC-USD", "1h", "-5d00:00:00", "-3d00:00:00")
_NOBODY = Example("bars", "NONE-USD", _BARS.interval, _BARS.start, _BARS.end)


def _says(error: str) -> dict[str, object]:
    return {"fault": "error_in_200", "args": {"body": json.dumps({"error": [error]}, separators=(",", ":"))}}


_BAD_GATEWAY = {"fault": "status", "args": {"status": 520, "body": "<html><body>520</body></html>"}}
ERROR_CASES = (
    ErrorCase("rate limit", _BARS, "wait", _LIMITS, _says("EAPI:Rate limit exceeded")),
    ErrorCase("too many requests", _BARS, "wait", _ERRORS, _says("EGeneral:Too many requests")),
    ErrorCase("locked out", _BARS, "wait", _ERRORS, _says("EGeneral:Temporary lockout")),
    ErrorCase("unavailable", _BARS, "again", _ERRORS, _says("EService:Unavailable")),
    ErrorCase("busy", _BARS, "again", _ERRORS, _says("EService:Busy")),
    ErrorCase("its side fails", _BARS, "again", _ERRORS, _says("EGeneral:Internal error")),
    ErrorCase("not reached", _BARS, "again", _GUIDES, _BAD_GATEWAY),
    ErrorCase("bad arguments", _BARS, "request", _ERRORS, _says("EGeneral:Invalid arguments")),
    ErrorCase("an unknown pair's bars", _NOBODY, "unknown", _ERRORS),
    ErrorCase("an unknown pair's ticker", Example("quotes", "NONE-USD"), "unknown", _ERRORS),
)


def rows(market: KrakenMarket, example: Example, *, now_ms: int) -> list[Row]:
    """Return the rows of an example that a whole copy holds; quotes and books are of now, and it dates neither."""
    pair = NATIVES[example.instrument]
    match example.dataset:
        case "bars":
            return _bars(market, pair, example, now_ms)
        case "trades":
            return _trades(market, pair, example, now_ms)
        case "quotes":
            quote = market.walk.quote(pair.symbol, now_ms)
            (last,) = market.newest(pair, 1, now_ms=now_ms)
            prices = {"bid": quote.bid, "ask": quote.ask, "last": last.price}
            row: Row = {name: _price(pair, price) for name, price in prices.items()}
            return [row | {"bid_size": _size(pair, quote.bid_size, 3), "ask_size": _size(pair, quote.ask_size, 3)}]
        case _:
            return [_book(market, pair, now_ms)]


def _bars(market: KrakenMarket, pair: Pair, example: Example, now_ms: int) -> list[Row]:
    """Each bar is there, one without trades too."""
    width = _WIDTHS_MS[example.interval]
    found: list[Row] = []
    for open_ms in opens_ms(example.start, example.end, width):
        if LISTED_SINCE_MS <= open_ms <= now_ms:
            bar = market.bar(pair, open_ms // MINUTE_MS, (open_ms + width) // MINUTE_MS, now_ms=now_ms)
            prices = {"open": bar.open, "high": bar.high, "low": bar.low, "close": bar.close}
            row: Row = {name: printed(price, pair.listing.tick_decimals, 0) for name, price in prices.items()}
            amounts: Row = {"volume": _size(pair, bar.volume, 8), "trade_count": str(bar.trades)}
            found.append({"ts": iso(open_ms * NS_PER_MS)} | row | amounts)
    return found


def _trades(market: KrakenMarket, pair: Pair, example: Example, now_ms: int) -> list[Row]:
    """The window is one of printed times, which are up to 119 ns off: those at its bounds belong where they print."""
    start_ns, end_ns = ns_of(example.start), ns_of(example.end)
    until_ms = min(end_ns // NS_PER_MS + 2, now_ms)
    found = market.since(pair, start_ns - NS_PER_MS, 10**9, now_ms=until_ms)
    return [
        {
            "ts": iso(_printed_ns(trade)),
            "trade_id": str(trade.id),
            "price": _price(pair, trade.price),
            "size": _size(pair, trade.size, 8),
            "side": "buy" if trade.taker_buys else "sell",
        }
        for trade in found
        if start_ns <= _printed_ns(trade) < end_ns
    ]


def _printed_ns(trade: Trade) -> int:
    """Times are printed from a float, which has not all of their digits."""
    return int(Decimal(repr(time_ns(trade) / NS_PER_S)) * NS_PER_S)


def _book(market: KrakenMarket, pair: Pair, now_ms: int) -> Row:
    row: Row = {}
    book = market.walk.book(pair.symbol, now_ms, 100)
    for side, levels in (("bid", book.bids), ("ask", book.asks)):
        row[f"{side}_prices"] = ",".join(_price(pair, price) for price, _ in levels)
        row[f"{side}_sizes"] = ",".join(_size(pair, size, 3) for _, size in levels)
    return row


def _price(pair: Pair, ticks: int) -> str:
    return printed(ticks, pair.listing.tick_decimals, 5)


def _size(pair: Pair, steps: int, least: int) -> str:
    return printed(steps, pair.listing.step_decimals, least)
