"""Coinbase Exchange market data: products, candles, trades, ticker, book and time over the synthetic market.

Deliberately not here: statistics, the book's level 3 (single orders) and WebSocket feeds. Where the documentation is
silent, the stricter reading holds: epoch numbers as bounds, both cursors at once and unknown levels are refused.
Invariant: a bucket without trades has no candle, and a finished candle never changes.

Sources, read 2026-11-24: https://docs.cdp.coinbase.com/api-reference/exchange-api/rest-api/products and
https://docs.cdp.coinbase.com/exchange/rest-api (requests, pagination, rate-limits). The texts of 400s are not
documented; they are those that issues of client libraries quote (ccxt/ccxt 9268, preichenberger/go-coinbasepro 38).
"""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache

from sandbox import coinbase_truth
from sandbox.coinbase_bucket import TokenBuckets
from sandbox.coinbase_market import PRODUCTS, QUIET_HOURS, QUIET_MINUTES, QUIET_PRODUCT, CoinbaseMarket
from sandbox.coinbase_pages import iso_time, page_of
from sandbox.contract import Answer, ErrorCase, Example, LongWork, Page, Request
from sandbox.digits import json_number, printed
from sandbox.listings import LISTED_SINCE_MS, LISTINGS
from sandbox.price_walk import MINUTES_PER_DAY
from sandbox.trade_tape import Trade

GRANULARITIES = (60, 300, 900, 3600, 21600, 86400)
MAX_CANDLES = 300
MAX_TRADES = 1000
#: "Full order book (aggregated)" has tens of thousands of levels there; here enough to be cut by whoever keeps fewer.
BOOK_LEVELS = 150

_JSON = "application/json; charset=utf-8"
_PRODUCT_PATH = re.compile(r"/products/([^/]+)(?:/(candles|trades|ticker|book))?")
_TOO_MANY = "granularity too small for the requested time range. Count of aggregations requested exceeds 300"
_LONG_SPAN_S = 50 * 3_600  # about 10 ms of work


def open_dialect(seed: int) -> "Coinbase":
    return Coinbase(seed)


class RefusalError(Exception):
    """A request that is answered with a status and `{"message":".."}`."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Coinbase:
    """The public REST side of the Exchange. Its limit counts per client address."""

    error_body = b'{"message":"Internal Server Error"}'

    def __init__(self, seed: int) -> None:
        self.limits = {"requests_per_s": 10, "burst": 15}
        self._market = CoinbaseMarket(seed)
        self._buckets = TokenBuckets()
        self._finished_candle = lru_cache(maxsize=65_536)(self._render_finished_candle)

    def answer(self, request: Request) -> Answer | LongWork:
        burst, rate = self.limits["burst"], self.limits["requests_per_s"]
        if not self._buckets.take(request.client, burst=burst, rate_per_s=rate, now_s=request.now_s):
            return _refused(RefusalError(429, "Public rate limit exceeded"))
        try:
            if not request.headers.get("user-agent"):
                raise RefusalError(400, "User-Agent header is required.")
            return self._route(request)
        except RefusalError as refusal:
            return _refused(refusal)

    def _route(self, request: Request) -> Answer | LongWork:
        if request.path == "/products":
            return _answered([_product(product) for product in PRODUCTS])
        if request.path == "/time":
            now_ms = request.now_ms
            return _answered({"iso": iso_time(now_ms * 1000), "epoch": now_ms / 1000})
        match = _PRODUCT_PATH.fullmatch(request.path)
        if match is None or match[1] not in PRODUCTS:
            raise RefusalError(404, "NotFound")
        endpoint = {"candles": self._candles, "trades": self._trades, "ticker": self._ticker, "book": self._book}
        return endpoint.get(match[2], self._details)(match[1], request)

    def _details(self, product: str, request: Request) -> Answer | LongWork:
        return _answered(_product(product))

    def _candles(self, product: str, request: Request) -> Answer | LongWork:
        """Return the candles whose buckets open within the inclusive bounds, newest first.

        "If the start or end fields are not provided, both fields are ignored" and the range ends now; "some of those
        candles may precede your declared start value": the bucket before the first is added where there is room.
        """
        width_s, bounds, now_ms = _granularity(request.query), _bounds(request.query), request.now_ms
        if bounds is None:
            last_s = now_ms // 1000 // width_s * width_s
            opens = range(last_s - (MAX_CANDLES - 1) * width_s, last_s + 1, width_s)
        else:
            start_s, end_s = bounds
            opens = range(-(-start_s // width_s) * width_s, end_s + 1, width_s)
            if len(opens) > MAX_CANDLES:
                raise RefusalError(400, _TOO_MANY)
            if len(opens) < MAX_CANDLES:
                opens = range(opens.start - width_s, opens.stop, width_s)

        def render() -> Answer:
            rows = (self._candle(product, open_s, width_s, now_ms) for open_s in reversed(opens))
            return Answer(200, f"[{','.join(row for row in rows if row)}]".encode(), content_type=_JSON)

        return render if len(opens) * width_s > _LONG_SPAN_S else render()

    def _candle(self, product: str, open_s: int, width_s: int, now_ms: int) -> str:
        if (open_s + width_s) * 1000 <= now_ms:
            return self._finished_candle(product, open_s, width_s)
        return self._render_candle(product, open_s, width_s, now_ms)

    def _render_finished_candle(self, product: str, open_s: int, width_s: int) -> str:
        return self._render_candle(product, open_s, width_s, (open_s + width_s) * 1000)

    def _render_candle(self, product: str, open_s: int, width_s: int, now_ms: int) -> str:
        """Print `[time, low, high, open, close, volume]`, or nothing for a bucket without trades."""
        bar = self._market.bar(product, open_s // 60, (open_s + width_s) // 60, now_ms=now_ms)
        if bar is None:
            return ""
        listing = LISTINGS[PRODUCTS[product]]
        prices = (json_number(price, listing.tick_decimals) for price in (bar.low, bar.high, bar.open, bar.close))
        return f"[{open_s},{','.join(prices)},{json_number(bar.volume, listing.step_decimals)}]"

    def _trades(self, product: str, request: Request) -> Answer | LongWork:
        """Return a page newest first: the latest, or the page next to a cursor: `after` is older, `before` newer."""
        limit = min(_cursor(request.query, "limit") or MAX_TRADES, MAX_TRADES)
        before, after = _cursor(request.query, "before"), _cursor(request.query, "after")
        if before is not None and after is not None:
            raise RefusalError(400, 'Invalid value for "before"')

        def render() -> Answer:
            if before is not None:
                trades = self._market.trades_after(product, before, limit, now_ms=request.now_ms)
            else:
                trades = self._market.trades_before(product, after, limit, now_ms=request.now_ms)
            trades.reverse()
            body = f"[{','.join(_trade(product, trade) for trade in trades)}]".encode()
            cursors = (("CB-BEFORE", str(trades[0].id)), ("CB-AFTER", str(trades[-1].id))) if trades else ()
            return Answer(200, body, cursors, _JSON)

        return render

    def _ticker(self, product: str, request: Request) -> Answer | LongWork:
        """Return the last trade with the best bid and ask of now: `time`, `price` and `size` are that trade's."""
        listing, now_ms = LISTINGS[PRODUCTS[product]], request.now_ms
        quote = self._market.walk.quote(PRODUCTS[product], now_ms)
        (last,) = self._market.trades_before(product, None, 1, now_ms=now_ms)
        this_minute = now_ms // 60_000
        day = self._market.bar(product, this_minute - MINUTES_PER_DAY, this_minute + 1, now_ms=now_ms)
        return _answered(
            {
                "ask": printed(quote.ask, listing.tick_decimals, 2),
                "bid": printed(quote.bid, listing.tick_decimals, 2),
                "volume": printed(0 if day is None else day.volume, listing.step_decimals, 8),
                "trade_id": last.id,
                "price": printed(last.price, listing.tick_decimals, 2),
                "size": printed(last.size, listing.step_decimals, 8),
                "time": iso_time(last.time_us),
                "rfq_volume": "0",
            }
        )

    def _book(self, product: str, request: Request) -> Answer | LongWork:
        """Return `[price, size, num-orders]` a level: the best for level 1, which is the default, all for level 2."""
        level = request.query.get("level", "1")
        if level not in ("1", "2"):
            raise RefusalError(400, "Invalid level")
        listing, now_ms = LISTINGS[PRODUCTS[product]], request.now_ms
        book = self._market.walk.book(PRODUCTS[product], now_ms, 1 if level == "1" else BOOK_LEVELS)
        sides = {
            name: [
                [printed(price, listing.tick_decimals, 2), printed(size, listing.step_decimals, 8), 1 + size % 5]
                for price, size in side
            ]
            for name, side in (("bids", book.bids), ("asks", book.asks))
        }
        # The market moves ten times a second, and the sequence with it. Books are timed to the nanosecond there.
        moment = {"time": f"{iso_time(now_ms * 1000)[:-1]}000000Z"}
        return _answered({**sides, "sequence": now_ms // 100, "auction_mode": False, "auction": None, **moment})

    def page(self, body: bytes) -> Page | None:
        return page_of(body)

    def truth(self) -> dict[str, dict[str, object]]:
        """Say when each product begins; `quiet` names the UTC hours and their minutes in which it has no trades."""
        quiet = {"hours": list(QUIET_HOURS), "minutes": list(QUIET_MINUTES)}
        return {
            product: {"first_open_ms": LISTED_SINCE_MS, "last": "forming"}
            | ({"quiet": quiet} if product == QUIET_PRODUCT else {})
            for product in PRODUCTS
        }

    def examples(self) -> Sequence[Example]:
        return coinbase_truth.EXAMPLES

    def rows(self, example: Example, *, now_s: float) -> list[dict[str, str | None]]:
        return coinbase_truth.rows(self._market, example, now_ms=int(now_s * 1000))

    def error_cases(self) -> Sequence[ErrorCase]:
        return coinbase_truth.ERROR_CASES

    def forget_spending(self) -> None:
        self._buckets.forget()


def _answered(value: object) -> Answer:
    return Answer(200, json.dumps(value, separators=(",", ":")).encode(), content_type=_JSON)


def _refused(refusal: RefusalError) -> Answer:
    body = json.dumps({"message": str(refusal)}, separators=(",", ":")).encode()
    return Answer(refusal.status, body, content_type=_JSON)


def _granularity(query: Mapping[str, str]) -> int:
    text = query.get("granularity", "60")
    if text not in map(str, GRANULARITIES):
        raise RefusalError(400, "Unsupported granularity")
    return int(text)


def _bounds(query: Mapping[str, str]) -> tuple[int, int] | None:
    """Return start and end in seconds, rounded inwards; None unless both are there."""
    if not query.get("start") or not query.get("end"):
        return None
    start, end = (_moment(query[name], name) for name in ("start", "end"))
    if end < start:
        raise RefusalError(400, "start must be before end")
    return -int(-start // 1), int(end // 1)


def _moment(text: str, name: str) -> float:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise RefusalError(400, f"Invalid {name}") from None
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()


def _cursor(query: Mapping[str, str], name: str) -> int | None:
    """Return a whole number above 0, None where the parameter is not there."""
    text = query.get(name)
    if text is None:
        return None
    if not re.fullmatch(r"[0-9]{1,18}", text) or int(text) == 0:
        raise RefusalError(400, f'Invalid value for "{name}"')
    return int(text)


def _product(product: str) -> dict[str, object]:
    base, quote = product.split("-")
    listing = LISTINGS[PRODUCTS[product]]
    return {
        "id": product,
        "base_currency": base,
        "quote_currency": quote,
        "quote_increment": printed(1, listing.tick_decimals, 0),
        "base_increment": printed(1, listing.step_decimals, 0),
        "display_name": f"{base}/{quote}",
        "min_market_funds": "1",
        "margin_enabled": False,
        "post_only": False,
        "limit_only": False,
        "cancel_only": False,
        "status": "online",
        "status_message": "",
        "trading_disabled": False,
        "fx_stablecoin": False,
        "max_slippage_percentage": "0.02000000",
        "auction_mode": False,
        "high_bid_limit_percentage": "",
    }


def _trade(product: str, trade: Trade) -> str:
    """Print a trade; "the side of a trade indicates the maker order side", so it sells where the taker buys."""
    listing = LISTINGS[PRODUCTS[product]]
    price, size = printed(trade.price, listing.tick_decimals, 8), printed(trade.size, listing.step_decimals, 8)
    side = "sell" if trade.taker_buys else "buy"
    moment = iso_time(trade.time_us)
    return f'{{"time":"{moment}","trade_id":{trade.id},"price":"{price}","size":"{size}","side":"{side}"}}'
