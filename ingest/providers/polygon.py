"""Polygon (renamed Massive on 2025-10-30): bars, trades, quotes, books, news, actions and economic series; needs a key.

Bars are asked for with `adjusted=false`, so they are raw, and splits and dividends are the dataset `actions`. Many
tickers' daily bars of few days are asked for by day, the whole market at once: with 5 calls a minute on the free plan
that is what makes thousands of shares possible. How instruments are spelt: polygon_parts/tickers.py.

Deliberately not here: WebSocket streams, options, futures and snapshots. Invariant: numbers keep the
digits they were sent with, and a nanosecond never passes through a float.

Sources, read autumn 2026: https://massive.com/docs/rest, called "docs"; https://github.com/massive-com/client-python
2.9.1 (.massive/rest.json, rest/base.py), called "client".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ingest.errors import BadData, FixRequest, KeyRefused, SlowDown, TickfarmError, TryAgain, UnknownName
from ingest.market.intervals import expected_bars
from ingest.market.records import Parsed
from ingest.providers import answers
from ingest.providers.contract import Facts, Query
from ingest.providers.polygon_parts import facts_rows, pages, questions, rows, tickers
from ingest.providers.polygon_parts.pages import bad_page
from ingest.wire import Answer, KeySpec, Limit, Request

_LIMITS = "https://massive.com/knowledge-base/article/what-is-the-request-limit-for-polygons-restful-apis, autumn 2026"
_FINE = frozenset({"OK", "DELAYED", "success"})
_NEEDS_END = ("bars", "observations", "actions")
#: The client tries these again too. Source: client, rest/base.py.
_AGAIN = (413, 499)
_NO_DATA = re.compile(r"data not found", re.IGNORECASE)
_TOO_EARLY = re.compile(r"before end of day", re.IGNORECASE)

facts = Facts(
    name="polygon",
    title="Polygon (Massive)",
    base_url="https://api.massive.com",
    # "Promised to keep working for an extended period", and keys are valid on both. Source: client, README.
    mirrors=("https://api.polygon.io",),
    docs_url="https://massive.com/docs/rest",
    terms_url="https://massive.com/legal/market-data-terms-of-service",
    datasets=("bars", "trades", "quotes", "books", "news", "observations", "actions"),
    # It makes bars of any number of minutes or hours; where those of 2 hours and more begin is not documented.
    intervals={"1m": "1/minute", "3m": "3/minute", "5m": "5/minute", "15m": "15/minute", "30m": "30/minute"}
    | {"1h": "1/hour", "1d": "1/day"},
    page_rows=questions.PAGE_ROWS,
    # Our choice: a session's day ends at 20:00 in New York, 01:00 UTC in winter; cheaper plans are 15 minutes late.
    settle_s=4 * 3600.0,
    limits=(Limit(5, 60, _LIMITS),),
    # "Unlimited", but "we recommend staying under 100 requests per second". Source: as above.
    plans=dict.fromkeys(("starter", "developer", "advanced"), (Limit(99, 1, _LIMITS),)),
    key=KeySpec(
        env="MASSIVE_API_KEY",
        place="header",
        name="Authorization",
        required=True,
        where_to_get="https://massive.com/dashboard/api-keys",
        also=("POLYGON_API_KEY",),
        prefix="Bearer ",
    ),
    batch={
        "bars": 1,
        "trades": 1,
        "quotes": 1,
        "books": 1,
        "news": 1,
        "observations": len(tickers.SERIES),
        "actions": 1,
    },
    # How far the free plan reaches back ("2 years") is unconfirmed: what lies beyond is refused as not entitled.
    trading="XNYS",
    adjustment="none",
    paid={
        "trades": "Stocks Developer, or Currencies Starter",
        "quotes": "Stocks Advanced, or Currencies Starter",
        "books": "Currencies Starter",
    },
    aliases=("massive",),
    lifecycle="renamed",
    lifecycle_note="2025-10-30: Polygon.io is Massive now; its keys and both addresses keep working",
)


def build(query: Query) -> list[Request]:
    """Return the requests for the first pages; `next_page` follows `next_url` from there.

    Raises FixRequest for an instrument that has no such dataset, and for bars, observations and actions without an end.
    """
    if query.dataset not in facts.datasets:
        raise UnknownName("dataset", query.dataset, facts.datasets, provider=facts.name)
    if query.end is None and (query.start is not None or query.dataset in _NEEDS_END):
        raise FixRequest(f"{facts.name}: a query of {query.dataset} needs an end", provider=facts.name)
    return questions.asked(query, tuple(dict.fromkeys(query.instruments)), facts.intervals)


def next_page(request: Request, answer: Answer) -> Request | None:
    """Return the request for `next_url`, or None after the last page, or where `parse` will raise.

    The newest rows, asked for newest first, are one page.
    """
    if ("order", "desc") in request.params or request.path.startswith(questions.BOOKS):
        return None
    try:
        found = pages.following(replace(answer, request=request))
    except BadData:
        return None
    return None if found is None else replace(request, path=found[0], params=found[1])


def error_of(answer: Answer) -> TickfarmError | None:
    """Return the error in the answer: status first, then a `status` in the body that is none of the good ones.

    The text is in `error` or `message`. A 404 that says "Data not found" is an answer without rows.
    """
    error = answers.limit_or_outage(facts.name, answer)
    if isinstance(error, SlowDown) and error.retry_after_s is None:
        error.retry_after_s = 60.0 - answer.received_at.second  # the limit is one of a minute
    said = answers.error_object(answer, b'"status"')
    text = f"{said.get('error') or ''} {said.get('message') or ''}"
    if error is not None or (answer.status == 404 and _NO_DATA.search(text)):
        return error
    return _refusal(answer, said.get("status"), text) or answers.not_json(facts.name, answer)


def parse(query: Query, answer: Answer) -> Parsed:
    """Return the page's rows in its order: ascending in a window, trades and news newest first in a poll.

    Raises BadData where bars are adjusted though raw ones were asked for, or the next page can't be found.
    """
    page, request = pages.page_of(answer), answer.request
    asked = request.instruments or query.instruments
    if ("order", "desc") not in request.params:
        pages.following(answer)
    if query.dataset == "bars":
        return _parsed_bars(query, page, answer)
    if query.dataset == "books":
        return rows.book(page.get("data"), asked[0])
    if query.dataset == "quotes" and type(page.get("results")) is dict:
        return rows.last_quote(page["results"], asked[0])
    found = pages.rows_of(page, answer)
    match query.dataset:
        case "trades":
            parsed = rows.trades(found, asked[0], tickers.market_of(asked[0]))
        case "quotes":
            parsed = rows.quotes(found, asked[0])
        case "news":
            parsed = facts_rows.news(found, asked[0])
        case "observations":
            parsed = facts_rows.observations(found, asked)
        case _:
            parsed = facts_rows.actions(found, {tickers.ticker_of(name): name for name in asked})
    return parsed


def catalogue(text: str = "") -> Request | None:
    """Return the request for the first thousand tickers that `text` finds: in all there are tens of thousands."""
    search = (("search", text),) if text else ()
    return Request("/v3/reference/tickers", (*search, ("active", "true"), ("sort", "ticker"), ("limit", "1000")))


def listed(answer: Answer) -> list[str]:
    """Return the tickers our grammar can spell, and the economic series, which no ticker stands for, with that text."""
    found = []
    for row in pages.rows_of(pages.page_of(answer), answer):
        ticker = row.get("ticker") if type(row) is dict else None
        if type(ticker) is not str:
            raise bad_page("tickers", answer)
        legs = [row.get(name) for name in ("base_currency_symbol", "currency_symbol")]
        pair = (str(legs[0]), str(legs[1])) if None not in legs else None
        found.append(tickers.instrument_of(ticker, pair))
    text = dict(answer.request.params).get("search", "").upper()
    return [name for name in found if name] + [name for name in tickers.SERIES if text in name]


def native_symbol(instrument: str) -> str:
    """Return the ticker of bars: `EUR-USD` is `C:EURUSD`; of an economic series its table and column."""
    return tickers.native_of(instrument)


def instrument_of(native: str) -> str | None:
    """Return our spelling of a ticker, with a hyphen between a pair's legs or without; None for what we can't spell."""
    return tickers.instrument_of(native)


def _parsed_bars(query: Query, page: Mapping[str, Any], answer: Answer) -> Parsed:
    request = answer.request
    asked = {tickers.ticker_of(name): name for name in request.instruments or query.instruments}
    whole, daily = request.path.startswith(questions.GROUPED), query.interval == "1d"
    market = tickers.market_of(next(iter(asked.values())))
    if market == "stocks" and pages.is_raw(request) and page.get("adjusted") is True:
        raise bad_page("bars that are not adjusted", answer)
    if not whole and page.get("ticker", next(iter(asked))) not in list(asked):  # it may be unhashable
        raise bad_page("the ticker that was asked for", answer, rule="unknown_symbol")
    found = pages.rows_of(dict(page), answer)
    if request.start is not None and request.end is not None and query.interval is not None:
        found = found if expected_bars(request.start, request.end, query.interval) else []
    return rows.bars(found, asked, market, daily=daily, whole=whole)


def _refusal(answer: Answer, status: Any, text: str) -> TickfarmError | None:
    """Return the error that status and body tell. Never quotes the provider's text: it may repeat the key."""
    code, instrument = answer.status, answers.only_instrument(answer)
    about: dict[str, Any] = {"provider": facts.name, "status": code, "instrument": instrument}
    error: TickfarmError | None
    if code == 401:
        error = KeyRefused(f"{facts.name}: the API key was refused; set MASSIVE_API_KEY to a valid one", **about)
    elif code == 403 and not isinstance(status, str):
        # Its own refusals are JSON; a page of its CDN's is no verdict on the key.
        error = TryAgain(f"{facts.name}: HTTP 403 without a status, as a bot check sends", **about)
    elif code == 403 or status == "NOT_AUTHORIZED":
        why = (
            "its data of a day only after the day" if _TOO_EARLY.search(text) else "no such data, or not that far back"
        )
        error = FixRequest(f"{facts.name}: the plan of MASSIVE_API_KEY has {why}", **about)
    elif code == 404 and status == "NOT_FOUND" and instrument is not None:
        error = UnknownName("instrument", instrument, (), provider=facts.name)
        error.status, error.instrument = code, instrument
    elif code in _AGAIN:
        error = TryAgain(f"{facts.name} could not serve the request (HTTP {code})", **about)
    elif 200 <= code < 300 and isinstance(status, str) and status not in _FINE:
        error = FixRequest(f"{facts.name} can't answer {answer.request.path} as asked: it says so in a 200", **about)
    else:
        error = answers.refusal(facts.name, answer)
    return error
