"""What must come of Bitfinex's sandbox: examples to copy whole, their rows, and its own errors with what must follow.

Deliberately not here: how it answers (`dialects/bitfinex.py`).
Invariant: rows come from the market itself, never from an answer.
"""

from datetime import UTC, datetime

from sandbox.bitfinex_market import PAIR_OF_COMMON, BitfinexMarket, Pair
from sandbox.bitfinex_pages import number
from sandbox.contract import ErrorCase, Example
from sandbox.price_walk import MINUTE_MS

#: Minutes of the intervals that the examples have.
_WIDTHS_MS = {"1m": MINUTE_MS, "15m": 15 * MINUTE_MS, "6h": 360 * MINUTE_MS, "1d": 1440 * MINUTE_MS}
_FOREVER = 10**9
_BOOK_LEVELS = 100

_QUOTE, _BOOK = Example("quotes", "BTC-USD"), Example("books", "DOGE-USD")
EXAMPLES = (
    # 11,520 minutes, more than the 10,000 of a page.
    Example("bars", "BTC-USD", "1m", "2024-03-04T00:00:00+00:00", "2024-03-12T00:00:00+00:00"),
    # Minutes without trades have no bar; bounds off the grid.
    Example("bars", "LTC-USD", "1m", "2024-03-05T00:00:30+00:00", "2024-03-05T05:00:30+00:00"),
    Example("bars", "BTC-USDT", "6h", "2024-03-01T00:00:00+00:00", "2024-03-08T00:00:00+00:00"),
    Example("bars", "DOGE-USD", "1d", "2024-01-01T00:00:00+00:00", "2024-03-01T00:00:00+00:00"),
    # Some 24,000 trades, many of them in one millisecond.
    Example("trades", "BTC-USDT", "", "2024-03-05T12:00:00+00:00", "2024-03-05T12:30:00+00:00"),
    Example("trades", "DOGE-USD", "", "2024-03-05T12:00:00.250+00:00", "2024-03-05T12:04:00.750+00:00"),
    _QUOTE,
    _BOOK,
)

_DOCS = "https://docs.bitfinex.com/docs/requirements-and-limitations, 2026-11-25"
_SEEN = "https://github.com/arthurk/bitfinex-ohlc-import NOTES, 2026-11-25"
_HOUR = ("2024-03-05T00:00:00+00:00", "2024-03-05T01:00:00+00:00")
_BARS = Example("bars", "BTC-USD", "1m", *_HOUR)


def _body(status: int, body: str) -> dict[str, object]:
    return {"fault": "status", "args": {"status": status, "body": body}}


ERROR_CASES = (
    ErrorCase("rate limit", _BARS, "wait", _DOCS, _body(429, '["error",11010,"ratelimit: error"]')),
    ErrorCase("rate limit as a server error", _BARS, "wait", _DOCS, _body(500, '["error",11010,"ratelimit: error"]')),
    ErrorCase("rate limit in the old form", _QUOTE, "wait", _DOCS, _body(200, '{"error":"ERR_RATE_LIMIT"}')),
    ErrorCase("maintenance", _BARS, "again", _SEEN, _body(500, '["error",20060,"maintenance"]')),
    ErrorCase("unavailable", _BOOK, "again", _DOCS, _body(503, '{"error":"temporarily_unavailable"}')),
    ErrorCase("bad parameter", _BARS, "request", _SEEN, _body(500, '["error",10020,"limit: invalid"]')),
    ErrorCase("unknown pair's book", Example("books", "NOPE-USD"), "unknown", _SEEN),
    ErrorCase("unknown pair's ticker", Example("quotes", "NOPE-USD"), "unknown", _SEEN),
    ErrorCase("unknown pair's candles", Example("bars", "NOPE-USD", "1m", *_HOUR), "nothing", _SEEN),
)


def rows(market: BitfinexMarket, example: Example, *, now_s: float) -> list[dict[str, str | None]]:
    """Return the rows of an example that a whole copy holds at `now_s`; quotes and books are of that moment."""
    pair, now_ms = PAIR_OF_COMMON[example.instrument], int(now_s * 1000)
    match example.dataset:
        case "bars":
            return _bars(market, pair, example, now_ms)
        case "trades":
            start, end = _ms(example.start), _ms(example.end)
            return [
                {
                    "ts": _iso(trade.time_us // 1000),
                    "trade_id": str(trade.id),
                    "price": number(trade.price, pair.listing.tick_decimals),
                    "size": number(trade.size, pair.listing.step_decimals),
                    "side": "buy" if trade.taker_buys else "sell",
                }
                for trade in market.oldest(pair, start, end, _FOREVER, now_ms=now_ms)
            ]
        case "quotes":
            quote, decimals = market.walk.quote(pair.market, now_ms), pair.listing.tick_decimals
            (last,) = market.newest(pair, 0, now_ms, 1, now_ms=now_ms)
            prices = {"bid": quote.bid, "ask": quote.ask, "last": last.price}
            return [{"ts": _iso(now_ms), **{name: number(price, decimals) for name, price in prices.items()}}]
        case _:
            return [_book(market, pair, now_ms)]


def _bars(market: BitfinexMarket, pair: Pair, example: Example, now_ms: int) -> list[dict[str, str | None]]:
    width, listing = _WIDTHS_MS[example.interval], pair.listing
    found: list[dict[str, str | None]] = []
    for open_ms in range(-(-_ms(example.start) // width) * width, _ms(example.end), width):
        bar = market.bar(pair, open_ms, open_ms + width, now_ms=now_ms)
        if bar is not None:
            prices = {"open": bar.open, "high": bar.high, "low": bar.low, "close": bar.close}
            values = {name: number(price, listing.tick_decimals) for name, price in prices.items()}
            found.append({"ts": _iso(open_ms), **values, "volume": number(bar.volume, listing.step_decimals)})
    return found


def _book(market: BitfinexMarket, pair: Pair, now_ms: int) -> dict[str, str | None]:
    book, listing = market.walk.book(pair.market, now_ms, _BOOK_LEVELS), pair.listing
    row: dict[str, str | None] = {"ts": _iso(now_ms)}
    for side, levels in (("bid", book.bids), ("ask", book.asks)):
        row[f"{side}_prices"] = ",".join(number(price, listing.tick_decimals) for price, _ in levels)
        row[f"{side}_sizes"] = ",".join(number(size, listing.step_decimals) for _, size in levels)
    return row


def _ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def _iso(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms // 1000, UTC).replace(microsecond=time_ms % 1000 * 1000).isoformat()
