"""Yahoo's quotes with a cookie and its crumb: asked for together, read to the digit, a refusal that is a key's."""

from __future__ import annotations

import json

import pytest

from ingest.errors import BadData, FixRequest, KeyRefused, SlowDown, TryAgain
from ingest.providers import yahoo
from ingest.providers.contract import Query
from ingest.providers.yahoo_parts import quotes
from tests.providers.payloads import T0, payload

NAMES = ("AAPL", "GSPC.INDX", "EUR-USD")
QUOTES = Query("quotes", NAMES, has_key=True)


def reply(body, *, status=200, query=QUOTES):
    body = body if isinstance(body, bytes) else body.encode()
    return yahoo.Answer(yahoo.build(query)[0], status, {}, body, T0, T0)


def test_with_a_key_fifty_symbols_are_asked_for_at_once_and_without_one_chart_by_chart():
    [request] = yahoo.build(QUOTES)
    assert (request.path, request.params) == ("/v7/finance/quote", (("symbols", "AAPL,^GSPC,EURUSD=X"),))
    assert (request.instruments, request.headers) == (NAMES, (("user-agent", yahoo.USER_AGENT),))
    many = tuple(f"A{letter}{other}" for letter in "ABCDEFGHIJK" for other in "ABCDEFGHIJ")
    parts = yahoo.build(Query("quotes", (*many, many[0]), has_key=True))
    assert [len(part.instruments) for part in parts] == [50, 50, 10]
    assert [request.path for request in yahoo.build(Query("quotes", NAMES[:1]))] == ["/v8/finance/chart/AAPL"]


def test_only_quotes_take_the_key_and_it_has_two_parts():
    cookie, crumb = yahoo.facts.key.parts
    assert (cookie.env, cookie.place, cookie.name, cookie.prefix) == ("YAHOO_COOKIE", "header", "cookie", "A3=")
    assert (crumb.env, crumb.place, crumb.name) == ("YAHOO_CRUMB", "query", "crumb")
    assert (cookie.datasets, cookie.required) == (("quotes",), False)


def test_a_documented_answer_is_read_with_every_digit_and_no_sizes():
    parsed = yahoo.parse(QUOTES, reply(payload("yahoo", "quote")))
    assert (parsed.rejects, parsed.time_unit) == ((), "s")
    assert parsed.columns == {
        "instrument": list(NAMES),
        "ts": [1766437206, 1766437201, 1766437190],
        "bid": ["270.8800048828125", None, None],
        "ask": ["271.0", None, "1.1763"],
        "last": ["270.97", "6834.50", "1.17623"],
    }


def test_a_symbol_that_is_left_out_has_no_row_and_one_nobody_asked_for_is_rejected():
    shorter = Query("quotes", ("AAPL", "EUR-USD", "NOPE"), has_key=True)
    parsed = yahoo.parse(shorter, reply(payload("yahoo", "quote"), query=shorter))
    assert parsed.columns["instrument"] == ["AAPL", "EUR-USD"]
    assert [reject.rule for reject in parsed.rejects] == ["unknown_symbol"]


@pytest.mark.parametrize(
    "changes",
    [{"symbol": None}, {"symbol": "A.NOWHERE"}, {"regularMarketTime": None}, {"regularMarketTime": 1.5}, {"bid": {}}],
)
def test_a_quote_of_another_shape_is_rejected_and_the_others_stay(changes):
    page = json.loads(payload("yahoo", "quote"))
    page["quoteResponse"]["result"][0] |= changes
    parsed = yahoo.parse(QUOTES, reply(json.dumps(page)))
    assert parsed.columns["instrument"] == list(NAMES[1:])
    assert [reject.rule for reject in parsed.rejects] == ["wrong_shape"]


@pytest.mark.parametrize("body", ["{}", "[]", '{"quoteResponse":null}', '{"quoteResponse":{"result":null}}'])
def test_an_answer_without_a_list_of_quotes_is_bad_data_and_an_empty_one_has_no_rows(body):
    with pytest.raises(BadData, match="quoteResponse"):
        yahoo.parse(QUOTES, reply(body))
    assert yahoo.parse(QUOTES, reply('{"quoteResponse":{"result":[],"error":null}}')).columns["ts"] == []


@pytest.mark.parametrize("document", ["invalid_crumb", "no_access"])
def test_a_401_is_the_keys_for_quotes_and_never_for_charts(document):
    error = yahoo.error_of(reply(payload("yahoo", document), status=401))
    assert type(error) is KeyRefused
    assert "set YAHOO_COOKIE and YAHOO_CRUMB anew" in str(error)
    bars = Query("bars", ("AAPL",), "1d", None, T0)
    assert type(yahoo.error_of(reply(payload("yahoo", document), status=401, query=bars))) is FixRequest


def test_a_block_and_an_outage_are_met_as_with_charts():
    blocked = yahoo.error_of(reply("Too Many Requests\r\n", status=429))
    assert (type(blocked), blocked.retry_after_s) == (SlowDown, yahoo.BLOCKED_S)
    assert type(yahoo.error_of(reply("<html>Will be right back</html>"))) is TryAgain
    assert yahoo.error_of(reply(payload("yahoo", "quote"))) is None
    assert quotes.PATH == "/v7/finance/quote"
