"""Alpha Vantage: what its sentences mean, its names and their inverse, and pages with anything wrong in them."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.errors import BadData, FixRequest, KeyRefused, SlowDown, TickfarmError, TryAgain, UnknownName
from ingest.providers import alpha_vantage
from ingest.providers.alpha_vantage_parts import names
from tests.providers.alpha_vantage_replies import (
    DAYS,
    DOCUMENTED,
    IBM,
    NEWS,
    QUOTE,
    reply,
)
from tests.providers.payloads import payload


@pytest.mark.parametrize("name", [*DOCUMENTED, "symbol_search"])
def test_a_documented_answer_is_no_error(name):
    assert alpha_vantage.error_of(reply(payload("alpha_vantage", name), DOCUMENTED.get(name, DAYS))) is None


NOON = datetime(2024, 6, 3, 16, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("name", "query", "kind", "wait"),
    [
        ("daily_limit", DAYS, SlowDown, 12 * 3600.0),
        ("throttled", DAYS, SlowDown, 1.2),
        ("throttled_2025", DAYS, SlowDown, 1.2),
        ("burst", DAYS, SlowDown, 5.0),
        ("minute_limit", DAYS, SlowDown, 60.0),
        ("old_note", DAYS, SlowDown, 60.0),
        ("premium_full", DAYS, FixRequest, None),
        ("premium_endpoint", IBM, FixRequest, None),
        ("demo_key", DAYS, KeyRefused, None),
        ("bad_key", DAYS, KeyRefused, None),
        ("invalid_call", DAYS, UnknownName, None),
        ("invalid_inputs", NEWS, UnknownName, None),
        ("empty_quote", QUOTE, UnknownName, None),
    ],
)
def test_its_sentences_say_what_to_do_and_none_of_their_words_is_repeated(name, query, kind, wait):
    error = alpha_vantage.error_of(reply(payload("alpha_vantage", name), query, received=NOON))
    assert type(error) is kind
    assert (error.provider, error.status, error.retry_after_s) == ("alpha_vantage", 200, wait)
    assert "SECRETKEY16CHARS" not in f"{error} {error!r} {vars(error)}"
    assert "Thank you" not in str(error)


@pytest.mark.parametrize("text", ["", "Something new about premium data", "A sentence nobody has seen"])
def test_an_unknown_sentence_is_never_taken_for_data_nor_asked_again_at_once(text):
    error = alpha_vantage.error_of(reply({"Information": text}, DAYS))
    assert type(error) is FixRequest
    assert type(alpha_vantage.error_of(reply({"Note": "Our API rate limit was exceeded"}, DAYS))) is SlowDown


@pytest.mark.parametrize(
    ("winter", "hours"), [(datetime(2024, 1, 10, 12, tzinfo=UTC), 17), (datetime(2024, 11, 3, 4, 30, tzinfo=UTC), 24.5)]
)
def test_the_quota_opens_at_midnight_in_new_york_in_winter_and_when_its_clocks_change(winter, hours):
    error = alpha_vantage.error_of(reply(payload("alpha_vantage", "daily_limit"), DAYS, received=winter))
    assert error.retry_after_s == hours * 3600


@pytest.mark.parametrize(
    ("body", "status", "headers", "kind", "wait"),
    [
        ("{}", 200, {}, UnknownName, None),
        (payload("alpha_vantage", "daily")[:-40], 200, {}, TryAgain, None),
        ("", 200, {}, TryAgain, None),
        ("<html></html>", 200, {}, TryAgain, None),
        ("timestamp,open", 200, {}, BadData, None),
        ("{}", 503, {}, TryAgain, None),
        (payload("alpha_vantage", "bad_key"), 429, {"retry-after": "7"}, SlowDown, 7.0),
        ("<html></html>", 404, {}, FixRequest, None),
    ],
)
def test_status_goes_before_the_body_and_a_body_that_is_none_is_an_error(body, status, headers, kind, wait):
    error = alpha_vantage.error_of(reply(body, DAYS, status=status, headers=headers))
    assert type(error) is kind
    assert error.retry_after_s == wait


def test_an_unknown_name_is_said_to_be_one():
    error = alpha_vantage.error_of(reply(payload("alpha_vantage", "empty_quote"), QUOTE))
    assert (error.kind, error.given, error.instrument) == ("instrument", "MSFT", "MSFT")


@pytest.mark.parametrize("query", DOCUMENTED.values())
@pytest.mark.parametrize("body", ["", "[]", "7", "null", '{"Meta Data":[]}', '{"feed":{}}', "[" * 100_000, b"\xff"])
def test_a_page_that_is_no_page_is_bad_data(body, query):
    with pytest.raises(BadData) as bad:
        alpha_vantage.parse(query, reply(body, query))
    assert bad.value.rule == "unparsable_page"


def test_there_is_a_search_and_no_list():
    assert alpha_vantage.catalogue() is None
    request = alpha_vantage.catalogue("tesco & co")
    assert dict(request.params) == {"function": "SYMBOL_SEARCH", "keywords": "tesco & co"}
    found = reply(payload("alpha_vantage", "symbol_search"), DAYS, request=request)
    assert alpha_vantage.listed(found) == ["TSCO.LON", "BRK.B"]
    for body in ("[]", '{"bestMatches":{}}', '{"bestMatches":[7]}'):
        with pytest.raises(BadData):
            alpha_vantage.listed(reply(body, DAYS, request=request))


@pytest.mark.parametrize(
    ("instrument", "native"),
    [
        *(("IBM", "IBM"), ("BRK.B", "BRK-B"), ("TSCO.LON", "TSCO.LON"), ("BAC.P.K", "BAC-P-K")),
        *(("EUR-USD", "EUR/USD"), ("CRYPTO.BTC", "CRYPTO:BTC"), ("TOPIC.LIFE.SCIENCES", "topic:life_sciences")),
        *(("TREASURY.10Y", "TREASURY_YIELD:10year"), ("NONFARM.PAYROLL", "NONFARM_PAYROLL"), ("CPI", "CPI")),
    ],
)
def test_names_are_spelled_as_it_spells_them_and_back(instrument, native):
    assert alpha_vantage.native_symbol(instrument) == native
    assert alpha_vantage.instrument_of(native) == instrument


PART = st.text("ABZ019", min_size=1, max_size=4)
CATALOGUE = st.one_of(
    st.lists(PART, min_size=1, max_size=4).map(".".join),
    st.tuples(PART, PART).map("-".join),
    st.sampled_from([*names.ECONOMIC, *(f"TOPIC.{one.upper().replace('_', '.')}" for one in names.TOPICS)]),
    PART.map("CRYPTO.{}".format),
)


@given(CATALOGUE)
def test_every_instrument_comes_back_from_its_native_symbol(instrument):
    assert alpha_vantage.instrument_of(alpha_vantage.native_symbol(instrument)) == instrument


@given(
    st.text("ABZ01:/-._abc", max_size=12) | PART.map("CRYPTO.{}.A".format) | st.sampled_from(["FOREX.A-B", "TOPIC-A"])
)
def test_every_native_symbol_that_has_a_name_comes_back_from_it(native):
    name = alpha_vantage.instrument_of(native)
    assert name is None or alpha_vantage.native_symbol(name) == native


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.sampled_from("abcxy"), inner, max_size=4),
    max_leaves=8,
)


@given(st.data(), st.sampled_from(sorted(DOCUMENTED)), st.sampled_from(list(DOCUMENTED.values())), JSON)
def test_a_documented_page_with_any_part_replaced_gives_rows_that_stood_in_it_rejects_or_bad_data(
    data, name, query, value
):
    document = json.loads(payload("alpha_vantage", name))
    part, key = document, data.draw(st.sampled_from(sorted(document)))
    while isinstance(part[key], list | dict) and part[key] and data.draw(st.booleans()):
        part = part[key]
        key = data.draw(st.sampled_from(list(part) if isinstance(part, dict) else range(len(part))))
    part[key] = value
    body = json.dumps(document, ensure_ascii=False)
    said = reply(body.encode("utf-8", "surrogatepass"), query)
    assert isinstance(alpha_vantage.error_of(said), TickfarmError | None)
    try:
        parsed = alpha_vantage.parse(query, said)
    except BadData:
        return
    assert len({len(column) for column in parsed.columns.values()}) == 1
    made = {"instrument", "ts", "kind", "action_id", "split_from", "author", "instruments", "sentiments"}
    texts = texts_in(json.loads(body, parse_float=str, parse_int=str, parse_constant=str))
    for column in parsed.columns.keys() - made:
        assert {one for one in parsed.columns[column] if one is not None} <= texts


def texts_in(document):
    if isinstance(document, dict):
        return set().union(*map(texts_in, document.values()), document)
    if isinstance(document, list):
        return set().union(*map(texts_in, document))
    return {document} if isinstance(document, str) else set()


@given(st.data(), st.sampled_from(sorted(DOCUMENTED)))
def test_a_page_cut_anywhere_is_an_error_whether_its_end_shows_it_or_not(data, name):
    body = payload("alpha_vantage", name)
    cut = body[: data.draw(st.integers(0, len(body) - 3))]
    said = reply(cut, DOCUMENTED[name])
    assert isinstance(alpha_vantage.error_of(said), TryAgain | None)
    with pytest.raises(BadData):
        alpha_vantage.parse(DOCUMENTED[name], said)
