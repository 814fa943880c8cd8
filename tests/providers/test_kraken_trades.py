"""Kraken's trades: read to the nanosecond, followed from page to page without loss or repeats, cut to the window."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.errors import BadData
from ingest.providers import kraken
from tests.providers.kraken_replies import NEWEST, TRADES, page, reply
from tests.providers.payloads import T0, payload

T0_S = 1727740800
START_NS, END_NS = (T0_S + 60) * 10**9, (T0_S + 120) * 10**9


def trade(number, seconds, **cells):
    """Return a trade so many seconds after T0; a text is printed as it is."""
    row = ["1", "1", f"{T0_S + seconds}" if isinstance(seconds, int) else seconds, "b", "m", "", number]
    for place, value in cells.items():
        row[int(place[1:])] = value
    return row


def sent(rows, last=None, *, query=TRADES, request=None):
    """Return a page with each time as a bare JSON number, digit for digit."""
    body = json.dumps(page(rows, last))
    for row in rows:
        if type(row) is list and len(row) > 2 and type(row[2]) is str:
            body = body.replace(f'"{row[2]}"', row[2], 1)
    return reply(body, query, request=request)


def ids(answered, query=TRADES):
    return kraken.parse(query, answered).columns["trade_id"]


def test_the_documented_trades_are_read_with_the_takers_side_and_every_digit_of_their_times():
    parsed = kraken.parse(NEWEST, reply(payload("kraken", "trades"), NEWEST))
    assert (parsed.time_unit, parsed.rejects) == ("ns", ())
    assert parsed.columns == {
        "instrument": ["BTC-USD"] * 3,
        "ts": [1688669597827736900, 1688669598280411200, 1688669602698379000],
        "trade_id": ["61044952", "61044953", "61044956"],
        "price": ["30243.40000", "30243.30000", "30243.30000"],
        "size": ["0.34507674", "0.00376960", "0.01235716"],
        "side": ["buy", "sell", "sell"],
    }


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("1727740860", START_NS),
        ("1727740860.0", START_NS),
        ("1727740860.123456789", START_NS + 123456789),
        ("1727740860.1234567891", START_NS + 123456789),
        ("1727740860000000", 1727740860000000 * 10**9),  # a wrong unit is a quality rule's to find
    ],
)
def test_a_time_becomes_nanoseconds_without_a_float(text, ns):
    assert kraken.parse(NEWEST, sent([trade(1, text)], query=NEWEST)).columns["ts"] == [ns]


def test_trades_without_an_id_as_they_once_were_are_rejects():
    parsed = kraken.parse(NEWEST, reply(payload("kraken", "trades_without_ids"), NEWEST))
    assert parsed.columns["ts"] == []
    assert [(r.instrument, r.rule) for r in parsed.rejects] == [("BTC-USD", "wrong_shape")] * 2


@pytest.mark.parametrize(
    "cells",
    [{"_2": "x"}, {"_2": None}, {"_2": -5}, {"_6": None}, {"_6": "a1"}, {"_6": 1.5}, {"_0": [1]}, {"_1": True}]
    + [{"_3": side} for side in ("buy", "B", "", None, ["b"])],
)
def test_a_trade_of_wrong_shape_is_rejected_and_the_others_are_kept(cells):
    parsed = kraken.parse(NEWEST, reply(page([trade(1, 70), trade(2, 80, **cells), trade(3, 90)]), NEWEST))
    assert parsed.columns["trade_id"] == ["1", "3"]
    assert [(r.instrument, r.rule) for r in parsed.rejects] == [("BTC-USD", "wrong_shape")]


def test_a_live_poll_asks_for_the_newest_page_and_no_other():
    (request,) = kraken.build(replace(NEWEST, end=T0))
    assert (request.path, request.params) == ("/0/public/Trades", (("pair", "XBTUSD"), ("count", "1000")))
    assert request.start is request.end is None
    answered = sent([trade(1, 70)], "1727740870000000000", query=NEWEST)
    assert kraken.next_page(answered.request, answered) is None


def test_a_window_begins_a_microsecond_early_and_is_followed_from_the_newest_trade_received():
    (first,) = kraken.build(TRADES)
    assert first.params == (("pair", "XBTUSD"), ("since", str(START_NS - 1000)), ("count", "1000"))
    second = kraken.next_page(first, sent([trade(1, 60), trade(2, 80)], f"{T0_S + 80}000000000"))
    assert second == replace(
        first, params=(first.params[0], ("since", str(START_NS + 20 * 10**9 - 1000)), first.params[2])
    )
    third = kraken.next_page(second, sent([trade(2, 80), trade(3, 119)], request=second))
    assert (third.start, third.end, third.instruments) == (TRADES.start, TRADES.end, ("BTC-USD",))
    assert kraken.next_page(third, sent([trade(3, 119), trade(4, 120)], request=third)) is None


def test_a_trade_stands_on_one_page_only_though_pages_overlap_and_share_times():
    (first,) = kraken.build(TRADES)
    early = trade(1, f"{T0_S + 59}.9999999")  # before the window: the page begins early
    at = f"{T0_S + 80}.1234567"
    rows = [early, trade(2, 60), trade(3, 80), trade(4, at), trade(5, at)]
    answered = sent(rows, f"{T0_S + 80}123456689", request=first)
    assert ids(answered) == ["2", "3"]
    second = kraken.next_page(first, answered)
    overlap = trade(3, f"{T0_S + 80}.1234563")
    following = sent([overlap, *rows[3:], trade(6, at), trade(7, 119), trade(8, 120), trade(9, 121)], request=second)
    assert ids(following) == ["4", "5", "6", "7"]


def test_the_last_page_of_a_window_that_ends_now_repeats_its_last_trades_and_keeps_them():
    (first,) = kraken.build(TRADES)
    rows = [trade(1, 70), trade(2, 80), trade(3, 80)]
    assert ids(sent(rows, request=first)) == ["1"]
    second = kraken.next_page(first, sent(rows, request=first))
    again = sent(rows[1:], request=second)
    assert ids(again) == ["2", "3"]
    assert kraken.next_page(second, again) is None


def test_a_window_without_trades_is_empty_and_has_no_next_page():
    (first,) = kraken.build(TRADES)
    for rows in ([], [trade(9, 300)]):
        assert ids(sent(rows, request=first)) == []
        assert kraken.next_page(first, sent(rows, request=first)) is None


@pytest.mark.parametrize(
    ("place", "dated", "kept"),
    [
        (1, 10**8, ["1", "2", "3"]),
        (1, 119, ["1", "2", "3"]),
        (1, 7, ["1", "2", "3"]),
        (3, 10**8, ["1", "3", "2"]),
        (3, "1727740875000000", ["1", "3", "2"]),
        (3, 119, ["1", "3"]),  # no sooner told from a later trade; the next page begins before it and has it again
        (3, 7, ["1", "3", "4", "2"]),  # 4 comes again, too, which costs a warning
    ],
)
def test_a_trade_dated_wrong_is_not_cut_silently_and_moves_the_next_page_past_no_other(place, dated, kept):
    rows = [trade(1, 70), trade(3, 80), trade(4, 90)]
    rows.insert(place, trade(2, dated))
    answered = sent(rows, f"{T0_S + 90}000000000")
    assert dict(kraken.next_page(answered.request, answered).params)["since"] == str((T0_S + 90) * 10**9 - 1000)
    assert ids(answered) == kept


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_trade_dated_in_the_future_ends_no_window_where_last_is_missing(place):
    rows = [trade(1, 70), trade(3, 90)]
    rows.insert(place, trade(2, 10**8))
    answered = sent(rows)
    assert dict(kraken.next_page(answered.request, answered).params)["since"] == str((T0_S + 90) * 10**9 - 1000)
    assert "2" in ids(answered)


@pytest.mark.parametrize("last", [None, 7, "", "172774089", "1727740859000000000", "x"])
def test_a_last_that_is_no_time_ahead_is_not_followed(last):
    answered = sent([trade(1, 70), trade(2, 90)], last)
    assert dict(kraken.next_page(answered.request, answered).params)["since"] == str((T0_S + 90) * 10**9 - 1000)


def test_a_page_whose_continuation_can_not_be_told_is_bad_data_instead_of_an_end_or_a_loop():
    (first,) = kraken.build(TRADES)
    second = kraken.next_page(first, sent([trade(1, 70), trade(2, 80)], request=first))
    standing = [trade(number, 80) for number in range(1000)]
    for rows, request in (([], second), (standing, second), ([trade(1, "yesterday"), 7], first)):
        answered = reply(page(rows), request=request)
        assert kraken.next_page(request, answered) is None
        with pytest.raises(BadData):
            kraken.parse(TRADES, answered)


@given(
    st.lists(st.integers(-2, 62 * 10**4), min_size=1, max_size=60),
    st.integers(4, 12),
    st.booleans(),
    st.booleans(),
)
def test_whatever_shares_a_time_every_trade_of_a_window_comes_once(steps, size, exclusive, has_last):
    times = sorted(START_NS - 10**9 + 100_000 * step for step in steps)
    market = [(at, trade(number, f"{at // 10**9}.{at % 10**9:09d}")) for number, at in enumerate(times)]
    if any(sum(first <= at <= first + 1000 for at in times) >= size for first in times):
        return  # more at once than a page of this size holds
    request, got, pages = kraken.build(TRADES)[0], [], 0
    while request is not None:
        since = int(dict(request.params)["since"])
        rows = [one for one in market if (one[0] > since if exclusive else one[0] >= since)][:size]
        answered = sent([row for _, row in rows], str(rows[-1][0]) if rows and has_last else None, request=request)
        got += ids(answered)
        request, pages = kraken.next_page(request, answered), pages + 1
        assert pages <= len(times) + 2
    assert got == [str(row[6]) for at, row in market if START_NS <= at < END_NS]


def test_a_trade_as_old_as_the_windows_end_is_cut_even_where_its_clock_is_a_little_ahead_of_ours():
    query = replace(TRADES, end=T0 + timedelta(hours=1))
    (first,) = kraken.build(query)
    rows = [trade(1, 3590), trade(2, 3600)]
    assert ids(sent(rows, query=query, request=first), query) == ["1"]
