"""Bitfinex's public REST API v2: candles, trades, ticker(s), book, platform status and two lists, on a made-up market.

Deliberately not here: funding (`f..` symbols are refused), candles of 3h and 14D, ticker history, liquidations, private
methods, WebSocket.
Invariant: every row is an array, an error is `["error", code, text]`, and a bucket without trades has no candle.

Sources, read 2026-11-25: https://docs.bitfinex.com/reference (rest-public-candles, -trades, -ticker, -tickers, -book,
-conf, -platform-status) and https://docs.bitfinex.com/docs (rest-general, requirements-and-limitations). Not documented
there, but seen: errors of parameters come with HTTP 500 (arthurk/bitfinex-ohlc-import NOTES), unknown symbols get an
empty list of candles, and tickers leave them out.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from itertools import islice

from sandbox import bitfinex_expected
from sandbox.allowance import SlidingWindow
from sandbox.bitfinex_market import (
    PAIR_OF_SYMBOL,
    PAIRS,
    QUIET_HOURS,
    QUIET_MINUTES,
    QUIET_SYMBOL,
    BitfinexMarket,
    Pair,
)
from sandbox.bitfinex_pages import number, page_of
from sandbox.contract import Answer, ErrorCase, Example, LongWork, Page, Request
from sandbox.kline_grid import KlineGrid
from sandbox.listings import LISTED_SINCE_MS
from sandbox.price_walk import MINUTES_PER_DAY
from sandbox.trade_tape import Trade

#: Theirs -> the grid's name of it.
TIME_FRAMES = {frame: frame for frame in ("1m", "5m", "15m", "30m", "1h", "6h", "12h", "1M")}
TIME_FRAMES |= {"1D": "1d", "7D": "1w", "1W": "1w"}
DEFAULT_CANDLES, DEFAULT_TRADES = 100, 125
BOOK_LENGTHS, DEFAULT_BOOK_LENGTH = (1, 25, 100), 25
#: "Sum of the 25 highest bid sizes". Source: reference, rest-public-tickers.
TICKER_LEVELS = 25

_JSON = "application/json; charset=utf-8"
_CANDLES = re.compile(r"trade:(\w+):([^/]+)/(hist|last)")
_BAD_PARAMETER, _RATE_LIMIT = 10020, 11010


def open_dialect(seed: int) -> "Bitfinex":
    return Bitfinex(seed)


class RefusalError(Exception):
    """A request that is answered with an error array."""

    def __init__(self, text: str, *, code: int = _BAD_PARAMETER, status: int = 500) -> None:
        super().__init__(text)
        self.code, self.status = code, status


class Bitfinex:
    """The public REST side. Each endpoint counts a client's requests by itself, and blocks who exceeds them."""

    error_body = b'["error",20060,"maintenance"]'

    def __init__(self, seed: int) -> None:
        self.limits = {
            "candles_per_minute": 30,
            "trades_per_minute": 15,
            "ticker_per_minute": 90,
            "tickers_per_minute": 90,
            "book_per_minute": 240,
            "conf_per_minute": 90,
            "platform_per_minute": 30,
            "blocked_s": 60,
            "most_rows": 10_000,
        }
        self.market = BitfinexMarket(seed)
        self.forget_spending()
        self._finished = lru_cache(maxsize=65_536)(self._print_finished)
        self._endpoints: dict[str, Callable[[str, Request], Answer | LongWork]] = {
            "candles": self._candles,
            "trades": self._trades,
            "ticker": self._ticker,
            "tickers": self._tickers,
            "book": self._book,
            "conf": self._conf,
            "platform": self._platform,
        }

    def forget_spending(self) -> None:
        self._windows: dict[str, SlidingWindow] = {}
        self._blocked_until_s: dict[tuple[str, str], float] = {}

    def answer(self, request: Request) -> Answer | LongWork:
        version, _, rest = request.path.lstrip("/").partition("/")
        name, _, rest = rest.partition("/")
        if version != "v2" or name not in self._endpoints:
            return Answer(404, b'{"message":"Not Found"}', content_type=_JSON)
        try:
            self._count(name, request)
            return self._endpoints[name](rest, request)
        except RefusalError as refusal:
            return _json_answer(["error", refusal.code, str(refusal)], refusal.status)

    def _count(self, name: str, request: Request) -> None:
        """Spend one of the endpoint's requests; over them "the IP is blocked for 60 seconds" on that endpoint."""
        who = (name, request.client)
        window = self._windows.setdefault(name, SlidingWindow(60))
        if request.now_s < self._blocked_until_s.get(who, 0.0):
            raise RefusalError("ratelimit: error", code=_RATE_LIMIT, status=429)
        if window.room(request.client, self.limits[f"{name}_per_minute"], now_s=request.now_s) <= 0:
            self._blocked_until_s[who] = request.now_s + self.limits["blocked_s"]
            raise RefusalError("ratelimit: error", code=_RATE_LIMIT, status=429)
        window.spend(request.client, now_s=request.now_s)

    def _candles(self, rest: str, request: Request) -> Answer | LongWork:
        """Return `[mts, open, close, high, low, volume]` from `start` to `end`, both inclusive, newest first."""
        match = _CANDLES.fullmatch(rest)
        if match is None:
            raise RefusalError("key: invalid")
        if match[1] not in TIME_FRAMES:
            raise RefusalError("time_interval: invalid")
        rows = Rows(request.query, self.limits["most_rows"], default=DEFAULT_CANDLES, now_ms=request.now_ms)
        pair, grid = PAIR_OF_SYMBOL.get(match[2]), KlineGrid(TIME_FRAMES[match[1]])
        if pair is None:
            return _json_answer([])

        def render() -> Answer:
            listed = grid.index(LISTED_SINCE_MS)
            newest = grid.index(min(rows.end_ms, request.now_ms))
            indexes = range(max(listed, grid.index_not_before(rows.start_ms)), newest + 1)
            wanted = 1 if match[3] == "last" else rows.limit
            forward = rows.ascending and match[3] == "hist"
            printed = (self._candle(pair, grid, i, request.now_ms) for i in (indexes if forward else reversed(indexes)))
            found = ",".join(islice(filter(None, printed), wanted))
            return Answer(200, (f"[{found}]" if match[3] == "hist" else found).encode(), content_type=_JSON)

        return render

    def _candle(self, pair: Pair, grid: KlineGrid, index: int, now_ms: int) -> str:
        """Print one candle, "" for a bucket without trades."""
        open_ms, end_ms = grid.open_ms(index), grid.open_ms(index + 1)
        if end_ms <= now_ms:
            return self._finished(pair, open_ms, end_ms)
        return self._print_candle(pair, open_ms, end_ms, now_ms)

    def _print_finished(self, pair: Pair, open_ms: int, end_ms: int) -> str:
        return self._print_candle(pair, open_ms, end_ms, end_ms)

    def _print_candle(self, pair: Pair, open_ms: int, end_ms: int, now_ms: int) -> str:
        bar = self.market.bar(pair, open_ms, end_ms, now_ms=now_ms)
        if bar is None:
            return ""
        prices = (number(price, pair.listing.tick_decimals) for price in (bar.open, bar.close, bar.high, bar.low))
        return f"[{open_ms},{','.join(prices)},{number(bar.volume, pair.listing.step_decimals)}]"

    def _trades(self, rest: str, request: Request) -> Answer | LongWork:
        """Return `[id, mts, amount, price]` from `start` to `end`, both inclusive, newest first."""
        symbol, _, section = rest.partition("/")
        pair = _pair(symbol)
        if section != "hist":
            raise RefusalError("symbol: invalid")
        rows = Rows(request.query, self.limits["most_rows"], default=DEFAULT_TRADES, now_ms=request.now_ms)

        def render() -> Answer:
            ask = self.market.oldest if rows.ascending else self.market.newest
            trades = ask(pair, rows.start_ms, rows.end_ms + 1, rows.limit, now_ms=request.now_ms)
            printed = [_trade(pair, trade) for trade in (trades if rows.ascending else reversed(trades))]
            return Answer(200, f"[{','.join(printed)}]".encode(), content_type=_JSON)

        return render

    def _ticker(self, rest: str, request: Request) -> Answer | LongWork:
        return Answer(200, f"[{self._figures(_pair(rest), request.now_ms)}]".encode(), content_type=_JSON)

    def _tickers(self, rest: str, request: Request) -> Answer | LongWork:
        """Return a row a symbol, which it begins with; unknown ones are left out."""
        asked = request.query.get("symbols", "")
        if not asked:
            raise RefusalError("symbols: invalid")
        names = PAIR_OF_SYMBOL if asked == "ALL" else asked.split(",")
        known = (PAIR_OF_SYMBOL[name] for name in names if name in PAIR_OF_SYMBOL)
        rows = (f'["{pair.symbol}",{self._figures(pair, request.now_ms)}]' for pair in known)
        return Answer(200, f"[{','.join(rows)}]".encode(), content_type=_JSON)

    def _figures(self, pair: Pair, now_ms: int) -> str:
        """Print bid, its 25 levels' size, ask, theirs, change, relative change, last price, volume, high and low."""
        listing, minute = pair.listing, now_ms // 60_000
        book = self.market.walk.book(pair.market, now_ms, TICKER_LEVELS)
        day = self.market.bar(pair, (minute - MINUTES_PER_DAY) * 60_000, (minute + 1) * 60_000, now_ms=now_ms)
        (last,) = self.market.newest(pair, 0, now_ms, 1, now_ms=now_ms)
        assert day is not None
        price, step = listing.tick_decimals, listing.step_decimals
        bid_size, ask_size = (sum(size for _, size in side) for side in (book.bids, book.asks))
        change = last.price - day.open
        cells = (
            *(number(book.bids[0][0], price), number(bid_size, step), number(book.asks[0][0], price)),
            *(number(ask_size, step), number(change, price), number(change * 10**8 // day.open, 8)),
            *(number(last.price, price), number(day.volume, step), number(day.high, price), number(day.low, price)),
        )
        return ",".join(cells)

    def _book(self, rest: str, request: Request) -> Answer | LongWork:
        """Return `[price, count, amount]` a level, bids and asks in one list; asks have amounts below zero."""
        symbol, _, precision = rest.partition("/")
        pair = _pair(symbol)
        if precision not in ("P0", "P1", "P2", "P3", "P4", "R0"):
            raise RefusalError("precision: invalid")
        if precision != "P0":
            raise RefusalError("the sandbox has precision P0 only")
        length = request.query.get("len", str(DEFAULT_BOOK_LENGTH))
        if length not in map(str, BOOK_LENGTHS):
            raise RefusalError("len: invalid")
        book = self.market.walk.book(pair.market, request.now_ms, int(length))
        listing = pair.listing
        rows = [
            f"[{number(price, listing.tick_decimals)},{1 + size % 5},{number(sign * size, listing.step_decimals)}]"
            for sign, side in ((1, book.bids), (-1, book.asks))
            for price, size in side
        ]
        return Answer(200, f"[{','.join(rows)}]".encode(), content_type=_JSON)

    def _conf(self, rest: str, request: Request) -> Answer | LongWork:
        """Return a list for each key of a comma list; names have no `t`. Test pairs are among them."""
        names = [pair.symbol.removeprefix("t") for pair in PAIRS]
        lists: dict[str, list[object]] = {
            "pub:list:pair:exchange": [*(n for n in names if "F0" not in n), "AAABBB", "TESTBTC:TESTUSD"],
            "pub:list:pair:futures": [n for n in names if "F0" in n],
            "pub:list:currency": ["ADA", "BTC", "DOGE", "ETH", "LTC", "SOL", "USD", "UST", "XRP"],
            "pub:map:currency:sym": [["UST", "USDt"]],
        }
        keys = rest.split(",")
        if any(key not in lists for key in keys):
            raise RefusalError("keys: invalid")
        return _json_answer([lists[key] for key in keys])

    def _platform(self, rest: str, request: Request) -> Answer | LongWork:
        return _json_answer([1])

    def page(self, body: bytes) -> Page | None:
        return page_of(body)

    def truth(self) -> dict[str, dict[str, object]]:
        """Say when each pair begins. `quiet`: UTC hours and minutes without trades, which have no candle."""
        quiet = {"hours": list(QUIET_HOURS), "minutes": list(QUIET_MINUTES)}
        return {
            pair.symbol: {"first_open_ms": LISTED_SINCE_MS, "last": "forming"}
            | ({"quiet": quiet} if pair.symbol == QUIET_SYMBOL else {})
            for pair in PAIRS
        }

    def examples(self) -> Sequence[Example]:
        return bitfinex_expected.EXAMPLES

    def rows(self, example: Example, *, now_s: float) -> list[dict[str, str | None]]:
        return bitfinex_expected.rows(self.market, example, now_s=now_s)

    def error_cases(self) -> Sequence[ErrorCase]:
        return bitfinex_expected.ERROR_CASES


class Rows:
    """Which rows a request asks for: bounds (both inclusive), order and number."""

    def __init__(self, query: Mapping[str, str], most: int, *, default: int, now_ms: int) -> None:
        self.start_ms = _whole(query, "start", default=0)
        self.end_ms = _whole(query, "end", default=now_ms)
        self.limit = min(_whole(query, "limit", default=default), most)
        if self.start_ms > self.end_ms:
            raise RefusalError("start: invalid")
        if not 1 <= _whole(query, "limit", default=default) <= 10_000:
            raise RefusalError("limit: invalid")
        if query.get("sort", "-1") not in ("1", "-1", "+1"):
            raise RefusalError("sort: invalid")
        self.ascending = query.get("sort", "-1") != "-1"


def _whole(query: Mapping[str, str], name: str, *, default: int) -> int:
    text = query.get(name, str(default))
    if not re.fullmatch(r"[0-9]{1,15}", text):
        raise RefusalError(f"{name}: invalid")
    return int(text)


def _pair(symbol: str) -> Pair:
    if symbol not in PAIR_OF_SYMBOL:
        raise RefusalError("symbol: invalid")
    return PAIR_OF_SYMBOL[symbol]


def _trade(pair: Pair, trade: Trade) -> str:
    """Print a trade: "how much was bought (positive) or sold (negative)"."""
    amount = number(trade.size if trade.taker_buys else -trade.size, pair.listing.step_decimals)
    return f"[{trade.id},{trade.time_us // 1000},{amount},{number(trade.price, pair.listing.tick_decimals)}]"


def _json_answer(value: object, status: int = 200) -> Answer:
    return Answer(status, json.dumps(value, separators=(",", ":")).encode(), content_type=_JSON)
