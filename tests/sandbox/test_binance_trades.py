"""Binance's aggTrades, trades and depth as documented (rest-api.md, errors.md and CHANGELOG.md of 2026-07-21)."""

import json
import re
from decimal import Decimal
from itertools import pairwise

import pytest

from sandbox.contract import Answer, Request
from sandbox.dialects.binance import Binance
from sandbox.row_faults import spoil_page

NOW_S = 1_795_415_820.5  # 2026-11-23 06:37:00.5 UTC
NOW_MS = 1_795_415_820_500
MINUTE = 60_000
LISTED = 1_502_928_000_000
START, END = NOW_MS - 10 * MINUTE, NOW_MS - 8 * MINUTE


@pytest.fixture(scope="module")
def exchange():
    dialect = Binance(7)
    dialect.limits["weight_per_minute"] = 10**9
    return dialect


def outcome_of(exchange, path, query, *, now_s=NOW_S, headers=None):
    texts = {name: str(value) for name, value in query.items()}
    return exchange.answer(Request(f"/api/v3/{path}", texts, headers or {}, "127.0.0.1", now_s))


def ask(exchange, path, *, headers=None, now_s=NOW_S, **query):
    outcome = outcome_of(exchange, path, query, headers=headers, now_s=now_s)
    return outcome if isinstance(outcome, Answer) else outcome()


def rows(exchange, path="aggTrades", symbol="BTCUSDT", **query):
    answer = ask(exchange, path, symbol=symbol, **query)
    assert answer.status == 200, answer.body
    return json.loads(answer.body)


def window(exchange, start, end, symbol="BTCUSDT"):
    """Read everything between the inclusive bounds, a page of 200 at a time."""
    found = page = rows(exchange, symbol=symbol, startTime=start, endTime=end, limit=200)
    while len(page) == 200:
        page = rows(exchange, symbol=symbol, fromId=page[-1]["a"] + 1, limit=200)
        found = found + [row for row in page if row["T"] <= end]
        page = page if page[-1]["T"] <= end else []
    return found


def test_an_aggregate_trade_has_the_documented_fields_in_their_types(exchange):
    (row,) = rows(exchange, limit=1)
    assert [(name, type(value)) for name, value in row.items()] == [
        *(("a", int), ("p", str), ("q", str), ("f", int), ("l", int), ("T", int), ("m", bool), ("M", bool))
    ]
    assert re.fullmatch(r"\d+\.\d{8} \d+\.\d{8}", f"{row['p']} {row['q']}")
    assert row["a"] != row["f"] <= row["l"]
    assert len(str(row["T"])) == 13


def test_without_bounds_come_the_500_most_recent_ascending(exchange):
    page = rows(exchange)
    assert len(page) == 500
    assert all(b["a"] == a["a"] + 1 and b["T"] >= a["T"] for a, b in pairwise(page))
    assert NOW_MS - 2000 < page[-1]["T"] < NOW_MS
    assert rows(exchange, fromId=page[-1]["a"] + 1) == []


def test_from_id_is_inclusive_and_ids_begin_with_1(exchange):
    assert [row["a"] for row in rows(exchange, fromId=10**6, limit=3)] == [10**6, 10**6 + 1, 10**6 + 2]
    first = rows(exchange, fromId=0, limit=2)
    assert [row["a"] for row in first] == [1, 2]
    assert LISTED <= first[0]["T"] < LISTED + 1000


def test_start_time_alone_gives_the_oldest_from_there(exchange):
    page = rows(exchange, startTime=START, limit=5)
    assert page[0]["T"] >= START
    assert all(row["T"] < START for row in rows(exchange, endTime=START - 1, limit=5))
    assert page[0]["a"] == rows(exchange, endTime=START - 1, limit=1)[0]["a"] + 1


def test_end_time_alone_gives_the_most_recent_up_to_it(exchange):
    page = rows(exchange, endTime=END, limit=5)
    assert page[-1]["T"] <= END
    assert rows(exchange, fromId=page[-1]["a"] + 1, limit=1)[0]["T"] > END


def test_both_bounds_are_inclusive_and_the_oldest_win_over_the_limit(exchange):
    inner = window(exchange, START, END)
    first, last = inner[0]["T"], inner[-1]["T"]
    assert window(exchange, first, last) == inner
    assert window(exchange, first + 1, last - 1) == [row for row in inner if first < row["T"] < last]
    assert rows(exchange, startTime=START, endTime=END, limit=3) == inner[:3]
    assert rows(exchange, startTime=END, endTime=START) == []
    assert rows(exchange, startTime=first, endTime=first)[0] == inner[0]


def test_nothing_lies_in_the_future_or_before_the_listing(exchange):
    assert rows(exchange, startTime=NOW_MS + MINUTE) == []
    assert rows(exchange, startTime=START, endTime=NOW_MS + MINUTE, limit=1)[0]["T"] >= START
    assert rows(exchange, endTime=LISTED - 1) == []
    assert rows(exchange, startTime=0, limit=1)[0]["a"] == 1


def test_more_than_1000_trades_are_never_served(exchange):
    assert len(rows(exchange, limit=5000)) == len(rows(exchange, "trades", limit=5000)) == 1000


@pytest.mark.parametrize("symbol", ["BTCUSDT", "BNBBTC"])
def test_the_trades_of_a_minute_are_its_kline(exchange, symbol):
    (kline,) = rows(exchange, "klines", symbol, interval="1m", startTime=START - START % MINUTE, limit=1)
    trades = window(exchange, kline[0], kline[6], symbol)
    prices = [Decimal(row["p"]) for row in trades]
    assert [Decimal(text) for text in kline[1:5]] == [prices[0], max(prices), min(prices), prices[-1]]
    assert Decimal(kline[5]) == sum(Decimal(row["q"]) for row in trades)
    assert kline[8] == sum(row["l"] - row["f"] + 1 for row in trades)


def test_a_trade_never_changes(exchange):
    wish = {"symbol": "BTCUSDT", "fromId": rows(exchange, limit=1)[0]["a"] - 50, "limit": 10}
    assert ask(exchange, "aggTrades", **wish).body == ask(Binance(7), "aggTrades", **wish, now_s=NOW_S + 10**6).body


def test_recent_trades_are_those_that_the_aggregates_are_made_of(exchange):
    singles, aggregates = rows(exchange, "trades"), rows(exchange)
    assert len(singles) == 500
    assert [(one["id"], one["price"], one["qty"], one["time"], one["isBuyerMaker"]) for one in singles] == [
        (one["f"], one["p"], one["q"], one["T"], one["m"]) for one in aggregates
    ]
    assert all(Decimal(one["quoteQty"]) == Decimal(one["price"]) * Decimal(one["qty"]) for one in singles)


def test_times_are_in_microseconds_on_request_and_read_in_either_unit(exchange):
    headers = {"x-mbx-time-unit": "MICROSECOND"}
    page = rows(exchange, startTime=START, limit=20)
    fine = rows(exchange, startTime=START * 1000, limit=20, headers=headers)
    assert [row["T"] // 1000 for row in fine] == [row["T"] for row in page]
    assert any(row["T"] % 1000 for row in fine)


def test_the_book_has_a_hundred_levels_best_first_around_the_best_bid_and_ask(exchange):
    book, best = rows(exchange, "depth"), rows(exchange, "ticker/bookTicker")
    assert list(book) == ["lastUpdateId", "bids", "asks"]
    assert len(book["bids"]) == len(book["asks"]) == 100
    assert book["bids"][0] == [best["bidPrice"], best["bidQty"]]
    assert book["asks"][0] == [best["askPrice"], best["askQty"]]
    assert all(Decimal(a[0]) > Decimal(b[0]) for a, b in pairwise(book["bids"]))
    assert all(Decimal(a[0]) < Decimal(b[0]) for a, b in pairwise(book["asks"]))
    assert rows(exchange, "depth", now_s=NOW_S + 1)["lastUpdateId"] > book["lastUpdateId"]


def test_more_than_5000_levels_are_never_served(exchange):
    assert [len(rows(exchange, "depth", limit=limit)["asks"]) for limit in (1, 5000, 9999)] == [1, 5000, 5000]


@pytest.mark.parametrize(
    ("path", "query", "code"),
    [
        ("aggTrades", {}, -1102),
        ("aggTrades", {"symbol": "NOPE"}, -1121),
        ("aggTrades", {"symbol": "BTCUSD"}, -1121),
        ("aggTrades", {"symbol": "BTCUSDT", "fromId": "x"}, -1100),
        ("aggTrades", {"symbol": "BTCUSDT", "fromId": 5, "startTime": 5}, -1128),
        ("aggTrades", {"symbol": "BTCUSDT", "limit": 0}, -1130),
        ("trades", {"symbol": "BTCUSDT", "fromId": 5}, -1104),
        ("depth", {"symbol": "BTCUSDT", "limit": "many"}, -1100),
        ("depth", {"symbol": "BTCUSDT", "symbolStatus": "HALT"}, -1220),
        ("depth", {"symbols": '["BTCUSDT"]'}, -1104),
    ],
)
def test_a_wrong_request_gets_400_with_code_and_msg(exchange, path, query, code):
    answer = ask(exchange, path, **query)
    assert (answer.status, json.loads(answer.body)["code"]) == (400, code)


@pytest.mark.parametrize(
    ("path", "limit", "weight"),
    [
        *(("aggTrades", 1, 4), ("aggTrades", 1000, 4), ("trades", 1, 25), ("depth", 100, 5), ("depth", 101, 25)),
        *(("depth", 500, 25), ("depth", 501, 50), ("depth", 1000, 50), ("depth", 1001, 250), ("depth", 9999, 250)),
        *(("depth", "many", 5), ("depth", "", 5)),
    ],
)
def test_a_request_costs_its_documented_weight_refused_or_not(path, limit, weight):
    answer = ask(Binance(7), path, symbol="BTCUSDT", limit=limit)
    assert dict(answer.headers)["X-MBX-USED-WEIGHT-1M"] == str(weight)


def test_what_takes_long_is_done_aside(exchange):
    for path, limit in (("aggTrades", 1000), ("trades", 1000), ("depth", 5000)):
        assert callable(outcome_of(exchange, path, {"symbol": "BTCUSDT", "limit": limit}))
        assert isinstance(outcome_of(exchange, path, {"symbol": "BTCUSDT", "limit": 100}), Answer)


def test_a_page_of_trades_taken_apart_and_put_together_is_the_same_bytes(exchange):
    body = ask(exchange, "aggTrades", symbol="BTCUSDT").body
    page = exchange.page(body)
    assert page is not None
    assert len(page.rows) == 500
    assert page.text().encode() == body


@pytest.mark.parametrize("path", ["depth", "trades", "ticker/bookTicker"])
def test_other_bodies_are_no_pages_of_rows(exchange, path):
    assert exchange.page(ask(exchange, path, symbol="BTCUSDT").body) is None


def test_row_faults_alter_one_trade_and_nothing_else(exchange):
    body = ask(exchange, "aggTrades", symbol="BTCUSDT", limit=5).body
    sound = json.loads(body)

    def spoilt(name, **arguments):
        page = exchange.page(body)
        assert spoil_page(name, page, arguments={"row": 2, **arguments}, now_s=NOW_S)
        return json.loads(page.text())

    def with_third(**fields):
        return [*sound[:2], sound[2] | fields, *sound[3:]]

    assert spoilt("null_prices") == with_third(p=None)
    assert spoilt("wrong_unit") == with_third(T=sound[2]["T"] * 1000)
    assert spoilt("wrong_unit", unit="s") == with_third(T=sound[2]["T"] // 1000)
    assert spoilt("future_timestamp") == with_third(T=NOW_MS + 86_400_000)
    assert spoilt("repeated_row") == [*sound[:3], *sound[2:]]
    assert spoilt("missing_row") == sound[:2] + sound[3:]
    assert spoilt("short_page", rows=1) == sound[:1]
    assert spoilt("empty_page") == []
    assert not spoil_page("high_below_low", exchange.page(body), arguments={}, now_s=NOW_S)
