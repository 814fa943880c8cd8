"""Coinbase Exchange as documented: range rules, shapes, cursors, errors and the token bucket (read 2026-11-24)."""

import json
import re
from datetime import UTC, datetime
from decimal import Decimal
from itertools import groupby

import pytest

from sandbox.coinbase_bucket import TokenBuckets
from sandbox.coinbase_market import is_quiet
from sandbox.contract import Answer, Request
from sandbox.dialects.coinbase import Coinbase
from sandbox.price_walk import PriceWalk
from sandbox.trade_tape import TradeTape

NOW_S = 1_795_415_820.5  # 2026-11-23 06:37:00.5 UTC
MINUTE_NOW = 1_795_415_820
NIGHT_S = 1_795_312_800  # 2026-11-22 02:00 UTC
LISTED_S = 1_502_928_000
ASSETS = ["BTC", "ETH", "SOL", "XRP", "ADA", "DOGE", "LTC"]
AGENT = {"user-agent": "test"}


@pytest.fixture(scope="module")
def exchange():
    dialect = Coinbase(7)
    dialect.limits["burst"] = 10**9
    return dialect


def ask(exchange, path, *, now_s=NOW_S, client="127.0.0.1", headers=AGENT, **query):
    texts = {name: str(value) for name, value in query.items()}
    outcome = exchange.answer(Request(path, texts, headers, client, now_s))
    return outcome if isinstance(outcome, Answer) else outcome()


def read(exchange, path, **query):
    answer = ask(exchange, path, **query)
    assert answer.status == 200, answer.body
    return json.loads(answer.body, parse_float=Decimal)


def iso(seconds):
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def candles(exchange, start_s=None, end_s=None, *, product="BTC-USD", granularity=60, **options):
    bounds = {name: iso(s) for name, s in (("start", start_s), ("end", end_s)) if s is not None}
    return read(exchange, f"/products/{product}/candles", granularity=granularity, **bounds, **options)


def trades(exchange, product="BTC-USD", **query):
    return read(exchange, f"/products/{product}/trades", **query)


def micros(row):
    return round(datetime.fromisoformat(row["time"]).timestamp() * 1_000_000)


def test_without_both_bounds_come_the_latest_300_newest_first_with_the_forming_one(exchange):
    expected = list(range(MINUTE_NOW, MINUTE_NOW - 300 * 60, -60))
    for bounds in ((None, None), (MINUTE_NOW - 600, None), (None, MINUTE_NOW - 600)):
        assert [row[0] for row in candles(exchange, *bounds, now_s=NOW_S + 5)] == expected


def test_both_bounds_are_inclusive_and_one_candle_before_the_start_may_come_along(exchange):
    end = MINUTE_NOW - 600
    assert [row[0] for row in candles(exchange, end - 120, end)] == [end, end - 60, end - 120, end - 180]
    assert [row[0] for row in candles(exchange, end - 119, end - 1)] == [end - 60, end - 120]


def test_300_candles_are_served_and_301_are_refused(exchange):
    end = MINUTE_NOW - 600
    assert [row[0] for row in candles(exchange, end - 299 * 60, end)][::299] == [end, end - 299 * 60]
    refused = ask(exchange, "/products/BTC-USD/candles", granularity=60, start=iso(end - 300 * 60), end=iso(end))
    assert (refused.status, json.loads(refused.body)) == (
        400,
        {"message": "granularity too small for the requested time range. Count of aggregations requested exceeds 300"},
    )


@pytest.mark.parametrize("product", ["BTC-USD", "LTC-USD"])
@pytest.mark.parametrize(
    ("narrow_s", "wide_s", "hours"), [(60, 300, 4), (60, 900, 4), (300, 3600, 4), (3600, 21600, 24), (900, 86400, 24)]
)
def test_wider_candles_are_the_aggregate_of_the_narrower_ones(exchange, product, narrow_s, wide_s, hours):
    start = NIGHT_S - NIGHT_S % wide_s
    end = start + hours * 3600 - 1
    narrow, wide = (candles(exchange, start, end, product=product, granularity=g)[::-1] for g in (narrow_s, wide_s))
    made = []
    for open_s, rows in groupby((row for row in narrow if row[0] >= start), key=lambda row: row[0] - row[0] % wide_s):
        parts = list(rows)
        lows, highs, volumes = ([row[column] for row in parts] for column in (1, 2, 5))
        made.append([open_s, min(lows), max(highs), parts[0][3], parts[-1][4], sum(volumes)])
    assert made == [row for row in wide if row[0] >= start]


def test_a_candle_is_time_low_high_open_close_volume_as_numbers(exchange):
    answer = ask(exchange, "/products/BTC-USD/candles", granularity=60)
    assert re.fullmatch(rb"\[(\[\d+(,\d+(\.\d*[1-9])?){5}\],?)+\]", answer.body)
    for _, low, high, opening, closing, volume in json.loads(answer.body, parse_float=Decimal):
        assert low <= min(opening, closing) <= max(opening, closing) <= high
        assert volume > 0


def test_a_minutes_candle_is_made_of_the_trades_that_are_served(exchange):
    now_s = MINUTE_NOW + 60
    for product in ("BTC-USD", "LTC-USD"):
        page = trades(exchange, product, now_s=now_s)
        minute = [row for row in page if micros(row) >= MINUTE_NOW * 1_000_000]
        prices = [Decimal(row["price"]) for row in reversed(minute)]
        candle = candles(exchange, MINUTE_NOW, MINUTE_NOW, product=product, now_s=now_s)[0]
        made = [MINUTE_NOW, min(prices), max(prices), prices[0], prices[-1], sum(Decimal(t["size"]) for t in minute)]
        assert candle == made


def test_a_finished_candle_never_changes_and_the_forming_one_grows(exchange):
    path, wish = "/products/LTC-USD/candles", {"start": iso(MINUTE_NOW - 60), "end": iso(MINUTE_NOW - 60)}
    assert ask(exchange, path, **wish).body == ask(Coinbase(7), path, **wish, now_s=NOW_S + 10**6).body
    early, late = (candles(exchange, MINUTE_NOW, MINUTE_NOW, now_s=NOW_S + after)[0] for after in (5, 50))
    assert early[0] == late[0] == MINUTE_NOW
    assert early[5] < late[5]


def test_history_begins_with_the_listing_and_nothing_lies_in_the_future(exchange):
    assert [row[0] for row in candles(exchange, LISTED_S - 600, LISTED_S + 60)] == [LISTED_S + 60, LISTED_S]
    assert candles(exchange, MINUTE_NOW + 600, MINUTE_NOW + 660) == []
    oldest = trades(exchange, before=1, limit=3)
    assert [row["trade_id"] for row in oldest] == [4, 3, 2]
    assert trades(exchange, after=1) == []


def test_a_bucket_without_trades_has_no_candle_and_no_trades_and_truth_names_it(exchange):
    quiet = exchange.truth()["LTC-USD"]["quiet"]
    assert [name for name, told in exchange.truth().items() if "quiet" in told] == ["LTC-USD"]
    opens = range(NIGHT_S, NIGHT_S + 5 * 3600, 60)
    silent = [s for s in opens if s // 3600 % 24 in quiet["hours"] and s // 60 % 60 in quiet["minutes"]]
    served = {row[0] for row in candles(exchange, NIGHT_S, NIGHT_S + 299 * 60, product="LTC-USD")}
    assert served == set(opens) - set(silent)
    assert 20 * 4 < len(silent) == len([s for s in opens if is_quiet(s // 60)])
    quarters = candles(exchange, NIGHT_S, NIGHT_S + 5 * 3600 - 1, product="LTC-USD", granularity=900)
    assert {row[0] // 900 % 4 for row in quarters if NIGHT_S <= row[0] < NIGHT_S + 4 * 3600} == {0, 2, 3}
    page = trades(exchange, "LTC-USD", now_s=NIGHT_S + 31 * 60)
    assert len(page) == 1000
    assert not [row for row in page if is_quiet(micros(row) // 60_000_000)]
    assert len(candles(exchange, NIGHT_S, NIGHT_S + 299 * 60)) == 300


def test_the_ticker_of_a_quiet_quarter_still_has_the_trade_from_before_it(exchange):
    told = read(exchange, "/products/LTC-USD/ticker", now_s=NIGHT_S + 29 * 60)
    assert micros(told) // 60_000_000 == NIGHT_S // 60 + 13  # minute 14 is quiet too


def test_trades_come_newest_first_a_thousand_at_a_time_in_the_documented_form(exchange):
    page = trades(exchange)
    assert len(page) == 1000
    assert [row["trade_id"] for row in page] == list(range(page[0]["trade_id"], page[0]["trade_id"] - 1000, -1))
    assert all(list(row) == ["time", "trade_id", "price", "size", "side"] for row in page)
    assert all(re.fullmatch(r"2026-11-23T06:\d\d:\d\d\.\d{3}(\d{3})?Z", row["time"]) for row in page)
    assert all(re.fullmatch(r"\d+\.\d{8}", row[name]) for row in page for name in ("price", "size"))
    assert NOW_S * 1_000_000 > micros(page[0]) >= micros(page[-1])


def test_the_side_of_a_trade_is_the_makers(exchange):
    tape = TradeTape(PriceWalk(7)).newest("BTCUSD", 1000, int(NOW_S * 1000))
    told = [(row["trade_id"], row["side"]) for row in trades(exchange)[::-1]]
    assert told == [(trade.id, "sell" if trade.taker_buys else "buy") for trade in tape]
    assert {side for _, side in told} == {"buy", "sell"}


def test_the_cursors_lead_to_older_and_newer_pages_without_gap_or_repeat(exchange):
    for product in ("BTC-USD", "LTC-USD"):
        path = f"/products/{product}/trades"
        first = ask(exchange, path, limit=30)
        ids = [row["trade_id"] for row in json.loads(first.body)]
        assert dict(first.headers) == {"CB-BEFORE": str(ids[0]), "CB-AFTER": str(ids[-1])}
        older = ask(exchange, path, limit=30, after=ids[-1])
        older_ids = [row["trade_id"] for row in json.loads(older.body)]
        assert len(older_ids) == 30
        assert [*ids, *older_ids] == [row["trade_id"] for row in trades(exchange, product, limit=60)]
        assert ask(exchange, path, limit=30, before=older_ids[0]).body == first.body
        newest = ask(exchange, path, before=ids[0])
        assert (newest.body, newest.headers) == (b"[]", ())


def test_the_ticker_tells_the_last_trade_with_the_best_bid_and_ask(exchange):
    told = read(exchange, "/products/ETH-USD/ticker")
    (last,) = trades(exchange, "ETH-USD", limit=1)
    assert sorted(told) == ["ask", "bid", "price", "rfq_volume", "size", "time", "trade_id", "volume"]
    assert (told["trade_id"], told["time"], told["size"]) == (last["trade_id"], last["time"], last["size"])
    assert Decimal(told["price"]) == Decimal(last["price"])
    assert Decimal(told["bid"]) < Decimal(told["ask"])


def test_the_book_has_one_level_unless_asked_for_all_and_a_sequence_and_time_of_its_own(exchange):
    path = "/products/XRP-USD/book"
    best, whole = read(exchange, path), read(exchange, path, level=2)
    assert list(whole) == ["bids", "asks", "sequence", "auction_mode", "auction", "time"]
    assert (best["bids"], best["asks"]) == (whole["bids"][:1], whole["asks"][:1])
    assert [len(whole[side]) for side in ("bids", "asks")] == [150, 150]
    for side, sign in (("bids", -1), ("asks", 1)):
        prices = [sign * Decimal(price) for price, _, _ in whole[side]]
        assert prices == sorted(set(prices))
        assert all(type(count) is int and count >= 1 for _, _, count in whole[side])
    assert Decimal(best["bids"][0][0]) < Decimal(best["asks"][0][0])
    assert whole["time"] == "2026-11-23T06:37:00.500000000Z"
    assert read(exchange, path, now_s=NOW_S + 1)["sequence"] == best["sequence"] + 10


def test_the_products_and_the_clock_are_served(exchange):
    products = read(exchange, "/products")
    assert [product["id"] for product in products] == [f"{a}-USD" for a in ASSETS]
    assert products[0]["quote_increment"] == "0.01"
    assert read(exchange, "/products/LTC-USD") == products[-1]
    assert read(exchange, "/time") == {"iso": "2026-11-23T06:37:00.500Z", "epoch": Decimal("1795415820.5")}


@pytest.mark.parametrize(
    ("path", "query", "status", "message"),
    [
        ("/products/NO-NO", {}, 404, "NotFound"),
        ("/products/NO-NO/candles", {}, 404, "NotFound"),
        ("/products/BTC-USD/nothing", {}, 404, "NotFound"),
        ("/nothing", {}, 404, "NotFound"),
        ("/products/BTC-USD/candles", {"granularity": 120}, 400, "Unsupported granularity"),
        ("/products/BTC-USD/candles", {"granularity": "1m"}, 400, "Unsupported granularity"),
        ("/products/BTC-USD/candles", {"start": "yesterday", "end": iso(NOW_S)}, 400, "Invalid start"),
        ("/products/BTC-USD/candles", {"start": iso(NOW_S), "end": iso(0)}, 400, "start must be before end"),
        ("/products/BTC-USD/trades", {"after": "x"}, 400, 'Invalid value for "after"'),
        ("/products/BTC-USD/trades", {"limit": "0"}, 400, 'Invalid value for "limit"'),
        ("/products/BTC-USD/trades", {"after": "5", "before": "2"}, 400, 'Invalid value for "before"'),
        ("/products/BTC-USD/book", {"level": "3"}, 400, "Invalid level"),
    ],
)
def test_a_wrong_request_is_refused_with_a_message(exchange, path, query, status, message):
    answer = ask(exchange, path, **query)
    assert (answer.status, json.loads(answer.body)) == (status, {"message": message})


def test_a_request_without_user_agent_is_refused(exchange):
    assert ask(exchange, "/time", headers={}).status == 400


def test_the_bucket_counts_as_the_documentations_example():
    buckets = TokenBuckets()
    granted = [buckets.take("me", burst=3, rate_per_s=1, now_s=now) for now in (0.5, 0.8, 0.9, 1.0, 1.1, 1.6)]
    assert granted == [True, True, True, False, False, True]


def test_a_burst_of_15_is_granted_and_then_10_a_second_for_each_client():
    exchange = Coinbase(7)
    assert [ask(exchange, "/time").status for _ in range(16)] == [200] * 15 + [429]
    assert json.loads(ask(exchange, "/time").body) == {"message": "Public rate limit exceeded"}
    assert ask(exchange, "/time", client="127.0.0.2").status == 200
    assert [ask(exchange, "/time", now_s=NOW_S + 1.001).status for _ in range(11)] == [200] * 10 + [429]
    exchange.forget_spending()
    assert ask(exchange, "/time", now_s=NOW_S + 1.001).status == 200


@pytest.mark.parametrize("path", ["candles", "trades"])
def test_a_page_taken_apart_and_put_together_is_the_same_bytes(exchange, path):
    body = ask(exchange, f"/products/BTC-USD/{path}", limit=20).body
    page = exchange.page(body)
    assert page.text().encode() == body
    assert len(page.rows) == len(json.loads(body))


@pytest.mark.parametrize("path", ["/products", "/time", "/products/BTC-USD/ticker", "/products/BTC-USD/book"])
def test_an_answer_without_rows_of_time_is_no_page(exchange, path):
    assert exchange.page(ask(exchange, path).body) is None


@pytest.fixture
def coinbase(sandbox):
    assert sandbox.control("POST", "limits", {"provider": "coinbase", "limits": {"requests_per_s": 10}})[0] == 200
    return sandbox


def test_the_documented_paths_answer_over_the_socket_too(coinbase):
    rows = coinbase.read("/coinbase/products/SOL-USD/candles?granularity=86400")
    assert len(rows) == 300
    assert len(coinbase.read("/coinbase/products/SOL-USD/trades?limit=5")) == 5
    assert coinbase.get("/coinbase/products/NO-USD/ticker").status == 404


@pytest.mark.parametrize("path", ["/products/BTC-USD/candles", "/products/BTC-USD/trades"])
def test_row_faults_spoil_one_row_in_the_providers_own_notation(coinbase, path):
    def times():
        rows = coinbase.read(f"/coinbase{path}?limit=10")[:10]
        return [row[0] if isinstance(row, list) else row["time"] for row in rows]

    for fault in ("future_timestamp", "wrong_unit", "misaligned"):
        coinbase.arm("coinbase", fault, args={"row": 0})
        spoilt, whole = times(), times()
        assert spoilt[0] != whole[0], fault
    coinbase.arm("coinbase", "repeated_row", args={"row": 0})
    repeated = times()
    assert repeated[0] == repeated[1]
    assert coinbase.fired() == [1, 1, 1, 1]
