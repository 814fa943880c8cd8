"""The queries polygon is tested with, and answers to their requests. Invariant: received at T0 unless it is said."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from ingest.providers import polygon
from ingest.providers.contract import Query
from tests.providers.payloads import T0, answer, payload

DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)
START = datetime(2020, 1, 2, tzinfo=UTC)
BARS = Query("bars", ("AAPL",), "1d", START, START + 2 * DAY)
INTRADAY = Query("bars", ("AAPL",), "5m", START + 17 * timedelta(seconds=1), START + 31 * MINUTE)
WHOLE = Query(
    "bars", ("KIM.PR.L", "VSAT", "AAPL"), "1d", datetime(2020, 10, 14, tzinfo=UTC), datetime(2020, 10, 15, tzinfo=UTC)
)
TRADES = Query("trades", ("AAPL",), None, START, START + MINUTE)
COINS = Query("trades", ("BTC-USD",))
QUOTES, MONEY = Query("quotes", ("AAPL",)), Query("quotes", ("EUR-USD",))
BOOKS = Query("books", ("BTC-USD",))
NEWS = Query("news", ("UBS",), None, START, START + DAY)
FACTS = Query(
    "observations",
    ("TREASURY.10Y", "TREASURY.1Y"),
    None,
    datetime(1962, 1, 1, tzinfo=UTC),
    datetime(1963, 1, 1, tzinfo=UTC),
)
ACTIONS = Query("actions", ("AAPL",), None, datetime(2000, 1, 1, tzinfo=UTC), START)
DOCUMENTED = {
    "aggregates": BARS,
    "grouped": WHOLE,
    "trades": TRADES,
    "trades_crypto": COINS,
    "last_quote": QUOTES,
    "quotes_fx": MONEY,
    "book": BOOKS,
    "news": NEWS,
    "treasury_yields": FACTS,
    "splits": ACTIONS,
    "dividends": ACTIONS,
}


def reply(name, query, *, status=200, headers=None, received=T0):
    """Return an answer to the query's first request; `name` is a payload's, or the body."""
    body = payload("polygon", name) if isinstance(name, str) and re.fullmatch(r"\w+", name) else name
    said = answer(body if isinstance(body, bytes | str) else json.dumps(body), status=status, headers=headers)
    return replace(said, request=polygon.build(query)[0], received_at=received)


def parsed(name, query):
    found = polygon.parse(query, reply(name, query))
    assert found.rejects == ()
    return found.columns
