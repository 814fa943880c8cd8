"""Kraken spot market data: OHLC, Trades, Ticker, Depth, AssetPairs, Time and SystemStatus over the synthetic market.

Deliberately not here: Spread, Assets, private methods and WebSocket feeds. Invariant: an error is a 200 with its text
in `error` and no result, a pair comes under its own key whatever it was asked by, and a committed bar never changes.

Sources, read 2026-11-24: https://docs.kraken.com/api-reference/market-data and https://docs.kraken.com/exchange/guides
(rest/introduction, rest/ratelimits, general/errors); https://support.kraken.com articles 360001491786 (error texts) and
218198197 (trades by `since`). Not documented there, but seen: OHLC leaves out the bar that opens at `since` (ccxt/ccxt
22634), Trades do not leave out a trade of that nanosecond (older documentation says they do, hence a dial), and times
are printed from a float.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal

from sandbox import kraken_truth
from sandbox.contract import Answer, ErrorCase, Example, LongWork, Page, Request
from sandbox.digits import printed
from sandbox.kraken_counter import CallCounter
from sandbox.kraken_market import (
    NS_PER_MS,
    PAIR_OF_NAME,
    PAIRS,
    QUIET_HOURS,
    QUIET_KEY,
    QUIET_MINUTES,
    KrakenMarket,
    Pair,
    time_ns,
)
from sandbox.kraken_pages import page_of
from sandbox.listings import LISTED_SINCE_MS
from sandbox.price_walk import MINUTES_PER_DAY, Bar
from sandbox.trade_tape import Trade

INTERVALS_MIN = (1, 5, 15, 30, 60, 240, 1440, 10080, 21600)
#: "Returns up to 720 of the most recent entries", and the one not yet committed.
MAX_COMMITTED = 720
MAX_TRADES = 1000
DEFAULT_LEVELS, MAX_LEVELS = 100, 500

_JSON = "application/json"
_METHOD = re.compile(r"/0/(public|private)/(\w+)")
_LIMITED_BY_PAIR = ("OHLC", "Trades")
#: As many digits as seconds never have: then it is nanoseconds.
_FIRST_NS = 10**15
_LONG_SPAN_MIN = 50 * 60  # about 10 ms of work


def open_dialect(seed: int) -> "Kraken":
    return Kraken(seed)


class RefusalError(Exception):
    """A request that is answered with an error text."""


class Kraken:
    """The public REST side. The counter counts by address, and for OHLC and Trades by pair, too."""

    error_body = b'{"error":["EGeneral:Internal error"]}'

    def __init__(self, seed: int) -> None:
        self.limits = {"counter_highest": 15, "counter_decay_per_s": 1, "trades_since_exclusive": 0}
        self._market = KrakenMarket(seed)
        self._counter = CallCounter()
        self._methods: dict[str, Callable[[Request], Answer | LongWork]] = {
            "OHLC": self._ohlc,
            "Trades": self._trades,
            "Ticker": self._ticker,
            "Depth": self._depth,
            "AssetPairs": self._asset_pairs,
            "Time": _time,
            "SystemStatus": _system_status,
        }

    def answer(self, request: Request) -> Answer | LongWork:
        match = _METHOD.fullmatch(request.path)
        if match is None:
            return Answer(404, b"<html><body><h1>404 Not Found</h1></body></html>", content_type="text/html")
        try:
            self._count(match[2], request)
            if match[1] == "private":
                raise RefusalError("EAPI:Invalid key")
            if match[2] not in self._methods:
                raise RefusalError("EGeneral:Unknown method")
            return self._methods[match[2]](request)
        except RefusalError as refusal:
            return Answer(200, _compact({"error": [str(refusal)]}), content_type=_JSON)

    def _count(self, method: str, request: Request) -> None:
        caller = request.client
        if method in _LIMITED_BY_PAIR:
            caller += f" {request.query.get('pair', '').upper()}"
        highest, decay = self.limits["counter_highest"], self.limits["counter_decay_per_s"]
        if not self._counter.count(caller, highest=highest, decay_per_s=decay, now_s=request.now_s):
            raise RefusalError("EAPI:Rate limit exceeded")

    def _ohlc(self, request: Request) -> Answer | LongWork:
        """Return the committed bars that open after `since`, at most the newest 720, then always the forming one."""
        pair = _pair(request.query)
        width_min = _whole(request.query, "interval", default=1, highest=INTERVALS_MIN[-1])
        if width_min not in INTERVALS_MIN:
            raise RefusalError("EGeneral:Invalid arguments")
        width_s, now_ms = width_min * 60, request.now_ms
        forming_s = now_ms // 1000 // width_s * width_s
        first_s = max(forming_s - MAX_COMMITTED * width_s, LISTED_SINCE_MS // 1000 // width_s * width_s)
        since_ns = _since_ns(request.query)
        if since_ns is not None:
            first_s = min(max(first_s, (since_ns // 10**9 // width_s + 1) * width_s), forming_s)

        def render() -> Answer:
            rows = ",".join(
                self._bar(pair, open_s, width_min, now_ms) for open_s in range(first_s, forming_s + 1, width_s)
            )
            return _answered(f'{{"{pair.key}":[{rows}],"last":{forming_s - width_s}}}')

        return render if (forming_s - first_s) // 60 > _LONG_SPAN_MIN else render()

    def _bar(self, pair: Pair, open_s: int, width_min: int, now_ms: int) -> str:
        """Print `[time, open, high, low, close, vwap, volume, count]`; without trades vwap, volume and count are 0."""
        bar = self._market.bar(pair, open_s // 60, open_s // 60 + width_min, now_ms=now_ms)
        decimals = pair.listing.tick_decimals
        prices = '","'.join(printed(price, decimals, 0) for price in bar[:4])
        volume = printed(bar.volume, pair.listing.step_decimals, 8)
        return f'[{open_s},"{prices}","{_vwap(pair, bar, least=0)}","{volume}",{bar.trades}]'

    def _trades(self, request: Request) -> Answer | LongWork:
        """Return the oldest trades from `since` on, else the newest; ascending. `last` is the time of the last."""
        pair, since_ns = _pair(request.query), _since_ns(request.query)
        count = _whole(request.query, "count", default=MAX_TRADES, highest=MAX_TRADES)
        if since_ns is not None:
            since_ns += self.limits["trades_since_exclusive"]

        def render() -> Answer:
            if since_ns is None:
                trades = self._market.newest(pair, count, now_ms=request.now_ms)
            else:
                trades = self._market.since(pair, since_ns, count, now_ms=request.now_ms)
            last = time_ns(trades[-1]) if trades else since_ns or 0
            return _answered(f'{{"{pair.key}":[{",".join(_trade(pair, one) for one in trades)}],"last":"{last}"}}')

        return render

    def _ticker(self, request: Request) -> Answer | LongWork:
        pairs = _pairs(request.query)
        return lambda: _answered(_compact({pair.key: self._figures(pair, request.now_ms) for pair in pairs}).decode())

    def _figures(self, pair: Pair, now_ms: int) -> dict[str, object]:
        """Return a pair's figures: `[today, last 24 hours]` from `v` on, "today" being since 00:00 UTC."""
        listing, now_min = pair.listing, now_ms // 60_000
        starts = (now_min // MINUTES_PER_DAY * MINUTES_PER_DAY, now_min - MINUTES_PER_DAY)
        spans = [self._market.bar(pair, start, now_min + 1, now_ms=now_ms) for start in starts]
        (last,) = self._market.newest(pair, 1, now_ms=now_ms)
        bid, bid_size, ask, ask_size = self._market.walk.quote(pair.symbol, now_ms)

        def side(price: int, size: int) -> list[str]:
            whole = max(1, size // 10**listing.step_decimals)
            return [_price(pair, price), str(whole), printed(size, listing.step_decimals, 3)]

        return {
            "a": side(ask, ask_size),
            "b": side(bid, bid_size),
            "c": [_price(pair, last.price), printed(last.size, listing.step_decimals, 8)],
            "v": [printed(bar.volume, listing.step_decimals, 8) for bar in spans],
            "p": [_vwap(pair, bar, least=5) for bar in spans],
            "t": [bar.trades for bar in spans],
            "l": [_price(pair, bar.low) for bar in spans],
            "h": [_price(pair, bar.high) for bar in spans],
            "o": _price(pair, spans[0].open),
        }

    def _depth(self, request: Request) -> Answer | LongWork:
        """Return `[price, volume, time]` a level, best first; the time is of the level's last change."""
        pair, now_ms = _pair(request.query), request.now_ms
        count = _whole(request.query, "count", default=DEFAULT_LEVELS, highest=MAX_LEVELS)
        book = self._market.walk.book(pair.symbol, now_ms, count)
        sides = {
            name: [
                [_price(pair, price), printed(size, pair.listing.step_decimals, 3), now_ms // 1000 - size % 60]
                for price, size in levels
            ]
            for name, levels in (("asks", book.asks), ("bids", book.bids))
        }
        return _answered(_compact({pair.key: sides}).decode())

    def _asset_pairs(self, request: Request) -> Answer | LongWork:
        return _answered(_compact({pair.key: _description(pair) for pair in _pairs(request.query)}).decode())

    def page(self, body: bytes) -> Page | None:
        return page_of(body)

    def truth(self) -> dict[str, dict[str, object]]:
        """Say when each pair begins; bars reach back 720 from now. `quiet`: UTC hours and minutes without trades."""
        quiet = {"hours": list(QUIET_HOURS), "minutes": list(QUIET_MINUTES)}
        return {
            pair.altname: {"first_open_ms": LISTED_SINCE_MS, "last": "forming", "reach_bars": MAX_COMMITTED}
            | ({"quiet": quiet} if pair.key == QUIET_KEY else {})
            for pair in PAIRS
        }

    def examples(self) -> Sequence[Example]:
        return kraken_truth.EXAMPLES

    def rows(self, example: Example, *, now_s: float) -> list[dict[str, str | None]]:
        return kraken_truth.rows(self._market, example, now_ms=int(now_s * 1000))

    def error_cases(self) -> Sequence[ErrorCase]:
        return kraken_truth.ERROR_CASES

    def forget_spending(self) -> None:
        self._counter.forget()


def _time(request: Request) -> Answer:
    moment = datetime.fromtimestamp(int(request.now_s), UTC)
    return _answered(f'{{"unixtime":{int(request.now_s)},"rfc1123":"{moment:%a, %d %b %y %H:%M:%S} +0000"}}')


def _system_status(request: Request) -> Answer:
    moment = datetime.fromtimestamp(int(request.now_s), UTC)
    return _answered(f'{{"status":"online","timestamp":"{moment:%Y-%m-%dT%H:%M:%SZ}"}}')


def _answered(result: str) -> Answer:
    return Answer(200, f'{{"error":[],"result":{result}}}'.encode(), content_type=_JSON)


def _compact(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _pair(query: Mapping[str, str]) -> Pair:
    """Return the one pair asked for; a list of several is the name of none."""
    name = query.get("pair", "")
    if not name:
        raise RefusalError("EGeneral:Invalid arguments")
    if name.upper() not in PAIR_OF_NAME:
        raise RefusalError("EQuery:Unknown asset pair")
    return PAIR_OF_NAME[name.upper()]


def _pairs(query: Mapping[str, str]) -> list[Pair]:
    """Return the pairs of a comma list, all without one; one unknown name fails the whole list."""
    if not query.get("pair"):
        return list(PAIRS)
    return list(dict.fromkeys(_pair({"pair": name.strip()}) for name in query["pair"].split(",")))


def _whole(query: Mapping[str, str], name: str, *, default: int, highest: int) -> int:
    text = query.get(name, str(default))
    if not re.fullmatch(r"[0-9]{1,9}", text) or not 1 <= int(text) <= highest:
        raise RefusalError("EGeneral:Invalid arguments")
    return int(text)


def _since_ns(query: Mapping[str, str]) -> int | None:
    """Return `since` in nanoseconds: it is a timestamp in seconds, with a fraction or not, or in nanoseconds."""
    text = query.get("since")
    if not text:
        return None
    if not re.fullmatch(r"[0-9]{1,19}(\.[0-9]{1,9})?", text):
        raise RefusalError("EGeneral:Invalid arguments")
    value = Decimal(text)
    return int(value if value >= _FIRST_NS else value * 1000 * NS_PER_MS)


def _trade(pair: Pair, trade: Trade) -> str:
    """Print `[price, volume, time, taker's side, market or limit, miscellaneous, id]`."""
    side, kind = "b" if trade.taker_buys else "s", "m" if trade.size % 2 else "l"
    volume = printed(trade.size, pair.listing.step_decimals, 8)
    return f'["{_price(pair, trade.price)}","{volume}",{time_ns(trade) / 10**9!r},"{side}","{kind}","",{trade.id}]'


def _description(pair: Pair) -> dict[str, object]:
    listing = pair.listing
    return {
        "altname": pair.altname,
        "wsname": pair.wsname,
        "aclass_base": "currency",
        "base": pair.base,
        "aclass_quote": "currency",
        "quote": pair.quote,
        "lot": "unit",
        "cost_decimals": 5,
        "pair_decimals": listing.tick_decimals,
        "lot_decimals": 8,
        "lot_multiplier": 1,
        "leverage_buy": [2, 3],
        "leverage_sell": [2, 3],
        "fees": [[0, 0.4]],
        "fees_maker": [[0, 0.25]],
        "fee_volume_currency": "ZUSD",
        "margin_call": 80,
        "margin_stop": 40,
        "ordermin": printed(1, listing.step_decimals, 0),
        "costmin": "0.5",
        "tick_size": printed(1, listing.tick_decimals, 0),
        "status": "online",
    }


def _price(pair: Pair, ticks: int) -> str:
    return printed(ticks, pair.listing.tick_decimals, 5)


def _vwap(pair: Pair, bar: Bar, *, least: int) -> str:
    """Print the average price by volume, rounded down to a tick; "0.0" where nothing was traded."""
    if bar.volume == 0:
        return "0.0"
    return printed(bar.quote_volume // bar.volume, pair.listing.tick_decimals, least)
