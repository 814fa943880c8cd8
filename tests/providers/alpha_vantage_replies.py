"""The queries Alpha Vantage is tested with, and answers to their requests. Invariant: received at T0 unless told."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime

from ingest.providers import alpha_vantage
from ingest.providers.contract import Query
from tests.providers.payloads import T0, answer, payload

IBM = Query("bars", ("IBM",), "5m")
DAYS = replace(IBM, interval="1d")
EUR = Query("bars", ("EUR-USD",), "1d")
COIN = Query("bars", ("BTC-EUR",), "1d")
QUOTE = Query("quotes", ("MSFT",))
RATE = Query("quotes", ("USD-JPY",))
ACTIONS = Query("actions", ("AAPL",))
NEWS = Query("news", ("AAPL",))
YIELD = Query("observations", ("TREASURY.10Y",))
DOCUMENTED = {
    "intraday": IBM,
    "daily": DAYS,
    "daily_adjusted": ACTIONS,
    "fx_intraday": replace(EUR, interval="5m"),
    "fx_daily": EUR,
    "digital_daily": COIN,
    "digital_daily_old": COIN,
    "global_quote": QUOTE,
    "exchange_rate": RATE,
    "news": NEWS,
    "treasury_yield": YIELD,
}


def window(query, start, end):
    return replace(query, start=datetime.fromisoformat(f"{start}+00:00"), end=datetime.fromisoformat(f"{end}+00:00"))


def reply(body, query, *, status=200, headers=None, request=None, received=T0):
    """Return an answer to the query's first request, or to the one given."""
    body = body if isinstance(body, bytes | str) else json.dumps(body)
    request = request or alpha_vantage.build(query)[0]
    return replace(answer(body, status=status, headers=headers), request=request, sent_at=T0, received_at=received)


def parse(name, query):
    body = payload("alpha_vantage", name) if isinstance(name, str) else json.dumps(name)
    return alpha_vantage.parse(query, reply(body, query))


def params(query):
    return [dict(request.params) for request in alpha_vantage.build(query)]
