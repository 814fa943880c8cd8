"""Bitfinex's trades: the sign is the taker's side, and pages that go by the millisecond lose and repeat none."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.errors import BadData
from ingest.providers import bitfinex
from tests.providers.bitfinex_replies import MINUTE, MS, NEWEST, T0_MS, TRADES, reply, trade
from tests.providers.payloads import T0, payload


@pytest.fixture
def pages_of_four(monkeypatch):
    monkeypatch.setattr(bitfinex, "PAGE_ROWS", 4)


def test_a_window_of_trades_is_asked_for_from_its_first_to_its_last_millisecond_oldest_first():
    (request,) = bitfinex.build(replace(TRADES, start=T0 + MS / 2, end=T0 + MINUTE + MS / 2))
    assert request.path == "/v2/trades/tBTCUSD/hist"
    assert request.params == (
        ("start", str(T0_MS + 1)),
        ("end", str(T0_MS + 60_000)),
        ("sort", "1"),
        ("limit", "10000"),
    )


def test_a_live_poll_asks_for_the_newest_thousand():
    (request,) = bitfinex.build(NEWEST)
    assert request.params == (("sort", "-1"), ("limit", "1000"))


def test_the_documented_trades_have_a_sign_for_the_takers_side():
    parsed = bitfinex.parse(NEWEST, reply(payload("bitfinex", "trades"), NEWEST))
    assert (parsed.time_unit, parsed.rejects) == ("ms", ())
    assert parsed.columns == {
        "instrument": ["BTC-USD"] * 3,
        "ts": [1654701572690, 1654701572690, 1654701570001],
        "trade_id": ["1128060675", "1128060674", "1128060669"],
        "price": ["1815.3", "1815.2", "1815.1"],
        "size": ["0.00217533", "0.18", "1e-05"],
        "side": ["buy", "sell", "sell"],
    }


@pytest.mark.parametrize(
    "row",
    [None, {}, [], trade(2, 1)[:3], ["x", T0_MS, 1, 1], [2, "x", 1, 1], [2, T0_MS, None, 1], [2, T0_MS, 1, []]],
)
def test_a_trade_of_wrong_shape_is_rejected_and_the_others_are_kept(row):
    parsed = bitfinex.parse(NEWEST, reply([trade(3, 2), row, trade(1, 0)], NEWEST))
    assert parsed.columns["trade_id"] == ["3", "1"]
    assert [(r.instrument, r.rule) for r in parsed.rejects] == [("BTC-USD", "wrong_shape")]


def test_a_page_is_cut_before_its_last_millisecond_which_begins_the_next_page():
    (request,) = bitfinex.build(TRADES)
    page = reply([trade(1, 0), trade(2, 5), trade(3, 9), trade(4, 9)])
    page = replace(page, request=request)
    following = bitfinex.next_page(request, page)
    assert dict(following.params)["start"] == str(T0_MS + 9)
    assert (following.start, following.end) == (request.start, request.end)
    assert bitfinex.parse(TRADES, page).columns["trade_id"] == ["1", "2"]
    last = reply([trade(3, 9), trade(4, 9)], request=following)
    assert bitfinex.parse(TRADES, last).columns["trade_id"] == ["3", "4"]
    assert bitfinex.next_page(following, last) is None


def test_a_trade_dated_outside_the_window_stays_for_the_quality_rules_and_moves_no_page():
    (request,) = bitfinex.build(TRADES)
    page = reply([trade(1, 0), trade(2, 10**8), trade(3, 9), [4, T0_MS // 1000, 1, 1]], request=request)
    assert dict(bitfinex.next_page(request, page).params)["start"] == str(T0_MS + 9)
    assert bitfinex.parse(TRADES, page).columns["trade_id"] == ["1", "2", "4"]


@pytest.mark.parametrize("body", [[], [trade(9, 10**8)]])
def test_a_page_without_the_trade_that_the_page_before_ended_with_is_bad_data(body):
    (request,) = bitfinex.build(TRADES)
    following = bitfinex.next_page(request, reply([trade(1, 0), trade(2, 5)], request=request))
    answered = reply(body, request=following)
    assert bitfinex.next_page(following, answered) is None
    with pytest.raises(BadData) as bad:
        bitfinex.parse(TRADES, answered)
    assert bad.value.rule == "unparsable_page"


def test_a_page_that_comes_again_in_place_of_the_next_is_bad_data():
    (request,) = bitfinex.build(TRADES)
    page = [trade(1, 0), trade(2, 5)]
    following = bitfinex.next_page(request, reply(page, request=request))
    with pytest.raises(BadData):
        bitfinex.parse(TRADES, reply(page, request=following))


@pytest.mark.usefixtures("pages_of_four")
def test_a_page_full_of_one_millisecond_is_a_finding_and_the_next_begins_a_millisecond_later():
    (request,) = bitfinex.build(TRADES)
    full = reply([trade(i, 0) for i in range(4)], request=request)
    following = bitfinex.next_page(request, full)
    assert dict(following.params)["start"] == str(T0_MS + 1)
    parsed = bitfinex.parse(TRADES, full)
    assert parsed.columns["trade_id"] == ["0", "1", "2", "3"]
    assert [(r.instrument, r.rule) for r in parsed.rejects] == [("BTC-USD", "missing_rows")]
    empty = reply([], request=following)
    assert bitfinex.next_page(following, empty) is None
    assert bitfinex.parse(TRADES, empty).rejects == ()


@pytest.mark.usefixtures("pages_of_four")
def test_a_full_page_of_the_windows_last_millisecond_is_a_finding_and_the_last():
    query = replace(TRADES, end=T0 + MS)
    (request,) = bitfinex.build(query)
    full = reply([trade(i, 0) for i in range(4)], request=request)
    assert bitfinex.next_page(request, full) is None
    assert [r.rule for r in bitfinex.parse(query, full).rejects] == ["missing_rows"]


def exchange(tape, request, cut=None):
    """Answer as it does: the oldest rows within the bounds, fewer where the page is cut short."""
    asked = dict(request.params)
    rows = [row for row in tape if int(asked["start"]) <= row[1] <= int(asked["end"])][: int(asked["limit"])]
    return reply(rows[:cut], request=request)


def fetch(query, tape, cut=None):
    """Return time and id of the trades that all pages brought, and the milliseconds that were too full for one."""
    left, found, crowded = bitfinex.build(query), [], set()
    for _ in range(200):
        if not left:
            return found, crowded
        answered = exchange(tape, left.pop(), cut)
        parsed = bitfinex.parse(query, answered)
        found += zip(parsed.columns["ts"], parsed.columns["trade_id"], strict=True)
        crowded |= {int(dict(answered.request.params)["start"]) for _ in parsed.rejects}
        following = bitfinex.next_page(answered.request, answered)
        left += [] if following is None else [following]
    raise AssertionError("the pages never end")


@given(st.lists(st.integers(0, 12), max_size=40).map(sorted), st.integers(0, 12), st.integers(0, 12))
@pytest.mark.usefixtures("pages_of_four")
def test_every_trade_of_a_window_comes_once_unless_its_millisecond_holds_more_than_a_page(times, start, length):
    tape = [trade(i, ms) for i, ms in enumerate(times)]
    query = replace(TRADES, start=T0 + start * MS, end=T0 + (start + length) * MS)
    found, crowded = fetch(query, tape)
    wanted = [(row[1], str(row[0])) for row in tape if start <= row[1] - T0_MS < start + length]
    beyond_a_page = [row for row in wanted if row not in found]
    assert found == [row for row in wanted if row not in beyond_a_page]
    assert {ms for ms, _ in beyond_a_page} <= crowded
    assert all(times.count(ms - T0_MS) >= bitfinex.PAGE_ROWS for ms in crowded)


@given(st.lists(st.integers(0, 12), max_size=13, unique=True).map(sorted), st.sampled_from([2, 3]))
@pytest.mark.usefixtures("pages_of_four")
def test_a_page_cut_short_loses_no_trade_because_the_rest_is_asked_for(times, cut):
    tape = [trade(i, ms) for i, ms in enumerate(times)]
    assert fetch(TRADES, tape, cut) == ([(row[1], str(row[0])) for row in tape], set())


def test_the_window_may_be_a_day_long():
    (request,) = bitfinex.build(replace(TRADES, end=T0 + timedelta(days=1)))
    assert dict(request.params)["end"] == str(T0_MS + 86_399_999)
