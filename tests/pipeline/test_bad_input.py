"""Bad rows in good pages: each becomes a finding that names it, the others are stored, nothing is silently missing."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from tests.pipeline.farm import bars_call, days_call

KLINES = "/binance/api/v3/klines?symbol=BTCUSDT&interval=1m&startTime=1709596800000&endTime=1709600399999&limit=1000"
CALLS = {"binance": bars_call("BTC-USDT"), "nasdaq_data_link": days_call("AAPL")}
SERVED = {"binance": 60, "nasdaq_data_link": 21}
PROVIDERS = sorted(CALLS)

#: The rules a fault breaks in the spoilt row; a row from another time is outside the asked window as well.
REJECTED = {
    "null_prices": {"null_price"},
    "high_below_low": {"high_below_low"},
    "future_timestamp": {"timestamp_in_future", "outside_window"},  # and misaligned, where it is a minute's bar
    "wrong_unit": {"timestamp_out_of_range"},
    "misaligned": {"misaligned"},
}


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_good_page_is_stored_whole_and_nothing_is_found(farm, provider):
    farm.owe(provider, CALLS[provider])
    assert farm.run_once().state == "fetched"
    assert farm.findings() == []
    assert farm.value("SELECT count(*) FROM bars") == SERVED[provider]
    assert farm.value("SELECT sum(stored) FROM ledger") == SERVED[provider]
    assert farm.states() == ["done"]


@pytest.mark.parametrize("row", [0, -1, 7])
@pytest.mark.parametrize(
    ("provider", "fault", "args"),
    [
        ("binance", "null_prices", {}),
        ("binance", "high_below_low", {}),
        ("binance", "future_timestamp", {}),
        ("binance", "wrong_unit", {"unit": "us"}),
        ("binance", "wrong_unit", {"unit": "s"}),
        ("binance", "misaligned", {}),
        ("nasdaq_data_link", "null_prices", {}),
        ("nasdaq_data_link", "high_below_low", {}),
        ("nasdaq_data_link", "future_timestamp", {}),
        ("nasdaq_data_link", "wrong_unit", {"unit": "us"}),
        ("nasdaq_data_link", "wrong_unit", {"unit": "s"}),
    ],
)
def test_a_bad_row_becomes_a_finding_and_the_other_rows_are_stored(farm, provider, fault, args, row):
    farm.sandbox.arm(provider, fault, args={**args, "row": row})
    farm.owe(provider, CALLS[provider])
    farm.run_once()
    assert farm.sandbox.fired() == [1]
    found = farm.findings()
    assert {(severity, rows) for _, severity, rows in found} == {("reject", 1)}
    rules = {rule for rule, _, _ in found}
    assert rules - {"misaligned"} == REJECTED[fault] - {"misaligned"}
    assert "misaligned" in rules or fault != "misaligned"
    instrument, payload = farm.select("SELECT DISTINCT instrument, payload_key FROM findings")[0]
    assert instrument == CALLS[provider]["instruments"][0]
    assert farm.value("SELECT count(*) FROM fetch_log WHERE payload_key = :key", key=payload) == 1
    stored = farm.value("SELECT count(*) FROM bars")
    assert stored + 1 == SERVED[provider]
    assert farm.value("SELECT sum(stored) FROM ledger") == stored


@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_same_row_twice_is_stored_once_and_the_repeat_is_found(farm, provider):
    farm.sandbox.arm(provider, "repeated_row")
    farm.owe(provider, CALLS[provider])
    farm.run_once()
    assert farm.findings() == [("duplicate_row", "warn", 1)]
    assert farm.value("SELECT count(*) FROM bars") == SERVED[provider]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_page_without_rows_ends_the_job_and_stores_none(farm, provider):
    farm.sandbox.arm(provider, "empty_page")
    job = farm.owe(provider, CALLS[provider])
    assert farm.run_once().state == "fetched"
    [(state, rows)] = farm.select("SELECT state, (result->>'rows')::int FROM jobs WHERE id = :id", id=job)
    assert (state, rows) == ("done", 0)


def test_a_page_with_every_kind_of_bad_row_loses_none_of_the_good_ones(farm):
    rows = json.loads(farm.sandbox.get(KLINES).data)
    spoilt = [list(row) for row in rows]
    spoilt[0] = ["no", "kline"]
    spoilt[1] = "no row at all"
    spoilt[2][1] = None
    spoilt[3][2], spoilt[3][3] = spoilt[3][3], "99999999"
    spoilt[4][0] = spoilt[4][0] * 1000
    spoilt[5][0] = spoilt[5][0] + 7
    spoilt[6][5] = "-1"
    spoilt[7][4] = "NaN"
    spoilt[8][1] = 1.5
    spoilt[9][0] = 10**30
    spoilt[10][4] = "12 345.6"
    spoilt[11][8] = 2**70
    farm.sandbox.arm("binance", "error_in_200", args={"body": json.dumps(spoilt)})
    farm.owe("binance", bars_call("BTC-USDT"))
    farm.run_once()
    rejected = Counter({rule: rows for rule, severity, rows in farm.findings() if severity == "reject"})
    assert rejected == {
        "wrong_shape": 3,
        "null_price": 1,
        "high_below_low": 1,
        "timestamp_out_of_range": 2,
        "misaligned": 1,
        "negative_volume": 1,
        "not_a_number": 3,
    }
    stored = {int(ts.timestamp() * 1000) for (ts,) in farm.select("SELECT ts FROM bars")}
    assert stored == {row[0] for row in rows[12:]}
    assert len(stored) + rejected.total() == len(rows)


def test_a_bad_row_of_one_instrument_costs_no_other_instrument_a_row(farm):
    names = ("BTC-USDT", "ETH-USDT", "SOL-USDT")
    farm.sandbox.arm("binance", "null_prices", match="ETHUSDT")
    farm.owe("binance", bars_call(*names))
    farm.run_once()
    counts = farm.select("SELECT instrument, count(*) FROM bars JOIN series ON id = series_id GROUP BY 1 ORDER BY 1")
    assert counts == [("BTC-USDT", 60), ("ETH-USDT", 59), ("SOL-USDT", 60)]
    assert farm.select("SELECT instrument, rule, answer FROM findings") == [("ETH-USDT", "null_price", 1)]


def test_the_instruments_share_of_a_bad_page_of_shares_is_told_apart(farm):
    farm.sandbox.arm("nasdaq_data_link", "null_prices", args={"row": 0})
    farm.owe("nasdaq_data_link", days_call("AAPL", "IBM"))
    farm.run_once()
    counts = farm.select("SELECT instrument, count(*) FROM bars JOIN series ON id = series_id GROUP BY 1 ORDER BY 1")
    assert counts == [("AAPL", 20), ("IBM", 21)]
    assert farm.select("SELECT instrument, ts::date::text FROM findings") == [("AAPL", "2013-01-02")]


def test_a_quote_of_a_symbol_nobody_asked_for_and_a_crossed_one_are_found(farm):
    quote = {"bidPrice": "1.0", "bidQty": "1", "askPrice": "1.1", "askQty": "2"}
    page = [
        {"symbol": "BTCUSDT", **quote},
        {"symbol": "ETHUSDT", **quote, "bidPrice": "2.50"},
        {"symbol": "FOOBAR", **quote},
        {"symbol": "SOLUSDT", **quote, "bidPrice": None, "askPrice": None},
    ]
    farm.sandbox.arm("binance", "error_in_200", args={"body": json.dumps(page)})
    farm.owe("binance", {"dataset": "quotes", "instruments": ["BTC-USDT", "ETH-USDT", "SOL-USDT"]})
    farm.run_once()
    assert farm.findings() == [
        ("crossed_quote", "warn", 1),
        ("null_price", "reject", 1),
        ("unknown_symbol", "reject", 1),
    ]
    stored = farm.select("SELECT instrument, bid::text FROM quotes JOIN series ON id = series_id ORDER BY 1")
    assert stored == [("BTC-USDT", "1.0"), ("ETH-USDT", "2.50")]


def test_a_page_full_of_odd_characters_is_found_and_stored_nowhere(farm):
    row = [1709596800000, "\0", "\ud800", "'; DROP TABLE bars; --", '"', "1", 0, "1", 1, "1", "1", "0"]
    farm.sandbox.arm("binance", "error_in_200", args={"body": json.dumps([row])})
    farm.owe("binance", bars_call("BTC-USDT"))
    farm.run_once()
    assert farm.findings() == [("missing_rows", "warn", 60), ("not_a_number", "reject", 1)]
    assert farm.value("SELECT count(*) FROM bars") == 0
    assert farm.states() == ["done", "due"]  # 59 of its 60 rows did not come: it is asked for once more
