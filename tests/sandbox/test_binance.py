"""Binance as documented: range rules, shapes, errors and weights (rest-api.md and errors.md of 2026-07-21)."""

import json
import re
from decimal import Decimal

import pytest

from sandbox.contract import Answer, Request
from sandbox.dialects.binance import Binance

NOW_S = 1_795_415_820.5  # 2026-11-23 06:37:00.5 UTC
NOW_MS = 1_795_415_820_500
MINUTE = 60_000
OPEN_NOW = 1_795_415_820_000
LISTED = 1_502_928_000_000
BTC_MINUTES = {"symbol": "BTCUSDT", "interval": "1m"}


@pytest.fixture(scope="module")
def exchange():
    dialect = Binance(7)
    dialect.limits["weight_per_minute"] = 10**9
    return dialect


def ask(exchange, path="klines", *, now_s=NOW_S, client="127.0.0.1", headers=None, **query):
    texts = {name: str(value) for name, value in query.items()}
    outcome = exchange.answer(Request(f"/api/v3/{path}", texts, headers or {}, client, now_s))
    return outcome if isinstance(outcome, Answer) else outcome()


def opens(exchange, **query):
    answer = ask(exchange, **{**BTC_MINUTES, **query})
    assert answer.status == 200, answer.body
    return [row[0] for row in json.loads(answer.body)]


def test_neither_bound_gives_the_500_most_recent_ascending_with_the_forming_one_last(exchange):
    assert opens(exchange) == list(range(OPEN_NOW - 499 * MINUTE, OPEN_NOW + 1, MINUTE))


def test_start_time_alone_gives_the_oldest_from_there(exchange):
    start = OPEN_NOW - 5000 * MINUTE
    assert opens(exchange, startTime=start, limit=3) == [start, start + MINUTE, start + 2 * MINUTE]
    assert opens(exchange, startTime=start + 1, limit=1) == [start + MINUTE]


def test_end_time_alone_gives_the_most_recent_up_to_it(exchange):
    end = OPEN_NOW - 100 * MINUTE
    assert opens(exchange, endTime=end, limit=2) == [end - MINUTE, end]
    assert opens(exchange, endTime=end - 1, limit=1) == [end - MINUTE]


def test_both_bounds_are_inclusive_and_the_oldest_win_over_the_limit(exchange):
    start, end = OPEN_NOW - 100 * MINUTE, OPEN_NOW - 90 * MINUTE
    assert opens(exchange, startTime=start, endTime=end) == list(range(start, end + 1, MINUTE))
    assert opens(exchange, startTime=start, endTime=end, limit=2) == [start, start + MINUTE]
    assert opens(exchange, startTime=end, endTime=start) == []


def test_more_than_1000_rows_are_never_served(exchange):
    assert len(opens(exchange, limit=5000)) == 1000


def test_history_begins_with_the_listing_and_nothing_lies_in_the_future(exchange):
    assert opens(exchange, startTime=0, limit=2) == [LISTED, LISTED + MINUTE]
    assert opens(exchange, endTime=LISTED - 1) == []
    assert opens(exchange, startTime=NOW_MS + MINUTE) == []


def test_paging_by_start_time_covers_a_day_without_gap_or_repeat(exchange):
    day, found = OPEN_NOW - OPEN_NOW % 86_400_000 - 86_400_000, []
    end, start = day + 86_400_000 - 1, day
    while page := opens(exchange, startTime=start, endTime=end, limit=700):
        found += page
        start = page[-1] + 1
    assert found == list(range(day, day + 86_400_000, MINUTE))


def test_a_row_has_the_twelve_documented_columns_in_their_types(exchange):
    (row,) = json.loads(ask(exchange, **BTC_MINUTES, startTime=OPEN_NOW - MINUTE, limit=1).body)
    assert [type(cell) for cell in row] == [int, *[str] * 5, int, str, int, str, str, str]
    assert row[6] == row[0] + MINUTE - 1
    assert all(re.fullmatch(r"\d+\.\d{8}", row[i]) for i in (1, 2, 3, 4, 5, 7, 9, 10))
    assert row[11] == "0"


def test_the_printed_volumes_fit_the_printed_prices(exchange):
    for row in json.loads(ask(exchange, **BTC_MINUTES, endTime=OPEN_NOW - MINUTE).body):
        low, high, volume, quote, taker, taker_quote = (Decimal(row[i]) for i in (3, 2, 5, 7, 9, 10))
        assert low * volume <= quote <= high * volume
        assert taker / volume == pytest.approx(taker_quote / quote, abs=Decimal("0.0001"))


def test_the_last_row_is_forming_its_close_lies_ahead_and_its_values_move(exchange):
    (early,) = json.loads(ask(exchange, **BTC_MINUTES, limit=1, now_s=NOW_S + 5).body)
    (late,) = json.loads(ask(exchange, **BTC_MINUTES, limit=1, now_s=NOW_S + 50).body)
    assert early[6] > NOW_MS
    assert early[:2] == late[:2]
    assert early[8] < late[8]


def test_a_finished_row_never_changes(exchange):
    wish = {**BTC_MINUTES, "startTime": OPEN_NOW - MINUTE, "limit": 1}
    assert ask(exchange, **wish).body == ask(Binance(7), **wish, now_s=NOW_S + 10**6).body


@pytest.mark.parametrize(
    ("interval", "zone", "expected"),
    [
        ("1s", "0", OPEN_NOW),
        ("1h", "0", 1_795_413_600_000),
        ("1d", "0", 1_795_392_000_000),  # 2026-11-23 00:00Z
        ("1d", "8", 1_795_363_200_000),  # the same day begins in +08:00
        ("1h", "05:45", 1_795_414_500_000),  # 06:15Z is 12:00 there
        ("1w", "0", 1_795_392_000_000),  # a Monday
        ("1M", "0", 1_793_491_200_000),  # 2026-11-01
    ],
)
def test_the_forming_bar_opens_on_the_grid_of_interval_and_time_zone(exchange, interval, zone, expected):
    assert opens(exchange, interval=interval, timeZone=zone, limit=1) == [expected]


def test_microseconds_are_served_on_request_and_read_in_either_unit(exchange):
    start = OPEN_NOW - MINUTE
    answer = ask(exchange, **BTC_MINUTES, startTime=start * 1000, limit=1, headers={"x-mbx-time-unit": "MICROSECOND"})
    (row,) = json.loads(answer.body)
    assert (row[0], row[6]) == (start * 1000, OPEN_NOW * 1000 - 1)


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"interval": "1m"}, -1102),
        ({"symbol": "BTCUSDT"}, -1102),
        ({"symbol": "NOPE", "interval": "1m"}, -1121),
        ({"symbol": "btcusdt", "interval": "1m"}, -1100),
        ({"symbol": "BTCUSDT", "interval": "1D"}, -1120),
        ({**BTC_MINUTES, "limit": "ten"}, -1100),
        ({**BTC_MINUTES, "limit": "0"}, -1130),
        ({**BTC_MINUTES, "startTime": "-5"}, -1100),
        ({**BTC_MINUTES, "timeZone": "15"}, -1130),
        ({**BTC_MINUTES, "start": "5"}, -1104),
    ],
)
def test_a_wrong_request_gets_400_with_code_and_msg(exchange, query, code):
    answer = ask(exchange, **query)
    body = json.loads(answer.body)
    assert (answer.status, body["code"], sorted(body)) == (400, code, ["code", "msg"])


def test_the_book_ticker_is_an_object_for_one_symbol_and_an_array_otherwise(exchange):
    one = json.loads(ask(exchange, "ticker/bookTicker", symbol="LTCUSDT").body)
    two = json.loads(ask(exchange, "ticker/bookTicker", symbols='["BNBBTC","LTCUSDT"]').body)
    everything = json.loads(ask(exchange, "ticker/bookTicker").body)
    assert sorted(one) == ["askPrice", "askQty", "bidPrice", "bidQty", "symbol"]
    assert [quote["symbol"] for quote in two] == ["BNBBTC", "LTCUSDT"]
    assert two[1] == one
    assert len(everything) == 16


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"symbol": "LTCUSDT", "symbols": '["LTCUSDT"]'}, -1128),
        ({"symbols": '["LTCUSDT","LTCUSDT"]'}, -1151),
        ({"symbols": "LTCUSDT"}, -1100),
        ({"symbols": '["LTCUSDT","NOPE"]'}, -1121),
    ],
)
def test_a_wrong_list_of_symbols_is_refused(exchange, query, code):
    assert json.loads(ask(exchange, "ticker/bookTicker", **query).body)["code"] == code


def test_exchange_info_names_the_limits_and_the_steps_that_prices_keep():
    info = json.loads(ask(Binance(7), "exchangeInfo").body)
    assert {limit["rateLimitType"]: limit["limit"] for limit in info["rateLimits"]}["REQUEST_WEIGHT"] == 6000
    assert len(info["symbols"]) == 16
    bitcoin = next(entry for entry in info["symbols"] if entry["symbol"] == "BTCUSDT")
    assert (bitcoin["baseAsset"], bitcoin["quoteAsset"], bitcoin["status"]) == ("BTC", "USDT", "TRADING")
    assert bitcoin["filters"][0]["tickSize"] == "0.01000000"


def test_time_and_ping_answer(exchange):
    assert json.loads(ask(exchange, "time").body) == {"serverTime": NOW_MS}
    assert ask(exchange, "ping").body == b"{}"


def test_every_answer_tells_the_weight_used_this_minute_errors_included():
    exchange = Binance(7)
    asked = [("klines", BTC_MINUTES), ("klines", {}), ("exchangeInfo", {}), ("ticker/bookTicker", {}), ("ping", {})]
    answers = [ask(exchange, path, **query) for path, query in asked]
    assert [dict(answer.headers)["X-MBX-USED-WEIGHT-1M"] for answer in answers] == ["2", "4", "24", "28", "29"]
    later = ask(exchange, "ping", now_s=NOW_S + 60)
    assert dict(later.headers)["X-MBX-USED-WEIGHT-1M"] == "1"


def test_over_the_weight_comes_429_until_the_minute_is_over_for_this_client_only():
    exchange = Binance(7)
    statuses = [ask(exchange, **BTC_MINUTES, limit=1).status for _ in range(3001)]
    assert statuses == [200] * 3000 + [429]
    refused = ask(exchange, **BTC_MINUTES)
    assert json.loads(refused.body)["code"] == -1003
    assert dict(refused.headers)["Retry-After"] == "60"
    assert ask(exchange, **BTC_MINUTES, client="127.0.0.2").status == 200
    assert ask(exchange, **BTC_MINUTES, now_s=NOW_S + 60).status == 200


def test_ignoring_429_ends_in_418_which_outlasts_the_minute_and_tells_its_end():
    exchange = Binance(7)
    exchange.limits |= {"weight_per_minute": 2, "ignored_429s_before_ban": 3}
    assert [ask(exchange, **BTC_MINUTES, limit=1).status for _ in range(6)] == [200, 429, 429, 429, 418, 418]
    banned = ask(exchange, **BTC_MINUTES, now_s=NOW_S + 100)
    assert (banned.status, dict(banned.headers)["Retry-After"]) == (418, "21")
    assert f"banned until {NOW_MS + 120_000}" in json.loads(banned.body)["msg"]
    assert ask(exchange, **BTC_MINUTES, now_s=NOW_S + 121).status == 200


def test_the_documented_paths_answer_over_the_socket_too(sandbox):
    rows = sandbox.read("/binance/api/v3/klines?symbol=BTCUSDT&interval=1d&limit=3")
    assert len(rows) == 3
    assert sandbox.read("/binance/api/v3/ticker/bookTicker?symbols=%5B%22BTCUSDT%22%5D")[0]["symbol"] == "BTCUSDT"
    assert len(sandbox.read("/binance/api/v3/depth?symbol=BTCUSDT&limit=1000")["bids"]) == 1000
    assert len(sandbox.read("/binance/api/v3/aggTrades?symbol=BTCUSDT&limit=1000")) == 1000
    assert sandbox.get("/binance/api/v3/historicalTrades?symbol=BTCUSDT").status == 404
