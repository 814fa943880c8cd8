"""Polygon, named Massive since 2025-10-30: bars, ticks, the coins' book, news, economic tables, splits, dividends.

Deliberately not here: options, futures, snapshots and WebSocket. Two dials are far below what is documented (50,000
rows a page), so that a short window has several pages: `bases_a_page`, `rows_a_page`; a larger `limit` is served as
the dial. Invariant: `next_url` names the documented host and never the key, and the pages of a query, joined, are its
rows once each.

Sources, read autumn 2026: https://massive.com/docs/rest (each endpoint's page), https://github.com/massive-com/client-python
2.9.1 (.massive/rest.json); the texts of errors as https://github.com/polygon-io/issues and public clients quote them.
"""

import base64
import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TypeVar
from urllib.parse import parse_qsl, urlencode

from sandbox import polygon_facts, polygon_truth
from sandbox.allowance import SlidingWindow
from sandbox.contract import Answer, ErrorCase, Example, LongWork, Page, Request
from sandbox.polygon_aggregates import BadRangeError, Span, page, whole_day
from sandbox.polygon_aggregates import Page as Bars
from sandbox.polygon_market import ITEM_OF_MARKED, ITEMS, Item, PolygonMarket, price, session_of
from sandbox.polygon_ticks import book, last_quote, quotes, trades
from sandbox.price_walk import PriceWalk

SANDBOX_KEY = "sandbox-key"
_HOST = "https://api.massive.com:443"
_JSON = "application/json"
_AGGREGATES = re.compile(r"/v2/aggs/ticker/([^/]+)/range/(\d{1,4})/(\w+)/([^/]+)/([^/]+)")
_GROUPED = re.compile(r"/v2/aggs/grouped/locale/(?:us|global)/market/(stocks|crypto|fx)/([^/]+)")
_BOOK = re.compile(r"/v2/snapshot/locale/global/markets/crypto/tickers/([^/]+)/book")
_TICKS = re.compile(r"/v3/(trades|quotes)/([^/]+)")
_LIST = re.compile(r"/(v2/reference/news|v3/reference/(?:splits|dividends|tickers)|fed/v1/[a-z-]+)")
_NS = 1_000_000_000
_EVER = (date(1960, 1, 1), date(2100, 1, 1))
Texts = Mapping[str, str]
T = TypeVar("T")


def open_dialect(seed: int) -> "Polygon":
    return Polygon(seed)


class RefusalError(Exception):
    """A request that is refused: HTTP status, `status` and text."""

    def __init__(self, code: int, status: str, text: str) -> None:
        super().__init__(text)
        self.code, self.status = code, status


class Polygon:
    """The REST side of one plan."""

    error_body = b'{"status":"ERROR","request_id":"5a1b","error":"internal server error"}'

    def __init__(self, seed: int) -> None:
        self.limits = {"calls_per_minute": 5, "bases_a_page": 5_000, "rows_a_page": 1_000, "todays_market": 0}
        self._market = PolygonMarket(seed)
        self._routes: tuple[tuple[re.Pattern[str], Callable[[re.Match[str], Request], str]], ...] = (
            (_AGGREGATES, self._aggregates),
            (_GROUPED, self._grouped),
            (_TICKS, self._ticks),
            (re.compile(r"/v2/last/nbbo/([^/]+)"), self._last_quote),
            (_BOOK, self._book),
            (_LIST, self._list),
        )
        self.forget_spending()

    def forget_spending(self) -> None:
        self._minute = SlidingWindow(60)

    def answer(self, request: Request) -> Answer | LongWork:
        key = request.headers.get("authorization", "").removeprefix("Bearer ") or request.query.get("apiKey", "")
        if key != SANDBOX_KEY:
            return _refused(401, "ERROR", "Unknown API Key")
        if self._minute.room(key, self.limits["calls_per_minute"], now_s=request.now_s) <= 0:
            text = (
                "You've exceeded the maximum requests per minute, please wait or upgrade your subscription to continue."
            )
            return _refused(429, "ERROR", f"{text} https://massive.com/pricing")
        self._minute.spend(key, now_s=request.now_s)
        for pattern, route in self._routes:
            match = pattern.fullmatch(request.path)
            if match is not None:
                return lambda: _answered(route, match, request)
        return Answer(404, b"404 page not found", content_type="text/plain")

    def page(self, body: bytes) -> Page | None:
        """Return None: rows are objects."""
        return None

    def truth(self) -> dict[str, dict[str, object]]:
        return {ticker: {"market": item.market} for ticker, item in ITEMS.items()}

    def examples(self) -> Sequence[Example]:
        return polygon_truth.EXAMPLES

    def rows(self, example: Example, *, now_s: float) -> list[dict[str, str | None]]:
        return polygon_truth.rows(self._market, example, now_ms=int(now_s * 1000))

    def error_cases(self) -> Sequence[ErrorCase]:
        return polygon_truth.ERROR_CASES

    def _aggregates(self, match: re.Match[str], request: Request) -> str:
        """Answer custom bars. A ticker that does not exist has no bars, like one that was not traded."""
        query = _with_cursor(request)
        span = Span(int(match[2]), match[3], match[4], match[5])
        limit = _limit(query, default=5_000, most=50_000)
        bases, adjusted = min(limit, self.limits["bases_a_page"]), query.get("adjusted", "true") != "false"
        item = ITEMS.get(match[1])
        if span.multiplier < 1:
            raise RefusalError(400, "ERROR", "multiplier must be a positive number")
        found = Bars([], 0, None)
        if item is not None:
            found = page(self._market, item, span, bases=bases, adjusted=adjusted, now_ms=request.now_ms)
        rows, used, next_first = found
        head = {"ticker": json.dumps(match[1]), "queryCount": str(used), "resultsCount": str(len(rows))}
        if not match[1].startswith("I:"):
            head["adjusted"] = json.dumps(adjusted)
        if rows:
            ordered = rows if query.get("sort", "asc") == "asc" else rows[::-1]
            head |= {"results": _objects(ordered), "count": str(len(rows))}
        if next_first is not None:
            path = f"/v2/aggs/ticker/{match[1]}/range/{span.multiplier}/{span.timespan}/{next_first}/{span.last}"
            kept = {"limit": str(limit), "sort": query.get("sort", "asc"), "adjusted": json.dumps(adjusted)}
            head["next_url"] = _next(path, kept)
        return _object(head | _OK)

    def _grouped(self, match: re.Match[str], request: Request) -> str:
        try:
            day = date.fromisoformat(match[2])
        except ValueError as cause:
            raise RefusalError(400, "ERROR", f"could not parse the date: {match[2]}") from cause
        items = [item for item in ITEMS.values() if item.market == match[1]]
        if not self.limits["todays_market"] and day >= session_of(items[0], request.now_ms):
            text = "Attempted to request today's data before end of day. Please upgrade your plan at"
            raise RefusalError(403, "NOT_AUTHORIZED", f"{text} https://massive.com/pricing")
        adjusted = request.query.get("adjusted", "true") != "false"
        found = [whole_day(self._market, item, day, adjusted=adjusted, now_ms=request.now_ms) for item in items]
        rows = [row for row in found if row is not None]
        head = {"adjusted": json.dumps(adjusted), "queryCount": str(len(rows)), "resultsCount": str(len(rows))}
        return _object(head | ({"results": _objects(rows), "count": str(len(rows))} if rows else {}) | _OK)

    def _ticks(self, match: re.Match[str], request: Request) -> str:
        """Answer trades or quotes by their nanosecond; newest first unless it is asked otherwise."""
        query = _with_cursor(request)
        item = ITEM_OF_MARKED.get(match[2])
        wanted = ("stocks", "crypto") if match[1] == "trades" else ("fx",)
        if item is None or item.market not in wanted:
            return _object({"results": "[]"} | _OK)
        start, end = _bounds(query, "timestamp", _nanoseconds, (0, request.now_ms * 1_000_000))
        ascending = query.get("order", "desc") == "asc"
        limit = _limit(query, default=1_000, most=50_000)
        if "timestamp.gte" not in query and "timestamp.gt" not in query:
            start = max(start, end - 600 * _NS)  # the sandbox knows the newest ten minutes without a bound
        read = trades if match[1] == "trades" else quotes
        rows = read(self._market, item, start, end, now_ms=request.now_ms)
        return self._listed(rows if ascending else rows[::-1], limit, match[0], query)

    def _last_quote(self, match: re.Match[str], request: Request) -> str:
        item = ITEMS.get(match[1])
        if item is None or item.market != "stocks":
            raise RefusalError(404, "NOT_FOUND", "Ticker not found.")
        return _object({"results": _object(last_quote(self._market, item, now_ms=request.now_ms))} | _OK)

    def _book(self, match: re.Match[str], request: Request) -> str:
        item = ITEMS.get(match[1])
        if item is None or item.market != "crypto":
            raise RefusalError(404, "NOT_FOUND", "Ticker not found.")
        found = book(self._market, item, now_ms=request.now_ms)
        sides = {
            name: _objects([{"p": price(item, at), "x": _object(shares)} for at, shares in levels])
            for name, levels in found.items()
        }
        total = {
            f"{name.removesuffix('s')}Count": str(
                sum(Decimal(text) for _, shares in levels for text in shares.values())
            )
            for name, levels in found.items()
        }
        return _object(
            {"data": _object({"ticker": json.dumps(match[1])} | sides | total | {"updated": str(request.now_ms)})} | _OK
        )

    def _list(self, match: re.Match[str], request: Request) -> str:
        query = _with_cursor(request)
        name = match[1].rpartition("/")[2]
        if match[1].startswith("fed/"):
            if name not in polygon_facts.TABLES:
                raise RefusalError(404, "NOT_FOUND", "Data not found.")
            rows: Sequence[Texts] = _dated(query, name, self._market.walk, request.now_ms)
            rows = rows[::-1] if query.get("sort", "date.asc") == "date.desc" else rows
            return self._listed(rows, _limit(query, default=100, most=50_000), match[0], query)
        rows = self._reference(name, query, request.now_ms)
        if query.get("order", "asc" if name == "tickers" else "desc") == "desc":
            rows = rows[::-1]
        return self._listed(rows, _limit(query, default=100 if name == "tickers" else 10, most=1_000), match[0], query)

    def _reference(self, name: str, query: Texts, now_ms: int) -> list[Texts]:
        """Return the rows of news, splits, dividends or tickers, ascending."""
        ticker = query.get("ticker", "")
        if name == "news":
            now = datetime.fromtimestamp(now_ms / 1000, UTC)
            since, until = _bounds(
                query, "published_utc", _moment, (polygon_facts.NEWS_SINCE, now + timedelta(seconds=1))
            )
            found = polygon_facts.articles(self._market.walk, since, min(until, now))
            return [_as_texts(one) for one in found if not ticker or json.dumps(ticker) in json.dumps(one["tickers"])]
        if name == "splits":
            first, end = _bounds(query, "execution_date", date.fromisoformat, _EVER)
            rows = polygon_facts.splits(ticker)
            return [row for row in rows if str(first) <= row["execution_date"].strip('"') < str(end)]
        if name == "dividends":
            bounds = _bounds(query, "ex_dividend_date", date.fromisoformat, (_EVER[0], _soon(now_ms)))
            return list(polygon_facts.dividends(ticker, bounds[0], min(bounds[1], _soon(now_ms)) - timedelta(days=1)))
        text = query.get("search", "").lower()
        found_items = [one for one in ITEMS.values() if text in one.ticker.lower() or text in one.name.lower()]
        return [_reference_row(one) for one in sorted(found_items)]

    def _listed(self, rows: Sequence[Texts], limit: int, path: str, query: Texts) -> str:
        offset = int(query.get("_offset", "0"))
        end = offset + min(limit, self.limits["rows_a_page"])
        shown = rows[offset:end]
        head = {"results": _objects(shown), "count": str(len(shown))}
        if end < len(rows):
            head["next_url"] = _next(path, dict(query) | {"_offset": str(end)})
        return _object(head | _OK)


_OK = {"status": '"OK"', "request_id": '"6a7e466379af0a71039d60cc78e72282"'}


def _answered(route: Callable[[re.Match[str], Request], str], match: re.Match[str], request: Request) -> Answer:
    try:
        return Answer(200, route(match, request).encode(), content_type=_JSON)
    except RefusalError as refusal:
        return _refused(refusal.code, refusal.status, str(refusal))
    except (BadRangeError, ValueError) as bad:
        return _refused(400, "ERROR", str(bad))


def _refused(code: int, status: str, text: str) -> Answer:
    """Answer with the text in `error` or, for what the plan or the data lack, in `message`."""
    field = "error" if status == "ERROR" else "message"
    body = {"status": status, "request_id": "6a7e466379af0a71039d60cc78e72282", field: text}
    return Answer(code, json.dumps(body, separators=(",", ":")).encode(), content_type=_JSON)


def _object(fields: Texts) -> str:
    return "{" + ",".join(f'"{name}":{text}' for name, text in fields.items()) + "}"


def _objects(rows: Sequence[Texts]) -> str:
    return f"[{','.join(map(_object, rows))}]"


def _as_texts(row: Mapping[str, object]) -> Texts:
    return {name: json.dumps(value) for name, value in row.items()}


def _next(path: str, query: Texts) -> str:
    """Return the address of the next page, without the key: the cursor holds what was asked for."""
    kept = urlencode({name: text for name, text in query.items() if name not in ("apiKey", "cursor")})
    return f'"{_HOST}{path}?cursor={base64.urlsafe_b64encode(kept.encode()).decode().rstrip("=")}"'


def _with_cursor(request: Request) -> dict[str, str]:
    cursor = request.query.get("cursor", "")
    kept = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode() if cursor else ""
    return dict(request.query) | dict(parse_qsl(kept))


def _limit(query: Texts, *, default: int, most: int) -> int:
    text = query.get("limit", str(default))
    if not re.fullmatch(r"\d{1,9}", text) or not 1 <= int(text) <= most:
        raise RefusalError(400, "ERROR", f"limit must be a number from 1 to {most}")
    return int(text)


def _bounds(query: Texts, name: str, read: Callable[[str], T], ends: tuple[T, T]) -> tuple[T, T]:
    """Return the half-open range that `name.gte` and `name.lt` leave of `ends`. Raises ValueError."""
    unknown = [one for one in query if one.startswith(f"{name}.") and one not in (f"{name}.gte", f"{name}.lt")]
    if unknown:
        raise RefusalError(400, "ERROR", f"the sandbox filters by {name}.gte and {name}.lt only")
    low, high = query.get(f"{name}.gte"), query.get(f"{name}.lt")
    return ends[0] if low is None else read(low), ends[1] if high is None else read(high)


def _nanoseconds(text: str) -> int:
    if re.fullmatch(r"\d{19}", text):
        return int(text)
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * _NS


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _dated(query: Texts, table: str, walk: PriceWalk, now_ms: int) -> list[dict[str, str]]:
    """Return the rows of an economic table between the bounds, none of days to come."""
    today = datetime.fromtimestamp(now_ms / 1000, UTC).date()
    first, end = _bounds(query, "date", date.fromisoformat, _EVER)
    return polygon_facts.observations(walk, table, first, min(end - timedelta(days=1), today))


def _soon(now_ms: int) -> date:
    """Return until when dividends are announced."""
    return datetime.fromtimestamp(now_ms / 1000, UTC).date() + timedelta(days=30)


def _reference_row(item: Item) -> Texts:
    row: dict[str, object] = {"ticker": item.ticker, "name": item.name, "market": item.market, "active": True}
    if item.legs[0]:
        row |= {"currency_symbol": item.legs[1], "base_currency_symbol": item.legs[0], "locale": "global"}
    return _as_texts(row)
