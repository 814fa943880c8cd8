"""Yahoo's symbols and our spelling: as documented, and each the other's way back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.errors import FixRequest
from ingest.providers import yahoo


@pytest.mark.parametrize(
    ("instrument", "native"),
    [("AAPL", "AAPL"), ("BRK.B", "BRK-B"), ("TSCO.LON", "TSCO.L"), ("VOLV.B.ST", "VOLV-B.ST"), ("MBG.DEX", "MBG.DE"),
     ("7203.TYO", "7203.T"), ("0700.HK", "0700.HK"), ("GSPC.INDX", "^GSPC"), ("ES.FUT", "ES=F"), ("BTC-USD", "BTC-USD"),
     ("ETH-BTC", "ETH-BTC"), ("EUR-USD", "EURUSD=X"), ("USD-JPY", "JPY=X"), ("USDT-USD", "USDT-USD")],
)  # fmt: skip
def test_names_are_spelled_as_documented_both_ways(instrument, native):
    assert yahoo.native_symbol(instrument) == native
    assert yahoo.instrument_of(native) == instrument


WORD = st.text("ABDLSTX0", min_size=1, max_size=4)
SUFFIX = st.sampled_from(["LON", "L", "T", "TYO", "DEX", "DE", "HK", "PA", "INDX", "FUT", "USD", "WT", "V", "TWO", "B"])
MONEY = st.sampled_from(["USD", "EUR", "JPY", "BTC", "ETH", "USDT"])
SINGLE = st.tuples(st.lists(WORD, min_size=1, max_size=2), st.lists(SUFFIX, max_size=2)).map(
    lambda t: ".".join(t[0] + t[1])
)


@given(SINGLE | st.tuples(MONEY | WORD, MONEY | WORD).map("-".join))
def test_our_spelling_comes_back_from_yahoos_or_there_is_none(instrument):
    try:
        native = yahoo.native_symbol(instrument)
    except FixRequest:
        return
    assert yahoo.instrument_of(native) == instrument


@given(st.text("ABLXUSDEUR0123^=.-", min_size=1, max_size=9))
def test_yahoos_spelling_of_what_we_name_can_be_asked_for(native):
    instrument = yahoo.instrument_of(native)
    if instrument is not None:
        assert yahoo.instrument_of(yahoo.native_symbol(instrument)) == instrument
