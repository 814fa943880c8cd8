"""Marketstack v2: /eod (latest, by date), /splits, /dividends, /stockprice and /tickerslist with keys, paging, limits.

Deliberately not here: intraday (its rows are the day so far, not bars), indices, bonds, commodities, ratings; the paths
below /tickers and /exchanges. Invariant: the pages of one query, joined, are its rows, in the asked order, each once.

Sources, read autumn 2026: https://docs.apilayer.com/marketstack (getting-started, api-key-authentication) and
https://marketstack.com/documentation_v2, called "docs"; error texts that clients quote (marketstack-python-client).
That 422 names symbols that do not exist, and unknown ones beside known ones are left out, is what clients see.
"""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from sandbox.allowance import SlidingWindow
from sandbox.contract import Answer, ErrorCase, Example, LongWork, Page, Request
from sandbox.marketstack_market import SYMBOLS, Day, Dividend, MarketstackMarket, Symbol

SANDBOX_KEY = "sandbox-key"
_DOCS = "https://docs.apilayer.com/marketstack/docs/api-key-authentication, autumn 2026"
_DATE = re.compile(r"\d{4}-\d\d-\d\d(T.*)?", re.ASCII)
_FIRST, _LAST = "1900-01-01", "2999-12-31"

_BARS = Example("bars", "AAPL", "1d", "2012-01-03T00:00:00Z", "2013-03-01T00:00:00Z")
_ACTIONS = Example("actions", "MSFT", "", "2002-01-01T00:00:00Z", "2012-06-01T00:00:00Z")


def open_dialect(seed: int) -> "Marketstack":
    return Marketstack(seed)


class RefusalError(Exception):
    """A request that is answered with an error object."""

    def __init__(self, status: int, code: str, message: str, context: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.context = status, code, context or {}


class Marketstack:
    """The v2 API of one account. Each symbol of a request counts as a request of the month."""

    error_body = b'{"error":{"code":"internal_error","message":"An internal error occurred."}}'

    def __init__(self, seed: int) -> None:
        # The month's dial is a paid plan's: the free 100 would end every test. `page_most` is the real 1,000.
        self.limits = {"per_second": 5, "month": 10_000, "page_most": 1_000, "prices_per_minute": 1, "has_prices": 1}
        self._market = MarketstackMarket(seed)
        self.forget_spending()

    def forget_spending(self) -> None:
        self._second, self._price_minute = SlidingWindow(1), SlidingWindow(60)
        self._spent: dict[str, int] = {}

    def answer(self, request: Request) -> Answer | LongWork:
        try:
            self._check_key(request.query)
            self._pace(request)
            return self._route(request)
        except RefusalError as refusal:
            error: dict[str, object] = {"code": refusal.code, "message": str(refusal)}
            if refusal.context:
                error["context"] = {
                    name: [{"key": key, "message": f"The {name} parameter is not valid."}]
                    for name, key in refusal.context.items()
                }
            return Answer(refusal.status, _compact({"error": error}), content_type="application/json")

    def _route(self, request: Request) -> Answer | LongWork:
        path, query = request.path, request.query
        if path == "/stockprice":
            return _good(self._stockprice(request))
        if path == "/tickerslist":
            self._spend(1, request.now_s)
            return _good(self._tickers(query))
        if path in ("/splits", "/dividends", "/eod", "/eod/latest") or path.startswith("/eod/"):
            return self._rows_of(path, request)
        raise RefusalError(404, "invalid_api_function", "This API Function does not exist.")

    def _check_key(self, query: Mapping[str, str]) -> None:
        key = query.get("access_key", "")
        if not key:
            raise RefusalError(401, "missing_access_key", "You have not supplied an API Access Key.")
        if key != SANDBOX_KEY:
            raise RefusalError(401, "invalid_access_key", "You have not supplied a valid API Access Key.")

    def _pace(self, request: Request) -> None:
        if self._second.room(request.client, self.limits["per_second"], now_s=request.now_s) <= 0:
            raise RefusalError(429, "rate_limit_reached", "You have exceeded the rate limit.")
        self._second.spend(request.client, now_s=request.now_s)

    def _spend(self, count: int, now_s: float) -> None:
        """Count symbols by calendar month (UTC)."""
        month = datetime.fromtimestamp(now_s, UTC).strftime("%Y-%m")
        if self._spent.get(month, 0) + count > self.limits["month"]:
            said = "Your monthly usage limit has been reached. Please upgrade your subscription plan."
            raise RefusalError(429, "too_many_requests", said)
        self._spent[month] = self._spent.get(month, 0) + count

    def _rows_of(self, path: str, request: Request) -> Answer | LongWork:
        query = request.query
        names = [name for name in query.get("symbols", "").split(",") if name]
        if not names:
            raise RefusalError(
                422, "validation_error", "Request failed with validation error", {"symbols": "missing_symbols"}
            )
        if len(names) > 100:
            raise RefusalError(
                422, "validation_error", "Request failed with validation error", {"symbols": "too_many_symbols"}
            )
        self._spend(len(names), request.now_s)
        symbols = [SYMBOLS[name] for name in names if name in SYMBOLS]
        if not symbols:
            raise RefusalError(422, "no_valid_symbols_provided", "At least one valid symbol must be provided")
        first, last = _span(path, query)
        is_descending = _choice(query, "sort", ("DESC", "ASC"), default="DESC") == "DESC"
        limit, offset = self._paging(query)

        def render() -> Answer:
            rows = self._found(path, symbols, first, last, request.now_s)
            # Days are sorted over all symbols, which therefore interleave: a page may end in the middle of a day.
            rows.sort(key=lambda row: row[0], reverse=is_descending)
            return _good(_paged([text for _, text in rows], limit, offset))

        # Years of synthetic days take up to a second.
        return render if any(symbol.walk for symbol in symbols) else render()

    def _found(
        self, path: str, symbols: Sequence[Symbol], first: str, last: str, now_s: float
    ) -> list[tuple[str, str]]:
        """Return date and JSON text of each row."""
        found: list[tuple[str, str]] = []
        for symbol in symbols:
            if path == "/splits":
                splits = self._market.splits(symbol, first, last)
                found += [(day, _split_text(symbol, day, factor)) for day, factor in splits]
            elif path == "/dividends":
                paid = self._market.dividends(symbol, first, last, now_s=now_s)
                found += [(one.day, _dividend_text(one)) for one in paid]
            else:
                days = self._market.days(symbol, first, last, now_s=now_s)
                found += [(row.day, _day_text(row)) for row in (days[-1:] if path == "/eod/latest" else days)]
        return found

    def _paging(self, query: Mapping[str, str]) -> tuple[int, int]:
        """Return limit and offset."""
        limit = _whole(query, "limit", default=100, most=self.limits["page_most"])
        return limit, _whole(query, "offset", default=0, most=10**9)

    def _stockprice(self, request: Request) -> bytes:
        name = request.query.get("ticker", "")
        if not self.limits["has_prices"]:
            said = "Your current subscription plan does not support this API function."
            raise RefusalError(403, "function_access_restricted", said)
        if not name:
            raise RefusalError(
                422, "validation_error", "Request failed with validation error", {"ticker": "missing_ticker"}
            )
        room = self._price_minute.room(request.client, self.limits["prices_per_minute"], now_s=request.now_s)
        if room <= 0:
            raise RefusalError(429, "rate_limit_reached", "You have exceeded the rate limit.")
        self._price_minute.spend(request.client, now_s=request.now_s)
        self._spend(1, request.now_s)
        symbol = SYMBOLS.get(name)
        if symbol is None:
            raise RefusalError(422, "no_valid_symbols_provided", "At least one valid symbol must be provided")
        price = self._market.price(symbol, now_s=request.now_s)
        at_home = {
            "exchange_code": symbol.code,
            "exchange_name": f"{symbol.code} Stock Market",
            "country": symbol.country,
            "ticker": name,
            "price": price,
            "currency": symbol.currency.upper(),
            "trade_last": "2026-02-14 15:03:45",
        }
        abroad = at_home | {"exchange_code": "WSE", "exchange_name": "Warsaw Stock Exchange", "country": "Poland"}
        return _compact({"data": [abroad | {"price": "939.3", "currency": "PLN"}, at_home]})

    def _tickers(self, query: Mapping[str, str]) -> bytes:
        wanted = query.get("search", "").upper()
        found = [one for one in SYMBOLS.values() if wanted in one.native or wanted in one.name.upper()]
        texts = [_compact(_ticker(one)).decode() for one in found]
        return _paged(texts, *self._paging(query))

    def page(self, body: bytes) -> Page | None:
        """Return None: rows are objects, not lists."""
        return None

    def truth(self) -> dict[str, dict[str, object]]:
        """Say per symbol how many days a copy of all of the wheel holds; the synthetic ones go on for ever."""
        found: dict[str, dict[str, object]] = {}
        for native, symbol in SYMBOLS.items():
            real = [] if symbol.walk else self._market.days(symbol, _FIRST, _LAST, now_s=0)
            found[native] = {"rows": len(real) or "open", "last": real[-1].day if real else "yesterday"}
        return found

    def examples(self) -> Sequence[Example]:
        """Return real days, two pages of days of a class, days of another market, prices, splits and dividends."""
        return (
            _BARS,
            Example("bars", "BRK.B", "1d", "2021-01-05T00:00:00Z", "2026-04-01T00:00:00Z"),
            Example("bars", "TSCO.LON", "1d", "2025-11-01T00:00:00Z", "2026-02-01T00:00:00Z"),
            Example("quotes", "AAPL"),
            _ACTIONS,
            Example("actions", "AAPL", "", "2004-01-01T00:00:00Z", "2021-01-01T00:00:00Z"),
        )

    def rows(self, example: Example, *, now_s: float) -> list[dict[str, str | None]]:
        symbol = next(one for one in SYMBOLS.values() if one.instrument == example.instrument)
        if example.dataset == "quotes":
            return [{"last": self._market.price(symbol, now_s=now_s)}]
        first, last = example.start[:10], example.end[:10]  # both at midnight; the end is exclusive
        if example.dataset == "bars":
            days = [row for row in self._market.days(symbol, first, last, now_s=now_s) if row.day < last]
            names = ("open", "high", "low", "close", "volume")
            return [
                {"ts": _midnight(row.day)}
                | {name: getattr(row, name) for name in names}
                | {"adjusted_close": row.adj_close}
                for row in days
            ]
        split: list[dict[str, str | None]] = [
            {"ts": _midnight(day), "kind": "split", "split_from": "1", "split_to": factor}
            for day, factor in self._market.splits(symbol, first, last)
            if day < last
        ]
        paid: list[dict[str, str | None]] = [
            {
                "ts": _midnight(one.day),
                "kind": "dividend",
                "amount": one.amount,
                "declared_on": one.declared,
                "recorded_on": one.recorded,
                "paid_on": one.paid,
            }
            for one in self._market.dividends(symbol, first, last, now_s=now_s)
            if one.day < last
        ]
        return sorted([*split, *paid], key=lambda row: str(row["ts"]))

    def error_cases(self) -> Sequence[ErrorCase]:
        def failing(status: int, code: str, message: str) -> Mapping[str, object]:
            body = json.dumps({"error": {"code": code, "message": message}})
            return {"path": "/eod", "fault": "status", "args": {"status": status, "body": body}}

        spent = failing(429, "too_many_requests", f"The key {SANDBOX_KEY} has reached its monthly volume.")
        legacy = failing(429, "usage_limit_reached", "Your monthly usage limit has been reached.")
        fast = failing(429, "rate_limit_reached", "You have exceeded the rate limit.")
        plan = failing(403, "function_access_restricted", "Your plan does not support this API function.")
        soft = {"path": "/eod", "fault": "error_in_200", "args": {"body": self.error_body.decode()}}
        unknown = Example("bars", "NOSUCHSYMBOL", "1d", _BARS.start, _BARS.end)
        before = Example("bars", "FB", "1d", "2012-01-03T00:00:00Z", "2012-05-01T00:00:00Z")
        return (
            ErrorCase("month spent", _BARS, "quota", _DOCS, spent),
            ErrorCase("month spent, older code", _BARS, "quota", _DOCS, legacy),
            ErrorCase("too fast", _BARS, "wait", _DOCS, fast),
            ErrorCase("wrong key", _BARS, "key", _DOCS, key="wrong"),
            ErrorCase("plan", _BARS, "plan", _DOCS, plan),
            ErrorCase("its side", _BARS, "again", _DOCS, {"path": "/eod", "fault": "status", "args": {"status": 500}}),
            ErrorCase("its side in a 200", _BARS, "again", _DOCS, soft),
            ErrorCase("no such symbol", unknown, "unknown", _DOCS),
            ErrorCase("before the listing", before, "nothing", _DOCS),
        )


def _compact(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _good(body: bytes) -> Answer:
    return Answer(200, body, content_type="application/json")


def _paged(texts: Sequence[str], limit: int, offset: int) -> bytes:
    shown = texts[offset : offset + limit]
    paging = {"limit": limit, "offset": offset, "count": len(shown), "total": len(texts)}
    return f'{{"pagination":{_compact(paging).decode()},"data":[{",".join(shown)}]}}'.encode()


def _midnight(day: str) -> str:
    return f"{day}T00:00:00+00:00"


def _invalid(name: str) -> RefusalError:
    return RefusalError(422, "validation_error", "Request failed with validation error", {name: f"invalid_{name}"})


def _span(path: str, query: Mapping[str, str]) -> tuple[str, str]:
    """Return the first and last date that are asked for, both inclusive."""
    if path == "/eod/latest":
        return _FIRST if not query.get("date_from") else query["date_from"][:10], _LAST
    if path.startswith("/eod/"):
        day = path.removeprefix("/eod/")
        if not _DATE.fullmatch(day):
            raise RefusalError(404, "404_not_found", "Route not found")
        return day[:10], day[:10]
    days = [query.get(name, otherwise) for name, otherwise in (("date_from", _FIRST), ("date_to", _LAST))]
    for name, day in zip(("date_from", "date_to"), days, strict=True):
        if not _DATE.fullmatch(day):
            raise _invalid(name)
    if days[0][:10] > days[1][:10]:
        raise _invalid("date_to")
    return days[0][:10], days[1][:10]


def _choice(query: Mapping[str, str], name: str, accepted: tuple[str, ...], *, default: str) -> str:
    value = query.get(name, default)
    if value not in accepted:
        raise _invalid(name)
    return value


def _whole(query: Mapping[str, str], name: str, *, default: int, most: int) -> int:
    text = query.get(name, str(min(default, most)))
    if not re.fullmatch(r"\d{1,10}", text):
        raise _invalid(name)
    # A limit of more than the most is cut to it: clients that ask for 10,000 get 1,000.
    return min(int(text), most)


def _day_text(row: Day) -> str:
    """Print a day; of the adjusted columns only the close is told by the wheel, so the others are null."""
    cells = ",".join(f'"{name}":{getattr(row, name)}' for name in ("open", "high", "low", "close", "volume"))
    names = {
        "name": row.symbol.name,
        "exchange_code": row.symbol.code,
        "asset_type": "Stock",
        "price_currency": row.symbol.currency,
        "symbol": row.symbol.native,
        "exchange": row.symbol.exchange,
        "date": f"{row.day}T00:00:00+0000",
    }
    adjusted = f'"adj_high":null,"adj_low":null,"adj_close":{row.adj_close},"adj_open":null,"adj_volume":null'
    return f'{{{cells},{adjusted},"split_factor":1.0,"dividend":0.0,{_compact(names).decode()[1:]}'


def _split_text(symbol: Symbol, day: str, factor: str) -> str:
    return f'{{"date":"{day}","split_factor":{factor},"stock_split":null,"symbol":"{symbol.native}"}}'


def _dividend_text(one: Dividend) -> str:
    more = {
        "symbol": one.symbol.native,
        "payment_date": f"{one.paid} 00:00:00",
        "record_date": f"{one.recorded} 00:00:00",
        "declaration_date": f"{one.declared} 00:00:00",
        "distr_freq": "q",
    }
    return f'{{"date":"{one.day}","dividend":{one.amount},{_compact(more).decode()[1:]}'


def _ticker(one: Symbol) -> dict[str, object]:
    place = {"name": one.code, "acronym": one.code, "mic": one.exchange}
    return {"name": one.name, "ticker": one.native, "has_intraday": False, "has_eod": True, "stock_exchange": place}
