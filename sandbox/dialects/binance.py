"""Binance spot market data: klines, trades, depth, bookTicker, exchangeInfo, time and ping over the synthetic market.

Deliberately not here: 24hr statistics, old single trades and WebSocket streams; their paths answer 404.
Invariant: every answer, refusals included, carries `X-MBX-USED-WEIGHT-1M`, and a finished kline never changes.
Source: binance-spot-api-docs rest-api.md and errors.md, state of 2026-07-21; error texts quote errors.md.
"""

import json
from collections.abc import Callable, Sequence
from functools import lru_cache

from sandbox import binance_truth
from sandbox.binance_instruments import SYMBOLS, exchange_info
from sandbox.binance_numbers import ONE_COIN, UNITS, decimal
from sandbox.binance_pages import page_of
from sandbox.binance_parameters import (
    MAX_ROWS,
    RefusalError,
    interval_of,
    limit_as_sent,
    limit_of,
    mandatory,
    refuse_unknown,
    symbol_of,
    symbols_of,
    time_ms,
    zone_offset_ms,
)
from sandbox.binance_trades import agg_trades, depth, depth_weight, recent_trades
from sandbox.contract import Answer, ErrorCase, Example, LongWork, Page, Request
from sandbox.kline_grid import INTERVAL_WIDTHS_MS, KlineGrid
from sandbox.listings import LISTED_SINCE_MS
from sandbox.price_walk import MINUTE_MS, Bar, PriceWalk
from sandbox.trade_tape import TradeTape
from sandbox.weight_ledger import Charge, WeightLedger

_KLINE_PARAMETERS = frozenset({"symbol", "interval", "startTime", "endTime", "timeZone", "limit"})
_TICKER_PARAMETERS = frozenset({"symbol", "symbols"})
_INFO_PARAMETERS = frozenset({"symbol", "symbols", "permissions", "showPermissionSets", "symbolStatus"})

# Weights as documented; "failed requests cost weight too", and a path that isn't served costs 1.
_WEIGHTS = {"/api/v3/klines": 2, "/api/v3/aggTrades": 4, "/api/v3/trades": 25, "/api/v3/exchangeInfo": 20}
_MONTH_MS = 30 * 86_400_000
_LONG_SPAN_MS = 50 * 3_600_000  # about 10 ms of work
_LONG_ROWS = 500  # trades and levels: about 5 ms of work
_BOOK_TICKER, _DEPTH = "/api/v3/ticker/bookTicker", "/api/v3/depth"


def open_dialect(seed: int) -> "Binance":
    return Binance(seed)


class Binance:
    """The REST side of Binance spot. All limits count per client address."""

    error_body = b'{"code":-1000,"msg":"An unknown error occurred while processing the request."}'

    def __init__(self, seed: int) -> None:
        self.limits = {
            "weight_per_minute": 6000,
            "raw_requests_per_5_minutes": 300_000,  # told in exchangeInfo, not enforced
            "ignored_429s_before_ban": 50,  # our guess: requests in flight at the 429 must not ban at once
            "first_ban_s": 120,
        }
        self._walk = PriceWalk(seed)
        self._tape = TradeTape(self._walk)
        self._ledger = WeightLedger()
        self._finished_row = lru_cache(maxsize=65_536)(self._render_finished_row)
        self._endpoints: dict[str, Callable[[Request], str]] = {
            "/api/v3/klines": self._klines,
            "/api/v3/aggTrades": self._agg_trades,
            "/api/v3/trades": self._recent_trades,
            _DEPTH: lambda request: depth(request.query, self._walk, now_ms=request.now_ms),
            _BOOK_TICKER: self._book_ticker,
            "/api/v3/exchangeInfo": self._exchange_info,
            "/api/v3/time": lambda request: f'{{"serverTime":{request.now_ms * _time_scale(request)}}}',
            "/api/v3/ping": lambda request: "{}",
        }

    def answer(self, request: Request) -> Answer | LongWork:
        charge = self._ledger.charge(request.client, _weight(request), limits=self.limits, now_s=request.now_s)
        weight_header = ("X-MBX-USED-WEIGHT-1M", str(charge.used_weight))
        headers = (weight_header, ("X-MBX-USED-WEIGHT", str(charge.used_weight)))
        if charge.status != 200:
            return self._refuse_spent(charge, headers)
        endpoint = self._endpoints.get(request.path)
        if endpoint is None:
            page = b"<html><body><h2>404 Not found</h2></body></html>"
            return Answer(404, page, headers, "text/html")
        if _is_long(request):
            return lambda: _answered(endpoint, request, headers)
        return _answered(endpoint, request, headers)

    def _refuse_spent(self, charge: Charge, headers: tuple[tuple[str, str], ...]) -> Answer:
        if charge.status == 418:
            text = f"Way too much request weight used; IP banned until {charge.banned_until_ms}. "
            text += "Please use WebSocket Streams for live updates to avoid bans."
        else:
            limit = self.limits["weight_per_minute"]
            text = f"Too much request weight used; current limit is {limit} request weight per 1 MINUTE. "
            text += "Please use WebSocket Streams for live updates to avoid polling the API."
        return Answer(charge.status, _error(-1003, text), (*headers, ("Retry-After", str(charge.retry_after_s))))

    def banned_answer(self, until_s: float, *, now_s: float) -> Answer:
        """Return the refusal of a ban that an operator of the sandbox imposed."""
        used = ("X-MBX-USED-WEIGHT-1M", str(self.limits["weight_per_minute"]))
        charge = Charge(418, self.limits["weight_per_minute"], int(until_s - now_s) + 1, int(until_s * 1000))
        return self._refuse_spent(charge, (used,))

    def _klines(self, request: Request) -> str:
        """Return the rows whose open lies within the inclusive bounds, ascending.

        "If startTime and endTime are not sent, the most recent klines are returned"; startTime alone gives the
        oldest from there, endTime alone the most recent up to it, both the oldest, cut at endTime.
        """
        query = request.query
        refuse_unknown(query, _KLINE_PARAMETERS)
        symbol, interval = symbol_of(mandatory(query, "symbol")), interval_of(query)
        grid = KlineGrid(interval, zone_offset_ms(query))
        start_ms, end_ms, limit = time_ms(query, "startTime"), time_ms(query, "endTime"), limit_of(query)
        now_ms, scale = request.now_ms, _time_scale(request)
        first, last = grid.index(LISTED_SINCE_MS), grid.index(now_ms)
        if end_ms is not None and end_ms < now_ms:
            last = grid.index(end_ms)
        if start_ms is None:
            first = max(first, last - limit + 1)
        else:
            first = max(first, grid.index_not_before(start_ms))
            last = min(last, first + limit - 1)
        rows = []
        for index in range(first, last + 1):
            open_ms, next_ms = grid.open_ms(index), grid.open_ms(index + 1)
            if next_ms <= now_ms:
                rows.append(self._finished_row(symbol, open_ms, next_ms, scale))
            else:
                rows.append(self._render_row(symbol, open_ms, next_ms, scale=scale, now_ms=now_ms))
        return f"[{','.join(rows)}]"

    def _render_finished_row(self, symbol: str, open_ms: int, next_ms: int, scale: int) -> str:
        return self._render_row(symbol, open_ms, next_ms, scale=scale, now_ms=next_ms)

    def _render_row(self, symbol: str, open_ms: int, next_ms: int, *, scale: int, now_ms: int) -> str:
        if next_ms - open_ms == 1000:
            bar = self._walk.second(symbol, open_ms // 1000, now_ms=now_ms)
        else:
            bar = self._walk.bar(symbol, open_ms // MINUTE_MS, next_ms // MINUTE_MS, now_ms=now_ms)
        return _kline(symbol, bar, open_time=open_ms * scale, close_time=next_ms * scale - 1)

    def _agg_trades(self, request: Request) -> str:
        return agg_trades(request.query, self._tape, now_ms=request.now_ms, time_scale=_time_scale(request))

    def _recent_trades(self, request: Request) -> str:
        return recent_trades(request.query, self._tape, now_ms=request.now_ms, time_scale=_time_scale(request))

    def _book_ticker(self, request: Request) -> str:
        refuse_unknown(request.query, _TICKER_PARAMETERS)
        symbols = symbols_of(request.query)
        if isinstance(symbols, str):
            return self._quote(symbols, request.now_ms)
        return f"[{','.join(self._quote(symbol, request.now_ms) for symbol in symbols)}]"

    def _quote(self, symbol: str, now_ms: int) -> str:
        tick, step = UNITS[symbol]
        bid, bid_size, ask, ask_size = self._walk.quote(symbol, now_ms)
        return (
            f'{{"symbol":"{symbol}","bidPrice":"{decimal(bid * tick)}","bidQty":"{decimal(bid_size * step)}",'
            f'"askPrice":"{decimal(ask * tick)}","askQty":"{decimal(ask_size * step)}"}}'
        )

    def _exchange_info(self, request: Request) -> str:
        refuse_unknown(request.query, _INFO_PARAMETERS)
        symbols = symbols_of(request.query)
        asked = [symbols] if isinstance(symbols, str) else symbols
        if request.query.get("symbolStatus", "TRADING") != "TRADING":
            asked = []
        server_time = request.now_ms * _time_scale(request)
        return _compact(exchange_info(asked, limits=self.limits, server_time=server_time))

    def page(self, body: bytes) -> Page | None:
        return page_of(body)

    def truth(self) -> dict[str, dict[str, object]]:
        return {symbol: {"first_open_ms": LISTED_SINCE_MS, "last": "forming"} for symbol in SYMBOLS}

    def examples(self) -> Sequence[Example]:
        return binance_truth.EXAMPLES

    def rows(self, example: Example, *, now_s: float) -> list[dict[str, str | None]]:
        return binance_truth.rows(self._walk, self._tape, example, now_ms=int(now_s * 1000))

    def error_cases(self) -> Sequence[ErrorCase]:
        return binance_truth.ERROR_CASES

    def forget_spending(self) -> None:
        self._ledger.forget()


def _answered(endpoint: Callable[[Request], str], request: Request, headers: tuple[tuple[str, str], ...]) -> Answer:
    try:
        return Answer(200, endpoint(request).encode(), headers)
    except RefusalError as refusal:
        return Answer(400, _error(refusal.code, refusal.message), headers)


def _is_long(request: Request) -> bool:
    """Say whether the answer may take long: wide bars are made from all their minutes, an hour costs up to 0.2 ms."""
    rows = limit_as_sent(request.query)
    if request.path != "/api/v3/klines":
        return rows > _LONG_ROWS
    width_ms = INTERVAL_WIDTHS_MS.get(request.query.get("interval", ""))
    return width_ms is not None and min(rows, MAX_ROWS) * (width_ms or _MONTH_MS) > _LONG_SPAN_MS


def _weight(request: Request) -> int:
    if request.path == _BOOK_TICKER:
        return 2 if "symbol" in request.query else 4
    if request.path == _DEPTH:
        return depth_weight(request.query)
    return _WEIGHTS.get(request.path, 1)


def _time_scale(request: Request) -> int:
    """Return 1 for milliseconds, 1000 where the caller asked for microseconds."""
    return 1000 if request.headers.get("x-mbx-time-unit", "").upper() == "MICROSECOND" else 1


def _kline(symbol: str, bar: Bar, *, open_time: int, close_time: int) -> str:
    # One expression without calls: backfills ask for 100,000 rows a second, and `decimal` eight times a row is half.
    tick, step = UNITS[symbol]
    one, quote = ONE_COIN, tick * step // ONE_COIN
    o, h, lo, c = bar.open * tick, bar.high * tick, bar.low * tick, bar.close * tick
    v, q = bar.volume * step, bar.quote_volume * quote
    tv, tq = bar.taker_volume * step, bar.taker_quote_volume * quote
    return (
        f'[{open_time},"{o // one}.{o % one:08d}","{h // one}.{h % one:08d}","{lo // one}.{lo % one:08d}",'
        f'"{c // one}.{c % one:08d}","{v // one}.{v % one:08d}",{close_time},"{q // one}.{q % one:08d}",{bar.trades},'
        f'"{tv // one}.{tv % one:08d}","{tq // one}.{tq % one:08d}","0"]'
    )


def _error(code: int, message: str) -> bytes:
    return _compact({"code": code, "msg": message}).encode()


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))
