"""Coinbase Advanced Trade as documented: bounds, granularities, 350 candles, errors, the limit (read 2026-11-30)."""

import json
from decimal import Decimal

import pytest

from sandbox.contract import Answer, Request
from sandbox.dialects.coinbase import Coinbase
from sandbox.dialects.coinbase_advanced import MARKET, WIDTHS_S, CoinbaseAdvanced

NOW_S = 1_795_415_825.5  # 2026-11-23 06:37:05.5 UTC
MINUTE_NOW = 1_795_415_820


@pytest.fixture
def exchange():
    dialect = CoinbaseAdvanced(7)
    dialect.limits["requests_per_s"] = 10**9
    return dialect


def ask(exchange, path=f"{MARKET}/BTC-USD/candles", *, now_s=NOW_S, **query):
    texts = {name: str(value) for name, value in query.items()}
    outcome = exchange.answer(Request(path, texts, {}, "127.0.0.1", now_s))
    return outcome if isinstance(outcome, Answer) else outcome()


def candles(exchange, start, end, granularity="ONE_MINUTE", product="BTC-USD"):
    answer = ask(exchange, f"{MARKET}/{product}/candles", start=start, end=end, granularity=granularity)
    assert answer.status == 200, answer.body
    return json.loads(answer.body)["candles"]


def error(answer):
    return answer.status, json.loads(answer.body)["error"]


def test_candles_are_objects_of_text_newest_first_with_the_forming_one(exchange):
    found = candles(exchange, MINUTE_NOW - 180, MINUTE_NOW + 59)
    assert [int(one["start"]) for one in found] == [MINUTE_NOW - 60 * n for n in range(4)]
    assert list(found[0]) == ["start", "low", "high", "open", "close", "volume"]
    assert {type(value) for one in found for value in one.values()} == {str}


def test_it_trades_what_the_exchange_trades(exchange):
    start, end = MINUTE_NOW - 600, MINUTE_NOW - 60
    path = "/products/BTC-USD/candles"
    query = {"granularity": "60", "start": "2026-11-23T06:27:00Z", "end": "2026-11-23T06:36:00Z"}
    said = Coinbase(7).answer(Request(path, query, {"user-agent": "x"}, "127.0.0.1", NOW_S))
    there = [row for row in json.loads(said.body, parse_float=Decimal, parse_int=Decimal) if start <= row[0] <= end]
    here = [
        [Decimal(one[name]) for name in ("start", "low", "high", "open", "close", "volume")]
        for one in candles(exchange, start, end)
    ]
    assert here == there
    assert len(here) == 10


@pytest.mark.parametrize(("granularity", "width_s"), WIDTHS_S.items())
def test_each_granularity_has_candles_a_width_apart(exchange, granularity, width_s):
    last = MINUTE_NOW // width_s * width_s
    found = [int(one["start"]) for one in candles(exchange, last - 3 * width_s, last, granularity)]
    assert found == [last - n * width_s for n in range(4)]


def test_350_candles_are_served_and_one_more_is_refused_whichever_way_they_are_counted(exchange):
    end = MINUTE_NOW - 600
    assert len(candles(exchange, end - 349 * 60, end + 59)) == 350
    for start in (end - 350 * 60, end - 350 * 60 + 1):
        refused = ask(exchange, start=start, end=end + 59, granularity="ONE_MINUTE")
        assert error(refused) == (400, "INVALID_ARGUMENT")
        assert b"number of candles requested should be less than 350" in refused.body


@pytest.mark.parametrize(
    "query",
    [
        {"start": 1, "end": 2},
        {"start": 1, "end": 2, "granularity": "FOUR_HOUR"},
        {"start": 1, "granularity": "ONE_DAY"},
        {"start": "2026-11-23T06:27:00Z", "end": 2, "granularity": "ONE_DAY"},
        {"start": 3, "end": 2, "granularity": "ONE_DAY"},
    ],
)
def test_bounds_in_seconds_and_a_granularity_are_required(exchange, query):
    assert error(ask(exchange, **query)) == (400, "INVALID_ARGUMENT")


def test_an_unknown_product_is_not_found_and_what_wants_a_token_is_unauthorized(exchange):
    assert error(ask(exchange, f"{MARKET}/NONE-USD/candles")) == (404, "NOT_FOUND")
    assert ask(exchange, "/api/v3/brokerage/products/BTC-USD/candles").status == 401
    products = json.loads(ask(exchange, MARKET).body)
    assert products["num_products"] == len(products["products"]) == 7


def test_the_eleventh_request_of_a_second_is_refused():
    exchange = CoinbaseAdvanced(7)
    statuses = [ask(exchange, MARKET).status for _ in range(11)]
    assert statuses == [200] * 10 + [429]
    assert json.loads(ask(exchange, MARKET).body) == {
        "errors": [{"id": "rate_limit_exceeded", "message": "Too many requests"}]
    }
    assert ask(exchange, MARKET, now_s=NOW_S + 1).status == 200


def test_a_page_taken_apart_and_put_together_is_the_same_bytes(exchange):
    body = ask(exchange, start=MINUTE_NOW - 600, end=MINUTE_NOW, granularity="ONE_MINUTE").body
    page = exchange.page(body)
    assert page.text().encode() == body
    assert len(page.rows) == 11
    assert exchange.page(b'{"candles":[]}') is None


def test_the_newest_trades_come_with_the_best_prices_and_empty_ones_of_their_own(exchange):
    page = json.loads(ask(exchange, f"{MARKET}/BTC-USD/ticker", limit=3).body)
    assert list(page) == ["trades", "best_bid", "best_ask"]
    ids = [int(trade["trade_id"]) for trade in page["trades"]]
    assert ids == sorted(ids, reverse=True)
    assert {(trade["bid"], trade["ask"]) for trade in page["trades"]} == {("", "")}
    assert Decimal(page["best_bid"]) < Decimal(page["best_ask"])
    assert error(ask(exchange, f"{MARKET}/BTC-USD/ticker")) == (400, "INVALID_ARGUMENT")
    assert error(ask(exchange, f"{MARKET}/NONE-USD/ticker", limit=1)) == (404, "NOT_FOUND")


def test_a_book_has_as_many_levels_as_asked_for_best_first_and_its_own_time(exchange):
    path = MARKET.replace("products", "product_book")
    book = json.loads(ask(exchange, path, product_id="ETH-USD", limit=7).body)["pricebook"]
    assert (book["product_id"], book["time"]) == ("ETH-USD", "2026-11-23T06:37:05.500Z")
    bids, asks = ([Decimal(level["price"]) for level in book[side]] for side in ("bids", "asks"))
    assert (len(bids), len(asks)) == (7, 7)
    assert bids == sorted(bids, reverse=True)
    assert asks == sorted(asks)
    assert bids[0] < asks[0]
    assert len(json.loads(ask(exchange, path, product_id="ETH-USD").body)["pricebook"]["asks"]) > 100
    assert error(ask(exchange, path, product_id="NONE-USD")) == (404, "NOT_FOUND")
    assert error(ask(exchange, path, product_id="ETH-USD", limit=0)) == (400, "INVALID_ARGUMENT")
