"""Binance: requests that cover exactly what is asked, documented pages read to the digit, errors told apart."""

from __future__ import annotations

import json
from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.errors import BadData, FixRequest, SlowDown, TryAgain, UnknownName
from ingest.market.intervals import SECONDS
from ingest.market.times import epoch_ms
from ingest.providers import binance
from ingest.providers.contract import Query
from tests.providers.payloads import T0, answer, payload

BARS = Query("bars", ("BTC-USDT",), "1m", T0, T0 + timedelta(minutes=2500))
QUOTES = Query("quotes", ("BTC-USDT", "ETH-USDT"))


@given(st.sampled_from(list(SECONDS)), st.integers(0, 10**6), st.integers(1, 10**7))
def test_the_pages_of_a_window_ask_for_each_bar_of_it_once(interval, offset_s, length_s):
    start = T0 + timedelta(seconds=offset_s)
    query = Query("bars", ("BTC-USDT",), interval, start, start + timedelta(seconds=length_s))
    pages = [dict(r.params) for r in binance.build(query)]
    spans = [(int(p["startTime"]), int(p["endTime"]) + 1) for p in pages]
    assert spans[0][0] == epoch_ms(query.start)
    assert spans[-1][1] == epoch_ms(query.end)
    assert all(a[1] == b[0] for a, b in pairwise(spans))
    width = SECONDS[interval] * 1000
    assert all(-(-end // width) - -(-start // width) <= 1000 for start, end in spans)


def test_a_page_names_its_symbol_its_span_and_its_weight():
    requests = binance.build(BARS)
    assert [r.end - r.start for r in requests] == [timedelta(minutes=m) for m in (1000, 1000, 500)]
    assert requests[0].path == "/api/v3/klines"
    assert requests[0].params == (
        ("symbol", "BTCUSDT"),
        ("interval", "1m"),
        ("startTime", "1727740800000"),
        ("endTime", "1727800799999"),
        ("limit", "1000"),
    )
    assert {(r.weight, r.instruments, r.headers) for r in requests} == {(2, ("BTC-USDT",), ())}
    assert binance.next_page(requests[0], answer(b"[]")) is None


def test_a_query_without_start_asks_for_the_newest_rows_of_each_instrument():
    requests = binance.build(Query("bars", ("BTC-USDT", "ETH-USDT", "BTC-USDT"), "1m"))
    assert [dict(r.params) for r in requests] == [
        {"symbol": symbol, "interval": "1m", "limit": "5"} for symbol in ("BTCUSDT", "ETHUSDT")
    ]
    assert requests[0].start is requests[0].end is None


def test_quotes_are_asked_for_a_hundred_symbols_at_a_time():
    names = tuple(f"A{i}-USDT" for i in range(201))
    requests = binance.build(Query("quotes", names))
    assert [(len(r.instruments), r.weight) for r in requests] == [(100, 4), (100, 4), (1, 2)]
    assert json.loads(dict(requests[0].params)["symbols"])[:2] == ["A0USDT", "A1USDT"]
    assert requests[2].params == (("symbol", "A200USDT"),)
    assert tuple(name for r in requests for name in r.instruments) == names


@pytest.mark.parametrize(
    ("query", "error"),
    [
        (Query("bars", ("AAPL",), "1m"), FixRequest),
        (Query("bars", ("BTC-USDT",), "1w"), UnknownName),
        (Query("bars", ("BTC-USDT",)), UnknownName),
        (Query("news", ("BTC-USDT",)), UnknownName),
        (Query("bars", ("BTC-USDT",), "1m", T0), FixRequest),
        (Query("quotes", ("AB-C", "A-BC")), FixRequest),
    ],
)
def test_what_binance_can_not_answer_is_refused_before_it_is_sent(query, error):
    with pytest.raises(error):
        binance.build(query)


def test_the_documented_klines_are_read_by_position_and_to_the_digit():
    parsed = binance.parse(BARS, answer(payload("binance", "klines")))
    assert (parsed.time_unit, parsed.rejects) == ("ms", ())
    assert {name: values[:2] for name, values in parsed.columns.items()} == {
        "instrument": ["BTC-USDT", "BTC-USDT"],
        "ts": [1727740800000, 1727744400000],
        "open": ["63327.59000000", "63531.99000000"],
        "high": ["63606.00000000", "63777.00000000"],
        "low": ["63006.70000000", "63500.00000000"],
        "close": ["63531.99000000", "63700.10000000"],
        "volume": ["1336.93335000", "902.10000000"],
        "quote_volume": ["84643498.12", "57460000.00000001"],
        "trade_count": ["231522", "180001"],
    }
    assert len(parsed.columns["ts"]) == 3  # the row with a field more is no reason to object


@pytest.mark.parametrize(
    "row",
    [
        None,
        {},
        "row",
        7,
        [],
        [1],
        [*range(12)],
        ["1", *["1"] * 7, 1, "1", "1", "0"],
        [1, *["1"] * 7, None, "1", "1", "0"],
    ],
)
def test_a_row_of_wrong_shape_is_rejected_and_the_others_are_kept(row):
    good = json.loads(payload("binance", "klines"))
    parsed = binance.parse(BARS, answer(json.dumps([good[0], row, good[2]])))
    assert parsed.columns["ts"] == [good[0][0], good[2][0]]
    (reject,) = parsed.rejects
    assert (reject.instrument, reject.rule, reject.row) == ("BTC-USDT", "wrong_shape", json.dumps(row)[:200])


def test_a_null_price_is_left_to_the_quality_rules():
    row = json.loads(payload("binance", "klines"))[0]
    row[4] = None
    assert binance.parse(BARS, answer(json.dumps([row]))).columns["close"] == [None]


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=13)))
def test_no_json_list_makes_parse_raise_and_no_row_is_lost(value):
    page = value if isinstance(value, list) else [value]
    for query in (BARS, QUOTES):
        parsed = binance.parse(query, answer(json.dumps(page)))
        assert len(parsed.columns["ts"]) + len(parsed.rejects) == len(page)


@pytest.mark.parametrize("body", ["", "{}", "7", "null", "[[1,", "<html></html>", "[" * 100_000, b"\xff\xfe\xfd"])
def test_a_page_that_is_no_page_is_bad_data(body):
    with pytest.raises(BadData) as bad:
        binance.parse(BARS, answer(body))
    assert bad.value.rule == "unparsable_page"


def test_quotes_come_as_one_object_or_a_list_and_have_no_time():
    one = binance.parse(QUOTES, answer(payload("binance", "book_ticker"), instruments=("LTC-BTC",)))
    assert one.columns["instrument"] == ["LTC-BTC"]
    asked = ("BTC-USDT", "ETH-USDT")
    many = binance.parse(QUOTES, answer(payload("binance", "book_tickers"), instruments=asked))
    assert many.columns == {
        "instrument": ["BTC-USDT", "ETH-USDT"],
        "ts": [None, None],
        "bid": ["63327.59000000", "2600.10000000"],
        "bid_size": ["1.50000000", "12.00000000"],
        "ask": ["63327.60000000", "2600.11000000"],
        "ask_size": ["0.25000000", "7.00000000"],
    }


def test_a_quote_of_a_symbol_that_was_not_asked_for_is_rejected():
    parsed = binance.parse(QUOTES, answer(payload("binance", "book_tickers"), instruments=("ETH-USDT",)))
    assert parsed.columns["instrument"] == ["ETH-USDT"]
    assert [r.rule for r in parsed.rejects] == ["unknown_symbol"]


@pytest.mark.parametrize("name", ["klines", "book_ticker", "book_tickers"])
def test_a_documented_answer_is_no_error(name):
    assert binance.error_of(answer(payload("binance", name))) is None
    assert binance.error_of(answer(b"[]")) is None


@pytest.mark.parametrize(
    ("status", "name", "headers", "kind", "wait"),
    [
        (429, "too_many_requests", {"retry-after": "7"}, SlowDown, 7.0),
        (429, "too_many_requests", {}, SlowDown, None),
        (418, "banned", {"retry-after": "120"}, SlowDown, 120.0),
        (418, "banned", {}, SlowDown, 120.0),
        (400, "too_many_requests", {}, SlowDown, None),
        (403, "klines", {}, SlowDown, None),
        (503, "server_busy", {"retry-after": "Fri, 31 Dec 1999 23:59:59 GMT"}, TryAgain, None),
        (400, "server_busy", {}, TryAgain, None),
        (502, "invalid_symbol", {}, TryAgain, None),
        (200, "server_busy", {}, TryAgain, None),
        (451, "klines", {}, FixRequest, None),
        (404, "klines", {}, FixRequest, None),
    ],
)
def test_status_and_code_say_what_to_do(status, name, headers, kind, wait):
    error = binance.error_of(answer(payload("binance", name), status=status, headers=headers))
    assert type(error) is kind
    assert (error.provider, error.status, error.retry_after_s) == ("binance", status, wait)


@pytest.mark.parametrize("status", [400, 200])
def test_an_invalid_symbol_is_an_unknown_name_even_in_a_200(status):
    error = binance.error_of(answer(payload("binance", "invalid_symbol"), status=status))
    assert isinstance(error, UnknownName)
    assert (error.given, error.instrument, error.status) == ("BTC-USDT", "BTC-USDT", status)
    several = answer(payload("binance", "invalid_symbol"), status=400, instruments=("BTC-USDT", "NO-NO"))
    assert type(binance.error_of(several)) is FixRequest


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (payload("binance", "klines")[:-40], TryAgain),
        ("", TryAgain),
        (" \n", TryAgain),
        ("<!doctype html><title>Attention</title>", TryAgain),
        ('{"code":-11', TryAgain),
        ("Service unavailable", BadData),
    ],
)
def test_a_body_that_can_not_be_whole_json_is_an_error_even_in_a_200(body, kind):
    assert type(binance.error_of(answer(body))) is kind
