"""Yahoo's quotes, which want a cookie and its crumb: last price, bid and ask of many symbols at once.

Deliberately not here: fetching cookie and crumb (a person does), charts, which need neither (charts.py); `bidSize` and
`askSize`, because nothing read says what they count, shares or lots of a hundred. Invariant: prices are as Yahoo sends
them, a bid or ask of 0 too, and dated by the last trade, which is the only time a quote has.

Source: https://github.com/ranaroussi/yfinance (data.py, scrapers/quote.py), read autumn 2026.
"""

from __future__ import annotations

import re
from typing import Any

from ingest.errors import BadData
from ingest.market.records import Parsed
from ingest.providers import answers
from ingest.providers.yahoo_parts import symbols
from ingest.wire import Answer, KeySpec, Request

PATH = "/v7/finance/quote"
#: Our choice: nothing read says how many it takes, and this many are a URL of less than a kilobyte.
SYMBOLS = 50
#: "Cookie and crumb belong together": `https://fc.yahoo.com` sets the cookie A3, and the crumb is what another address
#: answers to it. Yahoo wants them from a browser's visit, asks visitors of the EU for consent, and bans who fetches
#: them often, so a person does it: they live for about a year.
KEY = KeySpec(
    "YAHOO_COOKIE",
    "header",
    "cookie",
    required=False,
    where_to_get="https://fc.yahoo.com (the value of the cookie A3 that it sets in a browser)",
    prefix="A3=",
    datasets=("quotes",),
    beside=KeySpec(
        "YAHOO_CRUMB",
        "query",
        "crumb",
        required=False,
        where_to_get="https://query1.finance.yahoo.com/v1/test/getcrumb (the text it answers in the same browser)",
    ),
)

_NAME = "yahoo"
_PRICES = {"bid": "bid", "ask": "ask", "last": "regularMarketPrice"}
_SHAPE = "expected an object with a symbol, whole seconds as regularMarketTime, and text or null for its prices"
_SECONDS = re.compile(r"\d{9,11}", re.ASCII)


def requests(instruments: tuple[str, ...], headers: tuple[tuple[str, str], ...]) -> list[Request]:
    """Return the requests for the quotes, of up to 50 symbols each."""
    names = list(dict.fromkeys(instruments))
    parts = [tuple(names[at : at + SYMBOLS]) for at in range(0, len(names), SYMBOLS)]
    return [Request(PATH, (("symbols", ",".join(map(symbols.native_symbol, part))),), headers, part) for part in parts]


def parse(answer: Answer) -> Parsed:
    """Return a row a quote. A symbol that Yahoo does not know is left out of its answer, so that it has no row."""
    page = answers.load(_NAME, answer, numbers_as_text=True)
    try:
        results = page["quoteResponse"]["result"]
    except (KeyError, TypeError) as cause:
        raise _bad_page(answer) from cause
    if type(results) is not list:
        raise _bad_page(answer)
    rows, rejects = answers.sound_rows(results, _row, _SHAPE, answers.only_instrument(answer))
    strange = [row for row in rows if row[0] not in answer.request.instruments]
    reason = "expected only symbols that were asked for"
    others = [answers.reject(row, rule="unknown_symbol", reason=reason, instrument=row[0]) for row in strange]
    names = ("instrument", "ts", *_PRICES)
    columns = list(zip(*(row for row in rows if row not in strange), strict=True)) or [()] * len(names)
    return Parsed(dict(zip(names, map(list, columns), strict=True)), "s", (*rejects, *others))


def _row(quote: Any) -> tuple[Any, ...] | None:
    if type(quote) is not dict or type(quote.get("symbol")) is not str:
        return None
    instrument, at = symbols.instrument_of(quote["symbol"]), quote.get("regularMarketTime")
    prices = [quote.get(name) for name in _PRICES.values()]
    if instrument is None or type(at) is not str or not _SECONDS.fullmatch(at):
        return None
    return (instrument, int(at), *prices) if set(map(type, prices)) <= answers.TEXT_OR_NULL else None


def _bad_page(answer: Answer) -> BadData:
    said = f"{_NAME} sent a page that can't be used: expected quoteResponse.result as a list"
    return BadData(said, rule="unparsable_page", provider=_NAME, status=answer.status)
