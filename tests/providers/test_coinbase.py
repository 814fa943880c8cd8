"""Coinbase: pages that never ask too much, documented answers read to the digit, trades paged without loss."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.errors import BadData, FixRequest, SlowDown, TryAgain, UnknownName
from ingest.market.intervals import SECONDS, bar_opens
from ingest.market.records import BOOK_LEVELS
from ingest.providers import coinbase
from ingest.providers.contract import Query
from ingest.wire import Request
from tests.providers.coinbase_replies import BARS, BOOKS, MINUTE, QUOTES, TRADES, reply
from tests.providers.payloads import T0, answer, payload

QUERIES = (BARS, TRADES, QUOTES, BOOKS)


def iso(text):
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)


@given(st.sampled_from(list(coinbase.facts.intervals)), st.integers(0, 10**12), st.integers(1, 10**14))
def test_the_pages_of_a_window_ask_for_each_bar_of_it_once_and_never_for_more_than_300(interval, offset_us, length_us):
    start, width = T0 + timedelta(microseconds=offset_us), timedelta(seconds=SECONDS[interval])
    end = start + min(timedelta(microseconds=length_us), 1000 * width)
    pages = coinbase.build(Query("bars", ("BTC-USD",), interval, start, end))
    spans = [(iso(dict(p.params)["start"]), iso(dict(p.params)["end"])) for p in pages]
    # Both bounds are inclusive there. A window without a bar in it may ask for the one before, which `parse` cuts.
    asked = [ts for first, last in spans for ts in bar_opens(first, last + timedelta(microseconds=1), interval)]
    assert [ts for ts in asked if ts >= start] == bar_opens(start, end, interval)
    assert all(timedelta(0) <= last - first < 300 * width for first, last in spans)
    assert (pages[0].start, pages[-1].end) == (start, end)
    assert all(a.end == b.start for a, b in pairwise(pages))


def test_a_page_of_bars_names_its_product_its_granularity_and_its_inclusive_bounds():
    requests = coinbase.build(BARS)
    assert [r.end - r.start for r in requests] == [300 * MINUTE, 300 * MINUTE, 50 * MINUTE]
    assert requests[0].path == "/products/BTC-USD/candles"
    assert requests[0].params == (
        ("granularity", "60"),
        ("start", "2024-10-01T00:00:00Z"),
        ("end", "2024-10-01T04:59:59Z"),
    )
    assert {(r.weight, r.instruments, r.headers) for r in requests} == {(1, ("BTC-USD",), ())}
    assert coinbase.next_page(requests[0], reply("[]")) is None


def test_a_query_without_start_asks_for_the_newest_rows_of_each_instrument_once():
    bars = Query("bars", ("BTC-USD", "ETH-USD", "BTC-USD"), "5m", None, T0 + timedelta(minutes=7))
    requests = coinbase.build(bars)
    assert [r.path for r in requests] == ["/products/BTC-USD/candles", "/products/ETH-USD/candles"]
    bounds = (("start", "2024-09-30T23:45:00Z"), ("end", "2024-10-01T00:05:00Z"))
    assert requests[0].params == (("granularity", "300"), *bounds)
    assert requests[0].start is requests[0].end is None
    (unbounded,) = coinbase.build(Query("bars", ("BTC-USD",), "1d"))
    assert unbounded.params == (("granularity", "86400"),)


def test_trades_quotes_and_books_take_one_request_a_product():
    names = ("BTC-USD", "ETH-USD")
    newest = coinbase.build(Query("trades", names, None, None, T0))
    assert newest == [Request(f"/products/{n}/trades", (("limit", "1000"),), (), (n,)) for n in names]
    assert coinbase.build(Query("quotes", names)) == [Request(f"/products/{n}/ticker", (), (), (n,)) for n in names]
    books = coinbase.build(Query("books", names))
    assert books == [Request(f"/products/{n}/book", (("level", "2"),), (), (n,)) for n in names]


@pytest.mark.parametrize(
    ("query", "error"),
    [
        (Query("bars", ("AAPL",), "1m"), FixRequest),
        (Query("bars", ("BTC-USD",), "30m"), UnknownName),
        (Query("bars", ("BTC-USD",)), UnknownName),
        (Query("news", ("BTC-USD",)), UnknownName),
        (Query("bars", ("BTC-USD",), "1m", T0), FixRequest),
        (Query("trades", ("BTC-USD",), None, T0), FixRequest),
    ],
)
def test_what_coinbase_can_not_answer_is_refused_before_it_is_sent(query, error):
    with pytest.raises(error):
        coinbase.build(query)


def test_the_documented_candles_are_read_low_before_high_before_open_and_to_the_digit():
    parsed = coinbase.parse(BARS, reply(payload("coinbase", "candles")))
    assert (parsed.time_unit, parsed.rejects) == ("s", ())
    assert parsed.columns == {
        "instrument": ["BTC-USD"] * 3,
        "ts": [1727741040, 1727740860, 1727740800],
        "open": ["63531.99", "1.1e-05", "63327.59"],
        "high": ["63606", "0.0000123", "63606.01"],
        "low": ["63327.59", "1e-05", "63006.7"],
        "close": ["63400.1", "0.000012", "63531.990"],
        "volume": ["1336.93335000000000001", "42", "0.02816506"],
    }
    assert datetime.fromtimestamp(parsed.columns["ts"][-1], UTC) == T0


def test_candles_that_precede_the_start_are_cut_and_any_other_outsider_is_left_to_the_rules():
    start_s = int(T0.timestamp())
    times = [start_s + 10**9, start_s + 60, start_s, start_s - 60, start_s - 300 * 60, start_s - 301 * 60, 1727]
    page = [[ts, 1, 2, 1, 2, 5] for ts in times]
    assert coinbase.parse(BARS, reply(page)).columns["ts"] == [times[0], times[1], times[2], times[5], 1727]
    newest = Query("bars", ("BTC-USD",), "1m", None, T0)
    assert coinbase.parse(newest, reply(page, newest)).columns["ts"] == times


@pytest.mark.parametrize(
    "row",
    [
        None,
        {},
        "row",
        7,
        [],
        [1],
        [1.5, 1, 1, 1, 1, 1],
        [-1, 1, 1, 1, 1, 1],
        [1, 1, [], 1, 1, 1],
        [1, 1, True, 1, 1, 1],
    ],
)
def test_a_candle_of_wrong_shape_is_rejected_and_the_others_are_kept(row):
    good = json.loads(payload("coinbase", "candles"))
    parsed = coinbase.parse(BARS, reply([good[0], row, good[2]]))
    assert parsed.columns["ts"] == [good[0][0], good[2][0]]
    assert [(r.instrument, r.rule) for r in parsed.rejects] == [("BTC-USD", "wrong_shape")]


def test_a_null_price_is_left_to_the_quality_rules():
    page = [[1727740800, None, 2, 1, 2, 5]]
    assert coinbase.parse(BARS, reply(page)).columns["low"] == [None]


def test_the_documented_ticker_is_a_quote_without_a_time_of_its_own():
    parsed = coinbase.parse(QUOTES, reply(payload("coinbase", "ticker"), QUOTES))
    assert parsed.rejects == ()
    assert parsed.columns == {
        "instrument": ["BTC-USD"],
        "ts": [None],
        "bid": ["6265.15"],
        "ask": ["6267.71"],
        "last": ["6268.48"],
    }


def test_the_documented_book_has_its_time_its_sequence_and_levels_joined_by_commas():
    parsed = coinbase.parse(BOOKS, reply(payload("coinbase", "book"), BOOKS))
    assert (parsed.time_unit, parsed.rejects) == ("us", ())
    assert parsed.columns == {
        "instrument": ["BTC-USD"],
        "ts": [1613092163_334000],
        "bid_prices": ["6247.58,6247.570"],
        "bid_sizes": ["6.3578146,0.1"],
        "ask_prices": ["6251.52"],
        "ask_sizes": ["2"],
        "sequence": ["13051505638"],
    }


def test_a_book_is_cut_to_the_best_levels_and_may_lack_a_side_a_time_and_a_sequence():
    bids = [[str(9000 - i), "1", 1] for i in range(250)]
    (prices,) = coinbase.parse(BOOKS, reply({"bids": bids, "asks": []}, BOOKS)).columns["bid_prices"]
    assert prices.split(",") == [str(9000 - i) for i in range(BOOK_LEVELS)]
    columns = coinbase.parse(BOOKS, reply({"bids": bids, "asks": []}, BOOKS)).columns
    assert [columns[name] for name in ("ts", "ask_prices", "ask_sizes", "sequence")] == [[None], [""], [""], [None]]


@pytest.mark.parametrize(
    ("query", "page"),
    [
        (QUOTES, {"bid": ["1"], "ask": "2", "price": "1"}),
        (QUOTES, {"bid": "1", "ask": True, "price": "1"}),
        (BOOKS, {"bids": 7, "asks": []}),
        (BOOKS, {"bids": [["1"]], "asks": []}),
        (BOOKS, {"bids": [["1,5", "2", 1]], "asks": []}),
        (BOOKS, {"bids": [["", "2", 1]], "asks": []}),
        (BOOKS, {"bids": [["1", None, 1]], "asks": []}),
        (BOOKS, {"bids": [], "asks": [], "sequence": "x"}),
        (BOOKS, {"bids": [], "asks": [], "time": "yesterday"}),
    ],
)
def test_a_quote_or_book_of_wrong_shape_is_rejected(query, page):
    parsed = coinbase.parse(query, reply(page, query))
    assert parsed.columns == {"instrument": [], "ts": []}
    assert [(r.instrument, r.rule) for r in parsed.rejects] == [("BTC-USD", "wrong_shape")]


@pytest.mark.parametrize("query", QUERIES)
@pytest.mark.parametrize(
    "body", ["", "7", "null", "[[1,", "<html></html>", "[" * 100_000, b"\xff\xfe", '{"message":""}']
)
def test_a_page_that_is_no_page_is_bad_data(query, body):
    with pytest.raises(BadData) as bad:
        coinbase.parse(query, reply(body, query))
    assert bad.value.rule == "unparsable_page"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=7) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(st.data())
def test_a_mutated_page_gives_findings_or_bad_data_and_no_row_is_lost(data):
    query, name = data.draw(st.sampled_from(list(zip(QUERIES, ("candles", "trades", "ticker", "book"), strict=True))))
    page = json.loads(payload("coinbase", name))
    place, keys = page, [0] if isinstance(page, dict) else data.draw(st.permutations(range(len(page))))
    if isinstance(page, list) and data.draw(st.booleans()):
        place = page[keys[0]]
    key = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
    place[key] = data.draw(JSON)
    query = replace(query, start=None, end=None)  # nothing is cut
    answered = reply(page, query)
    assert coinbase.next_page(answered.request, answered) is None
    assert coinbase.error_of(answered) is None
    parsed = coinbase.parse(query, answered)
    assert len(parsed.columns["ts"]) + len(parsed.rejects) == (len(page) if isinstance(page, list) else 1)
    assert {len(column) for column in parsed.columns.values()} == {len(parsed.columns["ts"])}


@given(JSON, st.sampled_from(QUERIES))
def test_no_json_makes_any_function_raise_anything_but_bad_data(page, query):
    answered = reply(page, query)
    coinbase.error_of(answered)
    coinbase.next_page(answered.request, answered)
    for read in (lambda: coinbase.parse(query, answered), lambda: coinbase.listed(answered)):
        with suppress(BadData):
            read()


@pytest.mark.parametrize("name", ["candles", "trades", "ticker", "book", "products"])
def test_a_documented_answer_is_no_error(name):
    assert coinbase.error_of(reply(payload("coinbase", name))) is None
    assert coinbase.error_of(reply("[]")) is None


@pytest.mark.parametrize(
    ("status", "name", "headers", "kind", "wait"),
    [
        (429, "rate_limit", {}, SlowDown, None),
        (429, "rate_limit", {"retry-after": "7"}, SlowDown, 7.0),
        (200, "rate_limit", {}, SlowDown, None),
        (400, "too_many_candles", {}, FixRequest, None),
        (400, "unsupported_granularity", {}, FixRequest, None),
        (400, "maintenance", {}, TryAgain, None),
        (503, "maintenance", {"retry-after": "30"}, TryAgain, 30.0),
        (500, "server_error", {}, TryAgain, None),
        (200, "server_error", {}, TryAgain, None),
        (502, "not_found", {}, TryAgain, None),
        (403, "candles", {}, FixRequest, None),
        (451, "candles", {}, FixRequest, None),
    ],
)
def test_status_and_message_say_what_to_do(status, name, headers, kind, wait):
    error = coinbase.error_of(reply(payload("coinbase", name), status=status, headers=headers))
    assert type(error) is kind
    assert (error.provider, error.status, error.retry_after_s) == ("coinbase", status, wait)


@pytest.mark.parametrize("status", [404, 200])
def test_a_product_that_is_not_found_is_an_unknown_name(status):
    error = coinbase.error_of(reply(payload("coinbase", "not_found"), QUOTES, status=status))
    assert isinstance(error, UnknownName)
    assert (error.kind, error.given, error.instrument, error.status) == ("instrument", "BTC-USD", "BTC-USD", status)
    catalogue = replace(answer(payload("coinbase", "not_found"), status=404), request=coinbase.catalogue())
    assert type(coinbase.error_of(catalogue)) is FixRequest


def test_no_word_of_a_body_enters_a_message():
    body = {"message": "Internal Server Error for key s3cret under maintenance: rate limit exceeded"}
    for status in (200, 400, 429, 500):
        assert "s3cret" not in str(coinbase.error_of(reply(body, status=status)))


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        (payload("coinbase", "candles")[:-40], 200, TryAgain),
        ("", 200, TryAgain),
        ("<!doctype html><title>Attention</title>", 200, TryAgain),
        ("<!doctype html><title>Attention</title>", 403, TryAgain),
        ("<html>no such page</html>", 404, TryAgain),
        ("Service unavailable", 200, BadData),
    ],
)
def test_a_body_that_is_no_answer_of_the_api_is_an_error_whatever_its_status(body, status, kind):
    assert type(coinbase.error_of(reply(body, status=status))) is kind


def test_the_catalogue_lists_every_product_our_grammar_can_spell():
    assert coinbase.catalogue() == Request("/products")
    assert coinbase.listed(answer(payload("coinbase", "products"))) == ["BTC-USD", "1INCH-USD"]
    for body in ("{}", "[7]", '[{"name":"BTC-USD"}]'):
        with pytest.raises(BadData):
            coinbase.listed(answer(body))
