"""Financial Modeling Prep's stable API: quotes, charts, actions, news, economic indicators, treasury rates, lists.

Deliberately not here: batches, statements, calendars, legacy addresses (they answer 403). Invariant: what is not known
is an empty list, and an error is an object with `Error Message`.

Sources, read 2026-11-25: site.financialmodelingprep.com/developer/docs/stable (2026-06, as copied publicly); client
fmpsdk (2026-08). Not documented, hence dials: rows of daily and intraday bars an answer holds, whether errors come with
HTTP 200 (`errors_in_200`). `news_rows` is 250 there: lowered, so that there are several pages. Days are counted by UTC.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta

from sandbox import fmp_actions
from sandbox.allowance import DailyCount
from sandbox.contract import Answer, ErrorCase, Example, LongWork, Page, Request
from sandbox.finnhub_market import NEW_YORK, SHARES, Candle
from sandbox.fmp_cases import ERROR_CASES, EXAMPLES, INTERVALS, NEWS_ROWS, rows_of
from sandbox.fmp_market import FEEDS, INDICATORS, PAIRS, TENORS, Article, FmpMarket, local_text

SANDBOX_KEY = "sandbox-key"
MAX_NEWS_PAGE = 100
#: "Maximum 1000 records per request" of dividends and splits, and on the free plan a `limit` of 5.
MAX_ACTIONS, FREE_ACTIONS = 1_000, 5
DEFAULT_NEWS_ROWS = 20
#: "Max 90-day date range" of economic data; without dates the last of them come.
RANGE_DAYS = 90
_NEWS_BACK_DAYS = 60
_JSON = "application/json; charset=utf-8"


def open_dialect(seed: int) -> "Fmp":
    return Fmp(seed)


class RefusalError(Exception):
    """A request that is answered with a status and an error text."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Number(str):
    """A number that is printed with the very digits it was made of."""

    __slots__ = ()


class Fmp:
    """One key's view: a plan that has everything but symbols with a dot, and 250 calls a day."""

    error_body = b'{"Error Message": "Internal Server Error"}'

    def __init__(self, seed: int) -> None:
        self.limits = {
            "calls_per_day": 250,
            "paid_plan": 1,
            "news_rows": NEWS_ROWS,
            "eod_rows": 5_000,
            "intraday_rows": 1_170,
            "errors_in_200": 0,
        }
        self.market = FmpMarket(seed)
        self._paths: dict[str, Callable[[Request], list[object]]] = {
            "/quote": self._quote,
            "/aftermarket-quote": self._aftermarket_quote,
            "/historical-price-eod/full": self._full,
            "/historical-price-eod/light": self._light,
            "/historical-price-eod/non-split-adjusted": self._adjusted,
            "/historical-price-eod/dividend-adjusted": self._adjusted,
            "/dividends": self._dividends,
            "/splits": self._splits,
            "/economic-indicators": self._indicators,
            "/treasury-rates": self._treasury,
            "/search-symbol": self._search,
            "/stock-list": lambda _: [{"symbol": name, "companyName": f"{name} Inc."} for name in SHARES],
            "/fmp-articles": self._articles,
        }
        self._paths |= {f"/historical-chart/{interval}": self._chart for interval in INTERVALS}
        self._paths |= {f"/news/{feed}-latest": self._feed for feed in FEEDS[:-1]}
        self._paths |= {f"/news/{kind}": self._symbol_news for kind in ("stock", "crypto", "forex")}
        self.forget_spending()

    def forget_spending(self) -> None:
        self._day = DailyCount()

    def answer(self, request: Request) -> Answer | LongWork:
        try:
            self._admit(request)
        except RefusalError as refusal:
            return self._refusal(refusal)

        def render() -> Answer:
            try:
                return Answer(200, _printed(self._paths[request.path](request)).encode(), content_type=_JSON)
            except RefusalError as refusal:
                return self._refusal(refusal)

        return render if request.path.startswith("/historical") else render()

    def _admit(self, request: Request) -> None:
        key = request.query.get("apikey") or request.headers.get("apikey", "")
        if key != SANDBOX_KEY:
            raise RefusalError(401, "Invalid API KEY. Please retry or visit our documentation to create one FREE")
        if self._day.room(key, self.limits["calls_per_day"], now_s=request.now_s) <= 0:
            raise RefusalError(
                429, "Limit Reach . Please upgrade your plan or visit our documentation for more details"
            )
        self._day.spend(key, now_s=request.now_s)
        if request.path.startswith("/api/v"):
            raise RefusalError(403, "Legacy Endpoint : due to Legacy endpoints being no longer supported")
        if request.path not in self._paths:
            raise RefusalError(404, "Not Found")
        is_paid = request.path.startswith(("/historical-chart", "/news"))
        if is_paid and not self.limits["paid_plan"]:
            raise RefusalError(
                402, "Restricted Endpoint: This endpoint is not available under your current subscription"
            )
        if "." in request.query.get("symbol", ""):
            raise RefusalError(402, "Premium Query Parameter: this value set for 'symbol' is not available")

    def _refusal(self, refusal: RefusalError) -> Answer:
        status = 200 if self.limits["errors_in_200"] else refusal.status
        return Answer(status, json.dumps({"Error Message": str(refusal)}).encode(), content_type=_JSON)

    def _quote(self, request: Request) -> list[object]:
        symbol = _needed(request.query, "symbol")
        if symbol not in SHARES:
            return []
        figures = {name: Number(text) for name, text in self.market.market.quote(symbol, request.now_s).items()}
        return [
            {
                "symbol": symbol,
                "name": f"{symbol} Inc.",
                "price": figures["c"],
                "changePercentage": figures["dp"],
                "change": figures["d"],
                "volume": 101865199,
                "dayLow": figures["l"],
                "dayHigh": figures["h"],
                "marketCap": None,
                "exchange": "NASDAQ",
                "open": figures["o"],
                "previousClose": figures["pc"],
                "timestamp": int(request.now_s),
            }
        ]

    def _aftermarket_quote(self, request: Request) -> list[object]:
        symbol = _needed(request.query, "symbol")
        if symbol not in SHARES:
            return []
        best = {name: Number(text) for name, text in self.market.market.bid_and_ask(symbol, request.now_s).items()}
        sides = {"bidSize": best["bv"], "bidPrice": best["b"], "askSize": best["av"], "askPrice": best["a"]}
        return [{"symbol": symbol, **sides, "volume": 41647042, "timestamp": request.now_ms}]

    def _days(self, request: Request) -> list[tuple[str, date, Candle]]:
        """Return the days from one date to another, both included, the newest first and at most 5,000."""
        symbol = _needed(request.query, "symbol")
        if symbol not in (*SHARES, *PAIRS):
            return []
        first, last = _span(request, 5 * 365)
        days = [(symbol, day, one) for day, one in self.market.days(symbol, first, last, now_s=request.now_s)]
        return days[::-1][: self.limits["eod_rows"]]

    def _full(self, request: Request) -> list[object]:
        return [
            {
                "symbol": symbol,
                "date": str(day),
                **_ohlcv(one),
                "change": 0,
                "changePercent": 0,
                "vwap": Number(one.close),
            }
            for symbol, day, one in self._days(request)
        ]

    def _light(self, request: Request) -> list[object]:
        return [
            {"symbol": symbol, "date": str(day), "price": Number(one.close), "volume": Number(one.volume)}
            for symbol, day, one in self._days(request)
        ]

    def _adjusted(self, request: Request) -> list[object]:
        """Print prices without and with all adjustments under the same keys; the wheel's are as they were traded."""
        days = [(day, one) for _, day, one in self._days(request)]
        symbol = request.query["symbol"]
        if request.path.endswith("/dividend-adjusted"):
            days = list(fmp_actions.less_dividends(self.market.market.walk, symbol, days, _today(request)))
        names = {"open": "adjOpen", "high": "adjHigh", "low": "adjLow", "close": "adjClose", "volume": "volume"}
        return [
            {"symbol": symbol, "date": str(day)} | {names[name]: value for name, value in _ohlcv(one).items()}
            for day, one in days
        ]

    def _chart(self, request: Request) -> list[object]:
        """Return intraday bars without a symbol, at New York's clock, newest first and only so many."""
        symbol = _needed(request.query, "symbol")
        if symbol not in SHARES:
            return []
        width = INTERVALS[request.path.rpartition("/")[2]]
        first, last = _span(request, 3)
        bars = self.market.minutes(symbol, width, first, last, now_s=request.now_s)
        return [{"date": local_text(one.open_s), **_ohlcv(one)} for one in bars[::-1][: self.limits["intraday_rows"]]]

    def _dividends(self, request: Request) -> list[object]:
        """Return all dividends of a share, newest first; dates can't be asked for."""
        symbol, limit = self._action_query(request)
        known = fmp_actions.dividends(self.market.market.walk, symbol, _today(request))
        return [
            {
                "symbol": symbol,
                "date": one.day,
                "recordDate": one.recorded,
                "paymentDate": one.paid,
                "declarationDate": one.declared,
                "adjDividend": Number(one.adjusted),
                "dividend": Number(one.amount),
                "yield": Number("0.42955326460481097"),
                "frequency": one.frequency,
            }
            for one in sorted(known, key=lambda one: one.day, reverse=True)[:limit]
        ]

    def _splits(self, request: Request) -> list[object]:
        symbol, limit = self._action_query(request)
        known = fmp_actions.splits(symbol, _today(request))[::-1][:limit]
        return [{"symbol": symbol, "date": day, "numerator": new, "denominator": old} for day, new, old in known]

    def _action_query(self, request: Request) -> tuple[str, int]:
        """Return symbol and limit; the free plan refuses a higher one than 5, and takes none at all for all."""
        limit = _whole(request.query, "limit", MAX_ACTIONS, MAX_ACTIONS)
        if "limit" in request.query and limit > FREE_ACTIONS and not self.limits["paid_plan"]:
            raise RefusalError(402, "Premium Query Parameter: 'limit' must be between 0 and 5")
        return _needed(request.query, "symbol"), limit

    def _feed(self, request: Request) -> list[object]:
        feed = request.path.removeprefix("/news/").removesuffix("-latest")
        return [_article(one) for one in self._page_of_news([feed], request)]

    def _symbol_news(self, request: Request) -> list[object]:
        known = {"stock": tuple(SHARES), "crypto": ("BTCUSD",), "forex": ("EURUSD",)}[request.path.rpartition("/")[2]]
        asked = [one for one in _needed(request.query, "symbols").split(",") if one in known]
        return [_article(one) for one in self._page_of_news(asked, request)]

    def _articles(self, request: Request) -> list[object]:
        """Return its own articles; their tickers have an exchange before them, and from and to mean nothing."""
        plain = {name: value for name, value in request.query.items() if name in ("page", "limit")}
        asked = Request(request.path, plain, request.headers, request.client, request.now_s)
        return [
            {
                "title": one.title,
                "date": local_text(one.time_s),
                "content": one.text,
                "tickers": None if one.symbol is None else f"NASDAQ:{one.symbol}",
                "image": "https://images.example/1.jpg",
                "link": one.url,
                "author": one.publisher,
                "site": one.site,
            }
            for one in self._page_of_news(["articles"], asked)
        ]

    def _page_of_news(self, names: Sequence[str], request: Request) -> list[Article]:
        limit = min(_whole(request.query, "limit", DEFAULT_NEWS_ROWS, 250), self.limits["news_rows"])
        page = _whole(request.query, "page", 0, MAX_NEWS_PAGE)
        first, last = _span(request, _NEWS_BACK_DAYS)
        found = [one for name in names for one in self.market.news(name, first, last, now_s=request.now_s)]
        found.sort(key=lambda one: one.time_s, reverse=True)
        return found[page * limit : (page + 1) * limit]

    def _indicators(self, request: Request) -> list[object]:
        name = _needed(request.query, "name")
        if name not in INDICATORS:
            return []
        first, last = _range(request)
        values = self.market.indicator(name, now_s=request.now_s)
        found = [(day, value) for day, value in values if first <= day <= last]
        return [{"name": name, "date": str(day), "value": Number(value)} for day, value in found[::-1]]

    def _treasury(self, request: Request) -> list[object]:
        first, last = _range(request)
        found: list[object] = []
        for day in (last - timedelta(days=n) for n in range((last - first).days + 1)):
            rates = self.market.treasury(day, now_s=request.now_s)
            if rates is not None:
                values = {tenor: None if rates[tenor] is None else Number(rates[tenor]) for tenor in TENORS}
                found.append({"date": str(day), **values})
        return found

    def _search(self, request: Request) -> list[object]:
        text = _needed(request.query, "query").upper()
        every = (*SHARES, *PAIRS, "AAPL.MX", "BRK-B", "TSCO.L", "^VIX", "SAP.F")
        limit = _whole(request.query, "limit", 50, 1_000)
        found: list[object] = [{"symbol": name, "name": name, "currency": "USD"} for name in every if text in name]
        return found[:limit]

    def page(self, body: bytes) -> Page | None:
        """Return None: its rows are objects, which no row fault can take apart."""
        return None

    def truth(self) -> dict[str, dict[str, object]]:
        """Say per share what its daily bars are; minutes begin with the synthetic market."""
        days = {symbol: self.market.market.days(symbol) for symbol in SHARES}
        return {s: {"rows": len(rows), "first": str(rows[0][0]), "last": str(rows[-1][0])} for s, rows in days.items()}

    def examples(self) -> Sequence[Example]:
        return EXAMPLES

    def rows(self, example: Example, *, now_s: float) -> list[dict[str, str | None]]:
        return rows_of(self.market, example, now_s=now_s)

    def error_cases(self) -> Sequence[ErrorCase]:
        return ERROR_CASES


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


def _ohlcv(one: Candle) -> dict[str, object]:
    return {name: Number(getattr(one, name)) for name in ("open", "low", "high", "close", "volume")}


def _article(one: Article) -> dict[str, object]:
    return {
        "symbol": one.symbol,
        "publishedDate": local_text(one.time_s),
        "publisher": one.publisher,
        "title": one.title,
        "image": "https://images.example/1.jpg",
        "site": one.site,
        "text": one.text,
        "url": one.url,
    }


def _needed(query: Mapping[str, str], name: str) -> str:
    if not query.get(name):
        raise RefusalError(400, f"Query Error: Invalid or missing query parameter - {name}")
    return query[name]


def _whole(query: Mapping[str, str], name: str, default: int, highest: int) -> int:
    """Return a number; what is too high is the highest (the documentation names the highest, not what follows)."""
    text = query.get(name, str(default))
    if not re.fullmatch(r"[0-9]{1,6}", text):
        raise RefusalError(400, f"Query Error: Invalid or missing query parameter - {name}")
    return min(int(text), highest)


def _today(request: Request) -> date:
    return datetime.fromtimestamp(request.now_s, NEW_YORK).date()


def _span(request: Request, back_days: int) -> tuple[date, date]:
    """Return `from` and `to`, both included; without them the newest days."""
    last = _date(request.query, "to") or _today(request)
    return _date(request.query, "from") or last - timedelta(days=back_days), last


def _range(request: Request) -> tuple[date, date]:
    """Return the same, cut to its last 90 days."""
    last = _date(request.query, "to") or datetime.fromtimestamp(request.now_s, UTC).date()
    first = _date(request.query, "from") or last
    return max(first, last - timedelta(days=RANGE_DAYS - 1)), last


def _date(query: Mapping[str, str], name: str) -> date | None:
    text = query.get(name)
    if not text:
        return None
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", text):
        raise RefusalError(400, f"Query Error: Invalid or missing query parameter - {name}")
    return date.fromisoformat(text)
