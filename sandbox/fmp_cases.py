"""What a farm must make of FMP: windows to copy whole, their rows, and errors with what must follow.

Deliberately not here: answers (`dialects/fmp.py`). Invariant: rows come from the market, never out of an answer.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

from sandbox import fmp_actions
from sandbox.contract import ErrorCase, Example
from sandbox.finnhub_market import NEW_YORK, SHARES
from sandbox.fmp_market import FmpMarket

#: Rows of a page of news at most, there 250.
NEWS_ROWS = 20
INTERVALS = {"1min": 1, "5min": 5, "15min": 15, "30min": 30, "1hour": 60, "4hour": 240}
_INTERVALS = {"1m": 1, "5m": 5, "15m": 15, "30m": 30}
#: How people write the address of other adjustments: before the share.
_ADDRESSES = ("UNADJUSTED.", "ADJUSTED.")
_SYMBOLS = {"BTC-USD": "BTCUSD", "EUR-USD": "EURUSD"}
_FEEDS = {"GENERAL": "general", "ARTICLES": "articles"}
_INDICATORS = {"GDP": "GDP", "REAL.GDP": "realGDP", "FEDERAL.FUNDS": "federalFunds"}
_TENORS = {"TREASURY.10Y": "year10", "TREASURY.1M": "month1"}
#: How people write what an article is about; the others can't be written.
_NAMES = {"AAPL": "AAPL", "BRK-B": "BRK.B", "BTCUSD": "BTC-USD", "EURUSD": "EUR-USD", "^VIX": "INDEX.VIX"}
_DOCS = "https://site.financialmodelingprep.com/developer/docs/stable"

QUOTE = Example("quotes", "AAPL")
#: over the Sunday on which New York changes to summer time
MINUTES = Example("bars", "AAPL", "1m", "2024-03-07T14:31:00Z", "2024-03-13T00:00:00Z")
EXAMPLES = (
    Example("bars", "AAPL", "1d", "2000-03-01T00:00:00Z", "2013-03-02T00:00:00Z"),
    Example("bars", "UNADJUSTED.AAPL", "1d", "2004-10-01T00:00:00Z", "2005-04-01T00:00:00Z"),
    #: two dividends within, one of them twice, and many after it
    Example("bars", "ADJUSTED.MSFT", "1d", "2004-08-01T00:00:00Z", "2005-04-01T00:00:00Z"),
    Example("bars", "BTC-USD", "1d", "2024-01-01T00:00:00Z", "2024-03-01T00:00:00Z"),
    MINUTES,
    Example("bars", "IBM", "15m", "2025-09-20T00:00:00Z", "2025-11-08T00:00:00Z"),
    Example("bars", "MSFT", "30m", "2025-10-30T15:17:00Z", "2025-11-05T18:00:00Z"),
    QUOTE,
    Example("books", "MSFT"),
    Example("actions", "AAPL", "", "2000-01-01T00:00:00Z", "2021-01-01T00:00:00Z"),
    #: with two dividends on one day
    Example("actions", "MSFT", "", "2003-02-18T00:00:00Z", "2005-02-08T00:00:00Z"),
    #: a reverse split, and no dividends
    Example("actions", "FB", "", "2012-06-01T00:00:00Z", "2014-01-01T00:00:00Z"),
    Example("news", "GENERAL", "", "2026-02-01T03:00:00Z", "2026-02-15T12:00:00Z"),
    Example("news", "AAPL", "", "2026-03-06T00:00:00Z", "2026-03-11T00:00:00Z"),
    Example("news", "BTC-USD", "", "2026-06-01T00:00:00Z", "2026-06-03T00:00:00Z"),
    Example("news", "EUR-USD", "", "2026-06-01T00:00:00Z", "2026-06-03T00:00:00Z"),
    Example("news", "ARTICLES"),
    Example("observations", "REAL.GDP", "", "2015-01-01T00:00:00Z", "2021-01-01T00:00:00Z"),
    Example("observations", "FEDERAL.FUNDS", "", "2024-01-02T00:00:00Z", "2025-01-01T00:00:00Z"),
    Example("observations", "TREASURY.1M", "", "2024-01-01T00:00:00Z", "2024-12-31T00:00:00Z"),
)


def _said(status: int, text: str) -> dict[str, object]:
    return {"fault": "status", "args": {"status": status, "body": f'{{"Error Message": "{text}"}}'}}


_LIMIT = "Limit Reach . Please upgrade your plan or visit our documentation for more details at https://site"
_PREMIUM = "Premium Query Parameter: this value set for 'symbol' is not available under your current subscription"
_SPECIAL = "Special Endpoint : This endpoint is not available under your current subscription please upgrade your plan"
_LEGACY = "Legacy Endpoint : this endpoint is only available for legacy users prior August 31, 2025"

ERROR_CASES = (
    ErrorCase("a key that does not exist", QUOTE, "key", _DOCS, key="wrong-key"),
    ErrorCase("the same in a 200", QUOTE, "key", _DOCS, _said(200, "Invalid API KEY. Please retry or visit our docs")),
    ErrorCase("the day's calls are spent", QUOTE, "quota", _DOCS, _said(429, _LIMIT)),
    ErrorCase("the same in a 200", EXAMPLES[0], "quota", _DOCS, _said(200, _LIMIT)),
    ErrorCase("the bandwidth is spent", QUOTE, "wait", _DOCS, _said(429, f"Bandwidth {_LIMIT}")),
    ErrorCase("a symbol the plan lacks", QUOTE, "plan", _DOCS, _said(402, _PREMIUM)),
    ErrorCase("an address the plan lacks", MINUTES, "plan", _DOCS, _said(200, _SPECIAL)),
    ErrorCase("a legacy address", QUOTE, "plan", _DOCS, _said(403, _LEGACY)),
    ErrorCase("a symbol that does not exist", Example("quotes", "NOSUCH"), "unknown", _DOCS),
    ErrorCase("no such address", QUOTE, "request", _DOCS, {"fault": "status", "args": {"status": 404, "body": "[]"}}),
    ErrorCase("its side fails", QUOTE, "again", _DOCS, {"fault": "status", "args": {"status": 500}}),
    ErrorCase(
        "bars of a weekend",
        Example("bars", "AAPL", "1m", "2024-05-04T12:00:00Z", "2024-05-05T12:00:00Z"),
        "nothing",
        _DOCS,
    ),
    ErrorCase(
        "years without an action",
        Example("actions", "FB", "", "2013-01-01T00:00:00Z", "2014-01-01T00:00:00Z"),
        "nothing",
        _DOCS,
    ),
)

_Rows = Iterator[tuple[datetime, dict[str, str | None]]]


def rows_of(market: FmpMarket, example: Example, *, now_s: float) -> list[dict[str, str | None]]:
    """Return the example's rows at `now_s`, oldest first."""
    start, end = (_moment(text) if text else None for text in (example.start, example.end))
    make = {"bars": _bars, "quotes": _quotes, "books": _books, "news": _news, "observations": _observations}
    make["actions"] = _actions
    every = make[example.dataset](market, example, now_s)
    return [row for when, row in every if (start is None or start <= when) and (end is None or when < end)]


def _bars(market: FmpMarket, example: Example, now_s: float) -> _Rows:
    address = next((one for one in _ADDRESSES if example.instrument.startswith(one)), "")
    name = example.instrument.removeprefix(address)
    symbol = _SYMBOLS.get(name, name)
    if example.interval == "1d":
        first, last = (_moment(text).date() for text in (example.start, example.end))
        days = market.days(symbol, first, last, now_s=now_s)
        if address == "ADJUSTED.":
            today = datetime.fromtimestamp(now_s, NEW_YORK).date()
            days = fmp_actions.less_dividends(market.market.walk, symbol, days, today)
        bars = [one for _, one in days]
    else:
        first, last = (_moment(text).astimezone(NEW_YORK).date() for text in (example.start, example.end))
        bars = market.minutes(symbol, _INTERVALS[example.interval], first, last, now_s=now_s)
    for one in bars:
        prices = {"open": one.open, "high": one.high, "low": one.low, "close": one.close, "volume": one.volume}
        yield _row(one.open_s * 1000, prices)


def _quotes(market: FmpMarket, example: Example, now_s: float) -> _Rows:
    yield _row(int(now_s) * 1000, {"last": market.market.quote(example.instrument, now_s)["c"]})


def _books(market: FmpMarket, example: Example, now_s: float) -> _Rows:
    best = market.market.bid_and_ask(example.instrument, now_s)
    names = {"bid_prices": "b", "bid_sizes": "bv", "ask_prices": "a", "ask_sizes": "av"}
    yield _row(int(now_s * 1000), {column: best[name] for column, name in names.items()})


def _actions(market: FmpMarket, example: Example, now_s: float) -> _Rows:
    """Yield dividends in today's shares, then splits; the second of a day is told by how often it comes."""
    today, before = datetime.fromtimestamp(now_s, NEW_YORK).date(), ""
    nothing = dict.fromkeys(("amount", "split_from", "split_to", "declared_on", "recorded_on", "paid_on"))
    found = []
    for one in fmp_actions.dividends(market.market.walk, example.instrument, today):
        dates = {"declared_on": one.declared or None, "recorded_on": one.recorded, "paid_on": one.paid}
        told = {"kind": "dividend", "action_id": one.frequency if one.day == before else "", "amount": one.adjusted}
        found.append((one.day, nothing | told | dates))
        before = one.day
    for day, new, old in fmp_actions.splits(example.instrument, today):
        ratio = {"kind": "split", "action_id": "", "split_from": str(old), "split_to": str(new)}
        found.append((day, nothing | ratio))
    for day, row in sorted(found, key=lambda one: one[0]):
        yield _row(_midnight_ms(date.fromisoformat(day)), row)


def _news(market: FmpMarket, example: Example, now_s: float) -> _Rows:
    name = _SYMBOLS.get(example.instrument, _FEEDS.get(example.instrument, example.instrument))
    assert name in (*SHARES, *_SYMBOLS.values(), *_FEEDS.values())
    is_own = name == "articles"
    if example.start:
        first, last = (_moment(text).astimezone(NEW_YORK).date() for text in (example.start, example.end))
        found = market.news(name, first, last, now_s=now_s)
    else:
        last = datetime.fromtimestamp(now_s, NEW_YORK).date()
        found = market.news(name, last - timedelta(days=60), last, now_s=now_s)[:NEWS_ROWS]
    for one in reversed(found):
        about = _NAMES.get(one.symbol or "", "")
        texts = {"article_id": one.url, "url": one.url, "title": one.title, "summary": one.text, "instruments": about}
        source = {"source": one.site, "author": one.publisher} if is_own else {"source": one.publisher, "author": None}
        yield _row(one.time_s * 1000, texts | source)


def _observations(market: FmpMarket, example: Example, now_s: float) -> _Rows:
    if example.instrument in _INDICATORS:
        for day, value in market.indicator(_INDICATORS[example.instrument], now_s=now_s):
            yield _row(_midnight_ms(day), {"value": value})
        return
    day, last = _moment(example.start).date(), _moment(example.end).date()
    while day <= last:
        rates = market.treasury(day, now_s=now_s)
        if rates is not None:
            yield _row(_midnight_ms(day), {"value": rates[_TENORS[example.instrument]]})
        day += timedelta(days=1)


def _midnight_ms(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1000


def _row(time_ms: int, values: dict[str, str] | dict[str, str | None]) -> tuple[datetime, dict[str, str | None]]:
    when = datetime.fromtimestamp(time_ms // 1000, UTC) + timedelta(milliseconds=time_ms % 1000)
    return when, {"ts": when.isoformat(timespec="milliseconds").replace("+00:00", "Z"), **values}


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))
