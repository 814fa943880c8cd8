"""Coinbase's trades: read to the digit, paged back from the newest without loss, cut to the window."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from ingest.errors import BadData
from ingest.providers import coinbase
from ingest.providers.contract import Query
from tests.providers.coinbase_replies import TRADES, reply
from tests.providers.payloads import T0, payload


def test_the_documented_trades_are_read_with_the_takers_side_and_times_to_the_microsecond():
    newest = Query("trades", ("BTC-USD",))
    parsed = coinbase.parse(newest, reply(payload("coinbase", "trades"), newest))
    minute = 1727740860_000000
    assert (parsed.time_unit, parsed.rejects) == ("us", ())
    assert parsed.columns == {
        "instrument": ["BTC-USD"] * 4,
        "ts": [minute + 119_860_000, minute + 60_000_001, minute + 59_999_999, minute],
        "trade_id": ["86327330", "86327329", "86327328", "86327327"],
        "price": ["6225.32000000", "6225.31000000", "6225.30000000", "6225.29000000"],
        "size": ["0.06469797", "0.50000000", "1.00000000", "0.00000001"],
        "side": ["buy", "sell", "buy", None],  # the provider names the maker's
    }


def trade(number, seconds, **changes):
    moment = (T0 + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")
    return {"time": moment, "trade_id": number, "price": "1", "size": "1", "side": "buy"} | changes


def test_trades_newer_and_older_than_the_window_are_cut_and_its_bounds_are_half_open():
    parsed = coinbase.parse(TRADES, reply(payload("coinbase", "trades"), TRADES))
    assert parsed.columns["trade_id"] == ["86327328", "86327327"]
    page = [trade(4, 120), trade(3, 119.999999), trade(2, 60), trade(1, 59.999999)]
    assert coinbase.parse(TRADES, reply(page, TRADES)).columns["trade_id"] == ["3", "2"]
    newer = [trade(number, 120 + number) for number in range(9, 0, -1)]
    assert coinbase.parse(TRADES, reply(newer, TRADES)).columns["trade_id"] == []


def test_a_trade_dated_in_the_future_or_out_of_order_is_no_row_to_cut_silently():
    page = [trade(6, 10**8), trade(5, 130), trade(4, 100), trade(3, 5000), trade(2, 30), trade(1, 70)]
    assert coinbase.parse(TRADES, reply(page, TRADES)).columns["trade_id"] == ["6", "4", "3", "2", "1"]


@pytest.mark.parametrize(
    "changes",
    [
        {"time": "2024-10-01T00:01:00"},
        {"time": "2024-10-01 00:01:00Z"},
        {"time": "2024-02-30T00:01:00Z"},
        {"time": "2024-10-01T00:01:00.1234567890Z"},
        {"time": 1727740860},
        {"time": None},
        {"trade_id": None},
        {"trade_id": "a1"},
        {"trade_id": 1.5},
        {"trade_id": -5},
        {"price": ["1"]},
        {"size": True},
        {"side": "BUY"},
        {"side": ["buy"]},
    ],
)
def test_a_trade_of_wrong_shape_is_rejected_and_the_others_are_kept(changes):
    parsed = coinbase.parse(TRADES, reply([trade(3, 90), trade(2, 80, **changes), trade(1, 70)], TRADES))
    assert parsed.columns["trade_id"] == ["3", "1"]
    assert [(r.instrument, r.rule) for r in parsed.rejects] == [("BTC-USD", "wrong_shape")]


def test_a_window_is_paged_back_by_the_last_id_received_until_a_trade_is_older_than_it():
    (first,) = coinbase.build(TRADES)
    second = coinbase.next_page(first, reply([trade(9, 200), trade(8, 61)], TRADES, headers={"cb-after": "8"}))
    assert second == replace(first, params=(("limit", "1000"), ("after", "8")))
    third = coinbase.next_page(second, reply([trade(7, 61), trade(6, 60)], TRADES, after="8"))
    assert third.params == (("limit", "1000"), ("after", "6"))
    assert (third.start, third.end, third.instruments) == (TRADES.start, TRADES.end, ("BTC-USD",))
    assert coinbase.next_page(third, reply([trade(5, 60), trade(4, 59.9)], TRADES, after="6")) is None


def test_the_window_of_a_product_ends_with_its_first_trade_and_one_never_traded_has_none():
    for page in ([trade(2, 90), trade(1, 80)], []):
        answered = reply(page, TRADES)
        assert coinbase.next_page(answered.request, answered) is None
        assert len(coinbase.parse(TRADES, answered).columns["ts"]) == len(page)


def test_a_page_cut_short_goes_on_from_its_last_trade_and_not_from_the_header():
    cut = reply([trade(9, 90), trade(8, 80)], TRADES, headers={"cb-after": "3"})
    assert dict(coinbase.next_page(cut.request, cut).params)["after"] == "8"
    unreadable = reply([trade(9, 90), trade(None, 80)], TRADES, headers={"cb-after": "8"})
    assert dict(coinbase.next_page(unreadable.request, unreadable).params)["after"] == "8"


def test_the_newest_page_of_a_live_poll_is_the_only_one():
    newest = Query("trades", ("BTC-USD",), None, None, T0)
    answered = reply([trade(9, 90)], newest, headers={"cb-after": "9"})
    assert coinbase.next_page(answered.request, answered) is None


@pytest.mark.parametrize(
    ("page", "after"),
    [
        ([], "9"),
        ([trade(9, 90)], "9"),
        ([trade(9, 90)], "8"),
        ([trade(9, 90), trade("?", 80)], "10"),
        ([trade(9, 90), 7], "10"),
        ([trade(9, 90, time="yesterday")], "10"),
    ],
)
def test_a_window_whose_next_page_can_not_be_told_is_bad_data_instead_of_an_end_or_a_loop(page, after):
    answered = reply(page, TRADES, after=after)
    assert coinbase.next_page(answered.request, answered) is None
    with pytest.raises(BadData):
        coinbase.parse(TRADES, answered)
