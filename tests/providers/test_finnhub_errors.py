"""Finnhub: errors told apart, symbols there and back, and what a spoilt answer may become."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.errors import BadData, FixRequest, KeyRefused, SlowDown, TryAgain
from ingest.market.symbols import is_instrument
from ingest.providers import finnhub
from tests.providers.finnhub_replies import (
    DOCUMENTED,
    QUOTES,
    reply,
)
from tests.providers.payloads import T0, answer, payload


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, "wrong_key", KeyRefused),
        (401, "no_access", FixRequest),
        (403, "no_access", FixRequest),
        (429, "limit", SlowDown),
        (429, "no_key", KeyRefused),
        (200, "limit", SlowDown),
        (200, "no_key", KeyRefused),
        (200, "no_access", FixRequest),
        (200, "wrong_key", KeyRefused),
    ],
)
def test_a_documented_error_leads_to_what_can_be_done_about_it_and_is_never_quoted(status, body, kind):
    error = finnhub.error_of(reply(payload("finnhub", body), QUOTES, status=status))
    assert (type(error), error.status) == (kind, status)
    assert json.loads(payload("finnhub", body))["error"] not in str(error)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (422, b'{"error":"key=secret"}', FixRequest),
        (200, b'{"error":"Symbol not supported key=secret"}', FixRequest),
        (404, b"", FixRequest),
        (403, b"<html>secret</html>", TryAgain),
        (403, b'{"error":"403"}', FixRequest),
        (500, b'{"error":"secret"}', TryAgain),
        (200, b"", TryAgain),
        (200, b"<html>secret", TryAgain),
        (200, b'{"c":1', TryAgain),
        (200, b"API limit secret", BadData),
    ],
)
def test_other_errors_are_told_apart_by_status_then_body(status, body, kind):
    error = finnhub.error_of(reply(body, QUOTES, status=status))
    assert type(error) is kind
    assert "secret" not in str(error)


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"x-ratelimit-reset": str(int(T0.timestamp()) + 42)}, 42.0),
        ({"x-ratelimit-reset": str(int(T0.timestamp()) - 42)}, None),
        ({"x-ratelimit-reset": str(int(T0.timestamp()) + 99999)}, None),
        ({"x-ratelimit-reset": "soon"}, None),
    ],
)
def test_the_wait_after_too_many_calls_is_the_one_that_is_told(headers, wait):
    error = finnhub.error_of(reply(payload("finnhub", "limit"), QUOTES, status=429, headers=headers))
    assert error.retry_after_s == wait


@pytest.mark.parametrize(
    ("instrument", "native"),
    [
        ("AAPL", "AAPL"),
        ("BRK.B", "BRK.B"),
        ("TSCO.L", "TSCO.L"),
        ("EUR-USD", "OANDA:EUR_USD"),
        ("XAU-USD", "OANDA:XAU_USD"),
        ("BTC-USDT", "BINANCE:BTCUSDT"),
        ("ETH-BTC", "BINANCE:ETHBTC"),
        ("EUR-USDT", "BINANCE:EURUSDT"),
    ],
)
def test_instruments_and_symbols_are_each_others_inverse(instrument, native):
    assert finnhub.native_symbol(instrument) == native
    assert finnhub.instrument_of(native) == instrument


@pytest.mark.parametrize(
    "native", ["^GSPC", "VOLV-B.ST", "KRAKEN:XBTUSD", "BINANCE:BTCXYZ", "OANDA:EURUSD", "aapl", ""]
)
def test_symbols_that_our_grammar_can_not_spell_are_none_of_our_instruments(native):
    assert finnhub.instrument_of(native) is None


@given(st.from_regex(r"([A-Z]{3,11}:)?[A-Z0-9]{1,6}[._]?[A-Z]{0,4}", fullmatch=True))
def test_whatever_becomes_an_instrument_becomes_the_same_symbol_again(native):
    instrument = finnhub.instrument_of(native)
    if instrument is not None:
        assert is_instrument(instrument)
        assert finnhub.native_symbol(instrument) == native


def test_the_catalogue_lists_what_our_grammar_can_spell():
    assert finnhub.listed(answer(payload("finnhub", "us_symbols"))) == ["UAN", "BRK.B"]
    assert finnhub.listed(answer(payload("finnhub", "search"))) == ["AAPL", "AAPL.SW", "EUR-USD"]
    assert finnhub.catalogue().path == "/stock/symbol"
    assert finnhub.catalogue("apple").params == (("q", "apple"),)
    for body in ("{}", "[5]", '[{"symbol":null}]', "null"):
        with pytest.raises(BadData):
            finnhub.listed(answer(body))


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("tocsv"), inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.parametrize(("name", "query"), DOCUMENTED.items())
@given(data=st.data())
def test_a_spoilt_payload_gives_rejects_bad_data_or_rows_of_its_own_values(name, query, data):
    page = json.loads(payload("finnhub", name))
    holder = page if data.draw(st.booleans()) or not isinstance(page, list) else page[0]
    holders = [
        holder,
        *(
            one
            for one in (holder.values() if isinstance(holder, dict) else holder)
            if one and isinstance(one, list | dict)
        ),
    ]
    target = data.draw(st.sampled_from(holders))
    place = data.draw(st.sampled_from(sorted(target) if isinstance(target, dict) else range(len(target))))
    target[place] = data.draw(JUNK)
    body = json.dumps(page)
    cut = data.draw(st.integers(len(body) // 2, len(body)) | st.just(len(body)))
    said = reply(body[:cut], replace(query, start=None) if query.dataset != "trades" else query)
    finnhub.error_of(said)
    finnhub.next_page(said.request, said)
    try:
        parsed = finnhub.parse(query, said)
    except BadData:
        return
    assert len({len(values) for values in parsed.columns.values()}) == 1
    derived = ("instrument", "ts", "trade_id", "instruments")
    texts = {text for name, values in parsed.columns.items() if name not in derived for text in values if text}
    assert all(text in body or json.dumps(text) in body for text in texts)
