"""The queries kraken is tested with, and answers to their requests. Invariant: all received an hour after T0."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

from ingest.providers import kraken
from ingest.providers.contract import Query
from tests.providers.payloads import T0, answer

MINUTE = timedelta(minutes=1)
BARS = Query("bars", ("BTC-USD",), "1m", T0, T0 + timedelta(minutes=60))
TRADES = Query("trades", ("BTC-USD",), None, T0 + MINUTE, T0 + 2 * MINUTE)
NEWEST = Query("trades", ("BTC-USD",))
QUOTES = Query("quotes", ("DOGE-USD", "BTC-USDT", "BTC-USD", "XRP-USD"))
BOOKS = Query("books", ("BTC-USD",))


def reply(body, query=BARS, *, status=200, headers=None, request=None, received=T0 + timedelta(hours=1)):
    """Return an answer to the query's first request, or to the one given."""
    body = body if isinstance(body, bytes | str) else json.dumps(body)
    request = request or kraken.build(query)[0]
    said = answer(body, status=status, headers=headers)
    return replace(said, request=request, sent_at=received, received_at=received)


def page(rows, last=None, *, key="XXBTZUSD"):
    """Return a page of rows; `last` as it is given."""
    return {"error": [], "result": {key: rows} | ({} if last is None else {"last": last})}
