"""FMP: limits told before plans, objects in place of lists, symbols there and back, spoilt answers."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.errors import BadData, FixRequest, KeyRefused, SlowDown, TryAgain
from ingest.market.symbols import MAX_LENGTH, is_instrument
from ingest.providers import fmp
from ingest.providers.fmp_parts.symbols import FEEDS, INDICATORS, TREASURIES
from tests.providers.fmp_replies import (
    ACTIONS,
    BOOKS,
    DAYS,
    DOCUMENTED,
    GDP,
    MINUTES,
    NEWS,
    QUOTES,
    reply,
)
from tests.providers.payloads import answer, payload


@pytest.mark.parametrize("status", [200, 429])
def test_a_spent_day_waits_for_our_own_count_although_the_text_speaks_of_upgrades(status):
    error = fmp.error_of(reply(payload("fmp", "limit"), QUOTES, status=status))
    assert (type(error), error.retry_after_s, error.status) == (SlowDown, None, status)
    bandwidth = fmp.error_of(reply(payload("fmp", "bandwidth"), QUOTES, status=status))
    assert (type(bandwidth), bandwidth.retry_after_s) == (SlowDown, 6 * 3600.0)


@pytest.mark.parametrize(
    ("status", "name", "kind"),
    [
        (401, "invalid_key", KeyRefused),
        (200, "invalid_key", KeyRefused),
        (402, "special", FixRequest),
        (200, "special", FixRequest),
        (403, "legacy", FixRequest),
        (200, "legacy", FixRequest),
        (429, "special", SlowDown),
    ],
)
def test_a_documented_error_leads_to_what_can_be_done_about_it_and_is_never_quoted(status, name, kind):
    error = fmp.error_of(reply(payload("fmp", name), QUOTES, status=status))
    assert type(error) is kind
    assert json.loads(payload("fmp", name))["Error Message"] not in str(error)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (402, b"Premium Query Parameter: 'Special Endpoint' secret", FixRequest),
        (402, b"", FixRequest),
        (401, b"secret", KeyRefused),
        (403, b'{"Error Message":"Account suspended, secret"}', KeyRefused),
        (403, b"<html>secret</html>", TryAgain),
        (403, b"{}", FixRequest),
        (404, b"[]", FixRequest),
        (400, b"secret", FixRequest),
        (200, b'{"error":"secret"}', FixRequest),
        (200, b'{"error":"Limit Reach secret"}', SlowDown),
        (200, b"Limit Reach . Please upgrade secret", SlowDown),
        (500, b'{"Error Message":"Limit Reach secret"}', TryAgain),
        (503, b"secret", TryAgain),
        (200, b"", TryAgain),
        (200, b"<html>secret", TryAgain),
        (200, b'[{"symbol":', TryAgain),
        (200, b"secret", BadData),
    ],
)
def test_other_errors_are_told_apart_by_text_and_status(status, body, kind):
    error = fmp.error_of(reply(body, QUOTES, status=status))
    assert type(error) is kind
    assert "secret" not in str(error)


@pytest.mark.parametrize("body", [b"{}", b'{"symbol":"AAPL"}', b'{"historical":{}}', b"5", b"null"])
@pytest.mark.parametrize("query", [DAYS, MINUTES, QUOTES, BOOKS, ACTIONS, NEWS, GDP])
def test_what_is_no_list_is_no_page(body, query):
    with pytest.raises(BadData):
        fmp.parse(query, reply(body, query))


@pytest.mark.parametrize(
    ("instrument", "native"),
    [
        ("AAPL", "AAPL"),
        ("BRK.B", "BRK-B"),
        ("TSCO.LON", "TSCO.L"),
        ("SAP.DE", "SAP.DE"),
        ("INDEX.VIX", "^VIX"),
        ("EUR-USD", "EURUSD"),
        ("EUR-JPY", "EURJPY"),
        ("BTC-USD", "BTCUSD"),
        ("GC-USD", "GCUSD"),
    ],
)
def test_instruments_and_symbols_are_each_others_inverse(instrument, native):
    assert fmp.native_symbol(instrument) == native
    assert fmp.instrument_of(native) == instrument


@pytest.mark.parametrize("native", ["APC.F", "TSCO.LON", "VOLV-B.ST", "aapl", "", "^", "BTC-USD", "A B"])
def test_symbols_that_our_grammar_can_not_spell_are_none_of_our_instruments(native):
    assert fmp.instrument_of(native) is None


@given(st.from_regex(r"\^?[A-Z0-9]{1,6}([.-][A-Z]{1,4})?(USD)?", fullmatch=True))
def test_whatever_becomes_an_instrument_becomes_the_same_symbol_again(native):
    instrument = fmp.instrument_of(native)
    if instrument is not None:
        assert is_instrument(instrument)
        assert fmp.native_symbol(instrument) == native


def test_every_name_of_a_feed_or_a_series_is_one_of_our_grammar_and_means_one_thing():
    names = (*FEEDS, *INDICATORS, *TREASURIES)
    assert all(is_instrument(name) and len(name) <= MAX_LENGTH for name in names)
    assert len(set(names)) == len(names)
    assert len(set(INDICATORS.values())) == len(INDICATORS) == 24
    assert list(TREASURIES.values())[3:5] == ["month6", "year1"]


def test_the_catalogue_lists_what_our_grammar_can_spell():
    assert fmp.listed(answer(payload("fmp", "search"))) == ["AAPL", "AAG-USD", "AAPL.MX"]
    assert fmp.catalogue().path == "/stock-list"
    assert fmp.catalogue("apple").params == (("query", "apple"),)
    for body in ("{}", "[5]", '[{"symbol":null}]', "null"):
        with pytest.raises(BadData):
            fmp.listed(answer(body))


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.parametrize(("name", "query"), DOCUMENTED.items())
@given(data=st.data())
def test_a_spoilt_payload_gives_rejects_bad_data_or_rows_of_its_own_values(name, query, data):
    page = json.loads(payload("fmp", name))
    rows = page["historical"] if isinstance(page, dict) else page
    target = data.draw(st.sampled_from([page, rows, *rows]))
    place = data.draw(st.sampled_from(sorted(target) if isinstance(target, dict) else range(len(target))))
    target[place] = data.draw(JUNK)
    body = json.dumps(page)
    cut = data.draw(st.integers(len(body) // 2, len(body)) | st.just(len(body)))
    said = reply(body[:cut], query, nth=-1)
    fmp.error_of(said)
    fmp.next_page(said.request, said)
    try:
        parsed = fmp.parse(query, said)
    except BadData:
        return
    assert len({len(values) for values in parsed.columns.values()}) == 1
    derived = ("instrument", "ts", "kind", "instruments")
    texts = {text for name, values in parsed.columns.items() if name not in derived for text in values if text}
    assert all(text in body or json.dumps(text) in body for text in texts)
