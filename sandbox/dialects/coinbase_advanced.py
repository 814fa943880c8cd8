"""Coinbase Advanced Trade's public market data: products and candles, over the market that the Exchange trades too.

Deliberately not here: the windows of trades, everything that wants a token (401), WebSocket channels. Where the
documentation is silent, the stricter reading holds: both bounds count, and 350 candles are one too many.
Invariant: a bucket without trades has no candle, and a finished candle never changes.

Sources, read 2026-11-30: https://docs.cdp.coinbase.com/api-reference/advanced-trade-api/rest-api/public
(get-public-product-candles, -book, get-public-market-trades, list-public-products). Error bodies: ccxt/ccxt
coinbase.ts; "number of candles requested should be less than ..": KmiQ/coinbase-advanced-python pull request 26;
"granularity argument is invalid": coinbase-samples/advanced-sdk-ts issue 10. A page that was cut at 300: ccxt/ccxt pull
request 25171 (a dial).
"""

import json
import re
from collections.abc import Mapping, Sequence

from sandbox.allowance import SlidingWindow
from sandbox.coinbase_advanced_now import book, row_of_now, ticker
from sandbox.coinbase_market import PRODUCTS, QUIET_HOURS, QUIET_MINUTES, QUIET_PRODUCT, CoinbaseMarket
from sandbox.contract import Answer, ErrorCase, Example, LongWork, Page, Request
from sandbox.digits import json_number
from sandbox.listings import LISTED_SINCE_MS, LISTINGS
from sandbox.moments import NS_PER_MS, iso, opens_ms
from sandbox.price_walk import Bar

MARKET, BOOK = "/api/v3/brokerage/market/products", "/api/v3/brokerage/market/product_book"
#: Levels a side of a book at most; how many there are is not documented.
BOOK_LEVELS = 150
WIDTHS_S = {
    "ONE_MINUTE": 60,
    "FIVE_MINUTE": 300,
    "FIFTEEN_MINUTE": 900,
    "THIRTY_MINUTE": 1_800,
    "ONE_HOUR": 3_600,
    "TWO_HOUR": 7_200,
    "SIX_HOUR": 21_600,
    "ONE_DAY": 86_400,
}
_INTERVALS_S = {"1m": 60, "30m": 1_800, "2h": 7_200, "1d": 86_400}
_LONG_SPAN_S = 50 * 3_600  # about 10 ms of work
_PUBLIC = "https://docs.cdp.coinbase.com/api-reference/advanced-trade-api/rest-api/public, 2026-11-30"
_LIMITS = "https://docs.cloud.coinbase.com/advanced-trade-api/docs/rest-api-rate-limits, 2026-11-30"
_ERRORS = "https://github.com/ccxt/ccxt/blob/master/ts/src/coinbase.ts, 2026-11-30"
_BARS = Example("bars", "BTC-USD", "1m", "2024-03-04T00:00:00Z", "2024-03-04T04:00:00Z")


def open_dialect(seed: int) -> "CoinbaseAdvanced":
    return CoinbaseAdvanced(seed)


class RefusalError(Exception):
    """A request that is answered with a status and an error of this code."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code


class CoinbaseAdvanced:
    """The keyless half. Its limit counts per client address."""

    error_body = b'{"errors":[{"id":"internal_server_error","message":"Internal server error"}]}'

    def __init__(self, seed: int) -> None:
        self.limits = {"requests_per_s": 10, "most_candles": 350, "candles_per_page": 350}
        self._market = CoinbaseMarket(seed)
        self._second = SlidingWindow(1)

    def answer(self, request: Request) -> Answer | LongWork:
        if self._second.room(request.client, self.limits["requests_per_s"], now_s=request.now_s) <= 0:
            return _answered({"errors": [{"id": "rate_limit_exceeded", "message": "Too many requests"}]}, status=429)
        self._second.spend(request.client, now_s=request.now_s)
        try:
            return self._route(request)
        except RefusalError as refusal:
            said = str(refusal)
            return _answered({"error": refusal.code, "error_details": said, "message": said}, status=refusal.status)

    def _route(self, request: Request) -> Answer | LongWork:
        if request.path == BOOK:
            product, levels = request.query.get("product_id", ""), _limit(request.query, BOOK_LEVELS) or BOOK_LEVELS
            if product not in PRODUCTS:
                raise RefusalError(404, "NOT_FOUND", "product not found")
            return _answered(book(self._market, product, levels, now_ms=request.now_ms))
        if request.path == MARKET:
            products = [_product(product) for product in PRODUCTS]
            return _answered({"products": products, "num_products": len(products)})
        if not request.path.startswith(f"{MARKET}/"):
            raise RefusalError(401, "UNAUTHENTICATED", "Unauthorized")
        product, _, endpoint = request.path.removeprefix(f"{MARKET}/").partition("/")
        if product not in PRODUCTS or endpoint not in ("", "candles", "ticker"):
            raise RefusalError(404, "NOT_FOUND", "product not found")
        if endpoint == "ticker":
            count = _limit(request.query, 1_000)
            if count is None:
                raise RefusalError(400, "INVALID_ARGUMENT", "limit argument is invalid")
            return lambda: _answered(ticker(self._market, product, count, now_ms=request.now_ms))
        return self._candles(product, request) if endpoint else _answered(_product(product))

    def _candles(self, product: str, request: Request) -> Answer | LongWork:
        """Return the candles of the bounds, newest first, from the bucket that holds the start."""
        width_s = WIDTHS_S.get(request.query.get("granularity", "UNKNOWN_GRANULARITY"))
        if width_s is None:
            raise RefusalError(400, "INVALID_ARGUMENT", "granularity argument is invalid")
        start_s, end_s = (_seconds(request.query, name) for name in ("start", "end"))
        opens = range(start_s // width_s * width_s, end_s + 1, width_s)
        most = self.limits["most_candles"]
        if end_s < start_s or len(opens) > most or end_s - start_s >= most * width_s:
            said = f"start and end argument is invalid - number of candles requested should be less than {most}"
            raise RefusalError(400, "INVALID_ARGUMENT", said)
        limit = min(int(request.query.get("limit", most)), self.limits["candles_per_page"])

        def render() -> Answer:
            candles = [self._candle(product, open_s, width_s, request.now_ms) for open_s in reversed(opens)]
            return _answered({"candles": [candle for candle in candles if candle is not None][:limit]})

        return render if len(opens) * width_s > _LONG_SPAN_S else render()

    def _candle(self, product: str, open_s: int, width_s: int, now_ms: int) -> dict[str, str] | None:
        bar = self._market.bar(product, open_s // 60, (open_s + width_s) // 60, now_ms=now_ms)
        return None if bar is None else {"start": str(open_s), **_values(product, bar)}

    def page(self, body: bytes) -> Page | None:
        """Return the candles of a page: a row's cells are its members, name and value."""
        text = body.decode()
        if not text.startswith('{"candles":[{'):
            return None
        rows = [row.split(",") for row in re.findall(r"\{([^{}]+)\}", text[1:])]
        return _CandlePage('{"candles":[', rows, "]}", {}, (0,), _spoil)

    def truth(self) -> dict[str, dict[str, object]]:
        """Say when each product begins; `quiet` names the UTC hours and their minutes in which it has no trades."""
        quiet = {"hours": list(QUIET_HOURS), "minutes": list(QUIET_MINUTES)}
        return {
            product: {"first_open_ms": LISTED_SINCE_MS, "last": "forming"}
            | ({"quiet": quiet} if product == QUIET_PRODUCT else {})
            for product in PRODUCTS
        }

    def forget_spending(self) -> None:
        self._second = SlidingWindow(1)

    def examples(self) -> Sequence[Example]:
        return (
            # Five pages of 349.
            Example("bars", "BTC-USD", "1m", "2024-03-04T00:00:00Z", "2024-03-05T00:00:00Z"),
            # From a week before the listing on.
            Example("bars", "ETH-USD", "2h", "2017-08-10T00:00:00Z", "2017-10-10T00:00:00Z"),
            # Buckets without trades have no candle; bounds off the grid.
            Example("bars", "LTC-USD", "1m", "2024-03-04T22:02:30Z", "2024-03-05T10:02:30Z"),
            Example("bars", "DOGE-USD", "30m", "2024-03-04T00:00:00Z", "2024-03-14T00:00:00Z"),
            Example("bars", "XRP-USD", "1d", "2023-01-01T00:00:00Z", "2023-04-01T00:00:00Z"),
            Example("quotes", "BTC-USD"),
            Example("quotes", "DOGE-USD"),
            # There it has 150 levels a side.
            Example("books", "ETH-USD"),
        )

    def rows(self, example: Example, *, now_s: float) -> list[dict[str, str | None]]:
        if example.dataset != "bars":
            return [row_of_now(self._market, example, now_ms=int(now_s * 1000))]
        product, width_s = example.instrument, _INTERVALS_S[example.interval]
        found: list[dict[str, str | None]] = []
        for open_ms in opens_ms(example.start, example.end, width_s * 1000):
            first = open_ms // 60_000
            bar = self._market.bar(product, first, first + width_s // 60, now_ms=int(now_s * 1000))
            if bar is not None:
                found.append({"ts": iso(open_ms * NS_PER_MS), **_values(product, bar)})
        return found

    def error_cases(self) -> Sequence[ErrorCase]:
        def failing(status: int, body: object) -> Mapping[str, object]:
            return {"fault": "status", "args": {"status": status, "body": json.dumps(body)}}

        def coded(code: str) -> dict[str, str]:
            return {"error": code, "error_details": "said in words", "message": "said in words"}

        limited = {"errors": [{"id": "rate_limit_exceeded", "message": "Too many requests"}]}
        too_many = {**coded("INVALID_ARGUMENT"), "message": "number of candles requested should be less than 350"}
        nobody = Example("bars", "NONE-USD", _BARS.interval, _BARS.start, _BARS.end)
        its_side = {"errors": [{"id": "internal_server_error", "message": "Internal server error"}]}
        return (
            ErrorCase("too many requests", _BARS, "wait", _LIMITS, failing(429, limited)),
            ErrorCase("resources exhausted", _BARS, "wait", _ERRORS, failing(400, coded("RESOURCE_EXHAUSTED"))),
            ErrorCase("its side fails", _BARS, "again", _ERRORS, failing(500, its_side)),
            ErrorCase("too many candles", _BARS, "request", _PUBLIC, failing(400, too_many)),
            ErrorCase("not allowed", _BARS, "request", _ERRORS, failing(403, coded("PERMISSION_DENIED"))),
            ErrorCase("an unknown product", nobody, "unknown", _ERRORS),
            ErrorCase("an unknown product's prices", Example("quotes", "NONE-USD"), "unknown", _ERRORS),
            ErrorCase("an unknown product's book", Example("books", "NONE-USD"), "unknown", _ERRORS),
        )


class _CandlePage(Page):
    """A page whose rows are objects."""

    def text(self) -> str:
        return self.head + ",".join(f"{{{','.join(row)}}}" for row in self.rows) + self.tail


def _spoil(how: str, cell: str, now_s: float) -> str:
    """Print a wrong time in the place of `"start":".."`."""
    start_s = int(cell.removeprefix('"start":').strip('"'))
    wrong = {
        "future": int(now_s) + 86_400,
        "misaligned": start_s + 7,
        "microseconds": start_s * 1_000_000,
        "seconds": start_s // 1_000,  # seconds are right here, so the wrong unit is thousands of them
    }
    return f'"start":"{wrong[how]}"'


def _answered(value: object, *, status: int = 200) -> Answer:
    body = json.dumps(value, separators=(",", ":")).encode()
    return Answer(status, body, content_type="application/json; charset=utf-8")


def _seconds(query: Mapping[str, str], name: str) -> int:
    """Return a bound; "the UNIX timestamp", both required."""
    text = query.get(name, "")
    if not re.fullmatch(r"[0-9]{1,11}", text):
        raise RefusalError(400, "INVALID_ARGUMENT", f"{name} argument is invalid")
    return int(text)


def _limit(query: Mapping[str, str], most: int) -> int | None:
    """Return how many are asked for, None where it is not said; what is too much is the most."""
    text = query.get("limit")
    if text is None:
        return None
    if not re.fullmatch(r"[1-9][0-9]{0,5}", text):
        raise RefusalError(400, "INVALID_ARGUMENT", "limit argument is invalid")
    return min(int(text), most)


def _values(product: str, bar: Bar) -> dict[str, str]:
    listing = LISTINGS[PRODUCTS[product]]
    prices = {"low": bar.low, "high": bar.high, "open": bar.open, "close": bar.close}
    printed = {name: json_number(price, listing.tick_decimals) for name, price in prices.items()}
    return printed | {"volume": json_number(bar.volume, listing.step_decimals)}


def _product(product: str) -> dict[str, object]:
    base, quote = product.split("-")
    return {
        "product_id": product,
        "base_currency_id": base,
        "quote_currency_id": quote,
        "status": "online",
        "product_type": "SPOT",
        "trading_disabled": False,
        "is_disabled": False,
        "alias": "",
        "alias_to": [],
    }
