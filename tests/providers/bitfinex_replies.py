"""The queries bitfinex is tested with, and answers to their requests. Invariant: all received an hour after T0."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

from ingest.providers import bitfinex
from ingest.providers.contract import Query
from tests.providers.payloads import T0, answer

MINUTE, MS = timedelta(minutes=1), timedelta(milliseconds=1)
T0_MS = 1727740800000
BARS = Query("bars", ("BTC-USD",), "1m", T0, T0 + timedelta(minutes=60))
TRADES = Query("trades", ("BTC-USD",), None, T0, T0 + MINUTE)
NEWEST = Query("trades", ("BTC-USD",))
QUOTES = Query("quotes", ("DOGE-USD", "BTC-USD", "ETH-USD"))
QUOTE = Query("quotes", ("BTC-USD",))
BOOKS = Query("books", ("BTC-USD",))


def reply(body, query=BARS, *, status=200, headers=None, request=None, received=T0 + timedelta(hours=1)):
    """Return an answer to the query's first request, or to the one given."""
    body = body if isinstance(body, bytes | str) else json.dumps(body)
    request = request or bitfinex.build(query)[0]
    said = answer(body, status=status, headers=headers)
    return replace(said, request=request, sent_at=received, received_at=received)


def bar(offset_ms, **cells):
    """Return a candle so long after T0; `_2=None` replaces a cell."""
    row = [T0_MS + offset_ms, 1, 2, 3, 0.5, 7]
    for place, value in cells.items():
        row[int(place[1:])] = value
    return row


def trade(number, offset_ms, amount=1, price=10):
    """Return a trade so long after T0."""
    return [number, T0_MS + offset_ms, amount, price]
