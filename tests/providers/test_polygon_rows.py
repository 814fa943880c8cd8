"""Polygon's documented answers read to the digit, its many units of time, and what comes of damaged ones."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.errors import BadData, TickfarmError
from ingest.providers import polygon
from tests.providers.payloads import payload
from tests.providers.polygon_replies import (
    ACTIONS,
    BARS,
    BOOKS,
    COINS,
    DOCUMENTED,
    FACTS,
    INTRADAY,
    MONEY,
    NEWS,
    QUOTES,
    TRADES,
    WHOLE,
    parsed,
    reply,
)


def test_daily_bars_have_the_date_in_new_york_and_their_digits():
    found = polygon.parse(BARS, reply("aggregates", BARS))
    assert found.time_unit == "date"
    assert found.columns == {
        "instrument": ["AAPL"] * 2,
        "ts": ["2020-01-02", "2020-01-03"],
        "open": ["74.06", "74.2875"],
        "high": ["75.15", "75.145"],
        "low": ["73.7975", "74.125"],
        "close": ["75.0875", "74.3575"],
        "volume": ["135647456", "1.46535512e+08"],
        "trade_count": ["1", "1"],
    }


@pytest.mark.parametrize(
    ("instrument", "ms", "day"),
    [
        ("AAPL", 1583470800000, "2020-03-06"),  # 05:00 UTC, the last session of winter time
        ("AAPL", 1583726400000, "2020-03-09"),  # 04:00 UTC, the first of summer time
        ("SPX.INDEX", 1583726400000, "2020-03-09"),
        ("EUR-USD", 1626912000000, "2021-07-22"),  # 00:00 UTC
        ("BTC-USD", 1590984000000, "2020-06-01"),  # 04:00 UTC, as the documentation has it for coins
    ],
)
def test_a_daily_bars_time_is_of_its_markets_zone_in_summer_and_winter(instrument, ms, day):
    query = replace(BARS, instruments=(instrument,))
    row = {"t": ms, "o": 1, "h": 1, "l": 1, "c": 1}
    assert parsed({"status": "OK", "results": [row]}, query)["ts"] == [day]


def test_bars_within_the_day_are_milliseconds_and_missing_fields_are_null():
    rows = [{"t": 1577923500000, "o": 1, "h": 1.50, "l": 1, "c": 1}]
    found = polygon.parse(INTRADAY, reply({"status": "DELAYED", "results": rows}, INTRADAY))
    assert (found.time_unit, found.columns["ts"], found.columns["high"]) == ("ms", [1577923500000], ["1.5"])
    assert (found.columns["volume"], found.columns["trade_count"]) == ([None], [None])


def test_the_volume_of_money_is_a_count_of_quotes_and_not_taken_for_one():
    found = parsed("aggregates_fx", replace(BARS, instruments=("EUR-USD",)))
    assert (found["ts"], found["volume"], found["trade_count"]) == (["2021-07-22"], [None], ["125329"])
    index = parsed("aggregates_index", replace(BARS, instruments=("NDX.INDEX",)))
    assert (index["ts"], index["low"]) == (["2023-03-09", "2023-03-10"], ["11970.34221717375", "11789.85922449393"])


def test_of_a_whole_market_only_what_was_asked_for_is_read_and_small_letters_count():
    found = parsed("grouped", WHOLE)
    assert (found["instrument"], found["ts"]) == (["KIM.PR.L", "VSAT"], ["2020-10-14"] * 2)
    assert found["volume"] == ["4369", "312583"]


def test_adjusted_bars_are_never_taken_for_raw_ones_though_money_may_say_so():
    page = json.loads(payload("polygon", "aggregates")) | {"adjusted": True}
    with pytest.raises(BadData):
        polygon.parse(BARS, reply(page, BARS))


@pytest.mark.parametrize("ticker", ["I:NDX", "aapl", [], {}, None, 7])
def test_bars_of_another_ticker_are_bad_data(ticker):
    page = json.loads(payload("polygon", "aggregates")) | {"ticker": ticker}
    with pytest.raises(BadData) as bad:
        polygon.parse(BARS, reply(page, BARS))
    assert bad.value.rule == "unknown_symbol"


def test_trades_keep_every_nanosecond_the_order_number_and_fractions_of_a_share():
    found = polygon.parse(TRADES, reply("trades", TRADES))
    assert found.time_unit == "ns"
    assert found.columns == {
        "instrument": ["AAPL"] * 2,
        "ts": [1517562000016036581, 1517562000016038175],
        "trade_id": ["1063", "1064"],
        "price": ["171.55", "171.55"],
        "size": ["100", "0.250000"],
        "side": [None, None],
    }


def test_a_coins_trade_tells_its_taker_by_its_condition():
    found = parsed("trades_crypto", COINS)
    assert found["side"] == ["sell", "buy", None]
    assert (found["trade_id"][0], found["ts"][0], found["size"]) == (
        "191450340", 1625097600103000000, ["1.0434526", "0.0058883", "1e-8"])  # fmt: skip


def test_a_last_quote_has_small_letters_for_the_bid_and_a_price_of_zero_is_no_quote():
    found = parsed("last_quote", QUOTES)
    assert found == {
        "instrument": ["AAPL"], "ts": [1617827221349730300],
        "bid": ["127.96"], "bid_size": ["1"], "ask": ["127.98"], "ask_size": ["7"],
    }  # fmt: skip
    one_side = parsed("last_quote_one_side", QUOTES)
    assert [one_side[name] for name in ("bid", "bid_size", "ask", "ask_size")] == [["102.7"], ["60"], [None], [None]]
    money = parsed("quotes_fx", MONEY)
    assert (money["ask"][0], money["bid"], money["bid_size"]) == ("1.18565", ["1.18558", "1.18559"], [None, None])


@pytest.mark.parametrize("digits", ["1605295074", "1605295074000", "1605295074000000", "1605295074000000000"])
def test_the_unit_of_a_time_is_told_by_its_digits_where_it_differs(digits):
    page = {"status": "OK", "results": {"t": int(digits), "p": 1, "P": 2}}
    assert parsed(page, QUOTES)["ts"] == [1605295074000000000]


def test_a_book_is_one_row_whose_sizes_are_sums_over_exchanges():
    assert parsed("book", BOOKS) == {
        "instrument": ["BTC-USD"],
        "ts": [1605295074162000000],
        "bid_prices": ["16303.17,16302.94"],
        "bid_sizes": ["2,0.05204924"],
        "ask_prices": ["11454,11455"],
        "ask_sizes": ["1,1"],
    }


def test_news_names_instruments_of_our_grammar_and_keeps_what_it_says_of_each():
    found = polygon.parse(NEWS, reply("news", NEWS))
    columns = found.columns
    assert found.time_unit == "us"
    assert columns["ts"] == [1719254033000000, 1719254033250000]
    assert columns["article_id"] == ["8ec638777ca03b553ae516761c2a22ba2fdd2f37befae3ab6fdab74e9e5193eb", "2"]
    assert columns["instruments"] == ["UBS", "KIM.PR.L,BTC-USD,UBS"]
    assert (columns["source"], columns["author"][1], columns["summary"][1]) == (["Investing.com", "Wire"], None, None)
    assert json.loads(columns["sentiments"][0])["UBS"]["label"] == "positive"
    assert columns["sentiments"][1] is None
    assert columns["url"][0].startswith("https://uk.investing.com/")


def test_observations_have_a_row_for_each_series_asked_for_and_a_null_is_a_missing_one():
    assert parsed("treasury_yields", FACTS) == {
        "instrument": ["TREASURY.10Y", "TREASURY.1Y"] * 2,
        "ts": ["1962-01-02"] * 2 + ["1962-01-03"] * 2,
        "value": ["4.06", "3.22", "4.03", None],
    }
    assert parsed("treasury_yields", replace(FACTS, instruments=("TREASURY.30Y",)))["ts"] == []


def test_splits_and_dividends_are_actions_on_their_ex_date():
    splits = parsed("splits", ACTIONS)
    assert (splits["ts"], splits["kind"]) == (["2020-08-31", "2005-02-28"], ["split"] * 2)
    assert (splits["split_from"], splits["split_to"], splits["amount"]) == (["1", "1"], ["4", "2"], [None, None])
    dividends = parsed("dividends", ACTIONS)
    assert (dividends["ts"][0], dividends["kind"][0], dividends["amount"][0]) == ("2021-11-05", "dividend", "0.22")
    assert [dividends[name][0] for name in ("declared_on", "recorded_on", "paid_on")] == [
        "2021-10-28", "2021-11-08", "2021-11-11"]  # fmt: skip


@pytest.mark.parametrize("row", [None, 7, [], {}, {"t": "x"}, {"t": 1.5}, {"t": 1578027600000, "o": []}, {"t": 10**17}])
def test_a_bar_of_wrong_shape_is_rejected_and_the_others_are_kept(row):
    good = {"t": 1577941200000, "o": 1, "h": 1, "l": 1, "c": None}
    found = polygon.parse(BARS, reply({"status": "OK", "results": [good, row, good]}, BARS))
    assert found.columns["close"] == [None, None]
    assert [(r.instrument, r.rule) for r in found.rejects] == [("AAPL", "wrong_shape")]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(st.sampled_from(["t", "T", "p", "x", "results"]), inner, max_size=4)
    ),
    max_leaves=10,
)


def texts_of(value):
    """Return every scalar of a document as the text it has there."""
    if isinstance(value, dict):
        return {text for one in (*value, *value.values()) for text in texts_of(one)}
    return {text for one in value for text in texts_of(one)} if isinstance(value, list) else {str(value)}


@given(st.data(), st.sampled_from(sorted(DOCUMENTED)), st.sampled_from(sorted(DOCUMENTED)), JSON)
def test_a_documented_page_with_any_part_replaced_gives_rows_rejects_or_bad_data(data, name, other, value):
    document = json.loads(payload("polygon", name))
    part, key = document, data.draw(st.sampled_from(list(document)))
    while isinstance(part[key], list | dict) and part[key] and data.draw(st.booleans()):
        part = part[key]
        key = data.draw(st.sampled_from(list(part) if isinstance(part, dict) else range(len(part))))
    part[key] = value
    query = DOCUMENTED[data.draw(st.sampled_from([name, other]))]
    said = reply(document, query)
    assert isinstance(polygon.error_of(said), TickfarmError | None)
    following = polygon.next_page(said.request, said)
    assert following is None or (following.path, following.params) != (said.request.path, said.request.params)
    try:
        found = polygon.parse(query, said)
    except BadData:
        return
    assert len({len(column) for column in found.columns.values()}) == 1
    sent = texts_of(json.loads(said.body, parse_float=str, parse_int=str, parse_constant=str))
    for column in (
        "open",
        "high",
        "low",
        "close",
        "volume",
        "trade_count",
        "price",
        "size",
        "bid",
        "ask",
        "value",
        "amount",
    ):
        assert {text for text in found.columns.get(column, []) if text is not None} <= sent


@given(st.sampled_from(sorted(DOCUMENTED)), st.integers(0, 3000))
def test_a_page_cut_anywhere_is_an_error(name, length):
    body = payload("polygon", name).strip()
    if length < len(body):
        said = reply(body[:length], DOCUMENTED[name])
        assert polygon.error_of(said) is not None or body[:length].endswith(b"}")
        with pytest.raises(BadData):
            polygon.parse(DOCUMENTED[name], said)
