"""What a farm must make of Finnhub: windows to copy whole, their rows, and errors with what must follow.

Deliberately not here: answers (`dialects/finnhub.py`). Invariant: rows come from the market, never out of an answer.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

from sandbox.contract import ErrorCase, Example
from sandbox.finnhub_market import CODES, PAIRS, SHARES, Candle, FinnhubMarket, is_day_over

#: Codes of exchanges whose shares the key's plan lacks.
FOREIGN = ("L", "DE", "PA", "TO", "HK")
NEWEST_NEWS = 100
_MINUTES = {"1m": 1, "5m": 5, "15m": 15, "30m": 30, "1h": 60}
_SYMBOLS = {"BTC-USDT": "BINANCE:BTCUSDT", "ETH-BTC": "BINANCE:ETHBTC", "EUR-USD": "OANDA:EUR_USD"}
_OPENAPI = "https://github.com/Finnhub-Stock-API/finnhub-go api/openapi.yaml"
_ISSUES = "https://github.com/finnhubio/Finnhub-API/issues"

QUOTE = Example("quotes", "AAPL")
EXAMPLES = (
    Example("bars", "AAPL", "1d", "2012-01-03T00:00:00Z", "2013-01-01T00:00:00Z"),
    #: over the Sunday on which New York changes to summer time, and over more than a month
    Example("bars", "MSFT", "5m", "2024-02-20T15:02:00Z", "2024-04-05T16:00:00Z"),
    Example("bars", "IBM", "1h", "2025-10-20T00:00:00Z", "2025-11-08T00:00:00Z"),
    Example("bars", "BTC-USDT", "15m", "2024-05-01T00:00:00Z", "2024-05-08T00:00:00Z"),
    Example("bars", "BTC-USDT", "1d", "2024-01-01T00:00:00Z", "2024-07-01T00:00:00Z"),
    Example("bars", "EUR-USD", "1h", "2024-05-01T00:00:00Z", "2024-05-15T00:00:00Z"),
    #: Friday's last hour in New York is Saturday in UTC
    Example("trades", "AAPL", "", "2024-11-28T14:35:10Z", "2024-11-30T00:20:00Z"),
    QUOTE,
    Example("books", "AAPL"),
    Example("news", "AAPL", "", "2026-02-03T01:30:00Z", "2026-02-06T00:00:00Z"),
    Example("news", "GENERAL"),
    Example("observations", "MA.USA.656880", "", "2015-01-01T00:00:00Z", "2021-01-01T00:00:00Z"),
)


def _said(status: int, text: str) -> dict[str, object]:
    return {"fault": "status", "args": {"status": status, "body": f'{{"error":"{text}"}}'}}


ERROR_CASES = (
    ErrorCase("a key that does not exist", QUOTE, "key", f"{_ISSUES}/405", key="wrong-key"),
    ErrorCase(
        "no key at all",
        QUOTE,
        "key",
        f"{_ISSUES}/122",
        _said(429, "API limit reached. Please sign up for a free account to continue using the API."),
    ),
    ErrorCase(
        "more calls than the minute has",
        QUOTE,
        "wait",
        f"{_ISSUES}/466",
        _said(429, "API limit reached. Please try again later. Remaining Limit: 0"),
    ),
    ErrorCase("a share of another country", Example("quotes", "TSCO.L"), "plan", f"{_ISSUES}/405"),
    ErrorCase(
        "the same as it was once",
        QUOTE,
        "plan",
        f"{_ISSUES}/405",
        _said(401, "You don't have access to this resource."),
    ),
    ErrorCase(
        "candles on the free plan",
        EXAMPLES[0],
        "plan",
        f"{_ISSUES}/546",
        _said(403, "You don't have access to this resource."),
    ),
    ErrorCase("a symbol that does not exist", Example("quotes", "NOSUCH"), "unknown", f"{_ISSUES}/65"),
    ErrorCase("a wrong parameter", QUOTE, "request", f"{_OPENAPI}: 422", _said(422, "Wrong parameter.")),
    ErrorCase("its side fails", QUOTE, "again", f"{_OPENAPI}: 502", {"fault": "status", "args": {"status": 502}}),
    ErrorCase(
        "a weekend",
        Example("bars", "AAPL", "1m", "2024-05-04T00:00:00Z", "2024-05-05T00:00:00Z"),
        "nothing",
        f"{_OPENAPI}: no_data",
    ),
)


def rows_of(market: FinnhubMarket, example: Example, *, now_s: float) -> list[dict[str, str | None]]:
    """Return the example's rows at `now_s`, oldest first."""
    start, end = (_moment(text) if text else None for text in (example.start, example.end))
    every = {
        "bars": _bars,
        "trades": _trades,
        "quotes": _quotes,
        "books": _books,
        "news": _news,
        "observations": _observations,
    }[example.dataset](market, example, now_s)
    return [row for when, row in every if (start is None or start <= when) and (end is None or when < end)]


_Rows = Iterator[tuple[datetime, dict[str, str | None]]]


def _bars(market: FinnhubMarket, example: Example, now_s: float) -> _Rows:
    symbol = _SYMBOLS.get(example.instrument, example.instrument)
    assert symbol in SHARES or symbol in PAIRS
    span = int(_moment(example.start).timestamp()), int(_moment(example.end).timestamp())
    if example.interval == "1d":
        for one in market.daily_candles(symbol, span, in_new_york=False, now_s=now_s):
            yield _bar(one)
        return
    for one in market.candles(symbol, _MINUTES[example.interval], span, now_s=now_s):
        yield _bar(one)


def _bar(one: Candle) -> tuple[datetime, dict[str, str | None]]:
    prices = {"open": one.open, "high": one.high, "low": one.low, "close": one.close, "volume": one.volume}
    return _row(one.open_s * 1000, prices)


def _trades(market: FinnhubMarket, example: Example, now_s: float) -> _Rows:
    day, last = _moment(example.start).date() - timedelta(days=1), _moment(example.end).date()
    while day <= last:
        ticks = market.ticks(example.instrument, day) if is_day_over(day, now_s) else ()
        for place, one in enumerate(ticks, start=1):
            yield _row(one.time_ms, {"trade_id": str(place), "price": one.price, "size": one.size})
        day += timedelta(days=1)


def _quotes(market: FinnhubMarket, example: Example, now_s: float) -> _Rows:
    yield _row(int(now_s) * 1000, {"last": market.quote(example.instrument, now_s)["c"]})


def _books(market: FinnhubMarket, example: Example, now_s: float) -> _Rows:
    best = market.bid_and_ask(example.instrument, now_s)
    names = {"bid_prices": "b", "bid_sizes": "bv", "ask_prices": "a", "ask_sizes": "av"}
    yield _row(int(now_s * 1000), {column: best[name] for column, name in names.items()})


def _news(market: FinnhubMarket, example: Example, now_s: float) -> _Rows:
    if not example.start:
        found = market.market_news(example.instrument.lower(), NEWEST_NEWS, now_s=now_s)
    else:
        first, last = _moment(example.start).date(), _moment(example.end).date()
        days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
        found = [one for day in days for one in market.company_news(example.instrument, day)]
    for one in sorted(found, key=lambda one: one.time_s):
        texts = {"title": one.headline, "url": one.url, "source": one.source, "summary": one.summary}
        names = ",".join(name for name in one.related.split(",") if "/" not in name)
        yield _row(one.time_s * 1000, {"article_id": str(one.id or one.url), **texts, "instruments": names})


def _observations(market: FinnhubMarket, example: Example, now_s: float) -> _Rows:
    code = example.instrument.replace(".", "-")
    assert code in CODES
    for day, value in market.series(code, now_s=now_s):
        midnight = datetime.combine(date.fromisoformat(day), datetime.min.time(), UTC)
        yield _row(int(midnight.timestamp()) * 1000, {"value": value})


def _row(time_ms: int, values: dict[str, str]) -> tuple[datetime, dict[str, str | None]]:
    when = datetime.fromtimestamp(time_ms // 1000, UTC) + timedelta(milliseconds=time_ms % 1000)
    return when, {"ts": when.isoformat(timespec="milliseconds").replace("+00:00", "Z"), **values}


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))
