"""What must come of Binance's sandbox: examples to copy whole, their rows, and its own errors with what must follow.

Deliberately not here: how it answers (`dialects/binance.py`). Invariant: rows come from the market, never an answer.
Source of the errors: binance-spot-api-docs errors.md and rest-api.md "HTTP Return Codes", "IP Limits", 2026-07-21.
"""

import json

from sandbox.binance_instruments import SYMBOLS
from sandbox.binance_numbers import ONE_COIN, UNITS, decimal
from sandbox.contract import ErrorCase, Example
from sandbox.kline_grid import INTERVAL_WIDTHS_MS
from sandbox.listings import LISTED_SINCE_MS, LISTINGS
from sandbox.moments import NS_PER_MS, iso, ns_of, opens_ms
from sandbox.price_walk import MINUTE_MS, PriceWalk
from sandbox.trade_tape import TradeTape

Row = dict[str, str | None]

#: An instrument as people write it -> its symbol.
NATIVES = {f"{LISTINGS[symbol].base_asset}-{LISTINGS[symbol].quote_asset}": symbol for symbol in SYMBOLS}
EXAMPLES = (
    # Four pages of 1,000.
    Example("bars", "BTC-USDT", "1m", "2024-03-04T00:00:00Z", "2024-03-06T12:00:00Z"),
    # From a week before the listing on: the first page is not full, two follow.
    Example("bars", "ETH-BTC", "1h", "2017-08-10T00:00:00Z", "2017-11-10T00:00:00Z"),
    # Bounds off the grid.
    Example("bars", "LTC-USDT", "5m", "2024-03-05T00:02:30Z", "2024-03-05T06:02:30Z"),
    Example("bars", "DOGE-USDT", "1d", "2023-01-01T00:00:00Z", "2023-04-01T00:00:00Z"),
    # Some 4,000 trades, many of them in one millisecond.
    Example("trades", "BTC-USDT", "", "2024-03-05T12:00:00Z", "2024-03-05T12:08:00Z"),
    Example("trades", "BNB-BTC", "", "2024-03-05T12:00:00.250Z", "2024-03-05T12:10:00.750Z"),
    Example("quotes", "BTC-USDT"),
    Example("quotes", "DOGE-USDT"),
    Example("books", "BTC-USDT"),
    Example("books", "BNB-BTC"),
)

_ERRORS = "https://github.com/binance/binance-spot-api-docs/blob/master/errors.md, 2026-07-21"
_CODES = "https://github.com/binance/binance-spot-api-docs/blob/master/rest-api.md#http-return-codes, 2026-07-21"
_BARS = Example("bars", "BTC-USDT", "1m", "2024-03-04T00:00:00Z", "2024-03-04T10:00:00Z")
_NOBODY = Example("bars", "NONE-USDT", _BARS.interval, _BARS.start, _BARS.end)


def _status(status: int, code: int, message: str, **more: object) -> dict[str, object]:
    body = json.dumps({"code": code, "msg": message}, separators=(",", ":"))
    return {"fault": "status", "args": {"status": status, "body": body, **more}}


_SPENT = "Too much request weight used; current limit is 6000 request weight per 1 MINUTE."
ERROR_CASES = (
    ErrorCase("the weight is spent", _BARS, "wait", _CODES, _status(429, -1003, _SPENT, retry_after=7)),
    ErrorCase("banned", _BARS, "wait", _CODES, {"fault": "ban", "args": {"seconds": 5}}),
    ErrorCase("its firewall", _BARS, "wait", _CODES, {"fault": "status", "args": {"status": 403, "body": "<html>"}}),
    ErrorCase("its side fails", _BARS, "again", _CODES, {"fault": "status", "args": {"status": 500}}),
    ErrorCase("busy", _BARS, "again", _ERRORS, _status(503, -1008, "Server is currently overloaded.")),
    ErrorCase("a timeout behind it", _BARS, "again", _ERRORS, _status(400, -1007, "Timeout waiting for response.")),
    ErrorCase("a parameter too many", _BARS, "request", _ERRORS, _status(400, -1104, "Not all sent parameters were.")),
    ErrorCase("an unknown symbol's klines", _NOBODY, "unknown", _ERRORS),
    ErrorCase("an unknown symbol's ticker", Example("quotes", "NONE-USDT"), "unknown", _ERRORS),
)


def rows(walk: PriceWalk, tape: TradeTape, example: Example, *, now_ms: int) -> list[Row]:
    """Return the rows of an example that a whole copy holds; quotes and books are of now, and it dates neither."""
    symbol = NATIVES[example.instrument]
    match example.dataset:
        case "bars":
            return _bars(walk, symbol, example, now_ms)
        case "trades":
            return _trades(tape, symbol, example, now_ms)
        case "quotes":
            quote = walk.quote(symbol, now_ms)
            prices = {"bid": _price(symbol, quote.bid), "ask": _price(symbol, quote.ask)}
            return [{**prices, "bid_size": _size(symbol, quote.bid_size), "ask_size": _size(symbol, quote.ask_size)}]
        case _:
            return [_book(walk, symbol, now_ms)]


def _bars(walk: PriceWalk, symbol: str, example: Example, now_ms: int) -> list[Row]:
    """Every bar since the listing has trades; the one of now is as far as it has come."""
    width, (tick, step) = INTERVAL_WIDTHS_MS[example.interval], UNITS[symbol]
    found: list[Row] = []
    for open_ms in opens_ms(example.start, example.end, width):
        if LISTED_SINCE_MS <= open_ms <= now_ms:
            bar = walk.bar(symbol, open_ms // MINUTE_MS, (open_ms + width) // MINUTE_MS, now_ms=now_ms)
            prices = {"open": bar.open, "high": bar.high, "low": bar.low, "close": bar.close}
            row: Row = {"ts": iso(open_ms * NS_PER_MS)}
            row |= {name: _price(symbol, price) for name, price in prices.items()}
            row["volume"] = _size(symbol, bar.volume)
            row["quote_volume"] = decimal(bar.quote_volume * (tick * step // ONE_COIN))
            found.append(row | {"trade_count": str(bar.trades)})
    return found


def _trades(tape: TradeTape, symbol: str, example: Example, now_ms: int) -> list[Row]:
    """Its times are in milliseconds, and the numbers those of its aggregate trades."""
    start_ms, end_ms = (ns_of(moment) // NS_PER_MS for moment in (example.start, example.end))
    return [
        {
            "ts": iso(trade.time_us // 1000 * NS_PER_MS),
            "trade_id": str(trade.id),
            "price": _price(symbol, trade.price),
            "size": _size(symbol, trade.size),
            "side": "buy" if trade.taker_buys else "sell",
        }
        for trade in tape.trades(symbol, start_ms, min(end_ms, now_ms))
    ]


def _book(walk: PriceWalk, symbol: str, now_ms: int) -> Row:
    row: Row = {}
    book = walk.book(symbol, now_ms, 100)
    for side, levels in (("bid", book.bids), ("ask", book.asks)):
        row[f"{side}_prices"] = ",".join(_price(symbol, price) for price, _ in levels)
        row[f"{side}_sizes"] = ",".join(_size(symbol, size) for _, size in levels)
    return row | {"sequence": str(now_ms // 100)}


def _price(symbol: str, ticks: int) -> str:
    return decimal(ticks * UNITS[symbol][0])


def _size(symbol: str, steps: int) -> str:
    return decimal(steps * UNITS[symbol][1])
