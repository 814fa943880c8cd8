"""Kraken: requests by its names, documented answers read to the digit under whatever name, errors inside a 200."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.errors import BadData, FixRequest, SlowDown, TickfarmError, TryAgain, UnknownName
from ingest.providers import kraken
from ingest.providers.contract import Query
from tests.providers.kraken_replies import BARS, BOOKS, MINUTE, NEWEST, QUOTES, TRADES, page, reply
from tests.providers.payloads import T0, payload

EVERY = (BARS, TRADES, NEWEST, QUOTES, BOOKS)
DOCUMENTED = datetime(2023, 7, 6, 19, 20, tzinfo=UTC)


def documented(name, query):
    """Return a documented answer, without a window to cut it by."""
    return reply(payload("kraken", name), replace(query, start=None, end=None))


def test_a_window_of_bars_is_one_request_from_a_second_before_its_first_bar():
    (request,) = kraken.build(replace(BARS, start=T0 + timedelta(seconds=1)))
    assert request.path == "/0/public/OHLC"
    assert request.params == (("pair", "XBTUSD"), ("interval", "1"), ("since", "1727740859"))
    assert (request.instruments, request.weight) == (("BTC-USD",), 1)
    assert (request.start, request.end) == (T0 + timedelta(seconds=1), BARS.end)


def test_a_live_poll_asks_for_the_forming_bar_and_four_before_it():
    query = Query("bars", ("DOGE-USD", "ETH-BTC", "DOGE-USD"), "4h", None, T0 + timedelta(hours=5))
    assert [dict(request.params) for request in kraken.build(query)] == [
        {"pair": name, "interval": "240", "since": str(1727740800 - 3 * 14400 - 1)} for name in ("XDGUSD", "ETHXBT")
    ]
    (unbounded,) = kraken.build(Query("bars", ("BTC-USD",), "1d"))
    assert unbounded.params == (("pair", "XBTUSD"), ("interval", "1440"))
    assert unbounded.start is unbounded.end is None


def test_quotes_are_asked_for_a_hundred_pairs_at_a_time_and_books_one_by_one():
    names = tuple(f"A{i}-USD" for i in range(201))
    requests = kraken.build(Query("quotes", names))
    assert [len(request.instruments) for request in requests] == [100, 100, 1]
    assert dict(requests[0].params)["pair"].startswith("A0USD,A1USD,")
    assert tuple(name for request in requests for name in request.instruments) == names
    first, second = kraken.build(Query("books", ("BTC-USDT", "ETH-USD")))
    assert (first.path, first.params) == ("/0/public/Depth", (("pair", "XBTUSDT"), ("count", "100")))
    assert second.instruments == ("ETH-USD",)


@pytest.mark.parametrize(
    ("query", "error"),
    [
        (Query("bars", ("AAPL",), "1m"), FixRequest),
        (Query("bars", ("XBT-USD",), "1m"), FixRequest),
        (Query("quotes", ("ETH-XDG",)), FixRequest),
        (Query("bars", ("BTC-USD",), "2h"), UnknownName),
        (Query("bars", ("BTC-USD",)), UnknownName),
        (Query("news", ("BTC-USD",)), UnknownName),
        (Query("bars", ("BTC-USD",), "1m", T0), FixRequest),
        (Query("trades", ("BTC-USD",), None, T0), FixRequest),
        (Query("quotes", ("AB-C", "A-BC")), FixRequest),
    ],
)
def test_what_kraken_can_not_answer_is_refused_before_it_is_sent(query, error):
    with pytest.raises(error):
        kraken.build(query)


def test_the_documented_bars_are_read_by_position_and_to_the_digit():
    parsed = kraken.parse(BARS, documented("ohlc", BARS))
    assert (parsed.time_unit, parsed.rejects) == ("s", ())
    assert parsed.columns == {
        "instrument": ["BTC-USD"] * 4,
        "ts": [1688671200, 1688671260, 1688671320, 1688671380],
        "open": ["30306.1", "30304.5", "30300.0", "30300.1"],
        "high": ["30306.2", "30304.5", "30300.0", "12345678901234567890.123456789"],
        "low": ["30305.7", "30300.0", "30300.0", "0.00000000000001"],
        "close": ["30305.7", "30300.0", "30300.0", "30300.2"],
        "volume": ["3.39243896", "4.42996871", "0.00000000", "1.12e-7"],
        "trade_count": ["23", "18", "0", "2"],
    }


def test_bars_newer_than_the_window_are_cut_because_it_has_no_end_there():
    query = replace(BARS, start=DOCUMENTED, end=DOCUMENTED + 2 * MINUTE)
    bars = reply(payload("kraken", "ohlc"), query)
    assert kraken.parse(query, bars).columns["ts"] == [1688671200, 1688671260]
    half = replace(query, end=DOCUMENTED + 2 * MINUTE + timedelta(microseconds=1))
    assert len(kraken.parse(half, reply(payload("kraken", "ohlc"), half)).columns["ts"]) == 3


def bar(seconds, **cells):
    row = [1727740800 + seconds, "1", "1", "1", "1", "1", "1", 1]
    for place, value in cells.items():
        row[int(place[1:])] = value
    return row


def test_only_the_end_of_a_page_is_cut_and_a_bar_dated_in_the_future_is_no_row_to_cut_silently():
    query = replace(BARS, end=T0 + 3 * MINUTE)
    rows = [bar(-60), bar(0), bar(300), bar(120), bar(180), bar(10**8)]
    assert kraken.parse(query, reply(page(rows, 0), query)).columns["ts"] == [
        1727740800 + s for s in (-60, 0, 300, 120, 10**8)
    ]
    assert kraken.parse(query, reply(page([bar(180), bar(240)], 0), query)).columns["ts"] == []


@pytest.mark.parametrize(
    "row",
    [None, {}, "row", 7, [], [1], bar(60)[:7], bar(60, _0="x"), bar(60, _0=1.5), bar(60, _7=None), bar(60, _4=[])],
)
def test_a_bar_of_wrong_shape_is_rejected_and_the_others_are_kept(row):
    parsed = kraken.parse(BARS, reply(page([bar(0), row, bar(120)], 60)))
    assert parsed.columns["ts"] == [1727740800, 1727740920]
    assert [(r.instrument, r.rule) for r in parsed.rejects] == [("BTC-USD", "wrong_shape")]


def test_a_null_price_is_left_to_the_quality_rules():
    assert kraken.parse(BARS, reply(page([bar(0, _4=None)], 0))).columns["close"] == [None]


@pytest.mark.parametrize("key", ["XXBTZUSD", "XBTUSD", "XBT/USD", "BTC/USD", "XXBT/ZUSD"])
def test_the_answer_may_call_the_pair_by_any_of_its_names(key):
    assert kraken.parse(BARS, reply(page([bar(0)], 0, key=key))).columns["instrument"] == ["BTC-USD"]


@pytest.mark.parametrize(("key", "rule"), [("XETHZUSD", "unknown_symbol"), ("last", "unparsable_page")])
def test_an_answer_about_another_pair_or_none_is_bad_data(key, rule):
    with pytest.raises(BadData) as bad:
        kraken.parse(BARS, reply(page([bar(0)], key=key)))
    assert bad.value.rule == rule


def test_quotes_of_many_pairs_find_their_instruments_and_have_no_time():
    parsed = kraken.parse(QUOTES, documented("tickers", QUOTES))
    assert parsed.columns == {
        "instrument": ["DOGE-USD", "BTC-USDT", "BTC-USD", "XRP-USD"],
        "ts": [None] * 4,
        "bid": ["0.1361800", "105944.20000", "30300.00000", "0.4"],
        "bid_size": ["2452.000", "1.000", "1.000", "1"],
        "ask": ["0.1362000", "105944.30000", "30300.10000", "0.5"],
        "ask_size": ["974.000", "1.000", "1.000", "1"],
        "last": ["0.1361900", "105899.40000", "30303.20000", "0.45"],
    }
    assert [(r.rule, r.instrument) for r in parsed.rejects] == [("unknown_symbol", None)]
    one = kraken.parse(QUOTES, documented("ticker", Query("quotes", ("BTC-USD",))))
    assert (one.columns["bid_size"], one.columns["ask_size"]) == (["2.500"], ["1.000"])


@pytest.mark.parametrize("row", [None, [], "abc", {}, {"a": "123", "b": "123", "c": "1"}, {"a": [], "b": [], "c": []}])
def test_a_ticker_of_wrong_shape_is_rejected_and_the_others_are_kept(row):
    good = json.loads(payload("kraken", "ticker"))["result"]["XXBTZUSD"]
    answered = reply({"error": [], "result": {"XXRPZUSD": row, "XXBTZUSD": good}}, QUOTES)
    parsed = kraken.parse(QUOTES, answered)
    assert parsed.columns["instrument"] == ["BTC-USD"]
    assert [(r.rule, r.instrument) for r in parsed.rejects] == [("wrong_shape", "XRP-USD")]


def test_the_documented_book_is_one_row_with_the_best_levels_first():
    parsed = kraken.parse(BOOKS, documented("depth", BOOKS))
    assert parsed.columns == {
        "instrument": ["BTC-USD"],
        "ts": [None],
        "bid_prices": ["30297.00000,30296.70000"],
        "bid_sizes": ["1.115,2.002"],
        "ask_prices": ["30384.10000,30387.90000,30393.70000"],
        "ask_sizes": ["2.059,1.500,9.871"],
    }


@pytest.mark.parametrize("side", [None, {}, [None], [["1"]], [["1,2", "1"]], [["", "1"]], [[None, "1"]]])
def test_a_book_of_wrong_shape_is_rejected_and_one_without_orders_is_not(side):
    parsed = kraken.parse(BOOKS, reply(page({"asks": [], "bids": side}), BOOKS))
    assert (parsed.columns["instrument"], [r.rule for r in parsed.rejects]) == ([], ["wrong_shape"])
    empty = kraken.parse(BOOKS, reply(page({"asks": [], "bids": []}), BOOKS))
    assert (empty.columns["bid_prices"], empty.columns["ask_sizes"]) == ([""], [""])
    deep = kraken.parse(BOOKS, reply(page({"asks": [[str(i), "1", 1] for i in range(500)], "bids": []}), BOOKS))
    assert deep.columns["ask_prices"] == [",".join(map(str, range(100)))]


def test_the_catalogue_lists_pairs_in_our_spelling_and_only_those_that_can_be_asked_for():
    assert kraken.catalogue().path == "/0/public/AssetPairs"
    assert kraken.listed(reply(payload("kraken", "asset_pairs"))) == ["ETH-BTC", "BTC-USD", "DOGE-USD"]
    for result in ([], {"XXBTZUSD": 7}, {"XXBTZUSD": {"wsname": None}}):
        with pytest.raises(BadData):
            kraken.listed(reply({"error": [], "result": result}))


@pytest.mark.parametrize("name", ["ohlc", "trades", "ticker", "tickers", "depth", "asset_pairs", "warning"])
def test_a_documented_answer_is_no_error_nor_is_one_with_a_warning(name):
    assert kraken.error_of(reply(payload("kraken", name))) is None


def test_the_rows_beside_a_warning_are_read():
    assert kraken.parse(BARS, documented("warning", BARS)).columns["trade_count"] == ["23"]


@pytest.mark.parametrize(
    ("status", "name", "headers", "kind", "wait"),
    [
        (200, "rate_limit", {}, SlowDown, None),
        (200, "throttled", {}, SlowDown, 42.0),
        (429, "throttled", {}, SlowDown, 42.0),
        (429, "ohlc", {"retry-after": "7"}, SlowDown, 7.0),
        (200, "lockout", {}, SlowDown, 900.0),
        (200, "unavailable", {}, TryAgain, None),
        (200, "internal", {}, TryAgain, None),
        (520, "unknown_pair", {}, TryAgain, None),
        (200, "invalid_arguments", {}, FixRequest, None),
        (200, "invalid_key", {}, FixRequest, None),
        (404, "ohlc", {}, FixRequest, None),
    ],
)
def test_status_and_error_texts_say_what_to_do(status, name, headers, kind, wait):
    error = kraken.error_of(reply(payload("kraken", name), status=status, headers=headers, received=T0))
    assert type(error) is kind
    assert (error.provider, error.status, error.retry_after_s) == ("kraken", status, wait)
    assert "EAPI" not in str(error)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("EGeneral:Too many requests", SlowDown),
        ("EService:Throttled:1", SlowDown),
        ("EService:Busy", TryAgain),
        ("EService:Timeout", TryAgain),
        ("EService:Deadline elapsed", TryAgain),
        ("EService:Market in cancel_only mode", TryAgain),
        ("EDatabase:Internal error", TryAgain),
        ("EGeneral:Internal error:abc", TryAgain),
        ("EGeneral:Permission denied", FixRequest),
        ("EQuery:Invalid asset pair", UnknownName),
        ("EQuery:Unknown asset", UnknownName),
        ("EBrand:New", FixRequest),
    ],
)
def test_each_known_text_has_a_meaning_and_warnings_beside_it_change_nothing(text, kind):
    error = kraken.error_of(reply({"error": ["WGeneral:Something", text], "result": {}}))
    assert type(error) is kind


def test_an_unknown_pair_is_an_unknown_name_if_one_was_asked_for_and_else_a_list_to_be_halved():
    error = kraken.error_of(reply(payload("kraken", "unknown_pair")))
    assert isinstance(error, UnknownName)
    assert (error.kind, error.given, error.instrument, error.status) == ("instrument", "BTC-USD", "BTC-USD", 200)
    assert type(kraken.error_of(reply(payload("kraken", "unknown_pair"), QUOTES))) is FixRequest


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        (payload("kraken", "ohlc")[:-40], 200, TryAgain),
        ("", 200, TryAgain),
        ("<!doctype html><title>Attention</title>", 403, TryAgain),
        ("<html></html>", 200, TryAgain),
        ("error code: 1020", 200, BadData),
    ],
)
def test_a_body_that_can_not_be_whole_json_is_an_error_even_in_a_200(body, status, kind):
    assert type(kraken.error_of(reply(body, status=status))) is kind


@pytest.mark.parametrize(
    "body", ["", "{}", "[]", "7", '{"error":[]}', '{"error":[],"result":[]}', "[" * 100_000, b"\xff"]
)
@pytest.mark.parametrize("query", EVERY)
def test_a_page_that_is_no_page_is_bad_data(body, query):
    with pytest.raises(BadData) as bad:
        kraken.parse(query, reply(body, query))
    assert bad.value.rule == "unparsable_page"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=9) | st.dictionaries(st.sampled_from("abcxy"), inner, max_size=4),
    max_leaves=12,
)


@given(st.data(), st.sampled_from(["ohlc", "trades", "tickers", "depth"]), st.sampled_from(EVERY), JSON)
def test_a_documented_page_with_any_part_replaced_gives_rows_rejects_or_bad_data(data, name, query, value):
    document = json.loads(payload("kraken", name))
    part, key = document, "result"
    while isinstance(part[key], list | dict) and part[key] and data.draw(st.booleans()):
        part = part[key]
        key = data.draw(st.sampled_from(list(part) if isinstance(part, dict) else range(len(part))))
    part[key] = value
    answered = reply(document, query)
    assert isinstance(kraken.error_of(answered), TickfarmError | None)
    following = kraken.next_page(answered.request, answered)
    assert following is None or following.params != answered.request.params
    try:
        parsed = kraken.parse(query, answered)
    except BadData:
        return
    assert len({len(column) for column in parsed.columns.values()}) == 1
