"""Coinbase Advanced Trade: pages of fewer than 350 candles, documented answers to the digit, cut pages made whole."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.errors import BadData, FixRequest, SlowDown, TryAgain, UnknownName
from ingest.market.intervals import SECONDS, bar_opens
from ingest.providers import coinbase_advanced
from ingest.providers.contract import Query
from sandbox.contract import Conforming
from sandbox.dialects.coinbase_advanced import CoinbaseAdvanced
from tests.providers.conforming import KINDS, copied_rows, error_led_to, expected_rows, with_counted_times
from tests.providers.payloads import T0, answer, payload

QUOTES, BOOKS = Query("quotes", ("BTC-USD",)), Query("books", ("BTC-USD",))
HOURS = Query("bars", ("BTC-USD",), "1h", datetime(2024, 4, 3, 22, tzinfo=UTC), datetime(2024, 4, 4, 2, tzinfo=UTC))
EXAMPLES, ERROR_CASES = CoinbaseAdvanced(7).examples(), CoinbaseAdvanced(7).error_cases()


def at(seconds):
    return datetime.fromtimestamp(int(seconds), UTC)


def reply(body, query=HOURS, **changes):
    return replace(answer(body, instruments=("BTC-USD",), **changes), request=coinbase_advanced.build(query)[0])


def error_of(document, status):
    return coinbase_advanced.error_of(reply(payload("coinbase_advanced", document), status=status))


@pytest.fixture
def exchange():
    dialect = CoinbaseAdvanced(7)
    dialect.limits["requests_per_s"] = 10**9
    return dialect


@given(st.sampled_from(list(coinbase_advanced.facts.intervals)), st.integers(0, 10**12), st.integers(1, 10**14))
def test_the_pages_of_a_window_ask_for_each_bar_of_it_once_and_for_fewer_than_350(interval, offset_us, length_us):
    start, width = T0 + timedelta(microseconds=offset_us), timedelta(seconds=SECONDS[interval])
    end = start + min(timedelta(microseconds=length_us), 1000 * width)
    pages = coinbase_advanced.build(Query("bars", ("BTC-USD",), interval, start, end))
    spans = [(at(dict(page.params)["start"]), at(dict(page.params)["end"])) for page in pages]
    asked = [ts for first, last in spans for ts in bar_opens(first, last + timedelta(microseconds=1), interval)]
    assert [ts for ts in asked if ts >= start] == bar_opens(start, end, interval)
    assert all(timedelta(0) <= last - first < 349 * width for first, last in spans)
    assert (pages[0].start, pages[-1].end) == (start, end)
    assert all(a.end == b.start for a, b in pairwise(pages))


def test_a_page_names_its_product_its_bounds_in_seconds_and_its_granularity():
    [request] = coinbase_advanced.build(HOURS)
    assert request.path == "/api/v3/brokerage/market/products/BTC-USD/candles"
    assert request.params == (("start", "1712181600"), ("end", "1712195999"), ("granularity", "ONE_HOUR"))
    assert (request.instruments, request.headers, request.weight) == (("BTC-USD",), (), 1)


def test_a_poll_asks_for_the_forming_candle_and_four_closed_ones_of_each_product():
    poll = Query("bars", ("BTC-USD", "ETH-USD", "BTC-USD"), "5m", None, T0 + timedelta(minutes=7))
    requests = coinbase_advanced.build(poll)
    assert [request.instruments for request in requests] == [("BTC-USD",), ("ETH-USD",)]
    bounds = dict(requests[0].params)
    assert (at(bounds["start"]), at(bounds["end"])) == (
        T0 - timedelta(minutes=15),
        T0 + timedelta(minutes=10) - timedelta(seconds=1),
    )


def test_the_documented_candles_are_read_by_name_with_every_digit():
    parsed = coinbase_advanced.parse(HOURS, reply(payload("coinbase_advanced", "candles")))
    assert parsed.rejects == ()
    assert parsed.time_unit == "s"
    assert parsed.columns == {
        "instrument": ["BTC-USD"] * 3,
        "ts": [1712192400, 1712188800, 1712181600],
        "open": ["66312.4", "65984.18", "0.00000012"],
        "high": ["66331.99", "66387.77", "0.00000013"],
        "low": ["66055.14", "65857.35", "0.00000012"],
        "close": ["66181.60", "66314.59", "0.00000013"],
        "volume": ["355.82896243", "358.74851052", "56437345"],
    }


def test_the_bucket_that_began_before_the_window_is_cut_off():
    later = replace(HOURS, start=HOURS.start + timedelta(minutes=30))
    parsed = coinbase_advanced.parse(later, reply(payload("coinbase_advanced", "candles"), later))
    assert parsed.columns["ts"] == [1712192400, 1712188800]


@pytest.mark.parametrize(
    "changes", [{"start": "noon"}, {"start": None}, {"open": ["1"]}, {"volume": {"of": "1"}}, {"start": "1712192400.5"}]
)
def test_a_candle_of_another_shape_is_rejected_and_the_others_stay(changes):
    page = json.loads(payload("coinbase_advanced", "candles"))
    page["candles"][0] |= changes
    parsed = coinbase_advanced.parse(HOURS, reply(json.dumps(page)))
    assert parsed.columns["ts"] == [1712188800, 1712181600]
    assert [reject.rule for reject in parsed.rejects] == ["wrong_shape"]


@pytest.mark.parametrize("body", ["[]", "{}", '{"candles":null}', '{"candles":{}}', "12"])
def test_a_page_without_candles_is_bad_data_and_an_empty_one_is_none(body):
    with pytest.raises(BadData, match="can't be used"):
        coinbase_advanced.parse(HOURS, reply(body))
    assert coinbase_advanced.parse(HOURS, reply('{"candles":[]}')).columns["ts"] == []
    assert coinbase_advanced.next_page(coinbase_advanced.build(HOURS)[0], reply(body)) is None


def page_of(opens):
    values = dict.fromkeys(("low", "high", "open", "close", "volume"), "1")
    return json.dumps({"candles": [{"start": str(one), **values} for one in opens]})


def test_a_page_that_may_have_been_cut_at_300_is_followed_to_what_it_left_out():
    minutes = Query("bars", ("BTC-USD",), "1m", T0, T0 + timedelta(minutes=349))
    [request] = coinbase_advanced.build(minutes)
    first = int(T0.timestamp())
    newest = [first + 60 * minute for minute in range(348, -1, -1)]
    following = coinbase_advanced.next_page(request, reply(page_of(newest[:300]), minutes))
    bounds = dict(following.params)
    assert (bounds["start"], bounds["end"]) == (str(first), str(newest[299] - 1))
    assert (following.start, following.end) == (request.start, request.end)
    for whole in (newest, newest[:299]):
        assert coinbase_advanced.next_page(request, reply(page_of(whole), minutes)) is None


@pytest.mark.parametrize(
    ("document", "status", "kind"),
    [
        ("rate_limit", 429, SlowDown),
        ("exhausted", 400, SlowDown),
        ("too_many_candles", 400, FixRequest),
        ("not_found", 404, UnknownName),
        ("candles", 503, TryAgain),
    ],
)
def test_each_documented_error_becomes_the_right_one(document, status, kind):
    error = error_of(document, status)
    assert type(error) is kind
    assert error.provider == "coinbase_advanced"


def test_an_unknown_product_names_the_instrument_and_a_bot_check_passes():
    error = error_of("not_found", 404)
    assert (error.kind, error.instrument) == ("instrument", "BTC-USD")
    assert type(coinbase_advanced.error_of(reply("<html>", status=403))) is TryAgain
    assert coinbase_advanced.error_of(reply(payload("coinbase_advanced", "candles"))) is None


def test_quotes_and_books_are_asked_for_a_product_each_and_have_no_window():
    names = ("BTC-USD", "ETH-USD")
    quotes, books = (coinbase_advanced.build(replace(one, instruments=names)) for one in (QUOTES, BOOKS))
    assert quotes[1].path == "/api/v3/brokerage/market/products/ETH-USD/ticker"
    assert quotes[1].params == (("limit", "1"),)
    assert books[0].path == "/api/v3/brokerage/market/product_book"
    assert books[0].params == (("product_id", "BTC-USD"), ("limit", "100"))
    assert [r.instruments for r in quotes] == [r.instruments for r in books] == [("BTC-USD",), ("ETH-USD",)]
    said = reply(payload("coinbase_advanced", "ticker"), QUOTES)
    assert coinbase_advanced.next_page(said.request, said) is None


def test_the_documented_best_prices_are_read_without_the_time_and_size_of_the_last_trade():
    said = reply(payload("coinbase_advanced", "ticker"), QUOTES)
    assert coinbase_advanced.error_of(said) is None
    parsed = coinbase_advanced.parse(QUOTES, said)
    assert parsed.rejects == ()
    assert parsed.columns == {
        "instrument": ["BTC-USD"],
        "ts": [None],
        "bid": ["68923.66"],
        "ask": ["68923.6700000000000000000001"],
        "last": ["68923.670"],
    }


def test_an_empty_price_is_none_and_so_is_the_last_of_a_product_without_trades():
    page = {"trades": [], "best_bid": "", "best_ask": "2.50"}
    parsed = coinbase_advanced.parse(QUOTES, reply(json.dumps(page), QUOTES))
    assert [parsed.columns[name] for name in ("bid", "ask", "last")] == [[None], ["2.50"], [None]]


def test_the_documented_book_is_read_best_first_to_the_digit_at_its_own_time():
    parsed = coinbase_advanced.parse(BOOKS, reply(payload("coinbase_advanced", "book"), BOOKS))
    assert (parsed.time_unit, parsed.rejects) == ("us", ())
    assert parsed.columns == {
        "instrument": ["BTC-USD"],
        "ts": [int(datetime(2026, 4, 7, 0, 28, 59, tzinfo=UTC).timestamp()) * 1_000_000 + 662_782],
        "bid_prices": ["68923.66,68923"],
        "bid_sizes": ["0.17189468,0.050"],
        "ask_prices": ["68923.67"],
        "ask_sizes": ["0.16987193000000000000001"],
    }


@pytest.mark.parametrize(
    "changes",
    [
        {"product_id": "ETH-USD"},
        {"time": None},
        {"time": "2026-02-30T00:28:59.662782Z"},
        {"time": "2026-04-07T00:28:59"},
        {"bids": None},
        {"asks": [["1", "2"]]},
        {"asks": [{"price": "1"}]},
        {"asks": [{"price": "1,2", "size": "1"}]},
    ],
)
def test_a_book_of_another_shape_or_product_is_rejected(changes):
    page = json.loads(payload("coinbase_advanced", "book"))
    page["pricebook"] |= changes
    parsed = coinbase_advanced.parse(BOOKS, reply(json.dumps(page), BOOKS))
    assert (parsed.columns["ts"], [one.rule for one in parsed.rejects]) == ([], ["wrong_shape"])


@pytest.mark.parametrize(
    ("query", "body"),
    [
        (QUOTES, "[]"),
        (QUOTES, '{"best_bid":"1","best_ask":"2"}'),
        (QUOTES, '{"best_bid":"1","best_ask":"2","trades":{}}'),
        (QUOTES, '{"best_bid":"1","best_ask":"2","trades":[1]}'),
        (BOOKS, "{}"),
        (BOOKS, '{"pricebook":[]}'),
    ],
)
def test_a_page_that_is_neither_is_bad_data(query, body):
    with pytest.raises(BadData, match="can't be used"):
        coinbase_advanced.parse(query, reply(body, query))


def test_a_best_price_that_is_no_text_is_rejected():
    page = json.loads(payload("coinbase_advanced", "ticker")) | {"best_bid": ["1"]}
    parsed = coinbase_advanced.parse(QUOTES, reply(json.dumps(page), QUOTES))
    assert (parsed.columns["ts"], [one.rule for one in parsed.rejects]) == ([], ["wrong_shape"])


def test_the_catalogue_lists_what_our_grammar_can_spell():
    assert coinbase_advanced.catalogue().params == (("product_type", "SPOT"),)
    assert coinbase_advanced.listed(reply(payload("coinbase_advanced", "products")))[:2] == ["BTC-USD", "OLD-USD"]
    with pytest.raises(BadData):
        coinbase_advanced.listed(reply('{"products":[{}]}'))


@pytest.mark.parametrize(
    "query",
    [
        replace(HOURS, dataset="trades", interval=None),
        replace(HOURS, dataset="quotes", interval=None),
        replace(BOOKS, instruments=("AAPL",)),
        replace(HOURS, interval="4h"),
        replace(HOURS, end=None),
        replace(HOURS, instruments=("AAPL",)),
    ],
)
def test_what_it_does_not_have_is_refused(query):
    with pytest.raises(FixRequest):
        coinbase_advanced.build(query)


@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_an_example_comes_whole_each_row_once_and_to_the_digit(exchange, example):
    assert isinstance(exchange, Conforming)
    rows, _ = copied_rows(coinbase_advanced, exchange, example)
    assert rows == with_counted_times(expected_rows(exchange, example))
    assert len(rows) > (50 if example.dataset == "bars" else 0)


@pytest.mark.parametrize("example", EXAMPLES[:3:2], ids=str)
def test_where_pages_are_cut_at_300_without_a_word_an_example_still_comes_whole(exchange, example):
    _, requests = copied_rows(coinbase_advanced, exchange, example)
    exchange.limits["candles_per_page"] = 300
    rows, more = copied_rows(coinbase_advanced, exchange, example)
    assert rows == with_counted_times(expected_rows(exchange, example))
    assert more > requests


@pytest.mark.parametrize("case", ERROR_CASES, ids=lambda case: case.name)
def test_each_of_its_errors_leads_to_what_its_documentation_says(exchange, case):
    error = error_led_to(coinbase_advanced, exchange, case)
    assert (type(error) if error else None) is KINDS[case.decision]
