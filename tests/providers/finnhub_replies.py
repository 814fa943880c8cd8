"""The queries finnhub is tested with, and answers to their requests. Invariant: no clock, every answer has T0."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from ingest.providers import finnhub
from ingest.providers.contract import Query
from tests.providers.payloads import T0, answer, payload

DAY = timedelta(days=1)
BARS = Query("bars", ("AAPL",), "1m", T0, T0 + timedelta(hours=1))
DAYS = Query("bars", ("AAPL",), "1d", datetime(2019, 9, 24, tzinfo=UTC), datetime(2019, 9, 27, tzinfo=UTC))
TRADES = Query("trades", ("AAPL",), None, datetime(2020, 3, 25, tzinfo=UTC), datetime(2020, 3, 26, tzinfo=UTC))
QUOTES = Query("quotes", ("AAPL",))
BOOKS = Query("books", ("AAPL",))
MARKET_NEWS = Query("news", ("GENERAL",), None, None, T0)
NEWS = Query("news", ("AAPL",), None, datetime(2019, 9, 26, tzinfo=UTC), datetime(2019, 9, 28, tzinfo=UTC))
ECONOMY = Query("observations", ("MA.USA.656880",), None, None, T0)
DOCUMENTED = {
    "candle": DAYS,
    "tick": TRADES,
    "quote": QUOTES,
    "bidask": BOOKS,
    "market_news": MARKET_NEWS,
    "economic": ECONOMY,
}


def reply(body, query, *, status=200, headers=None, nth=-1):
    """Return an answer to one of the query's requests, the last one unless told otherwise."""
    body = body if isinstance(body, bytes | str) else json.dumps(body)
    return replace(answer(body, status=status, headers=headers), request=finnhub.build(query)[nth])


def read(name, query, **options):
    return finnhub.parse(query, reply(payload("finnhub", name), query, **options))
