"""Bitfinex: arrays read by position and to the digit, close before high, errors in arrays whatever the status."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.errors import BadData, FixRequest, SlowDown, TickfarmError, TryAgain, UnknownName
from ingest.providers import bitfinex
from ingest.providers.contract import Query
from tests.providers.bitfinex_replies import (
    BARS,
    BOOKS,
    MS,
    NEWEST,
    QUOTE,
    QUOTES,
    T0_MS,
    TRADES,
    bar,
    reply,
)
from tests.providers.payloads import T0, payload

EVERY = (BARS, TRADES, NEWEST, QUOTES, QUOTE, BOOKS)


def documented(name, query):
    return reply(payload("bitfinex", name), query)


def test_a_window_of_bars_asks_from_its_first_to_its_last_millisecond_oldest_first():
    (request,) = bitfinex.build(BARS)
    assert request.path == "/v2/candles/trade:1m:tBTCUSD/hist"
    assert request.params == (
        ("start", str(T0_MS)),
        ("end", str(T0_MS + 3_599_999)),
        ("sort", "1"),
        ("limit", "10000"),
    )
    assert (request.instruments, request.weight) == (("BTC-USD",), 1)
    assert (request.start, request.end) == (BARS.start, BARS.end)


def test_a_long_window_is_cut_into_pages_of_ten_thousand_bars_that_adjoin():
    query = Query("bars", ("DOGE-USD",), "1d", T0 - timedelta(days=10_500), T0)
    first, second = bitfinex.build(query)
    assert first.path == "/v2/candles/trade:1D:tDOGE:USD/hist"
    assert (first.start, second.end, first.end) == (query.start, query.end, second.start)
    assert int(dict(second.params)["start"]) - int(dict(first.params)["end"]) == 1
    assert first.end - first.start == timedelta(days=10_000)


def test_a_live_poll_of_bars_asks_for_the_newest_five():
    query = Query("bars", ("BTC-USDT", "ETH-BTC", "BTC-USDT"), "6h", None, T0)
    first, second = bitfinex.build(query)
    assert first.path == "/v2/candles/trade:6h:tBTCUST/hist"
    assert first.params == (("end", str(T0_MS - 1)), ("sort", "-1"), ("limit", "5"))
    assert (first.start, first.end, second.instruments) == (None, None, ("ETH-BTC",))
    (unbounded,) = bitfinex.build(Query("bars", ("BTC-USD",), "1d"))
    assert unbounded.params == (("sort", "-1"), ("limit", "5"))


def test_one_quote_is_asked_for_by_itself_and_many_a_hundred_at_a_time():
    names = tuple(f"A{i}-USD" for i in range(101))
    many, one = bitfinex.build(Query("quotes", names))
    assert (many.path, len(many.instruments), one.path) == ("/v2/tickers", 100, "/v2/ticker/tA100:USD")
    assert dict(many.params)["symbols"].startswith("tA0:USD,tA1:USD,")
    assert (one.params, one.instruments) == ((), ("A100-USD",))


def test_a_book_is_asked_for_with_a_hundred_levels_a_side():
    first, second = bitfinex.build(Query("books", ("BTC-USD", "BTCF0-USTF0")))
    assert (first.path, first.params) == ("/v2/book/tBTCUSD/P0", (("len", "100"),))
    assert second.path == "/v2/book/tBTCF0:USTF0/P0"


@pytest.mark.parametrize(
    ("query", "error"),
    [
        (Query("bars", ("AAPL",), "1m"), FixRequest),
        (Query("bars", ("BTC-UST",), "1m"), FixRequest),
        (Query("quotes", ("TESTBTC-TESTUSD",)), FixRequest),
        (Query("bars", ("BTC-USD",), "4h"), UnknownName),
        (Query("bars", ("BTC-USD",), "2h"), UnknownName),
        (Query("bars", ("BTC-USD",)), UnknownName),
        (Query("news", ("BTC-USD",)), UnknownName),
        (Query("bars", ("BTC-USD",), "1m", T0), FixRequest),
        (Query("trades", ("BTC-USD",), None, T0), FixRequest),
    ],
)
def test_what_bitfinex_can_not_answer_is_refused_before_it_is_sent(query, error):
    with pytest.raises(error):
        bitfinex.build(query)


def test_no_request_is_made_for_a_window_inside_one_millisecond():
    inside = {"start": T0 + MS / 4, "end": T0 + MS / 2}
    assert bitfinex.build(replace(BARS, **inside)) == bitfinex.build(replace(TRADES, **inside)) == []


def test_the_documented_candles_have_their_close_before_high_and_low():
    parsed = bitfinex.parse(BARS, documented("candles", BARS))
    assert (parsed.time_unit, parsed.rejects) == ("ms", ())
    assert parsed.columns == {
        "instrument": ["BTC-USD"] * 3,
        "ts": [1591503840000, 1591503900000, 1591504020000],
        "open": ["0.025069", "0.025068", "0.025065"],
        "high": ["0.025069", "0.02507", "0.025066"],
        "low": ["0.025068", "0.02506", "0.025065"],
        "close": ["0.025068", "0.025065", "0.025066"],
        "volume": ["1.97828998", "12345678901234567890.123456789", "1.12e-07"],
    }


def test_a_live_poll_has_the_forming_bar_first():
    columns = bitfinex.parse(BARS, documented("candles_newest", replace(BARS, start=None))).columns
    assert columns["ts"] == [1574698260000, 1574698200000]
    assert (columns["high"], columns["low"], columns["close"]) == (
        ["7388.3", "7399.9"],
        ["7379.785503", "7371.8"],
        ["7383.8", "7379.7"],
    )


@pytest.mark.parametrize(
    "row", [None, {}, "row", 7, [], bar(60)[:5], bar(60, _0="x"), bar(60, _0=1.5), bar(60, _0=-1), bar(60, _3=[])]
)
def test_a_candle_of_wrong_shape_is_rejected_and_the_others_are_kept(row):
    parsed = bitfinex.parse(BARS, reply([bar(0), row, bar(120_000)]))
    assert parsed.columns["ts"] == [T0_MS, T0_MS + 120_000]
    assert [(r.instrument, r.rule) for r in parsed.rejects] == [("BTC-USD", "wrong_shape")]


def test_a_null_price_is_left_to_the_quality_rules():
    assert bitfinex.parse(BARS, reply([bar(0, _2=None)])).columns["close"] == [None]


def test_an_empty_list_is_no_error_and_no_rows_as_for_an_unknown_pair():
    for query in (BARS, TRADES, NEWEST, BOOKS):
        answered = reply([], query)
        assert bitfinex.error_of(answered) is None
        parsed = bitfinex.parse(query, answered)
        assert (parsed.columns["instrument"], parsed.rejects) == ([], ())
        assert bitfinex.next_page(answered.request, answered) is None


def test_the_bars_that_a_page_leaves_out_are_asked_for_until_the_last_one_is_there():
    (request,) = bitfinex.build(BARS)
    short = reply([bar(0), bar(60_000), bar(180_000)])
    following = bitfinex.next_page(request, short)
    assert following.params == tuple(("start", str(T0_MS + 240_000)) if p[0] == "start" else p for p in request.params)
    assert (following.path, following.start, following.end) == (request.path, request.start, request.end)
    whole = reply([bar(minute * 60_000) for minute in range(60)])
    assert bitfinex.next_page(request, whole) is None
    assert bitfinex.next_page(following, reply([], request=following)) is None
    out_of_order = reply([bar(59 * 60_000), bar(0), bar(10**12)])
    assert bitfinex.next_page(request, out_of_order) is None


def test_a_bar_dated_outside_the_window_does_not_move_the_next_page():
    (request,) = bitfinex.build(BARS)
    following = bitfinex.next_page(request, reply([bar(0), bar(60_000, _0=T0_MS + 10**9), bar(120_000, _0=1727740920)]))
    assert dict(following.params)["start"] == str(T0_MS + 60_000)


def test_there_is_no_page_after_a_live_poll():
    for query in (replace(BARS, start=None), NEWEST, QUOTES, QUOTE, BOOKS):
        answered = reply([bar(0)], query)
        assert bitfinex.next_page(answered.request, answered) is None


def test_quotes_of_many_pairs_have_no_time_and_one_that_did_not_come_is_a_finding():
    parsed = bitfinex.parse(QUOTES, documented("tickers", QUOTES))
    assert parsed.columns == {
        "instrument": ["BTC-USD", "DOGE-USD"],
        "ts": [None, None],
        "bid": ["10645", "0.13618"],
        "ask": ["10647", "0.1362"],
        "last": ["10644.00645389", "0.13619"],
    }
    assert [(r.rule, r.instrument) for r in parsed.rejects] == [("unknown_symbol", None), ("missing_rows", "ETH-USD")]


def test_one_quote_is_a_flat_list_and_the_sum_of_25_levels_is_no_size_at_the_best_price():
    parsed = bitfinex.parse(QUOTE, documented("ticker", QUOTE))
    assert parsed.columns == {
        "instrument": ["BTC-USD"],
        "ts": [None],
        "bid": ["10645"],
        "ask": ["10647"],
        "last": ["10644.00645389"],
    }
    assert parsed.rejects == ()


@pytest.mark.parametrize("row", [[], [1, 2, 3], [1, 2, 3, 4, 5, 6, {}], [[], 2, 3, 4, 5, 6, 7]])
def test_a_ticker_of_wrong_shape_is_rejected_alone_and_among_others(row):
    alone = bitfinex.parse(QUOTE, reply(row, QUOTE))
    assert ([r.rule for r in alone.rejects], alone.columns["bid"]) == (["wrong_shape"], [])
    good = ["tBTCUSD", 1, 2, 3, 4, 5, 6, 7]
    parsed = bitfinex.parse(QUOTES, reply([["tDOGE:USD", *row], good, ["tETHUSD", *good[1:]], good, None], QUOTES))
    assert parsed.columns["instrument"] == ["BTC-USD", "ETH-USD"]
    assert [(r.rule, r.instrument) for r in parsed.rejects] == [
        ("wrong_shape", "DOGE-USD"),
        ("unknown_symbol", None),
        ("unknown_symbol", None),
    ]


def test_a_book_is_told_apart_by_the_sign_of_its_amounts_and_sorted_best_first():
    parsed = bitfinex.parse(BOOKS, documented("book", BOOKS))
    assert parsed.columns == {
        "instrument": ["BTC-USD"],
        "ts": [None],
        "bid_prices": ["8744.9,8744.8,8744.7"],
        "bid_sizes": ["0.45603413,8,1.09403"],
        "ask_prices": ["8745,8745.1,8745.6"],
        "ask_sizes": ["0.3,12.00000001,2.5e-05"],
    }


def test_a_book_keeps_its_best_hundred_levels_and_may_have_no_asks():
    deep = bitfinex.parse(BOOKS, reply([[9.5 + i / 2, 1, 1] for i in range(150)], BOOKS))
    assert deep.columns["bid_prices"][0].split(",")[::99] == ["84.0", "34.5"]
    assert deep.columns["ask_prices"] == [""]


@pytest.mark.parametrize(
    "level", [None, {}, [1], [1, 1, 0], [1, 1, None], ["x", 1, 1], [1, 1, "1,2"], [1, 1, "Infinity"]]
)
def test_a_book_with_a_level_of_wrong_shape_is_rejected(level):
    parsed = bitfinex.parse(BOOKS, reply([[1, 1, 1], level], BOOKS))
    assert (parsed.columns["instrument"], [r.rule for r in parsed.rejects]) == ([], ["wrong_shape"])


def test_the_catalogue_lists_pairs_in_our_spelling_without_the_test_market():
    assert bitfinex.catalogue().path == "/v2/conf/pub:list:pair:exchange,pub:list:pair:futures"
    listed = bitfinex.listed(reply(payload("bitfinex", "pairs")))
    assert listed == [
        *("1INCH-USD", "AAVE-USD", "BTC-CNHT", "BTC-USD", "BTC-USDT", "DOGE-USD", "DASH-BTC", "USDC-USD"),
        "BTCF0-USTF0",
    ]
    for name in listed:
        assert bitfinex.instrument_of(bitfinex.native_symbol(name)) == name
    for body in ({}, [7], [[None]], ["BTCUSD"]):
        with pytest.raises(BadData):
            bitfinex.listed(reply(body))


LEG = st.text("ABCDEFGHSTU019", min_size=1, max_size=6)
LEG |= st.sampled_from(["USDT", "USDC", "DASH", "IOTA", "USD", "UST"])


#: Its names of assets that everybody else calls otherwise, as far as LEG can spell them.
ITS_OWN = {"UST", "UDC", "TSD", "EUT", "EUS", "DSH", "DAT"}


@given(LEG, LEG)
def test_a_symbol_and_its_pair_name_each_other(base, quote):
    try:
        native = bitfinex.native_symbol(f"{base}-{quote}")
    except FixRequest:
        assert {base, quote} & ITS_OWN or (base + quote).count("TEST") or (base, quote) == ("AAA", "BBB")
        return
    assert bitfinex.instrument_of(native) == f"{base}-{quote}"


@pytest.mark.parametrize("native", ["fUSD", "BTCUSD", "tBTCUS", "tTESTBTC:TESTUSD", "tAAABBB", "tBTC-USD", "tDASH:USD"])
def test_what_is_no_pair_of_the_market_has_no_name_here(native):
    assert bitfinex.instrument_of(native) is None


@pytest.mark.parametrize("name", ["candles", "trades", "ticker", "tickers", "book", "pairs"])
def test_a_documented_answer_is_no_error(name):
    assert bitfinex.error_of(reply(payload("bitfinex", name))) is None


@pytest.mark.parametrize(
    ("status", "name", "headers", "kind", "wait"),
    [
        (429, "rate_limit", {}, SlowDown, 60.0),
        (500, "rate_limit", {}, SlowDown, 60.0),
        (200, "rate_limit", {}, SlowDown, 60.0),
        (429, "rate_limit", {"retry-after": "12"}, SlowDown, 12.0),
        (200, "rate_limit_v1", {}, SlowDown, 60.0),
        (429, "candles", {}, SlowDown, 60.0),
        (500, "maintenance", {}, TryAgain, None),
        (503, "unavailable", {}, TryAgain, None),
        (500, "candles", {}, TryAgain, None),
        (500, "invalid_symbol", {}, UnknownName, None),
        (500, "invalid_limit", {}, FixRequest, None),
        (500, "invalid_key", {}, FixRequest, None),
        (404, "candles", {}, FixRequest, None),
    ],
)
def test_an_error_array_goes_before_the_status_because_most_are_sent_with_500(status, name, headers, kind, wait):
    error = bitfinex.error_of(reply(payload("bitfinex", name), status=status, headers=headers))
    assert type(error) is kind
    assert (error.provider, getattr(error, "retry_after_s", None)) == ("bitfinex", wait)
    assert "invalid" not in str(error) or "parameter" in str(error)


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        ('["error",10100,"ratelimit: error"]', 500, SlowDown),
        ('["error",10114,"nonce: small"]', 500, FixRequest),
        ('["error",10001,"Unknown event"]', 500, FixRequest),
        ('["error",99999,"brand: new"]', 500, TryAgain),
        ('["error",99999,"brand: new"]', 200, FixRequest),
        ('["error"]', 200, FixRequest),
        ("[]", 500, TryAgain),
        ("<!doctype html><title>Attention</title>", 403, TryAgain),
        ("<html></html>", 200, TryAgain),
        ("", 200, TryAgain),
        ("[[1591503840000,0.0250", 200, TryAgain),
        ("error code: 1020", 200, BadData),
    ],
)
def test_other_errors_say_what_to_do_too(body, status, kind):
    assert type(bitfinex.error_of(reply(body, status=status))) is kind


def test_an_invalid_symbol_is_an_unknown_name_if_one_was_asked_for_and_else_a_list_to_be_halved():
    error = bitfinex.error_of(reply(payload("bitfinex", "invalid_symbol"), BOOKS, status=500))
    assert (error.kind, error.given, error.instrument, error.status) == ("instrument", "BTC-USD", "BTC-USD", 500)
    assert type(bitfinex.error_of(reply(payload("bitfinex", "invalid_symbol"), QUOTES, status=500))) is FixRequest


def test_what_an_error_says_is_never_quoted_since_it_may_hold_anything():
    for body in ('["error",10020,"s3cret: invalid"]', '{"error":"s3cret"}'):
        assert "s3cret" not in str(bitfinex.error_of(reply(body, status=500)))


@pytest.mark.parametrize("body", ["", "{}", "7", "null", '{"a":[]}', "[" * 100_000, b"\xff"])
@pytest.mark.parametrize("query", EVERY)
def test_a_page_that_is_no_page_is_bad_data(body, query):
    with pytest.raises(BadData) as bad:
        bitfinex.parse(query, reply(body, query))
    assert bad.value.rule == "unparsable_page"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=9) | st.dictionaries(st.sampled_from("abcxy"), inner, max_size=4),
    max_leaves=12,
)


def texts_in(value):
    """Return every number and string of a document as the text that it is read as, signs taken off."""
    if isinstance(value, list | dict):
        parts = value.values() if isinstance(value, dict) else value
        return set().union(*map(texts_in, parts))
    return {value.removeprefix("-"), value} if isinstance(value, str) else set()


@given(st.data(), st.sampled_from(["candles", "trades", "ticker", "tickers", "book"]), st.sampled_from(EVERY), JSON)
def test_a_documented_page_with_any_part_replaced_gives_values_of_its_own_rejects_or_bad_data(data, name, query, value):
    document = {"page": json.loads(payload("bitfinex", name))}
    part, key = document, "page"
    while isinstance(part[key], list | dict) and part[key] and data.draw(st.booleans()):
        part = part[key]
        key = data.draw(st.sampled_from(list(part) if isinstance(part, dict) else range(len(part))))
    part[key] = value
    body = json.dumps(document["page"])
    answered = reply(body[: data.draw(st.just(len(body)) | st.integers(0, len(body)))], query)
    assert isinstance(bitfinex.error_of(answered), TickfarmError | None)
    following = bitfinex.next_page(answered.request, answered)
    assert following is None or following.params != answered.request.params
    try:
        parsed = bitfinex.parse(query, answered)
    except BadData:
        return
    assert len({len(column) for column in parsed.columns.values()}) == 1
    sent = texts_in(json.loads(body, parse_float=str, parse_int=str, parse_constant=str)) | {"buy", "sell", ""}
    values = (v for n, column in parsed.columns.items() if n != "instrument" for v in column if v is not None)
    assert {text for v in values for text in str(v).split(",")} <= sent | {t for s in sent for t in s.split(",")}
