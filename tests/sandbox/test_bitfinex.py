"""Bitfinex as documented: arrays by position, bounds, order, errors in arrays, limits by endpoint (read 2026-11-25)."""

import json
from decimal import Decimal
from itertools import pairwise

import pytest

from sandbox.bitfinex_market import PAIRS, is_quiet
from sandbox.contract import Answer, Conforming, Request
from sandbox.dialects.bitfinex import Bitfinex
from sandbox.row_faults import ROW_FAULTS, spoil_page

NOW_S = 1_795_401_440.5  # 2026-11-23 02:37:20.5 UTC
MINUTE_MS = 1_795_401_420_000
LISTED_MS = 1_502_928_000_000


@pytest.fixture(scope="module")
def exchange():
    dialect = Bitfinex(7)
    dialect.limits |= {name: 10**9 for name in dialect.limits if name.endswith("_per_minute")}
    return dialect


def ask(exchange, path, *, now_s=NOW_S, client="127.0.0.1", **query):
    texts = {name: str(value) for name, value in query.items()}
    outcome = exchange.answer(Request(f"/v2/{path}", texts, {}, client, now_s))
    return outcome if isinstance(outcome, Answer) else outcome()


def read(exchange, path, **query):
    answer = ask(exchange, path, **query)
    assert answer.status == 200, answer.body
    return json.loads(answer.body, parse_float=Decimal)


def refusal(exchange, path, **query):
    answer = ask(exchange, path, **query)
    error, code, text = json.loads(answer.body)
    assert error == "error"
    return answer.status, code, text


def candles(exchange, *, frame="1m", symbol="tBTCUSD", **query):
    return read(exchange, f"candles/trade:{frame}:{symbol}/hist", **query)


def trades(exchange, symbol="tBTCUSD", **query):
    return read(exchange, f"trades/{symbol}/hist", **query)


def test_candles_come_newest_first_a_hundred_of_them_with_the_forming_one(exchange):
    rows = candles(exchange)
    assert [row[0] for row in rows] == [MINUTE_MS - i * 60_000 for i in range(100)]
    assert candles(exchange, limit=3, sort=-1) == rows[:3]
    assert read(exchange, "candles/trade:1m:tBTCUSD/last") == rows[0]


def test_both_bounds_are_inclusive_and_sort_1_begins_with_the_oldest(exchange):
    bounds = {"start": MINUTE_MS - 180_000, "end": MINUTE_MS - 60_000}
    ascending = candles(exchange, sort=1, **bounds)
    assert [row[0] for row in ascending] == [MINUTE_MS - i * 60_000 for i in (3, 2, 1)]
    assert candles(exchange, **bounds) == ascending[::-1]
    assert candles(exchange, sort=1, limit=2, **bounds) == ascending[:2]
    assert candles(exchange, limit=2, **bounds) == ascending[:0:-1]
    assert candles(exchange, start=MINUTE_MS + 60_000, end=MINUTE_MS + 120_000) == []


def test_a_candle_has_close_before_high_and_low(exchange):
    for _, opened, close, high, low, volume in candles(exchange, limit=500)[1:]:
        assert low <= min(opened, close) <= max(opened, close) <= high
        assert volume > 0
    rows = candles(exchange, limit=500)[1:]
    assert any(row[2] != row[3] for row in rows)


@pytest.mark.parametrize(
    ("frame", "width_ms"),
    [("5m", 300_000), ("12h", 43_200_000), ("1D", 86_400_000), ("7D", 7 * 86_400_000)],
)
def test_time_frames_open_on_their_grid(exchange, frame, width_ms):
    rows = candles(exchange, frame=frame, limit=5)
    assert {newer[0] - older[0] for newer, older in pairwise(rows)} == {width_ms}
    monday_ms = 4 * 86_400_000
    assert rows[0][0] % width_ms == (monday_ms if frame == "7D" else 0)


def test_history_begins_with_the_listing(exchange):
    rows = candles(exchange, frame="1D", sort=1, limit=2)
    assert rows[0][0] == LISTED_MS
    assert trades(exchange, sort=1, limit=1, end=LISTED_MS + 60_000)[0][1] >= LISTED_MS


def test_a_minute_without_trades_has_no_candle(exchange):
    start = MINUTE_MS - 150 * 60_000
    opens = [row[0] for row in candles(exchange, symbol="tLTCUSD", start=start, end=MINUTE_MS, limit=1000, sort=1)]
    expected = [ms for ms in range(start, MINUTE_MS + 1, 60_000) if not is_quiet(ms // 60_000)]
    assert opens == expected
    assert len(expected) < 151


@pytest.mark.parametrize("symbol", ["tBTCUSD", "tLTCUSD"])
def test_candles_are_the_aggregate_of_the_trades(exchange, symbol):
    start = MINUTE_MS - 9 * 60_000
    tape = trades(exchange, symbol, start=start, end=MINUTE_MS - 1, sort=1, limit=10_000)
    rows = candles(exchange, symbol=symbol, start=start, end=MINUTE_MS - 1, sort=1)
    assert rows
    for opened, *prices, volume in rows:
        inside = [row for row in tape if opened <= row[1] < opened + 60_000]
        paid = [row[3] for row in inside]
        assert prices == [paid[0], paid[-1], max(paid), min(paid)]
        assert volume == sum(abs(row[2]) for row in inside)
    assert len(tape) == sum(len([r for r in tape if o <= r[1] < o + 60_000]) for o, *_ in rows)


def test_trades_are_id_time_signed_amount_and_price_newest_first(exchange):
    rows = trades(exchange)
    assert len(rows) == 125
    assert [row[0] for row in rows] == sorted((row[0] for row in rows), reverse=True)
    assert {type(row[0]) for row in rows} == {type(row[1]) for row in rows} == {int}
    assert {row[2] > 0 for row in rows} == {True, False}
    assert trades(exchange, limit=10_000, start=MINUTE_MS - 60_000, end=MINUTE_MS - 1, sort=1)[0][1] >= (
        MINUTE_MS - 60_000
    )


def test_several_trades_share_a_millisecond_and_ids_have_holes(exchange):
    rows = trades(exchange, "tBTCUST", limit=5_000)
    times = [row[1] for row in rows]
    assert len(set(times)) < len(times)
    assert all(newer[0] - older[0] > 1 for newer, older in pairwise(rows))


def test_a_ticker_is_flat_and_tickers_begin_with_the_symbol(exchange):
    one = read(exchange, "ticker/tBTCUSD")
    assert len(one) == 10
    bid, _, ask, _, change, relative, last, _, high, low = one
    assert bid < ask
    assert low <= last <= high
    assert abs(relative - change / (last - change)) < Decimal("0.0000001")
    many = read(exchange, "tickers", symbols="tDOGE:USD,tNOPE:USD,tBTCUSD,fUSD")
    assert [row[0] for row in many] == ["tDOGE:USD", "tBTCUSD"]
    assert many[1][1:] == one
    assert [row[0] for row in read(exchange, "tickers", symbols="ALL")] == [pair.symbol for pair in PAIRS]


def test_a_tickers_sizes_are_the_sum_of_25_levels(exchange):
    one, book = read(exchange, "ticker/tBTCUSD"), read(exchange, "book/tBTCUSD/P0", len=25)
    assert one[1] == sum(row[2] for row in book if row[2] > 0)
    assert one[3] == -sum(row[2] for row in book if row[2] < 0)


def test_a_book_lists_bids_and_asks_together_told_by_their_sign(exchange):
    for length, expected in ((None, 25), (1, 1), (100, 100)):
        rows = read(exchange, "book/tBTCUSD/P0", **({} if length is None else {"len": length}))
        bids, asks = [row for row in rows if row[2] > 0], [row for row in rows if row[2] < 0]
        assert (len(bids), len(asks)) == (expected, expected)
        assert max(row[0] for row in bids) < min(row[0] for row in asks)
    assert all(type(row[1]) is int and row[1] > 0 for row in rows)


def test_lists_stand_in_a_list_and_names_have_no_t(exchange):
    spot, futures = read(exchange, "conf/pub:list:pair:exchange,pub:list:pair:futures")
    assert {"BTCUSD", "DOGE:USD", "TESTBTC:TESTUSD", "AAABBB"} < set(spot)
    assert futures == ["BTCF0:USTF0"]
    assert read(exchange, "conf/pub:map:currency:sym") == [[["UST", "USDt"]]]
    assert read(exchange, "platform/status") == [1]


@pytest.mark.parametrize(
    ("path", "query", "text"),
    [
        ("candles/trade:2m:tBTCUSD/hist", {}, "time_interval: invalid"),
        ("candles/tBTCUSD/hist", {}, "key: invalid"),
        ("candles/trade:1m:tBTCUSD/hist", {"limit": 10_001}, "limit: invalid"),
        ("candles/trade:1m:tBTCUSD/hist", {"limit": 0}, "limit: invalid"),
        ("candles/trade:1m:tBTCUSD/hist", {"sort": 2}, "sort: invalid"),
        ("candles/trade:1m:tBTCUSD/hist", {"start": "yesterday"}, "start: invalid"),
        ("candles/trade:1m:tBTCUSD/hist", {"start": 2, "end": 1}, "start: invalid"),
        ("trades/tNOPE/hist", {}, "symbol: invalid"),
        ("trades/BTCUSD/hist", {}, "symbol: invalid"),
        ("trades/fUSD/hist", {}, "symbol: invalid"),
        ("ticker/tbtcusd", {}, "symbol: invalid"),
        ("tickers", {}, "symbols: invalid"),
        ("book/tNOPE/P0", {}, "symbol: invalid"),
        ("book/tBTCUSD/P9", {}, "precision: invalid"),
        ("book/tBTCUSD/P0", {"len": 50}, "len: invalid"),
        ("conf/pub:list:nothing", {}, "keys: invalid"),
    ],
)
def test_a_wrong_request_gets_an_error_array_with_500(exchange, path, query, text):
    assert refusal(exchange, path, **query) == (500, 10020, text)


def test_an_unknown_symbol_gets_an_empty_list_of_candles(exchange):
    assert candles(exchange, symbol="tNOPE") == []


def test_other_paths_are_not_there(exchange):
    assert ask(exchange, "everything").status == 404
    assert exchange.answer(Request("/v1/ticker/btcusd", {}, {}, "127.0.0.1", NOW_S)).status == 404


def test_who_asks_an_endpoint_too_often_is_blocked_there_for_a_minute():
    exchange = Bitfinex(7)
    for _ in range(15):
        assert trades(exchange, limit=1)
    assert refusal(exchange, "trades/tETHUSD/hist") == (429, 11010, "ratelimit: error")
    assert refusal(exchange, "trades/tBTCUSD/hist", now_s=NOW_S + 59.9)[1] == 11010
    assert candles(exchange, limit=1)
    assert trades(exchange, limit=1, client="127.0.0.2")
    assert trades(exchange, limit=1, now_s=NOW_S + 60)
    exchange.forget_spending()
    assert trades(exchange, limit=1)


def test_a_dial_lowers_how_many_rows_a_page_has():
    exchange = Bitfinex(7)
    exchange.limits["most_rows"] = 7
    assert len(candles(exchange, limit=100)) == len(trades(exchange, limit=100)) == 7


@pytest.mark.parametrize("path", ["candles/trade:1m:tBTCUSD/hist", "trades/tBTCUSD/hist"])
@pytest.mark.parametrize("fault", list(ROW_FAULTS))
def test_a_page_taken_apart_is_the_same_bytes_and_every_fault_alters_it_but_leaves_it_json(exchange, path, fault):
    body = ask(exchange, path, limit=9).body
    page = exchange.page(body)
    assert page.text().encode() == body
    spoilt = spoil_page(fault, page, arguments={}, now_s=NOW_S)
    assert spoilt is ("candles" in path or fault not in ("null_prices", "high_below_low"))
    assert (page.text().encode() != body) is spoilt
    assert isinstance(json.loads(page.text()), list)


def test_nothing_but_candles_and_trades_is_a_page_of_rows(exchange):
    for path in ("book/tBTCUSD/P0", "ticker/tBTCUSD", "conf/pub:list:currency", "platform/status", "trades/tNO/hist"):
        assert exchange.page(ask(exchange, path).body) is None
    assert exchange.page(ask(exchange, "tickers", symbols="ALL").body) is None


def test_what_must_come_of_it_is_told_for_every_dataset_and_does_not_change(exchange):
    assert isinstance(exchange, Conforming)
    assert {example.dataset for example in exchange.examples()} == {"bars", "trades", "quotes", "books"}
    closed = [example for example in exchange.examples() if example.end]
    for example in closed[1:3]:
        rows = exchange.rows(example, now_s=NOW_S)
        assert rows == exchange.rows(example, now_s=NOW_S + 10**6)
        assert [row["ts"] for row in rows] == sorted(row["ts"] for row in rows)
    assert len(exchange.error_cases()) >= 3


def test_the_truth_names_every_pair():
    truth = Bitfinex(7).truth()
    assert list(truth) == [pair.symbol for pair in PAIRS]
    assert set(truth["tLTCUSD"]["quiet"]) == {"hours", "minutes"}


def test_the_documented_paths_answer_over_the_socket_too(sandbox):
    sandbox.control("POST", "limits", {"provider": "bitfinex", "limits": {"most_rows": 10_000}})
    assert len(sandbox.read("/bitfinex/v2/candles/trade:1D:tDOGE%3AUSD/hist?limit=7")) == 7
    assert len(sandbox.read("/bitfinex/v2/trades/tBTCUSD/hist?limit=7&sort=-1")) == 7
    assert sandbox.read("/bitfinex/v2/tickers?symbols=tBTCUST%2CtDOGE%3AUSD")[1][0] == "tDOGE:USD"
    assert sandbox.get("/bitfinex/v2/ticker/tNOPE").status == 500
