"""What must come of Polygon's sandbox: examples, their rows, its errors; worked out from its market and facts.

Deliberately not here: answers (`dialects/polygon.py`), which are never read back. Invariant: `rows` says what stands in
the market, by instrument names as people write them.
"""

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta

from sandbox import polygon_facts
from sandbox.contract import ErrorCase, Example
from sandbox.polygon_market import ITEMS, Item, PolygonMarket, price, size, texts, time_ns
from sandbox.polygon_ticks import fraction, sequence
from sandbox.price_walk import aggregate

Row = dict[str, str | None]
_DOCS = "https://massive.com/docs/rest, autumn 2026"
_ISSUES = "https://github.com/polygon-io/issues/issues/112, autumn 2026"
_WIDTHS = {"1m": 1, "5m": 5, "30m": 30, "1h": 60}
_LEVELS = 100

#: An instrument as people write it -> its ticker.
TICKERS = {
    "AAPL": "AAPL", "IBM": "IBM", "MSFT": "MSFT", "KIM.PR.L": "KIMpL", "EUR-USD": "C:EURUSD", "SPX.INDEX": "I:SPX",
    "BTC-USD": "X:BTCUSD", "DOGE-USD": "X:DOGEUSD",
}  # fmt: skip
_NAMES = {ticker: name for name, ticker in TICKERS.items()} | {"GOOG": "GOOG"}
#: An economic series -> its table and column.
SERIES = {
    "TREASURY.10Y": ("treasury-yields", "yield_10_year"),
    "TREASURY.1M": ("treasury-yields", "yield_1_month"),
    "INFLATION.CPI": ("inflation", "cpi"),
    "LABOR.UNEMPLOYMENT": ("labor-market", "unemployment_rate"),
}
EXAMPLES = (
    Example("bars", "AAPL", "1d", "2005-01-03T00:00:00Z", "2006-01-03T00:00:00Z"),
    Example("bars", "KIM.PR.L", "1d", "2024-02-26T00:00:00Z", "2024-03-12T00:00:00Z"),
    Example("bars", "BTC-USD", "1m", "2026-03-02T00:00:00Z", "2026-03-06T12:30:00Z"),
    Example("bars", "AAPL", "1m", "2026-03-05T12:00:00Z", "2026-03-10T18:00:00Z"),
    Example("bars", "EUR-USD", "1h", "2026-03-01T05:00:00Z", "2026-03-09T00:00:00Z"),
    Example("bars", "EUR-USD", "1d", "2026-03-01T00:00:00Z", "2026-03-31T00:00:00Z"),
    Example("bars", "SPX.INDEX", "30m", "2026-03-02T00:00:00Z", "2026-03-13T00:00:00Z"),
    Example("trades", "AAPL", "", "2026-03-05T15:00:00Z", "2026-03-05T15:05:00Z"),
    Example("trades", "BTC-USD", "", "2026-03-05T00:00:00Z", "2026-03-05T00:04:00Z"),
    Example("quotes", "AAPL"),
    Example("quotes", "EUR-USD"),
    Example("books", "BTC-USD"),
    Example("news", "AAPL", "", "2025-01-01T00:00:00Z", "2026-01-01T00:00:00Z"),
    Example("observations", "TREASURY.10Y", "", "2015-01-01T00:00:00Z", "2024-01-01T00:00:00Z"),
    Example("observations", "LABOR.UNEMPLOYMENT", "", "2000-01-01T00:00:00Z", "2024-01-01T00:00:00Z"),
    Example("actions", "AAPL", "", "2004-01-01T00:00:00Z", "2024-01-01T00:00:00Z"),
)


def _status(code: int, status: str, field: str, text: str) -> Mapping[str, object]:
    body = json.dumps({"status": status, "request_id": "5a1b", field: text})
    return {"fault": "status", "args": {"status": code, "body": body}}


_SHARE = Example("bars", "AAPL", "1d", "2005-01-03T00:00:00Z", "2005-02-03T00:00:00Z")
_TICKS = Example("trades", "AAPL", "", "2026-03-05T15:00:00Z", "2026-03-05T15:01:00Z")
_EXCEEDED = "You've exceeded the maximum requests per minute, please wait or upgrade your subscription to continue."
_NOT_ENTITLED = "You are not entitled to this data. Please upgrade your plan at https://massive.com/pricing"
ERROR_CASES = (
    ErrorCase("an unknown key", _SHARE, "key", _DOCS, key="not-the-key"),
    ErrorCase("more than five calls a minute", _SHARE, "wait", _ISSUES, _status(429, "ERROR", "error", _EXCEEDED)),
    ErrorCase("a 429 without a body", _SHARE, "wait", _DOCS, {"fault": "status", "args": {"status": 429, "body": ""}}),
    ErrorCase("not entitled", _TICKS, "plan", _DOCS, _status(403, "NOT_AUTHORIZED", "message", _NOT_ENTITLED)),
    ErrorCase("not entitled, otherwise", _TICKS, "plan", _ISSUES, _status(403, "ERROR", "error", _NOT_ENTITLED)),
    ErrorCase("a bad range", _SHARE, "request", _DOCS, _status(400, "ERROR", "error", "'to' must be greater")),
    ErrorCase("its own failure", _SHARE, "again", _DOCS, {"fault": "status", "args": {"status": 502}}),
    ErrorCase("no data of that day", _SHARE, "nothing", _DOCS, _status(404, "NOT_FOUND", "message", "Data not found.")),
    ErrorCase("a share that is none, by its quote", Example("quotes", "NONE"), "unknown", _DOCS),
    ErrorCase(
        "a share that is none, by its bars", Example("bars", "NONE", "1d", _SHARE.start, _SHARE.end), "nothing", _DOCS
    ),
)


def rows(market: PolygonMarket, example: Example, *, now_ms: int) -> list[Row]:
    """Return the example's rows, oldest first."""
    if example.dataset == "observations":
        return _observations(market, example)
    item = ITEMS[TICKERS[example.instrument]]
    match example.dataset:
        case "bars":
            return _bars(market, item, example, now_ms=now_ms)
        case "trades":
            return _trades(market, item, example, now_ms=now_ms)
        case "quotes" | "books":
            return [_newest(market, item, example.dataset, now_ms)]
        case "news":
            return _news(market, item, example)
        case _:
            return _actions(item, example)


def _bars(market: PolygonMarket, item: Item, example: Example, *, now_ms: int) -> list[Row]:
    found: list[Row] = []
    start, end = _moment(example.start), _moment(example.end)
    if example.interval == "1d":
        days = (start.date() + timedelta(days=i) for i in range((end - start).days))
        bars = ((day, market.day(item, day, now_ms=now_ms)) for day in days)
        return [_at(f"{day}T00:00:00Z") | _named(item, bar) for day, bar in bars if bar is not None]
    width = _WIDTHS[example.interval]
    minute = int(start.timestamp()) // 60
    while minute < int(end.timestamp()) // 60:
        bars_of_minutes = market.minutes(item, minute, minute + width, now_ms=now_ms)
        if bars_of_minutes:
            bar = aggregate([bar for _, bar in bars_of_minutes])
            found.append(_at(_iso(minute * 60_000_000_000)) | _named(item, texts(item, bar)))
        minute += width
    return found


def _named(item: Item, bar: Mapping[str, str]) -> Row:
    row: Row = {"open": bar["o"], "high": bar["h"], "low": bar["l"], "close": bar["c"]}
    row["volume"] = None if item.market == "fx" else bar.get("v")
    return row | {"trade_count": bar.get("n")}


def _trades(market: PolygonMarket, item: Item, example: Example, *, now_ms: int) -> list[Row]:
    bounds = [int(_moment(text).timestamp()) * 10**9 for text in (example.start, example.end)]
    found: list[Row] = []
    for one in market.trades(item, bounds[0], bounds[1], now_ms=now_ms):
        row: Row = {"ts": _iso(time_ns(one)), "price": price(item, one.price)}
        if item.market == "crypto":
            side = "buy" if one.taker_buys else "sell"
            found.append(row | {"trade_id": str(one.id), "size": size(item, one.size), "side": side})
        else:
            amount = fraction(item, one) if one.id % 10 == 0 else str(one.size)
            found.append(row | {"trade_id": str(sequence(one)), "size": amount, "side": None})
    return found


def _newest(market: PolygonMarket, item: Item, dataset: str, now_ms: int) -> Row:
    if dataset == "books":
        book = market.walk.book(item.symbol, now_ms, 120)
        row: Row = {"ts": _iso(now_ms * 1_000_000)}
        for name, levels in (("bid", book.bids[:_LEVELS]), ("ask", book.asks[:_LEVELS])):
            row[f"{name}_prices"] = ",".join(price(item, at) for at, _ in levels)
            row[f"{name}_sizes"] = ",".join(size(item, steps) for _, steps in levels)
        return row
    at_ms = now_ms // 1000 * 1000 if item.market == "fx" else now_ms
    quote = market.walk.quote(item.symbol, at_ms)
    sides: Row = {"bid": price(item, quote.bid), "ask": price(item, quote.ask)}
    if item.market == "fx":
        return {"ts": _iso(at_ms * 1_000_000), "bid_size": None, "ask_size": None} | sides
    sizes: Row = {"bid_size": str(quote.bid_size), "ask_size": str(quote.ask_size)}
    return {"ts": _iso(now_ms // 100 * 100 * 1_000_000 + 730_349)} | sides | sizes


def _news(market: PolygonMarket, item: Item, example: Example) -> list[Row]:
    found: list[Row] = []
    for one in polygon_facts.articles(market.walk, _moment(example.start), _moment(example.end)):
        tickers = one["tickers"] if isinstance(one["tickers"], list) else []
        if item.ticker not in tickers:
            continue
        insights = one.get("insights")
        moods = {
            _NAMES.get(said["ticker"], said["ticker"]): {
                "label": said["sentiment"],
                "reasoning": said["sentiment_reasoning"],
            }
            for said in (insights if isinstance(insights, list) else [])
        }
        row: Row = {"ts": str(one["published_utc"]), "article_id": str(one["id"]), "title": str(one["title"])}
        row |= {"url": str(one["article_url"]), "source": "The Sandbox Wire", "author": str(one["author"])}
        row |= {"summary": str(one["description"]) if "description" in one else None}
        row["instruments"] = ",".join(_NAMES[name] for name in tickers if name in _NAMES)
        row["sentiments"] = json.dumps(moods, ensure_ascii=False, separators=(",", ":")) if moods else None
        found.append(row)
    return found


def _observations(market: PolygonMarket, example: Example) -> list[Row]:
    table, column = SERIES[example.instrument]
    first, last = _moment(example.start).date(), _moment(example.end).date() - timedelta(days=1)
    found = polygon_facts.observations(market.walk, table, first, last)
    return [{"ts": f"{_plain(row['date'])}T00:00:00Z", "value": row[column]} for row in found if column in row]


def _actions(item: Item, example: Example) -> list[Row]:
    first, end = _moment(example.start).date(), _moment(example.end).date()
    found: list[Row] = []
    for row in polygon_facts.splits(item.ticker):
        if first <= date.fromisoformat(_plain(row["execution_date"])) < end:
            ratio: Row = {"kind": "split", "split_from": row["split_from"], "split_to": row["split_to"], "amount": None}
            found.append(_at(f"{_plain(row['execution_date'])}T00:00:00Z") | ratio | {"action_id": _plain(row["id"])})
    for row in polygon_facts.dividends(item.ticker, first, end - timedelta(days=1)):
        cash: Row = {"kind": "dividend", "split_from": None, "split_to": None, "amount": row["cash_amount"]}
        cash |= {"currency": "USD", "declared_on": _plain(row["declaration_date"]), "paid_on": _plain(row["pay_date"])}
        cash["recorded_on"] = _plain(row["record_date"])
        found.append(_at(f"{_plain(row['ex_dividend_date'])}T00:00:00Z") | cash | {"action_id": _plain(row["id"])})
    blank: Row = dict.fromkeys(("currency", "declared_on", "recorded_on", "paid_on"))
    return sorted((blank | row for row in found), key=lambda row: str(row["ts"]))


def _at(ts: str) -> Row:
    return {"ts": ts}


def _plain(text: str) -> str:
    return text.strip('"')


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def _iso(ns: int) -> str:
    """Return the moment in UTC, cut to microseconds, whole seconds without a fraction."""
    moment = datetime.fromtimestamp(ns // 10**9, UTC).replace(microsecond=ns % 10**9 // 1000)
    return moment.isoformat().replace("+00:00", "Z")
