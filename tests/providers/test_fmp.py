"""FMP: windows by New York's dates, documented answers to the digit, limits told before plans, errors in objects."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from ingest.errors import FixRequest, UnknownName
from ingest.providers import fmp
from ingest.providers.contract import Query, adjustment_of
from tests.providers.fmp_replies import (
    ARTICLES,
    BOOKS,
    DAY,
    DAYS,
    GDP,
    HOUR,
    MINUTES,
    NEWS,
    QUOTES,
    RATES,
    day,
    read,
    reply,
    spans,
)
from tests.providers.payloads import T0, payload


def test_days_are_asked_for_by_the_dates_whose_midnight_is_in_the_window_both_included():
    (request,) = fmp.build(replace(DAYS, start=DAYS.start + HOUR, end=DAYS.end + HOUR))
    assert request.path == "/historical-price-eod/full"
    assert request.params == (("symbol", "AAPL"), ("from", "2025-02-04"), ("to", "2025-02-05"))
    assert (request.start, request.end) == (day("2025-02-04"), DAYS.end + HOUR)
    decades = fmp.build(replace(DAYS, start=day("2000-01-01")))
    assert spans(decades) == [
        ("2000-01-01", "2009-12-28"),
        ("2009-12-29", "2019-12-26"),
        ("2019-12-27", "2025-02-04"),
    ]
    assert [r.end for r in decades[:-1]] == [r.start for r in decades[1:]]


def test_a_window_without_a_midnight_asks_for_a_date_and_keeps_none():
    query = replace(DAYS, start=day("2025-02-03") + HOUR, end=day("2025-02-03") + 2 * HOUR)
    said = reply(payload("fmp", "eod_full"), query)
    assert fmp.parse(query, said).columns["ts"] == []


def test_minutes_are_asked_for_by_new_yorks_dates_a_day_at_a_time_over_the_change_of_its_clocks():
    requests = fmp.build(replace(MINUTES, start=day("2024-03-09") + 3 * HOUR, end=day("2024-03-11") + 12 * HOUR))
    assert spans(requests) == [(text, text) for text in ("2024-03-08", "2024-03-09", "2024-03-10", "2024-03-11")]
    assert [r.start.isoformat()[5:16] for r in requests] == ["03-09T03:00", "03-09T05:00", "03-10T05:00", "03-11T04:00"]
    assert [r.end for r in requests[:-1]] == [r.start for r in requests[1:]]
    assert requests[0].path == "/historical-chart/1min"
    halves = fmp.build(replace(MINUTES, interval="30m", end=MINUTES.start + 50 * DAY))
    assert [r.path for r in halves] == ["/historical-chart/30min"] * 2


def test_live_polls_ask_for_the_newest_of_each():
    now = day("2024-10-01") + 3 * HOUR
    (days,) = fmp.build(replace(DAYS, start=None, end=now))
    assert (spans([days]), days.start) == ([("2024-09-21", "2024-10-01")], None)
    (minutes,) = fmp.build(replace(MINUTES, start=None, end=now))
    assert spans([minutes]) == [("2024-09-30", "2024-09-30")]
    (news,) = fmp.build(Query("news", ("GENERAL",), None, None, now))
    assert (news.path, news.params) == ("/news/general-latest", (("page", "0"), ("limit", "250")))


@pytest.mark.parametrize(
    ("name", "path", "symbol"),
    [
        ("AAPL", "/news/stock", "AAPL"),
        ("BRK.B", "/news/stock", "BRK-B"),
        ("BTC-USD", "/news/crypto", "BTCUSD"),
        ("EUR-USD", "/news/forex", "EURUSD"),
    ],
)
def test_news_about_a_symbol_has_an_address_for_each_kind(name, path, symbol):
    first, second = fmp.build(Query("news", (name,), None, day("2025-01-06") + 5 * HOUR, day("2025-01-14")))
    assert (first.path, first.params[0]) == (path, ("symbols", symbol))
    assert spans([first, second]) == [("2025-01-06", "2025-01-12"), ("2025-01-13", "2025-01-13")]


def test_news_goes_on_page_by_page_until_one_is_empty_or_the_last():
    query = replace(NEWS, start=T0 - DAY)
    said = reply(payload("fmp", "news_stock"), query)
    following = fmp.next_page(said.request, said)
    assert dict(following.params) == dict(said.request.params) | {"page": "1"}
    assert fmp.next_page(following, reply(b"[]\n", query)) is None
    last = replace(following, params=(("page", "100"),))
    assert fmp.next_page(last, said) is None
    poll = reply(payload("fmp", "news_stock"), NEWS)
    assert fmp.next_page(poll.request, poll) is None


def test_economic_series_are_asked_for_in_ninety_days_and_all_treasury_rates_together():
    requests = fmp.build(
        replace(RATES, instruments=("TREASURY.1M", "REAL.GDP", "TREASURY.30Y"), start=day("2024-01-01"))
    )
    assert [(r.path, r.instruments) for r in requests] == [
        ("/economic-indicators", ("REAL.GDP",)),
        ("/treasury-rates", ("TREASURY.1M", "TREASURY.30Y")),
    ]
    assert dict(requests[0].params) == {"name": "realGDP", "from": "2024-01-01", "to": "2024-02-29"}
    year = fmp.build(replace(GDP, start=day("2023-03-01")))
    assert [(first, last) for first, last in spans(year)][:2] == [
        ("2023-03-01", "2023-05-29"),
        ("2023-05-30", "2023-08-27"),
    ]
    assert len(fmp.build(GDP)) == 2


@pytest.mark.parametrize(
    ("query", "error"),
    [
        (Query("trades", ("AAPL",)), UnknownName),
        (replace(MINUTES, interval="1h"), UnknownName),
        (replace(MINUTES, interval="4h"), UnknownName),
        (replace(DAYS, interval=None), UnknownName),
        (replace(DAYS, instruments=("ADJUSTED.EUR-USD",)), FixRequest),
        (replace(DAYS, instruments=("ADJUSTED.INDEX.VIX",)), FixRequest),
        (replace(DAYS, instruments=("ADJUSTED.UNADJUSTED.AAPL",)), FixRequest),
        (replace(MINUTES, instruments=("ADJUSTED.AAPL",)), FixRequest),
        (Query("quotes", ("ADJUSTED.AAPL",)), FixRequest),
        (Query("actions", ("UNADJUSTED.AAPL",), None, None, T0), FixRequest),
        (Query("news", ("UNADJUSTED.AAPL",), None, None, T0), FixRequest),
        (replace(DAYS, end=None), FixRequest),
        (replace(DAYS, start=None, end=None), FixRequest),
        (replace(DAYS, instruments=("EURUSD",)), FixRequest),
        (replace(MINUTES, instruments=("EUR-USD",)), FixRequest),
        (replace(MINUTES, instruments=("INDEX.VIX",)), FixRequest),
        (replace(MINUTES, instruments=("TSCO.LON",)), FixRequest),
        (Query("books", ("BTC-USD",)), FixRequest),
        (replace(ARTICLES, start=T0 - DAY), FixRequest),
        (replace(GDP, instruments=("realGDP",)), UnknownName),
        (replace(GDP, end=None), FixRequest),
    ],
)
def test_what_fmp_can_not_answer_is_refused_before_it_is_sent(query, error):
    with pytest.raises(error):
        fmp.build(query)


def test_the_documented_days_are_read_by_name_to_the_digit_and_newest_first():
    parsed = read("eod_full", DAYS)
    assert (parsed.time_unit, parsed.rejects) == ("date", ())
    assert parsed.columns == {
        "instrument": ["AAPL"] * 2,
        "ts": ["2025-02-04", "2025-02-03"],
        "open": ["227.2", "12345678901234567890.123456789"],
        "high": ["233.13", "231.83"],
        "low": ["226.65", "225.7"],
        "close": ["232.8", "228.0100"],
        "volume": ["44489128", "7.3063301e+7"],
    }
    assert read("eod_full", replace(DAYS, start=day("2025-02-04"))).columns["ts"] == ["2025-02-04"]


def test_the_legacy_shape_is_read_and_is_no_error_though_it_is_an_object():
    said = reply(payload("fmp", "eod_legacy"), DAYS)
    assert fmp.error_of(said) is None
    parsed = fmp.parse(DAYS, said)
    assert (parsed.columns["ts"], parsed.columns["close"], parsed.rejects) == (["2025-02-04"], ["232.8"], ())


@pytest.mark.parametrize(
    ("name", "address", "symbol"),
    [
        ("UNADJUSTED.AAPL", "non-split-adjusted", "AAPL"),
        ("ADJUSTED.BRK.B", "dividend-adjusted", "BRK-B"),
        ("ADJUSTED.TSCO.LON", "dividend-adjusted", "TSCO.L"),
        ("ADJUSTED.F", "dividend-adjusted", "F"),
    ],
)
def test_days_of_another_adjustment_are_an_instrument_of_their_own_at_an_address_of_their_own(name, address, symbol):
    (request,) = fmp.build(replace(DAYS, instruments=(name,)))
    assert (request.path, request.params[0]) == (f"/historical-price-eod/{address}", ("symbol", symbol))
    assert fmp.native_symbol(name) == f"{address}:{symbol}"
    assert fmp.instrument_of(f"{address}:{symbol}") == name


def test_what_is_worked_into_the_prices_follows_from_the_name():
    found = [adjustment_of(fmp.facts, name) for name in ("AAPL", "UNADJUSTED.AAPL", "ADJUSTED.BRK.B", "ADJUSTED")]
    assert found == ["splits", "none", "all", "splits"]


@pytest.mark.parametrize("name", ["UNADJUSTED.AAPL", "ADJUSTED.AAPL"])
def test_the_documented_days_of_another_adjustment_are_read_by_their_own_names_to_the_digit(name):
    parsed = read("eod_adjusted", replace(DAYS, instruments=(name,)))
    assert (parsed.time_unit, parsed.rejects) == ("date", ())
    assert parsed.columns == {
        "instrument": [name] * 2,
        "ts": ["2025-02-04", "2025-02-03"],
        "open": ["227.2", "229.99000000000000000000001"],
        "high": ["233.13", "231.83"],
        "low": ["226.65", "2.257e2"],
        "close": ["232.8", "228.0100"],
        "volume": ["44489128", None],
    }


@pytest.mark.parametrize(
    ("document", "name"), [("eod_adjusted", "AAPL"), ("eod_full", "UNADJUSTED.AAPL"), ("eod_full", "ADJUSTED.AAPL")]
)
def test_prices_of_one_adjustment_are_never_taken_for_anothers(document, name):
    parsed = read(document, replace(DAYS, instruments=(name,)))
    assert (parsed.columns["ts"], {r.rule for r in parsed.rejects}) == ([], {"wrong_shape"})


def test_a_day_of_another_adjustment_and_another_symbol_is_rejected():
    query = replace(DAYS, instruments=("ADJUSTED.AAPL",))
    (row, _) = json.loads(payload("fmp", "eod_adjusted"))
    parsed = fmp.parse(query, reply([row | {"symbol": "MSFT"}, row], query))
    assert (len(parsed.columns["ts"]), [r.rule for r in parsed.rejects]) == (1, ["unknown_symbol"])


def test_a_day_of_another_symbol_is_rejected():
    (row, _) = json.loads(payload("fmp", "eod_full"))
    parsed = fmp.parse(DAYS, reply([row | {"symbol": "MSFT"}, row], DAYS))
    assert (len(parsed.columns["ts"]), [r.rule for r in parsed.rejects]) == (1, ["unknown_symbol"])


def test_minutes_are_read_by_new_yorks_clock_in_winter_and_in_summer():
    parsed = read("chart_1min", MINUTES, nth=-1)
    assert (parsed.time_unit, parsed.rejects) == ("s", ())
    assert parsed.columns["ts"] == [int(day("2025-02-04").timestamp()) + 20 * 3600 + 59 * 60 - 60 * n for n in (0, 1)]
    assert parsed.columns["high"] == ["233.13", "233.0100"]
    assert (parsed.columns["open"], parsed.columns["low"]) == (["233.01", "232.91"], ["232.72", "232.91"])
    summer = [{"date": "2025-07-01 09:30:00", "open": 1, "low": 1, "high": 1, "close": 1, "volume": 0}]
    poll = replace(MINUTES, start=None, end=day("2025-07-02"))
    assert fmp.parse(poll, reply(summer, poll)).columns["ts"] == [int(day("2025-07-01").timestamp()) + 13 * 3600 + 1800]


def test_only_what_is_in_the_window_of_a_part_is_kept():
    query = replace(MINUTES, start=day("2025-02-04") + 20 * HOUR + timedelta(minutes=59))
    assert len(read("chart_1min", query).columns["ts"]) == 1


@pytest.mark.parametrize(
    "change",
    [{"date": None}, {"date": "2025-02-04T15:59:00"}, {"date": "2025-02-30 10:00:00"}, {"open": []}, {"volume": True}],
)
def test_a_bar_of_wrong_shape_is_rejected_and_a_null_price_is_left_to_the_quality_rules(change):
    good, other = json.loads(payload("fmp", "chart_1min"))
    parsed = fmp.parse(MINUTES, reply([good, other | change, None, {"date": good["date"]}], MINUTES, nth=-1))
    assert (len(parsed.columns["ts"]), [r.rule for r in parsed.rejects]) == (1, ["wrong_shape"] * 3)
    assert fmp.parse(MINUTES, reply([good | {"open": None}], MINUTES, nth=-1)).columns["open"] == [None]


@pytest.mark.parametrize("name", ["quote", "quote_renamed"])
def test_a_quote_is_the_last_price_whatever_its_other_fields_are_called(name):
    parsed = read(name, QUOTES)
    assert (parsed.time_unit, parsed.rejects) == ("ms", ())
    assert parsed.columns == {"instrument": ["AAPL"], "ts": [1758571201000], "last": ["256.08"]}


def test_the_best_bid_and_ask_are_a_book_of_one_level_whose_time_tells_its_unit_by_its_size():
    parsed = read("aftermarket_quote", BOOKS)
    assert (parsed.time_unit, parsed.columns) == (
        "ms",
        {
            "instrument": ["AAPL"],
            "ts": [1738715334311],
            "bid_prices": ["232.45"],
            "bid_sizes": ["1"],
            "ask_prices": ["232.64"],
            "ask_sizes": ["3"],
        },
    )
    (row,) = json.loads(payload("fmp", "aftermarket_quote"))
    other = fmp.parse(BOOKS, reply([row | {"timestamp": 1738715334, "bidPrice": 0, "bidSize": 0}], BOOKS)).columns
    assert (other["ts"], other["bid_prices"], other["bid_sizes"]) == ([1738715334000], [""], [""])


def test_an_unknown_symbols_quote_is_an_empty_list_and_an_unknown_name_but_an_empty_window_is_not():
    error = fmp.error_of(reply(b"[]", QUOTES))
    assert (type(error), error.kind, error.instrument) == (UnknownName, "instrument", "AAPL")
    for query in (DAYS, MINUTES, BOOKS, NEWS, GDP):
        said = reply(b"[]", query)
        assert fmp.error_of(said) is None
        assert fmp.parse(query, said).columns["ts"] == []


def test_news_is_told_by_its_address_at_new_yorks_clock_with_names_of_our_grammar():
    parsed = read("news_stock", NEWS)
    assert (parsed.time_unit, parsed.rejects) == ("s", ())
    moments = [datetime.fromtimestamp(ts, UTC).isoformat() for ts in parsed.columns["ts"]]
    assert moments == ["2025-02-04T04:53:40+00:00", "2024-07-04T03:51:37+00:00"]
    assert parsed.columns["article_id"] == parsed.columns["url"]
    assert parsed.columns["instruments"] == ["INSG", ""]
    assert parsed.columns["source"] == ["Seeking Alpha", "CNBC"]
    assert parsed.columns["author"] == [None, None]
    assert parsed.columns["summary"][1] == "Gains in Asian tech companies were broad-based."


def test_the_documented_articles_addresses_say_that_their_times_are_new_yorks():
    query = Query("news", ("EUR-USD",), None, None, T0)
    parsed = read("news_forex", query)
    assert f"{datetime.fromtimestamp(parsed.columns['ts'][0], UTC):%Y%m%d%H%M}" == parsed.columns["url"][0][-12:]
    assert parsed.columns["instruments"] == ["EUR-USD"]
    (own,) = json.loads(payload("fmp", "fmp_articles"))
    (when,) = read("fmp_articles", ARTICLES).columns["ts"]
    assert when == int(own["image"][-17:-4]) // 60_000 * 60


def test_its_own_articles_name_tickers_behind_their_exchange_and_their_author():
    parsed = read("fmp_articles", ARTICLES)
    assert parsed.columns["instruments"] == ["MRK"]
    assert (parsed.columns["author"], parsed.columns["source"]) == (["Davit Kirakosyan"], ["Financial Modeling Prep"])
    assert datetime.fromtimestamp(parsed.columns["ts"][0], UTC).isoformat() == "2025-02-04T14:33:00+00:00"
    assert parsed.columns["url"][0].endswith("fmp-merck-shares-plunge-8-percent")


@pytest.mark.parametrize("change", [{"publishedDate": None}, {"publishedDate": "now"}, {"url": []}, {"symbol": {}}])
def test_an_article_of_wrong_shape_is_rejected_and_the_others_are_kept(change):
    good, other = json.loads(payload("fmp", "news_stock"))
    parsed = fmp.parse(NEWS, reply([other | change, good, 5], NEWS))
    assert (len(parsed.columns["ts"]), [r.rule for r in parsed.rejects]) == (1, ["wrong_shape"] * 2)


def test_an_indicators_values_keep_their_digits_and_their_nulls():
    parsed = read("economic_indicators", GDP)
    assert (parsed.time_unit, parsed.rejects) == ("date", ())
    assert parsed.columns["ts"] == ["2024-01-01", "2023-10-01", "2023-07-01"]
    assert parsed.columns["value"] == ["28624.069", "28296.9670", None]
    window = replace(GDP, start=day("2023-10-01"), end=day("2024-01-01"))
    assert read("economic_indicators", window, nth=0).columns["ts"] == ["2023-10-01"]
    other = replace(GDP, instruments=("REAL.GDP",))
    assert [r.rule for r in read("economic_indicators", other).rejects] == ["wrong_shape"] * 3


def test_treasury_rates_are_a_row_for_each_asked_tenor():
    parsed = read("treasury_rates", RATES)
    assert list(zip(*parsed.columns.values(), strict=True)) == [
        ("TREASURY.10Y", "2024-02-29", "4.2500"),
        ("TREASURY.10Y", "2024-02-28", "4.27"),
        ("TREASURY.1M", "2024-02-29", "5.53"),
        ("TREASURY.1M", "2024-02-28", None),
    ]
