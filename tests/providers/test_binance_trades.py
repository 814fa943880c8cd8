"""Binance's trades and books: pages that lose no trade of a window, documented answers to the digit, odd ones found."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.errors import BadData, FixRequest, UnknownName
from ingest.market.times import epoch_ms
from ingest.providers import binance
from ingest.providers.contract import Query
from sandbox.contract import Answer as SandboxAnswer
from sandbox.contract import Request as SandboxRequest
from sandbox.dialects.binance import Binance
from sandbox.price_walk import PriceWalk
from sandbox.row_faults import spoil_page
from sandbox.trade_tape import TradeTape
from tests.providers.payloads import T0, answer, payload

T0_MS = epoch_ms(T0)
MINUTE = timedelta(minutes=1)
MILLISECOND = timedelta(milliseconds=1)
NEWEST = Query("trades", ("BTC-USDT",))
TRADES = Query("trades", ("BTC-USDT",), None, T0, T0 + MINUTE)
BOOKS = Query("books", ("BTC-USDT", "ETH-USDT"))
EXCHANGE = Binance(7)
EXCHANGE.limits["weight_per_minute"] = 10**9


def reply(body, query=TRADES, *, request=None, **params):
    """Return an answer to the query's first request (or another), received an hour after T0."""
    request = request or binance.build(query)[0]
    request = replace(request, params=tuple((dict(request.params) | params).items()))
    received = T0 + timedelta(hours=1)
    body = body if isinstance(body, bytes | str) else json.dumps(body)
    return replace(answer(body), request=request, sent_at=received, received_at=received)


def trade(trade_id, ms, **fields):
    return {"a": trade_id, "p": "1.5", "q": "2.0", "f": 9, "l": 9, "T": T0_MS + ms, "m": True, "M": True} | fields


def test_a_window_begins_by_time_and_names_its_symbol_its_span_and_its_weight():
    (request,) = binance.build(TRADES)
    assert (request.path, request.weight, request.instruments) == ("/api/v3/aggTrades", 4, ("BTC-USDT",))
    assert (request.start, request.end) == (TRADES.start, TRADES.end)
    assert request.params == (
        ("symbol", "BTCUSDT"),
        ("startTime", "1727740800000"),
        ("endTime", "1727740859999"),
        ("limit", "1000"),
    )


def test_without_start_the_newest_page_of_each_instrument_is_asked_for_and_no_other():
    requests = binance.build(Query("trades", ("BTC-USDT", "ETH-USDT")))
    assert [dict(r.params) for r in requests] == [{"symbol": s, "limit": "1000"} for s in ("BTCUSDT", "ETHUSDT")]
    assert requests[0].start is requests[0].end is None
    full = reply([trade(i, 0) for i in range(1000)], request=requests[0])
    assert binance.next_page(requests[0], full) is None


@pytest.mark.parametrize("start_us", [0, 1, 999])
def test_bounds_inside_a_millisecond_ask_for_the_whole_milliseconds_of_the_window_only(start_us):
    start = T0 + timedelta(microseconds=start_us)
    assert binance.build(replace(TRADES, start=start, end=start)) == []
    (request,) = binance.build(replace(TRADES, start=start, end=T0 + 2 * MILLISECOND))
    params = dict(request.params)
    assert (int(params["startTime"]) - T0_MS, int(params["endTime"]) - T0_MS) == (1 if start_us else 0, 1)
    assert binance.build(replace(TRADES, start=T0 + MILLISECOND / 4, end=T0 + MILLISECOND / 2)) == []


def test_a_window_of_trades_needs_an_end():
    with pytest.raises(FixRequest):
        binance.build(Query("trades", ("BTC-USDT",), None, T0))


def test_a_full_page_is_followed_by_the_trades_after_its_last_id():
    (request,) = binance.build(TRADES)
    following = binance.next_page(request, reply([trade(i + 7, i) for i in range(1000)]))
    assert following is not None
    assert following.params == (("symbol", "BTCUSDT"), ("fromId", "1007"), ("limit", "1000"))
    assert replace(following, params=request.params) == request


def test_after_a_page_that_is_not_full_one_trade_is_asked_for_and_ends_the_window_only_beyond_it():
    (request,) = binance.build(TRADES)
    probe = binance.next_page(request, reply([trade(7, 5)]))
    assert probe is not None
    assert dict(probe.params) == {"symbol": "BTCUSDT", "fromId": "8", "limit": "1"}
    assert binance.next_page(probe, reply([trade(8, 60_000)], request=probe)) is None
    assert binance.next_page(probe, reply([], request=probe)) is None
    further = binance.next_page(probe, reply([trade(8, 59_999)], request=probe))
    assert further is not None
    assert dict(further.params) == {"symbol": "BTCUSDT", "fromId": "9", "limit": "1000"}


def test_a_window_without_trades_is_complete_at_once():
    (request,) = binance.build(TRADES)
    assert binance.next_page(request, reply([])) is None
    assert binance.parse(TRADES, reply([])).columns["trade_id"] == []


def test_other_datasets_have_no_following_page():
    (bars,) = binance.build(Query("bars", ("BTC-USDT",), "1m"))
    assert binance.next_page(bars, reply(payload("binance", "klines"), request=bars)) is None
    assert binance.next_page(binance.build(BOOKS)[0], reply(payload("binance", "depth"), BOOKS)) is None


@pytest.mark.parametrize(
    "page",
    [
        [trade(1, -1)],  # before the window
        [trade(1, 0, T=T0_MS * 1000)],  # microseconds
        [trade(1, 0, T=T0_MS // 1000)],  # seconds
        [trade(1, 0, T=None)],
        [trade(1, 0), None],
        [trade("1", 0)],
        [7],
    ],
)
def test_a_page_whose_following_one_can_not_be_told_is_bad_data_and_not_the_end(page):
    (request,) = binance.build(TRADES)
    assert binance.next_page(request, reply(page)) is None
    with pytest.raises(BadData) as bad:
        binance.parse(TRADES, reply(page))
    assert (bad.value.rule, bad.value.provider) == ("unparsable_page", "binance")


def test_ids_that_stand_still_are_bad_data_because_they_would_be_asked_for_for_ever():
    page = reply([trade(6, 0)], fromId="7")
    assert binance.next_page(page.request, page) is None
    with pytest.raises(BadData):
        binance.parse(TRADES, page)


def test_a_last_trade_with_a_false_time_does_not_end_the_window():
    page = reply([trade(7, 5), trade(8, 0, T=T0_MS + 86_400_000)], fromId="7")
    following = binance.next_page(page.request, page)
    assert following is not None
    assert dict(following.params)["fromId"] == "9"
    assert binance.parse(TRADES, page).columns["trade_id"] == ["7", "8"]  # a finding of the quality rules


def test_trades_newer_than_the_window_are_cut_off_pages_that_go_by_id_and_off_no_others():
    page = [trade(1, 59_999), trade(2, 60_000), trade(3, 61_000)]
    assert binance.parse(TRADES, reply(page, fromId="1")).columns["trade_id"] == ["1"]
    assert binance.parse(TRADES, reply(page)).columns["trade_id"] == ["1", "2", "3"]
    newest = binance.build(NEWEST)[0]
    assert binance.parse(NEWEST, reply(page, request=newest)).columns["trade_id"] == ["1", "2", "3"]


def test_the_documented_aggregate_trades_are_read_with_the_takers_side():
    parsed = binance.parse(NEWEST, reply(payload("binance", "agg_trades"), NEWEST))
    assert (parsed.time_unit, parsed.rejects) == ("ms", ())
    assert parsed.columns == {
        "instrument": ["BTC-USDT"] * 3,
        "ts": [1727740800153, 1727740800153, 1727740860000],
        "trade_id": ["26129", "26130", "26131"],
        "price": ["0.01633102", "0.01633103", "0.01633103"],
        "size": ["4.70443515", "0.00100000", "12.50000000"],
        "side": ["sell", "buy", "sell"],
    }


@pytest.mark.parametrize(
    "row",
    [
        *(None, 7, "row", [], {}),
        *(trade(1, 0, **{name: None}) for name in "aTm"),
        *(trade(1, 0, **{name: 1.5}) for name in "apqTm"),
        *(trade(1, 0, a=True), trade(1, 0, T="1"), trade(1, 0, m="true"), trade(1, 0, p=5)),
    ],
)
def test_a_trade_of_wrong_shape_is_rejected_and_the_others_are_kept(row):
    parsed = binance.parse(NEWEST, reply([trade(1, 0), row, trade(3, 0)], NEWEST))
    assert parsed.columns["trade_id"] == ["1", "3"]
    (reject,) = parsed.rejects
    assert (reject.instrument, reject.rule, reject.row) == ("BTC-USDT", "wrong_shape", json.dumps(row)[:200])


def test_a_null_price_is_left_to_the_quality_rules():
    assert binance.parse(NEWEST, reply([trade(1, 0, p=None)], NEWEST)).columns["price"] == [None]


def test_books_are_asked_for_one_symbol_at_a_time_with_a_hundred_levels():
    requests = binance.build(BOOKS)
    assert [(r.path, dict(r.params), r.weight, r.instruments) for r in requests] == [
        ("/api/v3/depth", {"symbol": "BTCUSDT", "limit": "100"}, 5, ("BTC-USDT",)),
        ("/api/v3/depth", {"symbol": "ETHUSDT", "limit": "100"}, 5, ("ETH-USDT",)),
    ]


def test_the_documented_book_is_one_row_without_a_time():
    parsed = binance.parse(BOOKS, reply(payload("binance", "depth"), BOOKS))
    assert parsed.rejects == ()
    assert parsed.columns == {
        "instrument": ["BTC-USDT"],
        "ts": [None],
        "bid_prices": ["4.00000000,3.99999900"],
        "bid_sizes": ["431.00000000,0.10000000"],
        "ask_prices": ["4.00000200,4.00000300"],
        "ask_sizes": ["12.00000000,7.25000000"],
        "sequence": ["1027024"],
    }


def test_a_side_without_orders_is_empty_text_and_a_deep_one_is_cut_to_a_hundred_levels():
    deep = [[str(1000 - i), "1"] for i in range(150)]
    columns = binance.parse(BOOKS, reply({"lastUpdateId": 1, "bids": deep, "asks": []}, BOOKS)).columns
    assert columns["bid_prices"][0].split(",") == [str(1000 - i) for i in range(100)]
    assert columns["ask_prices"] == columns["ask_sizes"] == [""]


LEVEL = ["4.0", "1.0"]


@pytest.mark.parametrize(
    "fields",
    [
        *({"lastUpdateId": None}, {"lastUpdateId": "7"}, {"lastUpdateId": True}, {"bids": None}, {"asks": {}}),
        *({"bids": [LEVEL, bad]} for bad in (None, "4.0", [], ["4.0"], [4.0, "1.0"], ["4.0", None], ["4,0", "1.0"])),
        {"asks": [["", "1.0"]]},
    ],
)
def test_a_book_of_wrong_shape_is_rejected_whole(fields):
    page = {"lastUpdateId": 7, "bids": [LEVEL], "asks": [LEVEL]} | fields
    parsed = binance.parse(BOOKS, reply(page, BOOKS))
    assert parsed.columns["instrument"] == []
    assert [(r.rule, r.instrument) for r in parsed.rejects] == [("wrong_shape", "BTC-USDT")]


@pytest.mark.parametrize("query", [TRADES, NEWEST, BOOKS])
@pytest.mark.parametrize("body", ["", "7", "null", "[[1,", "<html></html>", '{"bids":[]}', "[" * 100_000, b"\xff\xfe"])
def test_a_page_that_is_no_page_is_bad_data(query, body):
    with pytest.raises(BadData) as bad:
        binance.parse(query, reply(body, query))
    assert bad.value.rule == "unparsable_page"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("apqTm"), inner, max_size=3),
    max_leaves=5,
)


@given(
    st.sampled_from([TRADES, NEWEST]), st.dictionaries(st.sampled_from("apqTmfl"), JSON), JSON, st.integers(-1, 90_000)
)
def test_mutated_trades_become_rows_rejects_or_bad_data_and_none_is_lost(query, fields, row, ms):
    page = [trade(1, 0), trade(2, ms) | fields, row, trade(3, 0)]
    answered = reply(page, query)
    try:
        parsed = binance.parse(query, answered)
    except BadData:
        assert binance.next_page(answered.request, answered) is None
        return
    assert len(parsed.columns["ts"]) + len(parsed.rejects) == len(page)


@given(st.dictionaries(st.sampled_from(["lastUpdateId", "bids", "asks"]), JSON | st.lists(st.lists(JSON))))
def test_a_mutated_book_is_one_row_one_reject_or_bad_data(fields):
    page = {"lastUpdateId": 7, "bids": [LEVEL], "asks": [LEVEL]} | fields
    parsed = binance.parse(BOOKS, reply(page, BOOKS))
    assert len(parsed.columns["ts"]) + len(parsed.rejects) == 1


def send(request, fault=None):
    """Return the sandbox's answer to a request, its page spoilt by a row fault where one is named."""
    received = T0 + timedelta(days=400)
    sandbox_request = SandboxRequest(request.path, dict(request.params), {}, "127.0.0.1", received.timestamp())
    outcome = EXCHANGE.answer(sandbox_request)
    served = outcome if isinstance(outcome, SandboxAnswer) else outcome()
    body = served.body
    if fault is not None:
        page = EXCHANGE.page(body)
        assert page is not None
        assert spoil_page(fault, page, arguments={}, now_s=received.timestamp())
        body = page.text().encode()
    return replace(answer(body, status=served.status), request=request, sent_at=received, received_at=received)


def collected(query, *, fault=None):
    """Follow the pages of a window at the sandbox; return the trades and the requests. The first page is spoilt."""
    requests, found = binance.build(query), []
    for request in requests:
        answered = send(request, fault if request is requests[0] else None)
        assert binance.error_of(answered) is None
        columns = binance.parse(query, answered).columns
        found += zip(*(columns[name] for name in ("ts", "trade_id", "price", "size", "side")), strict=True)
        following = binance.next_page(request, answered)
        requests += [] if following is None else [following]
    return found, requests


def test_the_pages_of_a_window_hold_each_trade_of_the_sandboxs_tape_once():
    start, end = T0 + 90 * MILLISECOND, T0 + 3 * MINUTE + 250 * MILLISECOND
    found, requests = collected(replace(TRADES, start=start, end=end))
    tape = TradeTape(PriceWalk(7)).trades("BTCUSDT", epoch_ms(start), epoch_ms(end))
    assert len(requests) > 2
    assert [(ts, trade_id, side) for ts, trade_id, _, _, side in found] == [
        (one.time_us // 1000, str(one.id), "buy" if one.taker_buys else "sell") for one in tape
    ]
    assert [(price, size) for _, _, price, size, _ in found] == [
        (f"{one.price / 100:.8f}", f"{one.size / 100_000:.8f}") for one in tape
    ]


def test_a_window_of_one_page_costs_one_request_more():
    found, requests = collected(replace(TRADES, end=T0 + 10_000 * MILLISECOND))
    assert 0 < len(found) < 1000
    assert [dict(request.params)["limit"] for request in requests] == ["1000", "1"]


@pytest.mark.parametrize(("fault", "lost"), [("short_page", 0), ("missing_row", 1)])
def test_rows_missing_from_a_page_do_not_end_the_window(fault, lost):
    query = replace(TRADES, end=T0 + 3 * MINUTE)
    assert len(collected(query, fault=fault)[0]) == len(collected(query)[0]) - lost


def test_the_sandboxs_newest_trades_and_books_are_read_without_a_reject():
    newest = binance.parse(NEWEST, send(binance.build(NEWEST)[0]))
    assert (len(newest.columns["ts"]), newest.rejects) == (1000, ())
    book = binance.parse(BOOKS, send(binance.build(BOOKS)[1]))
    assert (book.columns["instrument"], book.rejects) == (["ETH-USDT"], ())
    assert book.columns["bid_prices"][0].count(",") == 99


def test_the_sandbox_refuses_an_unknown_instrument_as_documented():
    refused = send(binance.build(Query("trades", ("NO-NO",)))[0])
    assert isinstance(binance.error_of(refused), UnknownName)
