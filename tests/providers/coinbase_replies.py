"""The queries coinbase is tested with, and answers to their requests. Invariant: all received an hour after T0."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

from ingest.providers import coinbase
from ingest.providers.contract import Query
from tests.providers.payloads import T0, answer

MINUTE = timedelta(minutes=1)
BARS = Query("bars", ("BTC-USD",), "1m", T0, T0 + timedelta(minutes=650))
TRADES = Query("trades", ("BTC-USD",), None, T0 + MINUTE, T0 + 2 * MINUTE)
QUOTES = Query("quotes", ("BTC-USD",))
BOOKS = Query("books", ("BTC-USD",))


def reply(body, query=BARS, *, status=200, headers=None, **params):
    """Return an answer to one of the query's own requests, received an hour after T0."""
    request = coinbase.build(query)[0]
    request = replace(request, params=(*request.params, *params.items()))
    body = body if isinstance(body, bytes | str) else json.dumps(body)
    received = T0 + timedelta(hours=1)
    return replace(
        answer(body, status=status, headers=headers), request=request, sent_at=received, received_at=received
    )
