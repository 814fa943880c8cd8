"""Yahoo Finance: charts (bars, dividends, splits, the newest price), search, and quotes (`yahoo_quotes.py`).

Deliberately not here: where a cookie and its crumb come from, quoteSummary, options, the stream; `5d`, `1wk`, `1mo`,
`3mo`; pre and post market. Invariant: columns of a chart are equally long; without rows there is no
`timestamp`.

Yahoo publishes no documentation. Sources, read autumn 2026: https://github.com/ranaroussi/yfinance (utils.py, data.py,
scrapers/history.py, const.py, issues 356, 1029, 1389, 1589), https://github.com/OpenBB-finance/OpenBB (recorded charts:
the meta block, the live last row). How often one may ask is unconfirmed: a dial.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from sandbox import yahoo_quotes
from sandbox.allowance import SlidingWindow
from sandbox.contract import Answer, ErrorCase, Example, LongWork, Page, Request
from sandbox.yahoo_market import DAY_S, SYMBOLS, WIDTHS_S, Event, Row, Symbol, YahooMarket

CHART = "/v8/finance/chart/"
SEARCH = "/v1/finance/search"
_RANGES_DAYS = {"1d": 1, "5d": 5, "1mo": 31, "3mo": 92, "6mo": 183, "1y": 366, "2y": 731, "5y": 1827, "10y": 3653}
_VALID_RANGES = [*_RANGES_DAYS, "ytd", "max"]
_VALID_INTERVALS = "1m, 2m, 5m, 15m, 30m, 60m, 90m, 1h, 4h, 1d, 5d, 1wk, 1mo, 3mo"
_VALUES = ("open", "high", "low", "close", "volume")
_YFINANCE = "https://github.com/ranaroussi/yfinance, autumn 2026"

_BARS = Example("bars", "IBM", "1d", "2007-02-20T00:00:00Z", "2007-04-10T00:00:00Z")
#: Real days, there where their wheel is.
_INDEX = Example("bars", "IXIC.INDX", "1d", "2018-01-01T00:00:00Z", "2019-02-01T00:00:00Z")
_OF_FILES = (_INDEX,) if "^IXIC" in SYMBOLS else ()
_QUOTE = Example("quotes", "AAPL")
_ACTIONS = Example("actions", "AAPL", "", "2014-01-01T00:00:00Z", "2021-01-01T00:00:00Z")


def open_dialect(seed: int) -> "Yahoo":
    return Yahoo(seed)


class RefusalError(Exception):
    """A request that is answered with an error object."""

    def __init__(self, status: int, code: str, description: str) -> None:
        super().__init__(description)
        self.status, self.code = status, code


class Yahoo:
    """Charts of symbols, by address only; quotes for who has a cookie and its crumb."""

    error_body = b"<html><head><title>Yahoo</title></head><body><h1>Will be right back...</h1></body></html>"

    def __init__(self, seed: int) -> None:
        self.limits = {"requests_per_minute": 120, "minute_days": 30, "minute_days_at_once": 8, "minutes_days": 60}
        self.limits |= {"hour_days": 730, "append_live": 1}
        self._market = YahooMarket(seed)
        self._minute = SlidingWindow(60)

    def answer(self, request: Request) -> Answer | LongWork:
        if "Mozilla" not in request.headers.get("user-agent", ""):
            return _too_many()
        if self._minute.room(request.client, self.limits["requests_per_minute"], now_s=request.now_s) <= 0:
            return _too_many()
        self._minute.spend(request.client, now_s=request.now_s)
        root = "chart" if request.path.startswith(CHART) else "finance"
        try:
            if request.path.startswith(CHART):
                return self._chart(request)
            if request.path == SEARCH:
                return _search(request.query.get("q", ""))
            if request.path == yahoo_quotes.PATH:
                refusal = yahoo_quotes.refusal_of(request)
                if refusal is not None:
                    raise RefusalError(401, "Unauthorized", refusal)
                return Answer(200, yahoo_quotes.quotes(self._market, request))
            if request.path.startswith("/v10/finance/quoteSummary/"):
                raise RefusalError(401, "Unauthorized", "Invalid Crumb")
            raise RefusalError(404, "Not Found", "HTTP 404 Not Found")
        except RefusalError as refusal:
            error = {"code": refusal.code, "description": str(refusal)}
            return Answer(refusal.status, _compact({root: {"result": None, "error": error}}))

    def _chart(self, request: Request) -> LongWork:
        symbol = SYMBOLS.get(request.path.removeprefix(CHART).upper())
        if symbol is None:
            raise RefusalError(404, "Not Found", "No data found, symbol may be delisted")
        interval = request.query.get("interval", "1d")
        if interval not in WIDTHS_S:
            said = f"Invalid input - interval={interval} is not supported. Valid intervals: [{_VALID_INTERVALS}]"
            raise RefusalError(422, "Unprocessable Entity", said)
        start_s, end_s = _period(request.query, request.now_s)
        self._check_reach(interval, start_s, end_s, request.now_s)
        if end_s <= self._market.first_s(symbol):
            raise RefusalError(400, "Bad Request", f"Data doesn't exist for startDate = {start_s}, endDate = {end_s}")
        return lambda: self._render(symbol, interval, start_s, end_s, request)

    def _check_reach(self, interval: str, start_s: int, end_s: int, now_s: float) -> None:
        """Refuse what is older than Yahoo keeps, and more than eight days of minutes at once."""
        width_s = WIDTHS_S[interval]
        if width_s >= DAY_S:
            return
        said = f"{interval} data not available for startTime={start_s} and endTime={end_s}."
        if interval == "1m" and end_s - start_s > self.limits["minute_days_at_once"] * DAY_S:
            most = (
                f"Only {self.limits['minute_days_at_once']} days worth of 1m granularity data are allowed to be fetched"
            )
            raise RefusalError(422, "Unprocessable Entity", f"{said} {most} per request.")
        dial = "minute_days" if interval == "1m" else "hour_days" if width_s == WIDTHS_S["1h"] else "minutes_days"
        if start_s < now_s - self.limits[dial] * DAY_S:
            within = f"The requested range must be within the last {self.limits[dial]} days."
            raise RefusalError(422, "Unprocessable Entity", f"{said} {within}")

    def _render(self, symbol: Symbol, interval: str, start_s: int, end_s: int, request: Request) -> Answer:
        now_s = request.now_s
        rows = self._market.rows(symbol, interval, start_s, end_s, now_s=now_s)
        if self.limits["append_live"] and symbol.walk and end_s >= now_s - DAY_S:
            newest = self._market.newest(symbol, now_s=now_s)
            live = self._market.live_day(symbol, now_s=now_s) if interval == "1d" else newest
            # The newest price comes last, even where it is later than the end that was asked for.
            rows += [live] if not rows or rows[-1].ts < live.ts else []
        asked = [part.strip() for part in request.query.get("events", "").split(",")]
        dividends, splits = self._market.events(symbol, start_s, end_s, now_s=now_s)
        events = {"dividends": _dividends(dividends)} if dividends and "div" in asked else {}
        events |= {"splits": _splits(splits)} if splits and {"split", "splits"} & set(asked) else {}
        return Answer(200, _document(self._meta(symbol, interval, request), rows, events, interval))

    def _meta(self, symbol: Symbol, interval: str, request: Request) -> str:
        newest = self._market.newest(symbol, now_s=request.now_s)
        moment = datetime.fromtimestamp(newest.ts, ZoneInfo(symbol.zone))
        offset = moment.utcoffset()
        meta = {
            "currency": symbol.currency,
            "symbol": symbol.native,
            "exchangeName": symbol.exchange,
            "instrumentType": symbol.kind,
            "firstTradeDate": self._market.first_s(symbol),
            "regularMarketTime": newest.ts,
            "gmtoffset": 0 if offset is None else int(offset.total_seconds()),
            "timezone": moment.tzname(),
            "exchangeTimezoneName": symbol.zone,
            "priceHint": 4 if symbol.kind == "CURRENCY" else 2,
            "dataGranularity": interval,
            "range": request.query.get("range", ""),
            "validRanges": _VALID_RANGES,
        }
        return f'{json.dumps(meta, separators=(",", ":"))[:-1]},"regularMarketPrice":{newest.close}}}'

    def page(self, body: bytes) -> Page | None:
        """Return None: a chart has columns, not rows."""
        return None

    def truth(self) -> dict[str, dict[str, object]]:
        """Say per symbol when it begins and where its days come from; what a copy holds depends on the reach."""
        return {
            native: {
                "first_open_s": self._market.first_s(symbol),
                "days": "real" if not symbol.walk else "synthetic",
                "zone": symbol.zone,
            }
            for native, symbol in SYMBOLS.items()
        }

    def forget_spending(self) -> None:
        self._minute = SlidingWindow(60)

    def examples(self) -> Sequence[Example]:
        """Return days across a change of summer time (real), a long one, hours, the newest price and events."""
        return (
            _BARS,
            Example("bars", "FB", "1d", "2012-05-01T00:00:00Z", "2013-04-01T00:00:00Z"),
            Example("bars", "EUR-USD", "1d", "2026-03-02T00:00:00Z", "2026-04-20T00:00:00Z"),
            Example("bars", "BTC-USD", "1h", "2026-06-01T00:00:00Z", "2026-06-15T00:00:00Z"),
            *_OF_FILES,
            _QUOTE,
            Example("quotes", "BTC-USD"),
            Example("quotes", "GSPC.INDX"),
            _ACTIONS,
        )

    def rows(self, example: Example, *, now_s: float) -> list[dict[str, str | None]]:
        symbol = next(one for one in SYMBOLS.values() if one.instrument == example.instrument)
        if example.dataset == "quotes":
            newest = self._market.newest(symbol, now_s=now_s)
            moment = datetime.fromtimestamp(newest.ts, UTC).isoformat()
            return [{"ts": moment, **yahoo_quotes.prices(self._market, symbol, now_s=now_s)}]
        start, end = datetime.fromisoformat(example.start), datetime.fromisoformat(example.end)
        if example.dataset == "actions":
            return self._action_rows(symbol, start, end, now_s=now_s)
        is_daily = example.interval == "1d"
        margin_s = DAY_S if is_daily else 0
        span = int(start.timestamp()) - margin_s, int(end.timestamp()) + margin_s
        found = self._market.rows(symbol, example.interval, *span, now_s=now_s)
        timed = [(_midnight(row.day) if is_daily else datetime.fromtimestamp(row.ts, UTC), row) for row in found]
        return [
            {"ts": ts.isoformat()}
            | {name: getattr(row, name) for name in _VALUES}
            | ({"adjusted_close": row.adjusted} if is_daily else {})
            for ts, row in timed
            if start <= ts < end and row.open is not None
        ]

    def _action_rows(
        self, symbol: Symbol, start: datetime, end: datetime, *, now_s: float
    ) -> list[dict[str, str | None]]:
        span = int(start.timestamp()) - DAY_S, int(end.timestamp()) + DAY_S
        dividends, splits = self._market.events(symbol, *span, now_s=now_s)
        paid: list[dict[str, str | None]] = [
            {
                "ts": _midnight(one.day).isoformat(),
                "kind": "dividend",
                "amount": one.amount,
                "currency": symbol.currency,
            }
            for one in dividends
            if start <= _midnight(one.day) < end
        ]
        ratio: list[dict[str, str | None]] = [
            {
                "ts": _midnight(one.day).isoformat(),
                "kind": "split",
                "split_from": one.denominator,
                "split_to": one.numerator,
            }
            for one in splits
            if start <= _midnight(one.day) < end
        ]
        return sorted([*paid, *ratio], key=lambda row: str(row["ts"]))

    def error_cases(self) -> Sequence[ErrorCase]:
        def failing(**arguments: object) -> Mapping[str, object]:
            return {"path": CHART, "fault": "status", "args": arguments}

        unknown, before = "NOSUCHSYMBOL", Example("bars", "FB", "1d", "2010-01-01T00:00:00Z", "2010-02-01T00:00:00Z")
        old = Example("bars", "BTC-USD", "1h", "2020-01-01T00:00:00Z", "2020-01-02T00:00:00Z")
        crumb = '{"finance":{"result":null,"error":{"code":"Unauthorized","description":"Invalid Crumb"}}}'
        quote, blocked = {"path": yahoo_quotes.PATH}, {"status": 429, "body": "Too Many Requests\r\n"}
        page = {"path": CHART, "fault": "html", "args": {"body": self.error_body.decode()}}
        return (
            ErrorCase("edge", _BARS, "wait", _YFINANCE, failing(status=429, body="Edge: Too Many Requests")),
            ErrorCase("slow down", _BARS, "wait", _YFINANCE, failing(status=429, body="Too Many Requests\r\n")),
            ErrorCase("outage in a 200", _BARS, "again", _YFINANCE, page),
            ErrorCase("bad gateway", _BARS, "again", _YFINANCE, failing(status=502)),
            ErrorCase("charts closed", _BARS, "request", _YFINANCE, failing(status=401, body=crumb)),
            ErrorCase("a cookie and another's crumb", _QUOTE, "key", _YFINANCE, key="another"),
            ErrorCase("quotes blocked", _QUOTE, "wait", _YFINANCE, {**quote, "fault": "status", "args": blocked}),
            ErrorCase("delisted", Example("bars", unknown, "1d", _BARS.start, _BARS.end), "unknown", _YFINANCE),
            ErrorCase("too old", old, "request", _YFINANCE),
            ErrorCase("before the first bar", before, "nothing", _YFINANCE),
        )


def _too_many() -> Answer:
    return Answer(429, b"Too Many Requests\r\n", content_type="text/plain")


def _compact(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _period(query: Mapping[str, str], now_s: float) -> tuple[int, int]:
    """Return `[period1, period2)`, or the last days that `range` names (default: one)."""
    if "period1" not in query and "period2" not in query:
        name = query.get("range", "1d")
        if name not in _VALID_RANGES:
            said = f"Invalid input - range={name} is not supported. Valid ranges: [{', '.join(_VALID_RANGES)}]"
            raise RefusalError(422, "Unprocessable Entity", said)
        days = _RANGES_DAYS.get(name, 40_000)
        return int(now_s) - days * DAY_S, int(now_s) + 1
    try:
        start_s, end_s = int(query.get("period1", "0")), int(query.get("period2", str(int(now_s))))
    except ValueError:
        raise RefusalError(400, "Bad Request", "Invalid input - period1 and period2 are seconds") from None
    if start_s > end_s:
        said = f"Invalid input - start date cannot be after end date. startDate = {start_s}, endDate = {end_s}"
        raise RefusalError(400, "Bad Request", said)
    return start_s, end_s


def _search(text: str) -> Answer:
    wanted = text.upper()
    found = [one for one in SYMBOLS.values() if wanted in one.native or wanted in one.name.upper()]
    quotes = [
        {"exchange": one.exchange, "shortname": one.name, "quoteType": one.kind, "symbol": one.native} for one in found
    ]
    return Answer(200, _compact({"count": len(quotes), "quotes": quotes, "news": []}))


def _document(meta: str, rows: Sequence[Row], events: Mapping[str, str], interval: str) -> bytes:
    """Print a chart: prices are raw texts, so that none passes through a float a second time."""
    parts = [f'"meta":{meta}']
    if rows:
        parts.append(f'"timestamp":[{",".join(str(row.ts) for row in rows)}]')
    if events:
        parts.append('"events":{' + ",".join(f'"{name}":{text}' for name, text in events.items()) + "}")
    columns = ",".join(f'"{name}":{_column([getattr(row, name) for row in rows])}' for name in _VALUES)
    indicators = f'"quote":[{{{columns}}}]' if rows else '"quote":[{}]'
    if interval == "1d":
        adjusted = f'{{"adjclose":{_column([row.adjusted for row in rows])}}}' if rows else "{}"
        indicators += f',"adjclose":[{adjusted}]'
    parts.append(f'"indicators":{{{indicators}}}')
    return f'{{"chart":{{"result":[{{{",".join(parts)}}}],"error":null}}}}'.encode()


def _column(texts: Sequence[str | None]) -> str:
    return f"[{','.join('null' if text is None else text for text in texts)}]"


def _dividends(events: Sequence[Event]) -> str:
    return "{" + ",".join(f'"{one.ts}":{{"amount":{one.amount},"date":{one.ts}}}' for one in events) + "}"


def _splits(events: Sequence[Event]) -> str:
    return "{" + ",".join(f'"{one.ts}":{_split(one)}' for one in events) + "}"


def _split(one: Event) -> str:
    ratio = f'"numerator":{one.numerator},"denominator":{one.denominator}'
    return f'{{"date":{one.ts},{ratio},"splitRatio":"{one.numerator}:{one.denominator}"}}'


def _midnight(day: str) -> datetime:
    return datetime.fromisoformat(day).replace(tzinfo=UTC)
