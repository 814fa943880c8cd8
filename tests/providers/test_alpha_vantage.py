"""Alpha Vantage: requests by function, labels read by their words, times by the zone the answer names."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from ingest.errors import BadData, FixRequest, UnknownName
from ingest.providers import alpha_vantage
from ingest.providers.alpha_vantage_parts import questions
from ingest.providers.contract import Query
from tests.providers.alpha_vantage_replies import (
    ACTIONS,
    COIN,
    DAYS,
    DOCUMENTED,
    EUR,
    IBM,
    NEWS,
    QUOTE,
    RATE,
    YIELD,
    params,
    parse,
    reply,
    window,
)
from tests.providers.payloads import T0, payload


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (DAYS, {"function": "TIME_SERIES_DAILY", "symbol": "IBM", "outputsize": "compact"}),
        (
            IBM,
            {"function": "TIME_SERIES_INTRADAY", "symbol": "IBM", "interval": "5min", "adjusted": "false"}
            | {"extended_hours": "false", "outputsize": "compact"},
        ),
        (EUR, {"function": "FX_DAILY", "from_symbol": "EUR", "to_symbol": "USD", "outputsize": "compact"}),
        (
            replace(EUR, interval="1h"),
            {"function": "FX_INTRADAY", "from_symbol": "EUR", "to_symbol": "USD", "interval": "60min"}
            | {"outputsize": "compact"},
        ),
        (COIN, {"function": "DIGITAL_CURRENCY_DAILY", "symbol": "BTC", "market": "EUR"}),
        (
            replace(COIN, interval="1m"),
            {"function": "CRYPTO_INTRADAY", "symbol": "BTC", "market": "EUR", "interval": "1min"}
            | {"outputsize": "compact"},
        ),
        (ACTIONS, {"function": "TIME_SERIES_DAILY_ADJUSTED", "symbol": "AAPL", "outputsize": "compact"}),
        (Query("quotes", ("BRK.B",)), {"function": "GLOBAL_QUOTE", "symbol": "BRK-B"}),
        (RATE, {"function": "CURRENCY_EXCHANGE_RATE", "from_currency": "USD", "to_currency": "JPY"}),
        (
            Query("news", ("CRYPTO.BTC",)),
            {"function": "NEWS_SENTIMENT", "tickers": "CRYPTO:BTC", "sort": "LATEST", "limit": "200"},
        ),
        (
            Query("news", ("TOPIC.REAL.ESTATE",)),
            {"function": "NEWS_SENTIMENT", "topics": "real_estate", "sort": "LATEST", "limit": "200"},
        ),
        (YIELD, {"function": "TREASURY_YIELD", "interval": "daily", "maturity": "10year"}),
        (Query("observations", ("REAL.GDP",)), {"function": "REAL_GDP", "interval": "quarterly"}),
        (Query("observations", ("CPI",)), {"function": "CPI"}),
    ],
)
def test_each_dataset_is_asked_for_by_its_function_one_instrument_a_request(query, expected):
    (request,) = alpha_vantage.build(query)
    assert (request.path, dict(request.params)) == ("/query", expected)
    assert (request.instruments, request.start, request.end, request.weight) == (query.instruments, None, None, 1)


def test_several_instruments_are_several_requests_and_one_named_twice_is_one():
    assert [one["symbol"] for one in params(replace(DAYS, instruments=("IBM", "TSCO.LON", "IBM")))] == [
        *("IBM", "TSCO.LON")
    ]


def test_a_shares_minutes_are_asked_for_by_the_months_of_new_york():
    requests = alpha_vantage.build(window(IBM, "2024-02-01T04:30", "2024-04-01T04:00"))
    assert [dict(one.params)["month"] for one in requests] == ["2024-01", "2024-02", "2024-03"]
    assert {dict(one.params)["outputsize"] for one in requests} == {"full"}
    edges = [datetime(2024, 2, 1, 5, tzinfo=UTC), datetime(2024, 3, 1, 5, tzinfo=UTC)]
    assert [one.start for one in requests[1:]] == edges
    assert [one.end for one in requests] == [*edges, datetime(2024, 4, 1, 4, tzinfo=UTC)]
    assert len(alpha_vantage.build(window(IBM, "1999-06-01T00:00", "2000-02-01T00:00"))) == 1


def test_articles_of_a_window_are_asked_for_oldest_first_and_a_minute_too_many():
    (asked,) = params(window(NEWS, "2024-06-01T11:30:30", "2024-06-02T00:00:30"))
    assert asked["time_from"] == "20240601T1130"
    assert asked["time_to"] == "20240602T0001"
    assert (asked["sort"], asked["limit"]) == ("EARLIEST", "1000")


@pytest.mark.parametrize(
    ("query", "error"),
    [
        (Query("trades", ("IBM",)), UnknownName),
        (Query("bars", ("IBM",), "2h"), UnknownName),
        (Query("bars", ("IBM",)), UnknownName),
        (Query("bars", ("BTC-USDT",), "1d"), FixRequest),
        (Query("actions", ("EUR-USD",)), FixRequest),
        (Query("news", ("EUR-USD",)), FixRequest),
        (Query("news", ("TOPIC.CATS",)), UnknownName),
        (Query("news", ("TREASURY.10Y",)), FixRequest),
        (Query("bars", ("CRYPTO.BTC",), "1d"), FixRequest),
        (Query("quotes", ("TOPIC.IPO",)), FixRequest),
        (Query("observations", ("UNRATE",)), UnknownName),
        (replace(DAYS, start=T0), FixRequest),
        (replace(QUOTE, start=T0, end=T0 + timedelta(days=1)), FixRequest),
        (window(IBM, "1999-01-01T00:00", "1999-02-01T00:00"), FixRequest),
    ],
)
def test_what_it_can_not_answer_is_refused_before_it_is_sent(query, error):
    with pytest.raises(error):
        alpha_vantage.build(query)


def test_minutes_are_read_to_the_digit_and_from_new_yorks_clock_on_both_sides_of_its_change():
    parsed = parse("intraday", IBM)
    assert (parsed.time_unit, parsed.rejects) == ("s", ())
    assert parsed.columns == {
        "instrument": ["IBM"] * 3,
        "ts": [
            int(datetime(2024, 3, 11, 19, 55, tzinfo=UTC).timestamp()),
            int(datetime(2024, 3, 11, 13, 30, tzinfo=UTC).timestamp()),
            int(datetime(2024, 3, 8, 20, 55, tzinfo=UTC).timestamp()),
        ],
        "open": ["166.9000", "12345678901234567890.123456789", "166.7000"],
        "high": ["167.0000", "166.9500", "166.9000"],
        "low": ["166.8500", "0.00000000000001", "166.7000"],
        "close": ["166.9000", "1.12e-7", "166.8500"],
        "volume": ["54", "107", "31"],
    }


def test_days_are_sessions_dates():
    parsed = parse("daily", DAYS)
    assert (parsed.time_unit, parsed.rejects) == ("date", ())
    assert parsed.columns["ts"] == ["2024-05-31", "2024-05-30"]
    assert (parsed.columns["close"], parsed.columns["volume"]) == (["166.8500", "165.6300"], ["4905002", "3852963"])


def test_the_volume_is_found_by_its_word_where_its_number_moved():
    parsed = parse("daily_adjusted", replace(DAYS, instruments=("AAPL",)))
    assert parsed.columns["volume"] == ["225702688", "46907479", "49511403"]
    assert parsed.columns["adjusted_close"] == ["127.4561", "123.2721", "109.7456"]
    assert parsed.columns["close"][0] == "129.0400"


def test_splits_and_dividends_are_those_days_whose_coefficient_or_amount_says_so():
    parsed = parse("daily_adjusted", ACTIONS)
    assert parsed.time_unit == "date"
    assert parsed.columns == {
        "instrument": ["AAPL", "AAPL"],
        "ts": ["2020-08-31", "2020-08-07"],
        "kind": ["split", "dividend"],
        "action_id": ["", ""],
        "amount": [None, "0.8200"],
        "split_from": ["1", None],
        "split_to": ["4.0", None],
    }


def test_money_has_no_volume_and_its_minutes_are_utc():
    days = parse("fx_daily", EUR)
    assert (days.columns["ts"], days.columns["open"]) == (["2024-01-25", "2024-01-24"], ["1.08830", "1.08530"])
    assert "volume" not in days.columns
    minutes = parse("fx_intraday", DOCUMENTED["fx_intraday"])
    assert minutes.columns["ts"] == [int(datetime(2023, 6, 29, 6, 40, tzinfo=UTC).timestamp())]


@pytest.mark.parametrize(
    ("name", "market", "closes"),
    [
        ("digital_daily", "EUR", ["62400.00000000", "62251.21000000"]),
        ("digital_daily_old", "EUR", ["54570.40000000"]),
        ("digital_daily_old", "USD", ["63226.40000000"]),
    ],
)
def test_a_coins_prices_are_those_in_the_money_asked_for_under_old_labels_too(name, market, closes):
    parsed = parse(name, replace(COIN, instruments=(f"BTC-{market}",)))
    assert parsed.columns["close"] == closes
    assert parsed.rejects == ()
    assert None not in parsed.columns["volume"]


def test_a_page_is_cut_to_the_window_that_was_asked_for():
    assert parse("daily", window(DAYS, "2024-05-30T00:00", "2024-05-31T00:00")).columns["ts"] == ["2024-05-30"]
    assert parse("daily", window(DAYS, "2024-05-30T00:01", "2024-06-01T00:00")).columns["ts"] == ["2024-05-31"]
    half = parse("intraday", window(IBM, "2024-03-11T13:30", "2024-03-11T19:55"))
    assert half.columns["volume"] == ["107"]
    assert parse("treasury_yield", window(YIELD, "2022-12-30T00:00", "2023-01-03T00:00")).columns["value"] == [
        *(None, "3.880")
    ]
    assert len(parse("news", window(NEWS, "2024-06-01T11:30", "2024-06-01T12:00")).columns["ts"]) == 1


def test_a_row_dated_in_the_future_is_not_cut_silently():
    rows = {"2099-01-01": dict(zip(("1. open", "2. high", "3. low", "4. close"), "1111", strict=True))}
    page = {"Meta Data": {}, "Time Series (Daily)": rows}
    assert parse(page, window(DAYS, "2024-05-01T00:00", "2024-06-01T00:00")).columns["ts"] == ["2099-01-01"]


def days_page(first, count):
    cells = {"1. open": "1", "2. high": "1", "3. low": "1", "4. close": "1", "5. volume": "1"}
    rows = {(first + timedelta(days=i)).date().isoformat(): cells for i in reversed(range(count))}
    return {"Meta Data": {}, "Time Series (Daily)": rows}


def test_a_live_poll_keeps_the_newest_five():
    parsed = parse(days_page(T0 - timedelta(days=99), 100), DAYS)
    assert parsed.columns["ts"] == ["2024-10-01", "2024-09-30", "2024-09-29", "2024-09-28", "2024-09-27"]


def test_what_a_compact_page_does_not_reach_is_asked_for_with_full_once_and_no_day_twice():
    query = window(DAYS, "2024-01-01T00:00", "2024-10-02T00:00")
    page = days_page(T0 - timedelta(days=99), 100)
    (first,) = alpha_vantage.build(query)
    second = alpha_vantage.next_page(first, reply(page, query))
    assert dict(second.params) == dict(first.params) | {"outputsize": "full"}
    assert (second.start, second.end) == (query.start, T0 - timedelta(days=99))
    everything = days_page(T0 - timedelta(days=400), 401)
    one = alpha_vantage.parse(query, reply(page, query, request=first))
    two = alpha_vantage.parse(query, reply(everything, query, request=second))
    found = [*two.columns["ts"], *one.columns["ts"]]
    assert sorted(found) == [(query.start + timedelta(days=i)).date().isoformat() for i in range(275)]
    assert alpha_vantage.next_page(second, reply(everything, query, request=second)) is None


@pytest.mark.parametrize(
    ("query", "page"),
    [
        (DAYS, days_page(T0 - timedelta(days=99), 100)),
        (window(DAYS, "2024-08-01T00:00", "2024-10-02T00:00"), days_page(T0 - timedelta(days=99), 100)),
        (window(DAYS, "2024-01-01T00:00", "2024-10-02T00:00"), days_page(T0 - timedelta(days=50), 51)),
        (window(DAYS, "2024-01-01T00:00", "2024-10-02T00:00"), {"no": "page"}),
    ],
)
def test_a_poll_a_window_within_reach_and_a_short_history_take_one_page(query, page):
    (request,) = alpha_vantage.build(query)
    assert alpha_vantage.next_page(request, reply(page, query)) is None


def test_a_shares_quote_is_of_its_day_and_a_pairs_of_its_second():
    share = parse("global_quote", QUOTE)
    assert share.time_unit == "date"
    assert share.columns == {
        "instrument": ["MSFT"],
        "ts": ["2018-10-05"],
        "last": ["112.1300"],
        "bid": [None],
        "ask": [None],
    }
    pair = parse("exchange_rate", RATE)
    assert pair.time_unit == "s"
    assert pair.columns == {
        "instrument": ["USD-JPY"],
        "ts": [int(datetime(2017, 12, 20, 19, 23, 21, tzinfo=UTC).timestamp())],
        "last": ["109.63100000"],
        "bid": [None],
        "ask": ["109.63500000"],
    }
    delayed = payload("alpha_vantage", "global_quote").replace(b"Global Quote", b"Global Quote - DATA DELAYED")
    assert alpha_vantage.parse(QUOTE, reply(delayed, QUOTE)).columns["last"] == ["112.1300"]


def test_articles_keep_the_scores_as_text_and_name_only_what_our_grammar_spells():
    parsed = parse("news", NEWS)
    assert (parsed.time_unit, parsed.rejects) == ("s", ())
    columns = parsed.columns
    noon = int(datetime(2024, 6, 1, 12, tzinfo=UTC).timestamp())
    assert columns["ts"] == [noon, noon - 1800]
    assert columns["instrument"] == ["AAPL", "AAPL"]
    assert columns["article_id"] == columns["url"]
    assert columns["url"] == ["https://example.com/apple-earnings", "https://example.com/tech-stocks"]
    assert columns["title"] == ["Apple Reports “Strong” Q4 Earnings", "Tech Stocks Show Mixed Performance"]
    assert columns["author"] == ["John Doe, Zoë Dubois", None]
    assert (columns["source"], columns["summary"][1]) == (["CNBC", "Reuters"], "")
    assert columns["instruments"] == ["AAPL,CRYPTO.BTC,BRK.B", ""]
    assert columns["sentiment"] == ["0.1284530000", "-0.4"]
    assert columns["sentiment_label"] == ["Neutral", "Bearish"]
    assert columns["sentiments"][1] is None
    assert json.loads(columns["sentiments"][0]) == {
        "AAPL": {"score": "0.10", "label": "Neutral", "relevance": "0.5"},
        "CRYPTO.BTC": {"score": "-0.2", "label": "Somewhat-Bearish", "relevance": "0.094"},
        "BRK.B": {"score": "0.0", "relevance": "0.01"},
        "BF b": {"score": "0.0", "relevance": "0.01"},
    }


def article(second):
    text = f"{datetime.fromtimestamp(second, UTC):%Y%m%dT%H%M%S}"
    return {"title": "t", "url": f"https://example.com/{second}", "time_published": text}


def test_more_articles_in_a_minute_than_a_page_holds_are_bad_data_and_never_left_out(monkeypatch):
    monkeypatch.setattr(questions, "NEWS_ROWS", 3)
    query = replace(NEWS, start=T0, end=T0 + timedelta(hours=1))
    (request,) = alpha_vantage.build(query)
    crowded = reply({"feed": [article(int(T0.timestamp()) + i) for i in range(3)]}, query)
    assert alpha_vantage.next_page(request, crowded) is None
    with pytest.raises(BadData, match="in a minute"):
        alpha_vantage.parse(query, crowded)


def test_a_dot_is_a_value_that_is_missing():
    parsed = parse("treasury_yield", YIELD)
    assert (parsed.time_unit, parsed.rejects) == ("date", ())
    assert parsed.columns == {
        "instrument": ["TREASURY.10Y"] * 3,
        "ts": ["2023-01-03", "2023-01-02", "2022-12-30"],
        "value": ["3.79", None, "3.880"],
    }


@pytest.mark.parametrize(
    ("name", "query", "spoil"),
    [
        ("daily", DAYS, lambda page: page["Time Series (Daily)"]["2024-05-31"].pop("4. close")),
        ("daily", DAYS, lambda page: page["Time Series (Daily)"].update({"2024-05-31": None})),
        ("daily", DAYS, lambda page: page["Time Series (Daily)"].update({"2024-13-31": {}})),
        ("daily", DAYS, lambda page: page["Time Series (Daily)"]["2024-05-31"].update({"1. open": []})),
        ("intraday", IBM, lambda page: page["Time Series (5min)"].update({"2024-03-11": {}})),
        ("daily_adjusted", ACTIONS, lambda page: page["Time Series (Daily)"]["2020-08-31"].pop("7. dividend amount")),
        (
            "daily_adjusted",
            ACTIONS,
            lambda page: page["Time Series (Daily)"]["2020-08-31"].update({"8. split coefficient": "NaN"}),
        ),
        ("global_quote", QUOTE, lambda page: page["Global Quote"].update({"07. latest trading day": "today"})),
        ("exchange_rate", RATE, lambda page: page["Realtime Currency Exchange Rate"].pop("7. Time Zone")),
        ("news", NEWS, lambda page: page["feed"][0].update({"url": None})),
        ("news", NEWS, lambda page: page["feed"][0].update({"time_published": "20241301T120000"})),
        ("news", NEWS, lambda page: page["feed"][0].update({"ticker_sentiment": [{"ticker": None}]})),
        ("treasury_yield", YIELD, lambda page: page["data"][0].update({"value": True})),
    ],
)
def test_a_row_of_wrong_shape_is_rejected_and_the_others_are_kept(name, query, spoil):
    page = json.loads(payload("alpha_vantage", name))
    whole = len(parse(name, query).columns["ts"])
    spoil(page)
    parsed = parse(page, query)
    assert [(one.rule, one.instrument) for one in parsed.rejects] == [("wrong_shape", query.instruments[0])]
    assert len(parsed.columns["ts"]) in (whole, whole - 1)


def test_a_null_price_is_left_to_the_quality_rules():
    page = json.loads(payload("alpha_vantage", "daily"))
    page["Time Series (Daily)"]["2024-05-31"]["4. close"] = None
    assert parse(page, DAYS).columns["close"] == [None, "165.6300"]


def test_a_page_with_nothing_but_its_meta_data_has_no_rows_and_one_of_an_unknown_zone_is_bad_data():
    assert parse({"Meta Data": {}}, DAYS).columns["ts"] == []
    page = payload("alpha_vantage", "intraday").replace(b"US/Eastern", b"Mars/Olympus")
    with pytest.raises(BadData, match="time zone"):
        alpha_vantage.parse(IBM, reply(page, IBM))
