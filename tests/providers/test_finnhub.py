"""Finnhub: requests by month and by day, documented answers to the digit, errors told apart, zeros as no symbol."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from ingest.errors import BadData, FixRequest, UnknownName
from ingest.providers import finnhub
from ingest.providers.contract import Query
from ingest.providers.finnhub_parts import questions
from tests.providers.finnhub_replies import (
    BARS,
    BOOKS,
    DAY,
    DAYS,
    ECONOMY,
    MARKET_NEWS,
    NEWS,
    QUOTES,
    TRADES,
    read,
    reply,
)
from tests.providers.payloads import T0, payload


def test_intraday_bars_are_asked_for_by_months_and_in_whole_seconds_within_the_window():
    query = replace(BARS, start=T0 + timedelta(milliseconds=1), end=T0 + 40 * DAY, interval="1h")
    first, second = finnhub.build(query)
    assert first.path == second.path == "/stock/candle"
    hour = int(T0.timestamp()) + 3600
    month = 28 * 86400
    assert first.params == (
        ("symbol", "AAPL"),
        ("resolution", "60"),
        ("from", str(hour)),
        ("to", str(hour + month - 1)),
    )
    assert dict(second.params)["from"] == str(hour + month)
    assert dict(second.params)["to"] == str(int(T0.timestamp()) + 40 * 86400 - 1)
    assert (first.start, first.end, second.start, second.end) == (query.start, second.start, first.end, query.end)


def test_days_are_one_request_that_reaches_to_the_last_ones_midnight_in_new_york():
    (request,) = finnhub.build(replace(DAYS, start=DAYS.start + timedelta(hours=1)))
    params = dict(request.params)
    assert (params["resolution"], params["from"]) == ("D", str(int((DAYS.start + DAY).timestamp())))
    assert params["to"] == str(int((DAYS.end - DAY + timedelta(hours=5)).timestamp()))


def test_a_live_poll_of_bars_reaches_back_from_now():
    now = T0 + timedelta(hours=3, minutes=7, seconds=30)
    requests = finnhub.build(Query("bars", ("EUR-USD", "BTC-USDT", "EUR-USD"), "15m", None, now))
    assert [(r.path, dict(r.params)["symbol"]) for r in requests] == [
        ("/forex/candle", "OANDA:EUR_USD"),
        ("/crypto/candle", "BINANCE:BTCUSDT"),
    ]
    first = int((T0 + timedelta(hours=2)).timestamp())
    assert (dict(requests[0].params)["from"], requests[0].start) == (str(first), None)
    (days,) = finnhub.build(Query("bars", ("AAPL",), "1d", None, now))
    assert dict(days.params)["from"] == str(int((T0 - 10 * DAY).timestamp()))


def test_ticks_are_asked_for_by_each_date_that_may_hold_them_by_utc_or_by_new_york(monkeypatch):
    monkeypatch.setattr(questions, "TICK_ROWS", 7)
    requests = finnhub.build(replace(TRADES, end=TRADES.end + timedelta(hours=2)))
    assert [r.params for r in requests] == [
        (("symbol", "AAPL"), ("date", day), ("limit", "7"), ("skip", "0"))
        for day in ("2020-03-24", "2020-03-25", "2020-03-26")
    ]
    assert [(r.start.isoformat()[8:16], r.end.isoformat()[8:16]) for r in requests] == [
        ("25T00:00", "25T05:00"),
        ("25T00:00", "26T02:00"),
        ("26T00:00", "26T02:00"),
    ]
    (noon,) = finnhub.build(replace(TRADES, start=TRADES.start + timedelta(hours=12)))
    assert dict(noon.params)["date"] == "2020-03-25"


def test_company_news_is_asked_for_day_by_day_and_market_news_by_its_category():
    requests = finnhub.build(NEWS)
    assert [(dict(r.params)["from"], dict(r.params)["to"]) for r in requests] == [
        (day, day) for day in ("2019-09-25", "2019-09-26", "2019-09-27")
    ]
    (poll,) = finnhub.build(replace(NEWS, start=None))
    assert poll.params == (("symbol", "AAPL"), ("from", "2019-09-25"), ("to", "2019-09-28"))
    (market,) = finnhub.build(MARKET_NEWS)
    assert (market.path, market.params) == ("/news", (("category", "general"),))


@pytest.mark.parametrize(
    ("query", "error"),
    [
        (Query("posts", ("AAPL",)), UnknownName),
        (replace(BARS, interval="4h"), UnknownName),
        (replace(BARS, interval=None), UnknownName),
        (replace(BARS, instruments=("BTC-USD",)), FixRequest),
        (replace(BARS, instruments=("aapl",)), FixRequest),
        (replace(BARS, end=None), FixRequest),
        (replace(BARS, start=None, end=None), FixRequest),
        (Query("quotes", ("EUR-USD",)), FixRequest),
        (Query("books", ("BTC-USDT",)), FixRequest),
        (Query("trades", ("AAPL",)), FixRequest),
        (replace(TRADES, instruments=("BTC-USDT",)), FixRequest),
        (replace(NEWS, instruments=("EUR-USD",)), FixRequest),
        (replace(NEWS, instruments=("GENERAL",)), FixRequest),
        (replace(ECONOMY, instruments=("EUR-USD",)), FixRequest),
    ],
)
def test_what_finnhub_can_not_answer_is_refused_before_it_is_sent(query, error):
    with pytest.raises(error):
        finnhub.build(query)


def test_the_documented_days_are_dated_by_their_session_and_read_to_the_digit():
    parsed = read("candle", DAYS)
    assert (parsed.time_unit, parsed.rejects) == ("date", ())
    assert parsed.columns == {
        "instrument": ["AAPL"] * 3,
        "ts": ["2019-09-24", "2019-09-25", "2019-09-26"],
        "open": ["221.03", "218.55", "12345678901234567890.123456789"],
        "high": ["222.49", "221.5", "220.94"],
        "low": ["217.19", "217.1402", "218.83"],
        "close": ["217.68", "221.03", "219.89"],
        "volume": ["33463820", "24018876", "2.07305e+7"],
    }


def test_currency_bars_may_be_stamped_with_a_fraction_and_come_in_seconds():
    query = replace(BARS, instruments=("EUR-USD",), start=None)
    parsed = read("candle_fx", query)
    assert (parsed.time_unit, parsed.columns["ts"]) == ("s", [1572651000, 1572651060])
    assert (parsed.columns["open"], parsed.columns["low"]) == (["1.0996", "1.107"], ["1.09897", "1.1013"])


def candles(*times, **columns):
    ones = ["1"] * len(times)
    return {"s": "ok", "t": list(times), "o": ones, "h": ones, "l": ones, "c": ones, "v": ones} | columns


def test_bars_beside_the_window_are_cut_and_those_far_from_it_are_left_to_the_quality_rules():
    t = int(T0.timestamp())
    parsed = finnhub.parse(BARS, reply(candles(t - 60, t, t + 3540, t + 3600, t + 7200, t - 86400), BARS))
    assert parsed.columns["ts"] == [t, t + 3540, t + 7200, t - 86400]
    around = [int((DAYS.start + n * DAY).timestamp()) + 4 * 3600 for n in (-1, 0, 2, 3, 5)]
    days = finnhub.parse(DAYS, reply(candles(*around), DAYS))
    assert days.columns["ts"] == ["2019-09-24", "2019-09-26", "2019-09-29"]


def test_a_daily_bar_whose_stamp_leaves_its_date_in_doubt_is_rejected():
    start = int(DAYS.start.timestamp())
    for hour, rule in ((5, None), (6, "misaligned"), (22, "misaligned")):
        parsed = finnhub.parse(DAYS, reply(candles(start + hour * 3600), DAYS))
        assert [r.rule for r in parsed.rejects] == ([] if rule is None else [rule])
    late = finnhub.parse(DAYS, reply(candles(10**11 // 86400 * 86400 * 10), DAYS))
    assert [r.rule for r in late.rejects] == ["wrong_shape"]
    assert [r.rule for r in finnhub.parse(DAYS, reply(candles(99999999999), DAYS)).rejects] == ["misaligned"]


@pytest.mark.parametrize("cells", [{"t": ["x"]}, {"t": [1.5]}, {"t": [None]}, {"o": [[]]}, {"v": [True]}])
def test_a_bar_of_wrong_shape_is_rejected_and_null_prices_are_left_to_the_quality_rules(cells):
    t = int(T0.timestamp())
    page = candles(t, t + 60)
    page = {name: [*values[:1], *cells.get(name, values[1:])] if name != "s" else "ok" for name, values in page.items()}
    parsed = finnhub.parse(BARS, reply(page, BARS))
    assert (parsed.columns["ts"], [(r.rule, r.instrument) for r in parsed.rejects]) == ([t], [("wrong_shape", "AAPL")])
    assert finnhub.parse(BARS, reply(candles(t, c=[None]), BARS)).columns["close"] == [None]


def test_no_data_is_an_empty_page_and_no_error():
    for query in (BARS, DAYS):
        said = reply(payload("finnhub", "no_data"), query)
        assert finnhub.error_of(said) is None
        assert finnhub.parse(query, said).columns["ts"] == []


def test_ticks_are_numbered_by_their_place_in_the_day_and_only_those_of_the_window_are_kept():
    query = replace(TRADES, start=TRADES.start + timedelta(hours=4, milliseconds=381))
    parsed = finnhub.parse(query, reply(payload("finnhub", "tick"), query))
    assert (parsed.time_unit, parsed.rejects) == ("ms", ())
    assert parsed.columns == {
        "instrument": ["AAPL"] * 3,
        "ts": [1585108800381, 1585108800381, 1585108801444],
        "trade_id": ["1", "2", "3"],
        "price": ["255", "255", "255.0100"],
        "size": ["1", "5", "0.5"],
    }
    late = replace(TRADES, start=TRADES.start + timedelta(hours=4, seconds=1))
    assert finnhub.parse(late, reply(payload("finnhub", "tick"), late)).columns["trade_id"] == ["3"]


def test_the_next_ticks_are_asked_for_until_there_are_as_many_as_the_total():
    said = reply(payload("finnhub", "tick"), TRADES)
    following = finnhub.next_page(said.request, said)
    assert dict(following.params) == dict(said.request.params) | {"skip": "3"}
    assert (following.start, following.end) == (said.request.start, said.request.end)
    page = json.loads(payload("finnhub", "tick")) | {"skip": 3, "total": 6}
    second = replace(reply(page, TRADES), request=following)
    assert finnhub.parse(TRADES, second).columns["trade_id"] == ["4", "5", "6"]
    assert finnhub.next_page(following, second) is None


@pytest.mark.parametrize(("count", "more"), [(3, False), (25000, True), (0, False)])
def test_without_a_total_a_full_page_has_a_following_one(count, more):
    said = reply({"s": "AAPL", "skip": 0, "count": count}, TRADES)
    assert (finnhub.next_page(said.request, said) is not None) is more
    assert finnhub.next_page(reply({}, QUOTES).request, said) is None


@pytest.mark.parametrize("change", [{"count": 2}, {"skip": 5}, {"skip": None}, {"p": ["1"]}, {"t": None}])
def test_a_page_of_ticks_that_is_not_the_asked_part_of_the_day_is_bad_data(change):
    page = json.loads(payload("finnhub", "tick")) | change
    with pytest.raises(BadData):
        finnhub.parse(TRADES, reply(page, TRADES))


def test_a_quote_is_the_last_price_in_seconds_and_without_its_time_the_receive_time_dates_it():
    parsed = read("quote", QUOTES)
    assert (parsed.time_unit, parsed.columns) == ("s", {"instrument": ["AAPL"], "ts": [1582641000], "last": ["261.74"]})
    assert finnhub.parse(QUOTES, reply({"c": 1.50}, QUOTES)).columns["ts"] == [None]


def test_the_zeros_of_an_unknown_symbol_are_an_unknown_name_and_not_a_price():
    error = finnhub.error_of(reply(payload("finnhub", "quote_unknown"), QUOTES))
    assert (type(error), error.kind, error.given, error.instrument) == (UnknownName, "instrument", "AAPL", "AAPL")
    nothing = {"a": 0, "av": 0, "b": 0, "bv": 0, "t": 0}
    assert type(finnhub.error_of(reply(nothing, BOOKS))) is UnknownName
    assert finnhub.error_of(reply(payload("finnhub", "quote"), QUOTES)) is None
    assert finnhub.error_of(reply({"c": 0.0001, "t": 0}, QUOTES)) is None
    assert finnhub.error_of(reply(payload("finnhub", "bidask"), BOOKS)) is None


def test_the_best_bid_and_ask_are_a_book_of_one_level_in_milliseconds_and_a_zero_side_is_empty():
    parsed = read("bidask", BOOKS)
    assert (parsed.time_unit, parsed.columns) == (
        "ms",
        {
            "instrument": ["AAPL"],
            "ts": [1605024000123],
            "bid_prices": ["121.15"],
            "bid_sizes": ["1"],
            "ask_prices": ["121.16"],
            "ask_sizes": ["2"],
        },
    )
    one_sided = finnhub.parse(BOOKS, reply({"a": 0, "av": 0, "b": 1.5, "bv": 3, "t": 1}, BOOKS)).columns
    assert (one_sided["ask_prices"], one_sided["ask_sizes"], one_sided["bid_prices"]) == ([""], [""], ["1.5"])


def test_market_news_name_only_what_our_grammar_can_spell():
    parsed = read("market_news", MARKET_NEWS)
    assert (parsed.time_unit, parsed.rejects) == ("s", ())
    assert parsed.columns["instrument"] == ["GENERAL"] * 2
    assert parsed.columns["ts"] == [1596589501, 1596588232]
    assert parsed.columns["article_id"] == ["5085164", "5085113"]
    assert parsed.columns["instruments"] == ["", "BGS,BRK.B"]
    assert parsed.columns["title"][1] == "B&G Foods CEO expects pantry demand to hold up post-pandemic"
    assert (parsed.columns["source"], parsed.columns["summary"][1]) == (["CNBC"] * 2, "")
    assert parsed.columns["url"][0] == "https://www.cnbc.com/2020/08/04/square-sq-earnings-q2-2020.html"


def test_an_article_with_the_id_0_is_told_by_its_address_and_others_days_are_cut():
    query = replace(NEWS, start=None)
    parsed = finnhub.parse(query, reply(payload("finnhub", "company_news"), query))
    assert parsed.columns["article_id"] == ["25286", parsed.columns["url"][1]]
    cut = replace(NEWS, end=datetime(2019, 9, 27, tzinfo=UTC))
    assert finnhub.parse(cut, reply(payload("finnhub", "company_news"), cut)).columns["ts"] == [1569528720]


@pytest.mark.parametrize("change", [{"datetime": None}, {"datetime": "x"}, {"id": []}, {"url": {}}, {"related": True}])
def test_an_article_of_wrong_shape_is_rejected_and_the_others_are_kept(change):
    good, other = json.loads(payload("finnhub", "market_news"))
    parsed = finnhub.parse(MARKET_NEWS, reply([good, other | change, None, 5], MARKET_NEWS))
    assert parsed.columns["article_id"] == ["5085164"]
    assert [r.rule for r in parsed.rejects] == ["wrong_shape"] * 3


def test_an_economic_series_comes_whole_and_is_cut_to_the_window_with_its_nulls():
    parsed = read("economic", ECONOMY)
    assert (parsed.time_unit, parsed.columns["value"]) == ("date", ["108.7", "112.0450", None])
    window = replace(ECONOMY, start=datetime(2020, 1, 1, tzinfo=UTC), end=datetime(2020, 2, 1, tzinfo=UTC))
    assert read("economic", window).columns["ts"] == ["2020-01-01"]
    with pytest.raises(BadData) as bad:
        finnhub.parse(ECONOMY, reply({"code": "MA-USA-1", "data": [{"date": "2020-01-01", "value": 1}]}, ECONOMY))
    assert bad.value.rule == "unknown_symbol"
