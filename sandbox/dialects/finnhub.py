"""Finnhub's REST API: quote, candles, tick data, last bid and ask, news, economic data, symbol lists and search.

Deliberately not here: WebSocket, fundamentals, calendars, dividends and splits, FX rates, historical NBBO. Invariant: a
symbol that does not exist is no error (zeros, `no_data`, an empty list); one that the plan lacks is a 403.

Sources, read 2026-11-25: github.com/Finnhub-Stock-API/finnhub-go api/openapi.yaml (2026-06); github.com/finnhubio/
Finnhub-API issues 122 (429 without a key), 405, 532, 546 (403), 466 (429). Not documented, hence dials: whether the
dates of news are UTC's or New York's, whether daily candles are stamped at New York's midnight (as the documentation's
example is) or at UTC's, how many articles an answer holds. `tick_rows` is 25,000 there: lowered, so that a day has
several pages. The texts of a 401 and a 422 are ours.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta

from sandbox.allowance import SlidingWindow
from sandbox.contract import Answer, ErrorCase, Example, LongWork, Page, Request
from sandbox.finnhub_cases import ERROR_CASES, EXAMPLES, FOREIGN, rows_of
from sandbox.finnhub_market import (
    CATEGORIES,
    CODES,
    NEW_YORK,
    PAIRS,
    SHARES,
    Article,
    Candle,
    FinnhubMarket,
    is_day_over,
)

SANDBOX_KEY = "sandbox-key"
RESOLUTIONS = {"1": 1, "5": 5, "15": 15, "30": 30, "60": 60}
MAX_TICKS = 25_000
NEWEST_NEWS = 100
#: "Only 1 month of intraday will be returned at a time."
MONTH_S = 31 * 86_400
_PAID = ("/stock/candle", "/stock/tick", "/stock/bidask", "/economic", "/economic/code")
_JSON = "application/json; charset=utf-8"


def open_dialect(seed: int) -> "Finnhub":
    return Finnhub(seed)


class RefusalError(Exception):
    """A request that is answered with a status and an error text."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Finnhub:
    """One key's view of Finnhub, on a plan that has everything but other countries' shares."""

    error_body = b'{"error":"Internal server error. Please try again later."}'

    def __init__(self, seed: int) -> None:
        self.limits = {
            "calls_per_minute": 60,
            "calls_per_second": 30,
            "paid_plan": 1,
            "tick_rows": 500,
            "news_rows": 250,
            "news_dates_in_new_york": 0,
            "daily_stamps_in_new_york": 1,
        }
        self.market = FinnhubMarket(seed)
        self._paths: dict[str, Callable[[Request], object]] = {
            "/quote": self._quote,
            "/stock/candle": self._candles,
            "/forex/candle": self._candles,
            "/crypto/candle": self._candles,
            "/stock/tick": self._ticks,
            "/stock/bidask": self._bid_and_ask,
            "/news": self._market_news,
            "/company-news": self._company_news,
            "/economic": self._economic,
            "/economic/code": lambda _: [{"code": c, "country": "US", "name": n, "unit": ""} for c, n in CODES.items()],
            "/stock/symbol": self._symbols,
            "/forex/symbol": self._pair_symbols,
            "/crypto/symbol": self._pair_symbols,
            "/search": self._search,
        }
        self.forget_spending()

    def forget_spending(self) -> None:
        self._minute, self._second = SlidingWindow(60), SlidingWindow(1)

    def answer(self, request: Request) -> Answer | LongWork:
        headers: tuple[tuple[str, str], ...] = ()
        try:
            key = _key(request)
            headers = self._spend(key, request.now_s)
            if request.path not in self._paths:
                raise RefusalError(404, "Not found.")
            if request.path in _PAID and not self.limits["paid_plan"]:
                raise RefusalError(403, "You don't have access to this resource.")
            if request.query.get("symbol", "").rpartition(".")[2] in FOREIGN:
                raise RefusalError(403, "You don't have access to this resource.")
        except RefusalError as refusal:
            return _refusal(refusal, headers)

        def render() -> Answer:
            try:
                return Answer(200, _json(self._paths[request.path](request)), headers, _JSON)
            except RefusalError as refusal:
                return _refusal(refusal, headers)

        return render if request.path.endswith(("/candle", "/tick")) else render()

    def _spend(self, key: str, now_s: float) -> tuple[tuple[str, str], ...]:
        spans = ((self._minute, self.limits["calls_per_minute"]), (self._second, self.limits["calls_per_second"]))
        rooms = [window.room(key, limit, now_s=now_s) for window, limit in spans]
        if min(rooms) <= 0:
            raise RefusalError(429, "API limit reached. Please try again later. Remaining Limit: 0")
        for window, _ in spans:
            window.spend(key, now_s=now_s)
        told = {"Limit": spans[0][1], "Remaining": rooms[0] - 1, "Reset": int(now_s) + 60}
        return tuple((f"X-Ratelimit-{name}", str(value)) for name, value in told.items())

    def _quote(self, request: Request) -> object:
        symbol = _needed(request.query, "symbol")
        if symbol not in SHARES:
            return dict.fromkeys(("c", "h", "l", "o", "pc", "t"), 0) | {"d": None, "dp": None}
        figures = self.market.quote(symbol, request.now_s)
        return {name: Number(figures[name]) for name in ("c", "d", "dp", "h", "l", "o", "pc")} | {
            "t": int(request.now_s)
        }

    def _bid_and_ask(self, request: Request) -> object:
        symbol = _needed(request.query, "symbol")
        if symbol not in SHARES:
            return dict.fromkeys(("a", "av", "b", "bv", "t"), 0)
        figures = self.market.bid_and_ask(symbol, request.now_s)
        return {name: Number(figures[name]) for name in ("a", "av", "b", "bv")} | {"t": request.now_ms}

    def _candles(self, request: Request) -> object:
        """Return columns; an unknown symbol has no data, like a window without any."""
        query = request.query
        symbol, resolution = _needed(query, "symbol"), _needed(query, "resolution")
        span = _whole(query, "from"), _whole(query, "to")
        if resolution not in (*RESOLUTIONS, "D") or span[0] > span[1]:
            raise RefusalError(422, "Wrong resolution or time range.")
        known = {"/stock/candle": tuple(SHARES), "/forex/candle": _pairs("OANDA"), "/crypto/candle": _pairs("BINANCE")}
        found = self.candles(symbol, resolution, span, now_s=request.now_s) if symbol in known[request.path] else []
        if not found:
            return {"s": "no_data"}
        columns = {"c": "close", "h": "high", "l": "low", "o": "open", "v": "volume"}
        page: dict[str, object] = {key: [Number(getattr(one, name)) for one in found] for key, name in columns.items()}
        return page | {"s": "ok", "t": [one.open_s for one in found]}

    def candles(self, symbol: str, resolution: str, span: tuple[int, int], *, now_s: float) -> list[Candle]:
        """Return the candles stamped in `span`, both ends included; of intraday ones its last month."""
        if resolution == "D":
            in_new_york = bool(self.limits["daily_stamps_in_new_york"])
            return list(self.market.daily_candles(symbol, span, in_new_york=in_new_york, now_s=now_s))
        span = max(span[0], span[1] - MONTH_S), span[1]
        return list(self.market.candles(symbol, RESOLUTIONS[resolution], span, now_s=now_s))

    def _ticks(self, request: Request) -> object:
        query = request.query
        symbol, day = _needed(query, "symbol"), _date(query, "date")
        limit, skip = _whole(query, "limit"), _whole(query, "skip")
        if not 1 <= limit <= MAX_TICKS:
            raise RefusalError(422, f"limit must be between 1 and {MAX_TICKS}.")
        known = symbol in SHARES and is_day_over(day, request.now_s)
        every = self.market.ticks(symbol, day) if known else ()
        found = every[skip : skip + min(limit, self.limits["tick_rows"])]
        return {
            "s": symbol,
            "skip": skip,
            "count": len(found),
            "total": len(every),
            "v": [Number(one.size) for one in found],
            "p": [Number(one.price) for one in found],
            "t": [one.time_ms for one in found],
            "x": ["P" for _ in found],
            "c": [["1", "24"] for _ in found],
        }

    def _market_news(self, request: Request) -> object:
        category = _needed(request.query, "category")
        if category not in CATEGORIES:
            raise RefusalError(422, "Unknown category.")
        least = _whole(request.query, "minId") if request.query.get("minId") else 0
        found = self.market.market_news(category, NEWEST_NEWS, now_s=request.now_s)
        return [_article(one, category) for one in found if one.id > least]

    def _company_news(self, request: Request) -> object:
        """Return the newest articles from one date to another, both included; what is too much is cut off unsaid."""
        symbol = _needed(request.query, "symbol")
        first, last = _date(request.query, "from"), _date(request.query, "to")
        if first > last:
            raise RefusalError(422, "from must not be after to.")
        zone = NEW_YORK if self.limits["news_dates_in_new_york"] else UTC
        found = [
            one
            for one in self.company_news(symbol, first, last + timedelta(days=1), now_s=request.now_s)
            if first <= datetime.fromtimestamp(one.time_s, zone).date() <= last
        ]
        return [_article(one, "company") for one in found[: self.limits["news_rows"]]]

    def company_news(self, symbol: str, first: date, last: date, *, now_s: float) -> list[Article]:
        """Return what is known by now of a company's articles of these UTC dates, newest first."""
        if symbol not in SHARES:
            return []
        last = min(last, datetime.fromtimestamp(now_s, UTC).date())
        days = [last - timedelta(days=n) for n in range((last - first).days + 1)]
        return [one for day in days for one in self.market.company_news(symbol, day) if one.time_s <= now_s]

    def _economic(self, request: Request) -> object:
        code = _needed(request.query, "code")
        found = self.market.series(code, now_s=request.now_s) if code in CODES else []
        return {"code": code, "data": [{"date": day, "value": Number(value)} for day, value in found]}

    def _symbols(self, request: Request) -> object:
        if _needed(request.query, "exchange") != "US":
            raise RefusalError(403, "You don't have access to this resource.")
        return [_symbol(name) | {"currency": "USD", "mic": "XNAS", "figi": ""} for name in SHARES]

    def _pair_symbols(self, request: Request) -> object:
        exchange = _needed(request.query, "exchange").upper()
        return [_symbol(name) for name in _pairs(exchange)]

    def _search(self, request: Request) -> object:
        text = _needed(request.query, "q").upper()
        found = [_symbol(name) for name in (*SHARES, *PAIRS, "VOLV-B.ST") if text in name]
        return {"count": len(found), "result": found}

    def page(self, body: bytes) -> Page | None:
        """Return None: its rows are columns or objects, which no row fault can take apart."""
        return None

    def truth(self) -> dict[str, dict[str, object]]:
        """Say per symbol what its daily candles are; minutes begin with the synthetic market."""
        days = {symbol: self.market.days(symbol) for symbol in SHARES}
        return {s: {"rows": len(rows), "first": str(rows[0][0]), "last": str(rows[-1][0])} for s, rows in days.items()}

    def examples(self) -> Sequence[Example]:
        return EXAMPLES

    def rows(self, example: Example, *, now_s: float) -> list[dict[str, str | None]]:
        return rows_of(self.market, example, now_s=now_s)

    def error_cases(self) -> Sequence[ErrorCase]:
        return ERROR_CASES


class Number(str):
    """A number that is printed with the very digits it was made of."""

    __slots__ = ()


def _json(value: object) -> bytes:
    """Print a value; through the standard encoder a number of ours would lose its digits."""
    return _printed(value).encode()


def _printed(value: object) -> str:
    match value:
        case Number():
            return str(value)
        case dict():
            return "{" + ",".join(f"{json.dumps(name)}:{_printed(one)}" for name, one in value.items()) + "}"
        case list():
            return "[" + ",".join(map(_printed, value)) + "]"
        case _:
            return json.dumps(value)


def _refusal(refusal: RefusalError, headers: tuple[tuple[str, str], ...]) -> Answer:
    return Answer(refusal.status, _json({"error": str(refusal)}), headers, _JSON)


def _key(request: Request) -> str:
    """Return the key of the query or the header."""
    key = request.query.get("token") or request.headers.get("x-finnhub-token", "")
    if not key:
        raise RefusalError(429, "API limit reached. Please sign up for a free account to continue using the API.")
    if key != SANDBOX_KEY:
        raise RefusalError(401, "Invalid API key")
    return key


def _needed(query: Mapping[str, str], name: str) -> str:
    if not query.get(name):
        raise RefusalError(422, f"Missing parameter: {name}.")
    return query[name]


def _whole(query: Mapping[str, str], name: str) -> int:
    text = _needed(query, name)
    if not re.fullmatch(r"[0-9]{1,12}", text):
        raise RefusalError(422, f"Wrong parameter: {name}.")
    return int(text)


def _date(query: Mapping[str, str], name: str) -> date:
    text = _needed(query, name)
    try:
        found = date.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.isoformat() != text:
        raise RefusalError(422, f"Wrong date: {name}.")
    return found


def _pairs(exchange: str) -> tuple[str, ...]:
    return tuple(name for name in PAIRS if name.startswith(f"{exchange}:"))


def _symbol(name: str) -> dict[str, object]:
    shown = name.partition(":")[2].replace("_", "/") or name
    return {"description": name, "displaySymbol": shown, "symbol": name, "type": "Common Stock"}


def _article(one: Article, category: str) -> dict[str, object]:
    return {
        "category": category,
        "datetime": one.time_s,
        "headline": one.headline,
        "id": one.id,
        "image": "",
        "related": one.related,
        "source": one.source,
        "summary": one.summary,
        "url": one.url,
    }
