"""What must come of Coinbase's sandbox: examples to copy whole, their rows, and its own errors with what must follow.

Deliberately not here: how it answers (`dialects/coinbase.py`). Invariant: rows come from the market, never an answer.
Sources: those of the dialect.
"""

import json

from sandbox.coinbase_market import PRODUCTS, CoinbaseMarket
from sandbox.contract import ErrorCase, Example
from sandbox.digits import json_number, printed
from sandbox.listings import LISTINGS
from sandbox.moments import NS_PER_MS, NS_PER_US, iso, ns_of, opens_ms
from sandbox.price_walk import MINUTE_MS

Row = dict[str, str | None]

_WIDTHS_MS = {"1m": MINUTE_MS, "5m": 5 * MINUTE_MS, "1h": 60 * MINUTE_MS, "6h": 360 * MINUTE_MS, "1d": 1440 * MINUTE_MS}
EXAMPLES = (
    # Five pages of 300.
    Example("bars", "BTC-USD", "1m", "2024-03-04T00:00:00Z", "2024-03-05T00:00:00Z"),
    # From a week before the listing on.
    Example("bars", "ETH-USD", "6h", "2017-08-10T00:00:00Z", "2018-01-10T00:00:00Z"),
    # Buckets without trades have no candle; bounds off the grid.
    Example("bars", "LTC-USD", "5m", "2024-03-04T22:02:30Z", "2024-03-06T10:02:30Z"),
    Example("bars", "DOGE-USD", "1d", "2023-01-01T00:00:00Z", "2023-04-01T00:00:00Z"),
    # Trades can only be reached from the newest backwards, so these are of the last hour: a few thousand.
    Example("trades", "BTC-USD", "", "-00:13:00", "-00:02:00"),
    Example("trades", "LTC-USD", "", "-00:50:00", "-00:02:00"),
    Example("quotes", "BTC-USD"),
    Example("quotes", "DOGE-USD"),
    # There it has 150 levels a side.
    Example("books", "BTC-USD"),
    Example("books", "XRP-USD"),
)

_REQUESTS = "https://docs.cdp.coinbase.com/exchange/rest-api/requests, 2026-11-24"
_LIMITS = "https://docs.cdp.coinbase.com/exchange/rest-api/rate-limits, 2026-11-24"
_CANDLES = "https://docs.cdp.coinbase.com/api-reference/exchange-api/rest-api/products/get-product-candles, 2026-11-24"
_BARS = Example("bars", "BTC-USD", "1m", "2024-03-04T00:00:00Z", "2024-03-04T04:00:00Z")
_NOBODY = Example("bars", "NONE-USD", _BARS.interval, _BARS.start, _BARS.end)


def _status(status: int, message: str) -> dict[str, object]:
    body = json.dumps({"message": message}, separators=(",", ":"))
    return {"fault": "status", "args": {"status": status, "body": body}}


_TOO_MANY = "granularity too small for the requested time range. Count of aggregations requested exceeds 300"
ERROR_CASES = (
    ErrorCase("too many requests", _BARS, "wait", _LIMITS, _status(429, "Public rate limit exceeded")),
    ErrorCase("its side fails", _BARS, "again", _REQUESTS, {"fault": "status", "args": {"status": 500}}),
    ErrorCase("unavailable", _BARS, "again", _REQUESTS, _status(503, "Under maintenance")),
    ErrorCase("more than 300 candles", _BARS, "request", _CANDLES, _status(400, _TOO_MANY)),
    ErrorCase("not allowed", _BARS, "request", _REQUESTS, _status(403, "Forbidden")),
    ErrorCase("an unknown product's candles", _NOBODY, "unknown", _REQUESTS),
    ErrorCase("an unknown product's ticker", Example("quotes", "NONE-USD"), "unknown", _REQUESTS),
)


def rows(market: CoinbaseMarket, example: Example, *, now_ms: int) -> list[Row]:
    """Return the rows of an example that a whole copy holds; quotes and books are of now.

    A ticker's time is that of its last trade, so a quote has none of its own, and no sizes: that is the trade's, too.
    """
    match example.dataset:
        case "bars":
            return _bars(market, example, now_ms)
        case "trades":
            return _trades(market, example, now_ms)
        case "quotes":
            product = example.instrument
            quote = market.walk.quote(PRODUCTS[product], now_ms)
            (last,) = market.trades_before(product, None, 1, now_ms=now_ms)
            prices = {"bid": quote.bid, "ask": quote.ask, "last": last.price}
            return [{name: _price(product, price, 2) for name, price in prices.items()}]
        case _:
            return [_book(market, example.instrument, now_ms)]


def _bars(market: CoinbaseMarket, example: Example, now_ms: int) -> list[Row]:
    product, width = example.instrument, _WIDTHS_MS[example.interval]
    listing = LISTINGS[PRODUCTS[product]]
    found: list[Row] = []
    for open_ms in opens_ms(example.start, example.end, width):
        bar = market.bar(product, open_ms // MINUTE_MS, (open_ms + width) // MINUTE_MS, now_ms=now_ms)
        if bar is not None:
            prices = {"open": bar.open, "high": bar.high, "low": bar.low, "close": bar.close}
            row: Row = {name: json_number(price, listing.tick_decimals) for name, price in prices.items()}
            volume = json_number(bar.volume, listing.step_decimals)
            found.append({"ts": iso(open_ms * NS_PER_MS)} | row | {"volume": volume})
    return found


def _trades(market: CoinbaseMarket, example: Example, now_ms: int) -> list[Row]:
    """Its times are in microseconds; `side` is the taker's here, the maker's there."""
    product = example.instrument
    start_us, end_us = (ns_of(moment) // NS_PER_US for moment in (example.start, example.end))
    found = market.trades_between(product, start_us, end_us, now_ms=now_ms)
    return [
        {
            "ts": iso(trade.time_us * NS_PER_US),
            "trade_id": str(trade.id),
            "price": _price(product, trade.price, 8),
            "size": _size(product, trade.size),
            "side": "buy" if trade.taker_buys else "sell",
        }
        for trade in found
    ]


def _book(market: CoinbaseMarket, product: str, now_ms: int) -> Row:
    row: Row = {"ts": iso(now_ms * NS_PER_MS), "sequence": str(now_ms // 100)}
    book = market.walk.book(PRODUCTS[product], now_ms, 100)
    for side, levels in (("bid", book.bids), ("ask", book.asks)):
        row[f"{side}_prices"] = ",".join(_price(product, price, 2) for price, _ in levels)
        row[f"{side}_sizes"] = ",".join(_size(product, size) for _, size in levels)
    return row


def _price(product: str, ticks: int, least: int) -> str:
    return printed(ticks, LISTINGS[PRODUCTS[product]].tick_decimals, least)


def _size(product: str, steps: int) -> str:
    return printed(steps, LISTINGS[PRODUCTS[product]].step_decimals, 8)
