"""The queries fmp is tested with, and answers to their requests. Invariant: no clock, every answer has T0."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from ingest.providers import fmp
from ingest.providers.contract import Query
from tests.providers.payloads import T0, answer, payload

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def day(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


DAYS = Query("bars", ("AAPL",), "1d", day("2025-02-03"), day("2025-02-05"))
MINUTES = Query("bars", ("AAPL",), "1m", day("2025-02-04"), day("2025-02-05"))
QUOTES = Query("quotes", ("AAPL",))
BOOKS = Query("books", ("AAPL",))
ACTIONS = Query("actions", ("AAPL",), None, None, T0)
SPLITS = replace(ACTIONS, start=day("1980-01-01"))
NEWS = Query("news", ("STOCKS",), None, None, T0)
ARTICLES = Query("news", ("ARTICLES",), None, None, T0)
GDP = Query("observations", ("GDP",), None, None, day("2024-03-01"))
RATES = Query("observations", ("TREASURY.10Y", "TREASURY.1M"), None, None, day("2024-03-01"))
DOCUMENTED = {
    "eod_full": DAYS,
    "eod_legacy": DAYS,
    "eod_adjusted": replace(DAYS, instruments=("ADJUSTED.AAPL",)),
    "chart_1min": MINUTES,
    "quote": QUOTES,
    "aftermarket_quote": BOOKS,
    "dividends": ACTIONS,
    "splits": SPLITS,
    "news_stock": NEWS,
    "fmp_articles": ARTICLES,
    "economic_indicators": GDP,
    "treasury_rates": RATES,
}


def reply(body, query, *, status=200, headers=None, nth=0):
    """Return an answer to one of the query's requests."""
    body = body if isinstance(body, bytes | str) else json.dumps(body)
    return replace(answer(body, status=status, headers=headers), request=fmp.build(query)[nth])


def read(name, query, **options):
    return fmp.parse(query, reply(payload("fmp", name), query, **options))


def spans(requests):
    return [(dict(r.params)["from"], dict(r.params)["to"]) for r in requests]
