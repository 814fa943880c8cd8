"""Finnhub: quotes and news on the free plan; bars, trades, the best bid and ask, and economic series on paid ones.

An unknown symbol's quote is a 200 full of zeros. Instruments: shares (`AAPL`, `TSCO.L`), pairs (`EUR-USD`, `BTC-USDT`:
bars only), economic codes with dots (`MA.USA.656880`), and for news a share or one of GENERAL, FOREX, CRYPTO, MERGER.
The best bid and ask are paid for while the last price is not, so they are a dataset of their own: `books`, one level.

Deliberately not here: WebSocket streams, calendars, dividends and splits, FX rates (their answer has no date), social
sentiment (counts, no posts), historical NBBO (quotes have no history here). Invariant: numbers keep their digits.

Sources, read 2026-11-25: https://github.com/Finnhub-Stock-API/finnhub-go api/openapi.yaml of 2026-06, called "openapi";
https://finnhub.io/docs/api as quoted publicly; https://github.com/finnhubio/Finnhub-API issues, called "issues".
"""

from __future__ import annotations

import re
from dataclasses import replace

from ingest.errors import FixRequest, TickfarmError, UnknownName
from ingest.market.markets import EXCHANGES
from ingest.market.records import Parsed
from ingest.providers import answers
from ingest.providers.contract import Facts, Query
from ingest.providers.finnhub_parts import errors, questions, rows, symbols
from ingest.wire import Answer, KeySpec, Limit, Request

_LIMITS = "https://finnhub.io/docs/api/rate-limit, autumn 2026"
_PAID = "a market data plan"

facts = Facts(
    name="finnhub",
    title="Finnhub",
    base_url="https://finnhub.io/api/v1",
    # Source: https://github.com/Finnhub-Stock-API/finnhub-python client.py, which uses it.
    mirrors=("https://api.finnhub.io/api/v1",),
    docs_url="https://finnhub.io/docs/api",
    terms_url="https://finnhub.io/terms-of-service",
    datasets=("bars", "trades", "quotes", "books", "news", "observations"),
    # "Supported resolution includes 1, 5, 15, 30, 60, D, W, M". Source: openapi. 60 is on the full hour: issues, 309.
    intervals={"1m": "1", "5m": "5", "15m": "15", "30m": "30", "1h": "60", "1d": "D"},
    page_rows=questions.TICK_ROWS,
    # Our choice: trades are reported late by some venues.
    settle_s=900.0,
    # Free: 60 a minute; "On top of all plan's limit, there is a 30 API calls/ second limit."
    limits=(Limit(60, 60, _LIMITS), Limit(30, 1, _LIMITS)),
    key=KeySpec(
        env="FINNHUB_API_KEY",
        place="header",
        name="X-Finnhub-Token",
        required=True,
        where_to_get="https://finnhub.io/register",
    ),
    batch=dict.fromkeys(("bars", "trades", "quotes", "books", "news", "observations"), 1),
    # "up to 1 year back" on the free plan. Source: https://finnhub.io/docs/api/company-news as quoted publicly.
    reach_days={"news": 365},
    trading="XNYS",
    exchanges=dict(EXCHANGES)
    | {"L": "XLON", "DE": "XETR", "F": "XFRA", "TO": "XTSE", "T": "XTKS", "SS": "XSHG", "BO": "XBOM"},
    # "Daily data will be adjusted for Splits. Intraday data will remain unadjusted." Source: openapi.
    adjustment="splits",
    paid={"bars": _PAID, "trades": _PAID, "books": _PAID, "observations": "an economic data plan"},
)

_COUNT, _TOTAL = (re.compile(rb'"%s"\s*:\s*(\d{1,9})\b' % name) for name in (b"count", b"total"))


def build(query: Query) -> list[Request]:
    """Return the requests, one or more an instrument: by months (intraday bars) or by days (trades, news).

    Raises FixRequest for a window of market news, which can only be polled, and for a live poll of trades, which are
    asked for by their date.
    """
    if query.dataset not in facts.datasets:
        raise UnknownName("dataset", query.dataset, facts.datasets, provider=facts.name)
    if query.start is not None and query.end is None:
        raise FixRequest(f"{facts.name}: a window needs an end as well as a start", provider=facts.name)
    names = dict.fromkeys(query.instruments)
    return [request for name in names for request in questions.asked(name, query, facts.intervals)]


def next_page(request: Request, answer: Answer) -> Request | None:
    """Return the request for the day's next ticks, or None once they are as many as `total` says.

    "If count < limit, all data for that date has been returned" (openapi) decides where there is no total.
    """
    if request.path != "/stock/tick":
        return None
    params = dict(request.params)
    count, total = (_number(pattern, answer.body) for pattern in (_COUNT, _TOTAL))
    if not count:
        return None
    read = int(params["skip"]) + count
    if count < int(params["limit"]) if total is None else read >= total:
        return None
    params["skip"] = str(read)
    return replace(request, params=tuple(params.items()))


def error_of(answer: Answer) -> TickfarmError | None:
    """Return the error in the answer: status first, then `{"error": ".."}`, then the zeros of an unknown symbol."""
    return (
        errors.by_status(answer, errors.said_in(answer))
        or answers.refusal(facts.name, answer)
        or errors.in_a_200(answer)
        or errors.unknown_symbol(answer)
        or answers.not_json(facts.name, answer)
    )


def parse(query: Query, answer: Answer) -> Parsed:
    """Return the answer's rows in its order: bars and ticks ascending, news from the newest."""
    page = answers.load(facts.name, answer, numbers_as_text=True)
    instrument = (answer.request.instruments or query.instruments)[0]
    match query.dataset:
        case "bars":
            return rows.candles(page, instrument, query.interval or "", answer)
        case "trades":
            return rows.ticks(page, instrument, answer)
        case "quotes":
            return rows.quote(page, instrument, answer)
        case "books":
            return rows.best_bid_and_ask(page, instrument, answer)
        case "news":
            return rows.news(page, instrument, answer)
        case _:
            return rows.observations(page, instrument, answer)


def catalogue(text: str = "") -> Request | None:
    """Return the request for all US shares, or with a text for what is found by it anywhere."""
    return Request("/search", (("q", text),)) if text else Request("/stock/symbol", (("exchange", "US"),))


def listed(answer: Answer) -> list[str]:
    """Return the instruments of either that our grammar can spell."""
    page = answers.load(facts.name, answer, numbers_as_text=True)
    found = page.get("result") if type(page) is dict else page
    if type(found) is not list or any(type(one) is not dict or type(one.get("symbol")) is not str for one in found):
        raise rows.bad_page("a list of objects with a symbol", answer)
    names = (symbols.instrument_of(one["symbol"]) for one in found)
    return list(dict.fromkeys(name for name in names if name is not None))


def native_symbol(instrument: str) -> str:
    """Return the spelling of bars: `OANDA:EUR_USD`, `BINANCE:BTCUSDT`, `AAPL`. Raises FixRequest for other pairs."""
    return symbols.native_symbol(instrument)


def instrument_of(native: str) -> str | None:
    """Return our spelling, None for a symbol of another exchange."""
    return symbols.instrument_of(native)


def _number(pattern: re.Pattern[bytes], body: bytes) -> int | None:
    """Return a member's number without decoding the rows: in a JSON string its quotes would be escaped."""
    found = pattern.search(body)
    return None if found is None else int(found[1])
