"""The rows that a whole copy of one of Alpha Vantage's examples holds, from the market itself.

Deliberately not here: answers, which are never read for it. Invariant: digits are the market's own.
"""

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

from sandbox.alpha_vantage_economy import INDICATORS, values
from sandbox.alpha_vantage_market import COINS, MONEY, AlphaVantageMarket, Row
from sandbox.alpha_vantage_news import Article
from sandbox.contract import Example

Record = dict[str, str | None]
Articles = Callable[[list[str], list[str], int | None, int, int | None], list[Article]]

_MINUTES = {"1m": 1, "5m": 5, "15m": 15, "30m": 30, "1h": 60}
_MATURITIES = {"3M": "3month", "2Y": "2year", "5Y": "5year", "7Y": "7year", "10Y": "10year", "30Y": "30year"}
_SERIES = {"REAL.GDP": ("REAL_GDP", "quarterly"), "REAL.GDP.ANNUAL": ("REAL_GDP", "annual")}


def expected_rows(market: AlphaVantageMarket, articles: Articles, example: Example, *, now_s: float) -> list[Record]:
    """Return the rows of the example's window, oldest first."""
    if example.dataset == "quotes":
        return _quote(market, example.instrument, now_s)
    start, end = datetime.fromisoformat(example.start), datetime.fromisoformat(example.end)
    match example.dataset:
        case "bars":
            rows = _bars(market, example, start, end, now_s)
            found = [(_moment(row.at), _prices(row)) for row in rows]
        case "actions":
            found = _actions(market, example.instrument)
        case "observations":
            found = _values(market, example.instrument, now_s)
        case _:
            found = _news(articles, example.instrument, start, end)
    return [{"ts": ts.isoformat(), **cells} for ts, cells in found if start <= ts < end]


def _bars(market: AlphaVantageMarket, example: Example, start: datetime, end: datetime, now_s: float) -> list[Row]:
    name, pair = example.instrument, example.instrument.replace("-", "/")
    first, until = start.date() - timedelta(days=1), end.date() + timedelta(days=1)
    first_minute = int(start.timestamp()) // 60
    width = 1_440 if example.interval == "1d" else _MINUTES[example.interval]
    coin = name.removesuffix("-USD")
    if coin in COINS:
        return market.coin_rows(coin, width, first_minute, now_s)
    if pair in MONEY:
        if width == 1_440:
            return market.money_days(pair, first, until)
        return market.money_minutes(pair, width, first_minute, min(now_s, end.timestamp()))
    if width == 1_440:
        return [row for row, _ in market.days(name)]
    return market.minutes(name, width, first, until, extended=False, now_s=now_s)


def _prices(row: Row) -> Record:
    cells: Record = {"open": row.open, "high": row.high, "low": row.low, "close": row.close}
    return cells | ({"volume": row.volume} if row.volume else {})


def _quote(market: AlphaVantageMarket, name: str, now_s: float) -> list[Record]:
    found = market.rate(name.replace("-", "/"), now_s)
    if found is not None:
        return [{"ts": _moment(found[3]).isoformat(), "last": found[0], "bid": found[1], "ask": found[2]}]
    row, _ = market.days(name)[-1]
    return [{"ts": _moment(row.at).isoformat(), "last": row.close}]


def _actions(market: AlphaVantageMarket, name: str) -> list[tuple[datetime, Record]]:
    found: list[tuple[datetime, Record]] = []
    for row, more in market.days(name):
        nothing: Record = {"action_id": "", "amount": None, "split_from": None, "split_to": None}
        if more.dividend != "0.0000":
            found.append((_moment(row.at), nothing | {"kind": "dividend", "amount": more.dividend}))
        if more.split != "1.0":
            found.append((_moment(row.at), nothing | {"kind": "split", "split_from": "1", "split_to": more.split}))
    return found


def _values(market: AlphaVantageMarket, name: str, now_s: float) -> list[tuple[datetime, Record]]:
    if name.startswith("TREASURY."):
        function, interval = "TREASURY_YIELD", "daily"
        series = f"{function}/{_MATURITIES[name.removeprefix('TREASURY.')]}"
    else:
        function = _SERIES[name][0] if name in _SERIES else name.replace(".", "_")
        interval = _SERIES[name][1] if name in _SERIES else INDICATORS[function].intervals[0]
        series = function
    today = datetime.fromtimestamp(now_s, UTC).date()
    rows = values(market.walk.numbers, series, INDICATORS[function].typical, interval, today)
    return [(_moment(date.fromisoformat(day)), {"value": None if value == "." else value}) for day, value in rows]


def _news(articles: Articles, name: str, start: datetime, end: datetime) -> list[tuple[datetime, Record]]:
    topics = [name.removeprefix("TOPIC.").lower().replace(".", "_")] if name.startswith("TOPIC.") else []
    about = [] if topics else [_spelled(name)]
    found = articles(about, topics, int(start.timestamp()), int(end.timestamp()), None)
    return [(_moment(one.at_s), _article(one)) for one in found]


def _article(one: Article) -> Record:
    names = {ticker[0]: ticker[0].replace(":", ".").replace("-", ".") for ticker in one.tickers}
    scores = {
        names[ticker]: {"score": score, "label": label, "relevance": relevance}
        for ticker, relevance, score, label in one.tickers
    }
    return {
        "article_id": one.url,
        "url": one.url,
        "title": one.title,
        "source": one.source,
        "author": ", ".join(one.authors) or None,
        "summary": one.summary,
        "instruments": ",".join(names.values()),
        "sentiment": repr(one.score),
        "sentiment_label": one.label,
        "sentiments": json.dumps(scores, ensure_ascii=False, separators=(",", ":")),
    }


def _spelled(name: str) -> str:
    kind, _, rest = name.partition(".")
    if kind in ("CRYPTO", "FOREX"):
        return f"{kind}:{rest}"
    return f"{kind}-{rest}" if len(rest) == 1 else name


def _moment(at: date | int) -> datetime:
    if isinstance(at, int):
        return datetime.fromtimestamp(at, UTC)
    return datetime(at.year, at.month, at.day, tzinfo=UTC)
