"""What Alpha Vantage is asked: the function and the parameters of each dataset, of shares' minutes a month at a time.

Deliberately not here: which queries it has at all, the pages after the first (../alpha_vantage.py), names (names.py).
Invariant: the requests of a window cover all of it that there is.

Source: https://www.alphavantage.co/documentation, autumn 2026.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from ingest.errors import FixRequest, UnknownName
from ingest.market.markets import CURRENCIES
from ingest.market.symbols import is_pair, legs
from ingest.providers.alpha_vantage_parts import names
from ingest.providers.contract import Query
from ingest.wire import Request

_NAME = "alpha_vantage"
PATH = "/query"
#: "the API will return 50 results, you can also set limit=1000". Read at each call, so that a test can lower it.
NEWS_ROWS = 1_000
#: A live poll's articles: some days of a busy ticker's.
NEWEST_NEWS = 200
#: Months of minutes are cut by the exchange's clock.
_EXCHANGE = ZoneInfo("America/New_York")
#: "history since 2000-01".
_FIRST_MONTH = (2000, 1)


def asked(query: Query, instrument: str, intervals: Mapping[str, str]) -> list[Request]:
    """Return the first pages that answer a query of one instrument. Raises FixRequest for what has no such dataset."""
    params: tuple[tuple[str, str], ...]
    match query.dataset:
        case "bars":
            return _bars(query, instrument, intervals[str(query.interval)])
        case "actions":
            params = (("function", "TIME_SERIES_DAILY_ADJUSTED"), ("symbol", names.share(instrument)))
            params = (*params, ("outputsize", "compact"))
        case "quotes" if is_pair(instrument):
            base, quote = legs(instrument)
            params = (("function", "CURRENCY_EXCHANGE_RATE"), ("from_currency", base), ("to_currency", quote))
        case "quotes":
            params = (("function", "GLOBAL_QUOTE"), ("symbol", names.share(instrument)))
        case "news":
            params = _news(query, instrument)
        case _:
            params = _observations(instrument)
    return [Request(PATH, params, (), (instrument,), 1, query.start, query.end if query.start else None)]


def _bars(query: Query, instrument: str, interval: str) -> list[Request]:
    is_daily = interval == "daily"
    by_width = () if is_daily else (("interval", interval),)
    pair: tuple[tuple[str, str], ...]
    size: tuple[tuple[str, str], ...] = (("outputsize", "compact"),)
    if is_pair(instrument):
        base, quote, is_money = names.money(instrument)
        if is_money:
            function = "FX_DAILY" if is_daily else "FX_INTRADAY"
            pair = (("from_symbol", base), ("to_symbol", quote))
        elif quote in CURRENCIES:
            function = "DIGITAL_CURRENCY_DAILY" if is_daily else "CRYPTO_INTRADAY"
            pair, size = (("symbol", base), ("market", quote)), () if is_daily else size
        else:
            said = f"{_NAME} has bars of coins in states' money only, like BTC-USD; found {instrument}"
            raise FixRequest(said, provider=_NAME, instrument=instrument)
    elif is_daily:
        function, pair = "TIME_SERIES_DAILY", (("symbol", names.share(instrument)),)
    else:
        return _minutes(query, instrument, interval)
    params = (("function", function), *pair, *by_width, *size)
    return [Request(PATH, params, (), (instrument,), 1, query.start, query.end if query.start else None)]


def _minutes(query: Query, instrument: str, interval: str) -> list[Request]:
    """Return a share's minutes: by months of the exchange's clock, or the newest 100."""
    fixed = (
        ("function", "TIME_SERIES_INTRADAY"),
        ("symbol", names.share(instrument)),
        ("interval", interval),
        ("adjusted", "false"),
        ("extended_hours", "false"),
    )
    if query.start is None or query.end is None:
        return [Request(PATH, (*fixed, ("outputsize", "compact")), (), (instrument,))]
    requests = []
    start = query.start
    while start < query.end:
        local = start.astimezone(_EXCHANGE)
        first = local.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        following = (first + timedelta(days=32)).replace(day=1).astimezone(UTC)
        if (local.year, local.month) >= _FIRST_MONTH:
            params = (*fixed, ("month", f"{local:%Y-%m}"), ("outputsize", "full"))
            requests.append(Request(PATH, params, (), (instrument,), 1, start, min(following, query.end)))
        start = following
    if not requests:
        said = f"{_NAME} has minutes since 2000-01 only; the window ends {query.end.isoformat()}"
        raise FixRequest(said, provider=_NAME, instrument=instrument)
    return requests


def _news(query: Query, instrument: str) -> tuple[tuple[str, str], ...]:
    """Return what asks for one name's articles: with two tickers it would be those about both."""
    is_topic = instrument.startswith("TOPIC.")
    about = ("topics", names.topic(instrument)) if is_topic else ("tickers", names.about(instrument))
    params = (("function", "NEWS_SENTIMENT"), about)
    if query.start is None or query.end is None:
        return (*params, ("sort", "LATEST"), ("limit", str(NEWEST_NEWS)))
    # Whether `time_to` takes its own minute in is not said; one more does no harm, as what is too much is cut.
    until = minute(query.end + timedelta(minutes=1))
    window = (("time_from", minute(query.start)), ("time_to", until))
    return (*params, *window, ("sort", "EARLIEST"), ("limit", str(NEWS_ROWS)))


def _observations(instrument: str) -> tuple[tuple[str, str], ...]:
    if instrument not in names.ECONOMIC:
        raise UnknownName("instrument", instrument, names.ECONOMIC, provider=_NAME)
    function, kind = names.ECONOMIC[instrument]
    if function == "TREASURY_YIELD":
        return (("function", function), ("interval", "daily"), ("maturity", kind))
    return (("function", function), ("interval", kind)) if kind else (("function", function),)


def minute(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y%m%dT%H%M}"
