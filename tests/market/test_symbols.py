"""The instrument grammar: what is one, what is a pair, and what is said about the rest."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.errors import FixRequest, UnknownName
from ingest.market.symbols import is_instrument, is_pair, legs, validate

leg = st.from_regex(r"[A-Z0-9]{1,15}", fullmatch=True)


@given(leg, leg)
def test_a_pair_is_its_two_legs_with_a_hyphen_between(base, quote):
    pair = f"{base}-{quote}"
    assert validate(pair) == pair
    assert is_pair(pair)
    assert legs(pair) == (base, quote)


@pytest.mark.parametrize("name", ["AAPL", "BRK.B", "UNRATE", "7203.T", "BTC-USDT", "1INCH-USDT", "EUR-USD"])
def test_names_of_the_grammar_are_accepted_as_they_are(name):
    assert validate(f" {name} ") == name


@given(st.text(max_size=50))
def test_nothing_that_could_break_a_url_or_a_key_is_an_instrument(text):
    assert not is_instrument(text) or set(text) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-")


@pytest.mark.parametrize(
    "text", ["", "-", "BTC-", "-USDT", "A-B-C", ".B", "BRK.", "A B", "BTC\nX", "BTC-USDT.P", "Ä", "A" * 41]
)
def test_anything_else_is_refused_with_the_grammar(text):
    with pytest.raises(FixRequest, match="a pair with a hyphen"):
        validate(text)


@pytest.mark.parametrize("text", ["btc-usdt", "BTC/USDT", "btc_usdt", "Btc:Usdt"])
def test_a_usual_slip_is_answered_with_what_was_probably_meant(text):
    with pytest.raises(FixRequest, match=r"did you mean BTC-USDT\?"):
        validate(text)


def test_a_name_missing_from_the_catalogue_is_refused_with_the_nearest_names():
    with pytest.raises(UnknownName) as refused:
        validate("BTC-USDX", ["ETH-BTC", "BTC-USDT", "BTC-USDC", "AAPL"])
    assert set(refused.value.accepted) >= {"BTC-USDT", "BTC-USDC"}
    assert "AAPL" not in refused.value.accepted
    assert validate("AAPL", ["AAPL"]) == "AAPL"


def test_a_single_name_has_no_legs():
    with pytest.raises(FixRequest, match="not a pair"):
        legs("AAPL")
