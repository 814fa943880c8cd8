"""The Finnhub dialect alone, held against the provider's documentation."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from sandbox.contract import Answer, Conforming, Request
from sandbox.dialects.finnhub import Finnhub

NOW = datetime(2026, 11, 24, 15, 37, 0, 500_000, UTC)
MONDAY = int(datetime(2024, 5, 6, tzinfo=UTC).timestamp())
HOUR = 3600


@pytest.fixture
def exchange():
    dialect = Finnhub(7)
    dialect.limits |= {"calls_per_minute": 10**6, "calls_per_second": 10**6}
    return dialect


def ask(dialect, path, /, *, key="sandbox-key", now_s=None, **query):
    headers = {"x-finnhub-token": key} if key else {}
    now_s = NOW.timestamp() if now_s is None else now_s
    query = {name.strip("_"): str(value) for name, value in query.items()}
    said = dialect.answer(Request(path, query, headers, "127.0.0.1", now_s))
    return said if isinstance(said, Answer) else said()


def read(dialect, path, /, **query):
    said = ask(dialect, path, **query)
    assert said.status == 200, said.body
    return json.loads(said.body, parse_float=Decimal)


def refusal(dialect, path, /, **query):
    said = ask(dialect, path, **query)
    return said.status, json.loads(said.body)["error"]


def test_a_quote_has_the_documented_figures_and_its_second(exchange):
    quote = read(exchange, "/quote", symbol="AAPL")
    assert sorted(quote) == ["c", "d", "dp", "h", "l", "o", "pc", "t"]
    assert quote["t"] == int(NOW.timestamp())
    assert quote["l"] <= quote["o"] <= quote["h"]
    assert quote["c"] - quote["pc"] == quote["d"]


def test_an_unknown_symbol_is_a_200_of_zeros_no_data_or_nothing(exchange):
    zeros = {"c": 0, "d": None, "dp": None, "h": 0, "l": 0, "o": 0, "pc": 0, "t": 0}
    assert read(exchange, "/quote", symbol="NOSUCH") == zeros
    window = {"resolution": "D", "from_": MONDAY, "to": MONDAY + 86400}
    assert read(exchange, "/stock/candle", symbol="NOSUCH", **window) == {"s": "no_data"}
    assert read(exchange, "/company-news", symbol="NOSUCH", from_="2026-01-01", to="2026-01-02") == []
    ticks = read(exchange, "/stock/tick", symbol="NOSUCH", date="2024-05-06", limit=10, skip=0)
    assert (ticks["count"], ticks["total"], ticks["t"]) == (0, 0, [])


def test_candles_are_columns_of_one_length_in_ascending_seconds_of_the_session(exchange):
    page = read(exchange, "/stock/candle", symbol="AAPL", resolution="30", from_=MONDAY, to=MONDAY + 24 * HOUR)
    assert sorted(page) == ["c", "h", "l", "o", "s", "t", "v"]
    assert {len(page[name]) for name in "chlotv"} == {13}
    assert page["t"] == list(range(MONDAY + 13 * HOUR + 1800, MONDAY + 20 * HOUR, 1800))
    assert all(low <= opened <= high for low, opened, high in zip(page["l"], page["o"], page["h"], strict=True))


def test_wide_candles_are_made_of_the_narrow_ones(exchange):
    window = {"symbol": "BINANCE:BTCUSDT", "from_": MONDAY, "to": MONDAY + HOUR - 1}
    wide = read(exchange, "/crypto/candle", resolution="60", **window)
    narrow = read(exchange, "/crypto/candle", resolution="5", **window)
    assert (wide["o"][0], wide["c"][0]) == (narrow["o"][0], narrow["c"][-1])
    assert (wide["h"][0], wide["l"][0], wide["v"][0]) == (max(narrow["h"]), min(narrow["l"]), sum(narrow["v"]))


def test_both_ends_of_a_window_are_in_it_and_nothing_is_later_than_now(exchange):
    window = {"symbol": "BINANCE:BTCUSDT", "resolution": "1"}
    page = read(exchange, "/crypto/candle", from_=MONDAY, to=MONDAY + 120, **window)
    assert page["t"] == [MONDAY, MONDAY + 60, MONDAY + 120]
    now = int(NOW.timestamp())
    assert read(exchange, "/crypto/candle", from_=now - 90, to=now + HOUR, **window)["t"][-1] == now // 60 * 60


def test_only_a_month_of_intraday_candles_comes_at_a_time(exchange):
    page = read(exchange, "/stock/candle", symbol="AAPL", resolution="60", from_=MONDAY - 90 * 86400, to=MONDAY)
    assert MONDAY - 31 * 86400 <= page["t"][0] < MONDAY - 27 * 86400


def test_daily_candles_of_shares_are_real_and_stamped_at_midnight_in_new_york(exchange):
    window = {"symbol": "AAPL", "resolution": "D", "from_": 1330000000, "to": 1332000000}
    page = read(exchange, "/stock/candle", **window)
    stamps = [datetime.fromtimestamp(t, UTC) for t in page["t"]]
    assert {stamp.hour for stamp in stamps} == {4, 5}
    assert {stamp.weekday() for stamp in stamps} == set(range(5))
    exchange.limits["daily_stamps_in_new_york"] = 0
    assert [t % 86400 for t in read(exchange, "/stock/candle", **window)["t"]] == [0] * len(stamps)


def test_currencies_rest_at_the_weekend_and_crypto_never_does(exchange):
    weekend = {"resolution": "60", "from_": MONDAY - 48 * HOUR, "to": MONDAY - 1}
    assert read(exchange, "/forex/candle", symbol="OANDA:EUR_USD", **weekend) == {"s": "no_data"}
    assert len(read(exchange, "/crypto/candle", symbol="BINANCE:BTCUSDT", **weekend)["t"]) == 48
    assert read(exchange, "/crypto/candle", symbol="OANDA:EUR_USD", **weekend) == {"s": "no_data"}


def test_ticks_are_read_by_skipping_until_the_total(exchange):
    window = {"symbol": "AAPL", "date": "2024-05-06", "limit": 25000}
    first = read(exchange, "/stock/tick", skip=0, **window)
    assert (first["count"], len(first["t"]), first["skip"]) == (500, 500, 0)
    assert first["total"] == 630 * 4
    last = read(exchange, "/stock/tick", skip=first["total"] - 20, **window)
    assert last["count"] == 20
    assert first["t"] + last["t"] == sorted(first["t"] + last["t"])
    assert {len(first[name]) for name in "tpvxc"} == {500}
    assert read(exchange, "/stock/tick", skip=10**6, **window)["count"] == 0


def test_ticks_come_at_the_end_of_their_day_and_none_at_weekends(exchange):
    query = {"symbol": "AAPL", "limit": 10, "skip": 0}
    assert read(exchange, "/stock/tick", date="2026-11-24", **query)["total"] == 0
    assert read(exchange, "/stock/tick", date="2026-11-23", **query)["total"] > 0
    assert read(exchange, "/stock/tick", date="2026-11-22", **query)["total"] == 0


def test_the_best_bid_is_below_the_ask_in_milliseconds(exchange):
    best = read(exchange, "/stock/bidask", symbol="MSFT")
    assert sorted(best) == ["a", "av", "b", "bv", "t"]
    assert best["b"] < best["a"]
    assert best["t"] == int(NOW.timestamp() * 1000)


def test_market_news_comes_newest_first_and_after_an_id(exchange):
    page = read(exchange, "/news", category="forex")
    assert len(page) == 100
    assert [one["id"] for one in page] == sorted((one["id"] for one in page), reverse=True)
    assert page[0]["datetime"] <= NOW.timestamp()
    assert read(exchange, "/news", category="forex", minId=page[3]["id"]) == page[:3]
    fields = ["category", "datetime", "headline", "id", "image", "related", "source", "summary", "url"]
    assert sorted(page[0]) == fields


def test_company_news_is_cut_at_a_number_of_rows_without_a_word_and_some_has_the_id_0(exchange):
    window = {"symbol": "AAPL", "from_": "2026-01-01", "to": "2026-03-31"}
    page = read(exchange, "/company-news", **window)
    assert len(page) == 250
    assert datetime.fromtimestamp(page[-1]["datetime"], UTC).date().isoformat() > "2026-01-02"
    assert 0 in {one["id"] for one in page}
    assert len({one["url"] for one in page}) == 250


def test_the_dates_of_news_are_those_of_utc_or_of_new_york_by_a_dial(exchange):
    def hours():
        page = read(exchange, "/company-news", symbol="AAPL", from_="2026-01-01", to="2026-01-31")
        return [datetime.fromtimestamp(one["datetime"], UTC).isoformat() for one in page]

    assert min(hours()) < "2026-01-01T05"
    assert max(hours()) < "2026-02-01T00"
    exchange.limits["news_dates_in_new_york"] = 1
    assert min(hours()) >= "2026-01-01T05"


def test_an_economic_series_has_a_value_a_month_that_is_known_six_weeks_later(exchange):
    page = read(exchange, "/economic", code="MA-USA-656880")
    assert (page["code"], page["data"][0]["date"], page["data"][-1]["date"]) == (
        "MA-USA-656880",
        "1990-01-01",
        "2026-10-01",
    )
    assert read(exchange, "/economic", code="MA-XXX-1")["data"] == []
    assert next(one["code"] for one in read(exchange, "/economic/code")) == "MA-USA-656880"


def test_symbols_are_listed_and_found(exchange):
    assert [one["symbol"] for one in read(exchange, "/stock/symbol", exchange="US")][:2] == ["AAPL", "FB"]
    assert [one["symbol"] for one in read(exchange, "/forex/symbol", exchange="oanda")] == [
        "OANDA:EUR_USD",
        "OANDA:GBP_USD",
    ]
    found = read(exchange, "/search", q="usd")
    assert (found["count"], found["result"][0]["symbol"]) == (len(found["result"]), "BINANCE:BTCUSDT")


@pytest.mark.parametrize(
    ("path", "query", "status"),
    [
        ("/quote", {}, 422),
        ("/quote", {"symbol": "TSCO.L"}, 403),
        ("/nothing", {}, 404),
        ("/stock/symbol", {"exchange": "L"}, 403),
        ("/stock/candle", {"symbol": "AAPL", "resolution": "2", "from": 1, "to": 2}, 422),
        ("/stock/candle", {"symbol": "AAPL", "resolution": "1", "from": 3, "to": 2}, 422),
        ("/stock/candle", {"symbol": "AAPL", "resolution": "1", "from": "2024-05-06", "to": 2}, 422),
        ("/stock/tick", {"symbol": "AAPL", "date": "2024-05-06", "limit": 25001, "skip": 0}, 422),
        ("/stock/tick", {"symbol": "AAPL", "date": "20240506", "limit": 1, "skip": 0}, 422),
        ("/news", {"category": "sport"}, 422),
        ("/company-news", {"symbol": "AAPL", "from": "2026-02-01", "to": "2026-01-01"}, 422),
    ],
)
def test_a_wrong_request_is_refused_with_a_status_and_a_text(exchange, path, query, status):
    assert refusal(exchange, path, **query)[0] == status


def test_without_a_key_the_limit_is_reached_and_a_wrong_one_is_refused(exchange):
    status, text = refusal(exchange, "/quote", symbol="AAPL", key="")
    assert (status, "Please sign up" in text) == (429, True)
    assert refusal(exchange, "/quote", symbol="AAPL", key="wrong") == (401, "Invalid API key")
    assert read(exchange, "/quote", symbol="AAPL", key="", token="sandbox-key")["c"] > 0


def test_what_is_paid_for_is_refused_on_the_free_plan(exchange):
    exchange.limits["paid_plan"] = 0
    denied = (403, "You don't have access to this resource.")
    for path in ("/stock/candle", "/stock/tick", "/stock/bidask", "/economic"):
        assert refusal(exchange, path, symbol="AAPL") == denied
    assert read(exchange, "/quote", symbol="AAPL")["t"] > 0


def test_a_key_has_sixty_calls_a_minute_thirty_of_them_in_a_second():
    exchange, now_s = Finnhub(7), NOW.timestamp()
    said = [ask(exchange, "/quote", symbol="AAPL", now_s=now_s) for _ in range(31)]
    assert [one.status for one in said] == [200] * 30 + [429]
    assert dict(said[0].headers)["X-Ratelimit-Remaining"] == "59"
    later = [ask(exchange, "/quote", symbol="AAPL", now_s=now_s + 1.5).status for _ in range(31)]
    assert later == [200] * 30 + [429]
    assert ask(exchange, "/quote", symbol="AAPL", now_s=now_s + 61).status == 200
    exchange.forget_spending()
    assert ask(exchange, "/quote", symbol="AAPL", now_s=now_s + 1.5).status == 200


def test_the_same_seed_is_the_same_market_and_another_is_not():
    page, same, other = (
        ask(
            Finnhub(seed), "/crypto/candle", symbol="BINANCE:ETHBTC", resolution="15", from_=MONDAY, to=MONDAY + HOUR
        ).body
        for seed in (7, 7, 8)
    )
    assert page == same != other


def test_it_says_itself_what_must_come_of_it_and_its_pages_are_no_lists_of_rows(exchange):
    assert isinstance(exchange, Conforming)
    assert len(exchange.error_cases()) >= 3
    assert exchange.page(ask(exchange, "/news", category="general").body) is None
    assert exchange.truth()["AAPL"]["rows"] > 3000


def test_the_documented_paths_answer_over_the_socket_too(sandbox):
    assert sandbox.read("/finnhub/quote?symbol=NOSUCH&token=sandbox-key")["t"] == 0
    page = sandbox.read(
        f"/finnhub/stock/candle?symbol=AAPL&resolution=60&from={MONDAY}&to={MONDAY + 86400}&token=sandbox-key"
    )
    assert page["s"] == "ok"
