"""What is compared of two providers' bars: a property of names and facts, the same whichever side is named first."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.market.intervals import INTERVALS
from ingest.market.reconcile import Compared, Side, Tolerances, compared, kind_of, span_of

TOLERANCES = Tolerances()
instruments = st.sampled_from(["BTC-USDT", "EUR-USD", "XAU-USD", "AAPL", "BRK.B", "BTC-EUR"])
sides = st.builds(Side, st.sampled_from(["a", "b"]), st.sampled_from([None, "none", "splits", "all"]), st.booleans())
shares = st.decimals(0, 1, places=3)
tolerances = st.builds(Tolerances, shares, shares, shares, shares)


@given(instruments, st.sampled_from(INTERVALS), sides, sides, tolerances)
def test_what_is_compared_is_the_same_from_both_sides_and_never_more_than_was_allowed(
    instrument, interval, one, other, limits
):
    found = compared(instrument, interval, one, other, limits)
    assert found == compared(instrument, interval, other, one, limits)
    price = getattr(limits, kind_of(instrument))
    assert found.close in (None, price)
    assert found.extremes in (None, price)
    assert found.volume in (None, limits.volume)
    if found.is_anything:
        assert "-" in instrument or one.adjustment == other.adjustment is not None
    if found.volume is not None:
        assert kind_of(instrument) == "shares"
        assert interval == "1d"
        assert {one.has_venue_volume, other.has_venue_volume} == {False}


def test_each_kind_has_its_columns():
    raw = Side("a", "none"), Side("b", "none")
    assert compared("BTC-USDT", "1d", *raw, TOLERANCES) == Compared(Decimal("0.02"))
    assert compared("EUR-USD", "1m", *raw, TOLERANCES) == Compared(Decimal("0.01"))
    assert compared("AAPL", "5m", *raw, TOLERANCES) == Compared(Decimal("0.005"))
    assert compared("AAPL", "1d", *raw, TOLERANCES) == Compared(Decimal("0.005"), Decimal("0.005"), Decimal("0.25"))
    venue = Side("c", "none", has_venue_volume=True)
    assert compared("AAPL", "1d", raw[0], venue, TOLERANCES) == Compared(Decimal("0.005"), Decimal("0.005"))


@pytest.mark.parametrize("other", [None, "splits", "all"])
def test_prices_with_other_things_worked_into_them_are_not_compared_but_nobody_splits_a_pair(other):
    one = Side("a", "none")
    assert not compared("AAPL", "1d", one, Side("b", other), TOLERANCES).is_anything
    assert compared("BTC-USD", "1d", one, Side("b", other), TOLERANCES).is_anything
    assert not compared("AAPL", "1d", Side("a", None), Side("b", None), TOLERANCES).is_anything


def test_a_tolerance_of_one_compares_nothing_and_of_nought_everything():
    raw = Side("a", "none"), Side("b", "none")
    off = Tolerances(shares=Decimal(1), volume=Decimal(1))
    assert not compared("AAPL", "1d", *raw, off).is_anything
    assert compared("AAPL", "1m", *raw, Tolerances(shares=Decimal(0))).close == 0


def test_a_finding_is_about_a_day_and_of_daily_bars_about_a_year():
    assert {span_of(interval) for interval in INTERVALS if interval != "1d"} == {"day"}
    assert span_of("1d") == "year"
