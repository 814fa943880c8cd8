"""Kraken as documented: bounds, shapes, cursors, errors inside a 200 and the call counter (read 2026-11-24)."""

import json
import re
from decimal import Decimal

import pytest

from sandbox.contract import Answer, Request
from sandbox.dialects.kraken import Kraken
from sandbox.kraken_counter import CallCounter
from sandbox.kraken_market import is_quiet
from sandbox.price_walk import PriceWalk
from sandbox.row_faults import ROW_FAULTS, spoil_page
from sandbox.trade_tape import TradeTape

NOW_S = 1_795_401_420.5  # 2026-11-23 02:37:00.5 UTC
MINUTE_NOW = 1_795_401_420
LISTED_S = 1_502_928_000
BODY = re.compile(rb'\{"error":\[\],"result":\{"(\w+)":\[.*\],"last":"?\d+"?\}\}')


@pytest.fixture(scope="module")
def exchange():
    dialect = Kraken(7)
    dialect.limits["counter_highest"] = 10**9
    return dialect


def ask(exchange, method, *, now_s=NOW_S, client="127.0.0.1", **query):
    texts = {name: str(value) for name, value in query.items()}
    outcome = exchange.answer(Request(f"/0/public/{method}", texts, {}, client, now_s))
    return outcome if isinstance(outcome, Answer) else outcome()


def read(exchange, method, **query):
    answer = ask(exchange, method, **query)
    body = json.loads(answer.body, parse_float=Decimal)
    assert (answer.status, body["error"]) == (200, [])
    return body["result"]


def refusal(exchange, method, **query):
    answer = ask(exchange, method, **query)
    body = json.loads(answer.body)
    assert (answer.status, list(body), len(body["error"])) == (200, ["error"], 1)
    return body["error"][0]


def bars(exchange, **query):
    result = read(exchange, "OHLC", **{"pair": "XBTUSD", **query})
    (rows,) = (value for name, value in result.items() if name != "last")
    return rows, result["last"]


def trades(exchange, **query):
    result = read(exchange, "Trades", **{"pair": "XBTUSD", **query})
    (rows,) = (value for name, value in result.items() if name != "last")
    return rows, result["last"]


def test_without_since_come_720_committed_bars_ascending_and_the_forming_one(exchange):
    rows, last = bars(exchange)
    assert [row[0] for row in rows] == list(range(MINUTE_NOW - 720 * 60, MINUTE_NOW + 1, 60))
    assert last == MINUTE_NOW - 60


def test_since_is_exclusive_and_reaches_no_further_back_than_720_bars(exchange):
    assert [row[0] for row in bars(exchange, since=MINUTE_NOW - 180)[0]] == [
        MINUTE_NOW - 120,
        MINUTE_NOW - 60,
        MINUTE_NOW,
    ]
    assert next(row[0] for row in bars(exchange, since=MINUTE_NOW - 181)[0]) == MINUTE_NOW - 180
    assert len(bars(exchange, since=LISTED_S)[0]) == 721
    assert len(bars(exchange, since=0)[0]) == 721


def test_the_forming_bar_is_there_whatever_since_is_and_last_is_the_next_since(exchange):
    for since in (MINUTE_NOW - 60, MINUTE_NOW, MINUTE_NOW + 10**6):
        rows, last = bars(exchange, since=since)
        assert ([row[0] for row in rows], last) == ([MINUTE_NOW], MINUTE_NOW - 60)
    early, late = (bars(exchange, since=MINUTE_NOW, now_s=NOW_S + s)[0][0] for s in (5, 50))
    assert early[:2] == late[:2]
    assert early[7] < late[7]


@pytest.mark.parametrize(("interval", "first"), [(5, 1_795_401_300), (240, 1_795_392_000), (1440, 1_795_392_000)])
def test_the_interval_counts_minutes_and_bars_open_on_its_grid(exchange, interval, first):
    rows, _ = bars(exchange, interval=interval, since=first - 1)
    assert [row[0] for row in rows] == [first]


def test_history_begins_with_the_listing(exchange):
    rows, _ = bars(exchange, now_s=LISTED_S + 600.5)
    assert [row[0] for row in rows] == list(range(LISTED_S, LISTED_S + 601, 60))
    weeks, _ = bars(exchange, interval=10080)
    assert len(weeks) < 720
    assert weeks[0][0] <= LISTED_S < weeks[1][0]


def test_a_bar_has_the_eight_documented_columns_in_their_types(exchange):
    rows, _ = bars(exchange, since=MINUTE_NOW - 130)
    for row in rows:
        assert [type(cell) for cell in row] == [int, *[str] * 6, int]
    low, high, vwap = (Decimal(rows[0][i]) for i in (3, 2, 5))
    assert low <= vwap <= high
    assert re.fullmatch(r"\d+\.\d{8}", rows[0][6])


def test_a_minute_without_trades_is_a_flat_bar_at_the_last_price(exchange):
    rows, _ = bars(exchange, pair="LTCUSD", since=MINUTE_NOW - 160 * 60)
    quiet = [i for i, row in enumerate(rows) if i and is_quiet(row[0] // 60)]
    assert len(quiet) > 20
    for i in quiet:
        assert rows[i][1:] == [*[rows[i - 1][4]] * 4, "0.0", "0.00000000", 0]
    assert all(row[7] > 0 for row in rows[:-1] if not is_quiet(row[0] // 60))


@pytest.mark.parametrize("pair", ["XBTUSD", "LTCUSD"])
def test_bars_are_the_aggregate_of_the_trades_and_wide_ones_of_narrow_ones(exchange, pair):
    start = MINUTE_NOW - 7 * 60
    rows, last = [], str(start * 10**9)
    while len(rows) == 0 or int(last) < MINUTE_NOW * 10**9:
        page, last = trades(exchange, pair=pair, since=last)
        rows += [row for row in page if not rows or row[6] > rows[-1][6]]
    for opened, o, h, lo, c, _, volume, count in bars(exchange, pair=pair, since=start - 1)[0][:7]:
        inside = [row for row in rows if opened <= row[2] < opened + 60]
        assert count == len(inside)
        assert Decimal(volume) == sum(Decimal(row[1]) for row in inside)
        if inside:
            prices = [Decimal(row[0]) for row in inside]
            assert [Decimal(p) for p in (o, h, lo, c)] == [prices[0], max(prices), min(prices), prices[-1]]
    hour = MINUTE_NOW - MINUTE_NOW % 3600 - 3600
    (wide, _), minutes = bars(exchange, pair=pair, interval=60, since=hour - 1)[0], bars(exchange, pair=pair)[0]
    narrow = [row for row in minutes if hour <= row[0] < hour + 3600]
    assert wide[7] == sum(row[7] for row in narrow)
    assert Decimal(wide[6]) == sum(Decimal(row[6]) for row in narrow)


def test_trades_without_since_are_the_newest_ascending_and_last_is_the_time_of_the_last(exchange):
    rows, last = trades(exchange)
    newest = TradeTape(PriceWalk(7)).newest("BTCUSD", 1000, int(NOW_S * 1000))
    assert [row[6] for row in rows] == [trade.id for trade in newest]
    assert re.fullmatch(r"\d{19}", last)
    assert abs(rows[-1][2] - Decimal(last) / 10**9) < Decimal("0.0000002")
    assert trades(exchange, count=3)[0] == rows[-3:]


def test_trades_since_a_time_are_the_oldest_from_there_and_the_trade_at_last_comes_again(exchange):
    first, last = trades(exchange, since=f"{MINUTE_NOW - 600}000000000")
    assert len(first) == 1000
    assert first[0][2] >= MINUTE_NOW - 600
    second, _ = trades(exchange, since=last)
    assert second[0] in first
    assert second[0][6] <= first[-1][6] < second[-1][6]
    assert trades(exchange, since=MINUTE_NOW - 600, count=5)[0] == first[:5]
    assert trades(exchange, since=f"{MINUTE_NOW - 600}.0", count=5)[0] == first[:5]


def test_a_dial_makes_since_exclusive_as_older_documentation_has_it():
    exchange = Kraken(7)
    first, last = trades(exchange, since=MINUTE_NOW - 600)
    exchange.limits["trades_since_exclusive"] = 1
    second, _ = trades(exchange, since=last)
    assert second[0][6] == first[-1][6] + 1


def test_the_history_of_trades_begins_with_the_listing_and_ends_now(exchange):
    rows, _ = trades(exchange, since=0, count=2)
    assert [row[6] for row in rows] == [1, 2]
    assert LISTED_S <= rows[0][2] < LISTED_S + 1
    future = f"{MINUTE_NOW + 10}000000000"
    assert trades(exchange, since=future) == ([], future)


def test_a_trade_has_seven_fields_its_time_is_a_float_and_many_share_one(exchange):
    rows, _ = trades(exchange)
    for row in rows:
        assert [type(cell) for cell in row] == [str, str, Decimal, str, str, str, int]
    assert {row[3] for row in rows} == {"b", "s"}
    assert {row[4] for row in rows} == {"m", "l"}
    times = [row[2] for row in rows]
    assert times == sorted(times)
    assert len(set(times)) < len(times)
    assert all(str(float(time)) == str(time) for time in times)


@pytest.mark.parametrize("name", ["XBTUSD", "xbtusd", "XXBTZUSD", "XBT/USD"])
def test_a_pair_goes_by_any_of_its_names_and_comes_under_its_key(exchange, name):
    for method in ("OHLC", "Trades", "Ticker", "Depth", "AssetPairs"):
        assert next(iter(read(exchange, method, pair=name))) == "XXBTZUSD"


def test_a_ticker_lists_many_pairs_and_all_without_a_name(exchange):
    assert list(read(exchange, "Ticker", pair="XDGUSD,XBTUSDT")) == ["XDGUSD", "XBTUSDT"]
    everything = read(exchange, "Ticker")
    assert list(everything) == list(read(exchange, "AssetPairs"))
    assert len(everything) == 9
    for figures in everything.values():
        assert sorted(figures) == sorted("abcvptlho")
        assert [len(figures[name]) for name in "abcvptlh"] == [3, 3, 2, 2, 2, 2, 2, 2]
        assert Decimal(figures["l"][1]) <= Decimal(figures["p"][1]) <= Decimal(figures["h"][1])
        assert Decimal(figures["b"][0]) < Decimal(figures["a"][0])


def test_a_book_has_a_hundred_levels_a_side_unless_told_otherwise(exchange):
    for count, expected in ((None, 100), (1, 1), (500, 500)):
        query = {} if count is None else {"count": count}
        book = read(exchange, "Depth", pair="XBTUSD", **query)["XXBTZUSD"]
        assert (len(book["asks"]), len(book["bids"])) == (expected, expected)
    asks, bids = ([Decimal(level[0]) for level in book[side]] for side in ("asks", "bids"))
    assert asks == sorted(asks)
    assert bids == sorted(bids, reverse=True)
    assert [type(cell) for cell in book["asks"][0]] == [str, str, int]
    figures = read(exchange, "Ticker", pair="XBTUSD")["XXBTZUSD"]
    assert (book["asks"][0][:2], book["bids"][0][:2]) == (figures["a"][::2], figures["b"][::2])


def test_asset_pairs_tell_keys_names_and_assets(exchange):
    found = read(exchange, "AssetPairs", pair="XBTUSD,XDGUSD,ETHUSDT")
    assert [(key, p["altname"], p["wsname"], p["base"], p["quote"]) for key, p in found.items()] == [
        ("XXBTZUSD", "XBTUSD", "XBT/USD", "XXBT", "ZUSD"),
        ("XDGUSD", "XDGUSD", "XDG/USD", "XXDG", "ZUSD"),
        ("ETHUSDT", "ETHUSDT", "ETH/USDT", "XETH", "USDT"),
    ]


def test_time_and_system_status_answer(exchange):
    assert read(exchange, "Time") == {"unixtime": MINUTE_NOW, "rfc1123": "Mon, 23 Nov 26 02:37:00 +0000"}
    assert read(exchange, "SystemStatus") == {"status": "online", "timestamp": "2026-11-23T02:37:00Z"}


@pytest.mark.parametrize(
    ("method", "query", "text"),
    [
        ("OHLC", {}, "EGeneral:Invalid arguments"),
        ("OHLC", {"pair": "NOPE"}, "EQuery:Unknown asset pair"),
        ("OHLC", {"pair": "XBTUSD,ETHUSD"}, "EQuery:Unknown asset pair"),
        ("OHLC", {"pair": "BTCUSD"}, "EQuery:Unknown asset pair"),
        ("OHLC", {"pair": "XBTUSD", "interval": "360"}, "EGeneral:Invalid arguments"),
        ("OHLC", {"pair": "XBTUSD", "interval": "1h"}, "EGeneral:Invalid arguments"),
        ("OHLC", {"pair": "XBTUSD", "since": "yesterday"}, "EGeneral:Invalid arguments"),
        ("Trades", {"pair": "XBTUSD", "count": "1001"}, "EGeneral:Invalid arguments"),
        ("Trades", {"pair": "XBTUSD", "since": "-1"}, "EGeneral:Invalid arguments"),
        ("Depth", {"pair": "XBTUSD", "count": "501"}, "EGeneral:Invalid arguments"),
        ("Ticker", {"pair": "XBTUSD,NOPE"}, "EQuery:Unknown asset pair"),
        ("AssetPairs", {"pair": "NOPE"}, "EQuery:Unknown asset pair"),
        ("Everything", {}, "EGeneral:Unknown method"),
    ],
)
def test_a_wrong_request_gets_a_200_with_a_text_and_no_result(exchange, method, query, text):
    assert refusal(exchange, method, **query) == text


def test_private_methods_want_a_key_and_other_paths_are_not_there(exchange):
    def body(path):
        return exchange.answer(Request(path, {}, {}, "127.0.0.1", NOW_S))

    assert json.loads(body("/0/private/Balance").body)["error"] == ["EAPI:Invalid key"]
    assert body("/1/public/Time").status == 404


def test_who_calls_too_often_is_told_in_a_200_and_waits_longer_the_more_he_goes_on():
    exchange = Kraken(7)
    answers = [ask(exchange, "Time").body for _ in range(17)]
    assert [b"EAPI:Rate limit exceeded" in body for body in answers] == [False] * 15 + [True] * 2
    assert refusal(exchange, "Time", now_s=NOW_S + 2) == "EAPI:Rate limit exceeded"
    assert read(exchange, "Time", now_s=NOW_S + 6)
    assert read(exchange, "Time", client="127.0.0.2")
    exchange.forget_spending()
    assert read(exchange, "Time")


def test_ohlc_and_trades_are_counted_by_pair_and_the_others_together():
    exchange = Kraken(7)
    exchange.limits["counter_highest"] = 1
    assert bars(exchange)
    assert refusal(exchange, "Trades", pair="XBTUSD") == "EAPI:Rate limit exceeded"
    assert bars(exchange, pair="ETHUSD")
    assert read(exchange, "Depth", pair="XBTUSD")
    assert refusal(exchange, "Ticker", pair="ETHUSD") == "EAPI:Rate limit exceeded"


def test_the_counter_never_refuses_a_call_a_second_nor_forgets_beyond_its_decay():
    counter = CallCounter()
    assert all(counter.count("a", highest=1, decay_per_s=1, now_s=float(s)) for s in range(100))
    assert not counter.count("a", highest=1, decay_per_s=1, now_s=99.5)
    assert counter.count("a", highest=1, decay_per_s=1, now_s=120.0)


@pytest.mark.parametrize("method", ["OHLC", "Trades"])
@pytest.mark.parametrize("fault", list(ROW_FAULTS))
def test_a_page_taken_apart_is_the_same_bytes_and_every_fault_alters_it_but_leaves_it_json(exchange, method, fault):
    body = ask(exchange, method, pair="XBTUSD", since=MINUTE_NOW - 300).body
    assert BODY.fullmatch(body)
    page = exchange.page(body)
    assert page.text().encode() == body
    spoilt = spoil_page(fault, page, arguments={}, now_s=NOW_S)
    assert spoilt is (method == "OHLC" or fault not in ("null_prices", "high_below_low"))
    assert (page.text().encode() != body) is spoilt
    assert json.loads(page.text())["error"] == []


def test_nothing_but_bars_and_trades_is_a_page_of_rows(exchange):
    for method in ("Depth", "Ticker", "AssetPairs", "Time", "Everything"):
        assert exchange.page(ask(exchange, method, pair="XBTUSD").body) is None


def test_the_truth_names_every_pair_by_the_name_it_is_asked_for_with():
    truth = Kraken(7).truth()
    assert list(truth)[:2] == ["XBTUSD", "ETHUSD"]
    assert truth["XBTUSD"] == {"first_open_ms": LISTED_S * 1000, "last": "forming", "reach_bars": 720}
    assert set(truth["LTCUSD"]["quiet"]) == {"hours", "minutes"}


def test_the_documented_paths_answer_over_the_socket_too(sandbox):
    sandbox.control("POST", "limits", {"provider": "kraken", "limits": {"counter_highest": 15}})
    assert len(sandbox.read("/kraken/0/public/OHLC?pair=XBTUSD&interval=1440")["result"]["XXBTZUSD"]) == 721
    assert len(sandbox.read("/kraken/0/public/Trades?pair=XDGUSD&count=7")["result"]["XDGUSD"]) == 7
    assert list(sandbox.read("/kraken/0/public/Ticker?pair=XBTUSDT%2CLTCUSD")["result"]) == ["XBTUSDT", "XLTCZUSD"]
    assert sandbox.read("/kraken/0/public/Depth?pair=NOPE") == {"error": ["EQuery:Unknown asset pair"]}
