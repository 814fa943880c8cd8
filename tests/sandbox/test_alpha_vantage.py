"""Alpha Vantage's dialect alone: functions, defaults and refusals as documented; limits, keys and entitlement."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from sandbox.contract import Answer, Conforming, Request
from sandbox.dialects.alpha_vantage import SANDBOX_KEY, AlphaVantage

NOW_S = datetime(2026, 11, 23, 20, 37, 0, 500_000, UTC).timestamp()
LOADED = AlphaVantage(7)
LOADED.limits |= {"requests_per_day": 10**9, "requests_per_s": 10**9, "minutes_days": 4}


def ask(function, *, dialect=LOADED, now_s=NOW_S, key=SANDBOX_KEY, **query):
    """Return the document of a 200."""
    asked = Request("/query", {"function": function, "apikey": key, **query}, {}, "127.0.0.1", now_s)
    said = dialect.answer(asked)
    said = said if isinstance(said, Answer) else said()
    assert said.status == 200
    return json.loads(said.body)


def sentence(function, **query):
    (text,) = ask(function, **query).items()
    return text


def test_days_are_the_real_ones_newest_first_a_hundred_by_default():
    page = ask("TIME_SERIES_DAILY", symbol="IBM")
    assert list(page) == ["Meta Data", "Time Series (Daily)"]
    rows = page["Time Series (Daily)"]
    assert (len(rows), next(iter(rows))) == (100, "2013-03-01")
    assert rows["2013-03-01"] == {
        "1. open": "200.6500",
        "2. high": "202.9400",
        "3. low": "199.3600",
        "4. close": "202.9100",
        "5. volume": "3308300",
    }
    assert len(ask("TIME_SERIES_DAILY", symbol="IBM", outputsize="full")["Time Series (Daily)"]) == 3270


def test_adjusted_days_number_the_volume_six_and_add_dividends_and_splits():
    rows = ask("TIME_SERIES_DAILY_ADJUSTED", symbol="AAPL", outputsize="full")["Time Series (Daily)"]
    assert list(rows["2013-03-01"]) == [
        *("1. open", "2. high", "3. low", "4. close", "5. adjusted close", "6. volume"),
        *("7. dividend amount", "8. split coefficient"),
    ]
    assert rows["2013-03-01"]["7. dividend amount"] != "0.0000"
    assert [row["8. split coefficient"] for row in rows.values()].count("2.0") == 1


def test_minutes_are_new_yorks_with_the_hours_around_the_session_by_default():
    month = {"symbol": "IBM", "interval": "15min", "month": "2024-03", "outputsize": "full"}
    rows = ask("TIME_SERIES_INTRADAY", **month)["Time Series (15min)"]
    days = {text[:10] for text in rows}
    assert (min(days), max(days), len(days)) == ("2024-03-01", "2024-03-29", 21)
    assert {text[11:] for text in rows} >= {"04:00:00", "19:45:00"}
    regular = ask("TIME_SERIES_INTRADAY", extended_hours="false", **month)["Time Series (15min)"]
    hours = {text[11:] for text in regular}
    assert (min(hours), max(hours)) == ("09:30:00", "15:45:00")
    newest = ask("TIME_SERIES_INTRADAY", symbol="IBM", interval="1min")
    assert newest["Meta Data"]["6. Time Zone"] == "US/Eastern"
    assert (len(newest["Time Series (1min)"]), next(iter(newest["Time Series (1min)"]))) == (100, "2026-11-23 15:37:00")


def test_a_bar_that_is_still_forming_changes_and_one_that_is_over_does_not():
    first = ask("TIME_SERIES_INTRADAY", symbol="IBM", interval="60min")["Time Series (60min)"]
    later = ask("TIME_SERIES_INTRADAY", symbol="IBM", interval="60min", now_s=NOW_S + 600)["Time Series (60min)"]
    assert first["2026-11-23 15:00:00"] != later["2026-11-23 15:00:00"]
    assert first["2026-11-23 14:00:00"] == later["2026-11-23 14:00:00"]


def test_money_has_weekdays_and_no_volume_and_coins_every_day_with_volume():
    money = ask("FX_DAILY", from_symbol="EUR", to_symbol="USD")["Time Series FX (Daily)"]
    assert all(datetime.fromisoformat(day).weekday() < 5 for day in money)
    assert list(money["2026-11-23"]) == ["1. open", "2. high", "3. low", "4. close"]
    minutes = ask("FX_INTRADAY", from_symbol="EUR", to_symbol="USD", interval="5min")
    assert len(minutes["Time Series FX (5min)"]) == 100
    coin = ask("DIGITAL_CURRENCY_DAILY", symbol="BTC", market="USD")["Time Series (Digital Currency Daily)"]
    assert (len(coin), "5. volume" in coin["2026-11-23"]) == (350, True)
    assert len(ask("CRYPTO_INTRADAY", symbol="BTC", market="USD", interval="1min")["Time Series Crypto (1min)"]) == 100


def test_highs_are_above_and_lows_below_what_is_between_them():
    for page in (
        ask("FX_DAILY", from_symbol="USD", to_symbol="JPY", outputsize="full")["Time Series FX (Daily)"],
        ask("TIME_SERIES_INTRADAY", symbol="AAPL", interval="5min", outputsize="full")["Time Series (5min)"],
    ):
        for row in page.values():
            low, high = float(row["3. low"]), float(row["2. high"])
            assert low <= min(float(row["1. open"]), float(row["4. close"]))
            assert high >= max(float(row["1. open"]), float(row["4. close"]))


def test_a_quote_has_the_last_day_and_an_unknown_symbol_an_empty_one():
    quote = ask("GLOBAL_QUOTE", symbol="IBM")["Global Quote"]
    assert (quote["05. price"], quote["07. latest trading day"]) == ("202.9100", "2013-03-01")
    assert quote["10. change percent"].endswith("%")
    assert ask("GLOBAL_QUOTE", symbol="NOPE") == {"Global Quote": {}}
    rate = ask("CURRENCY_EXCHANGE_RATE", from_currency="BTC", to_currency="USD")["Realtime Currency Exchange Rate"]
    assert float(rate["8. Bid Price"]) < float(rate["9. Ask Price"])
    assert rate["6. Last Refreshed"] == "2026-11-23 20:37:00"


def test_news_are_fifty_of_the_latest_by_default_and_a_thousand_at_most():
    page = ask("NEWS_SENTIMENT", tickers="AAPL")
    times = [article["time_published"] for article in page["feed"]]
    assert (page["items"], len(times), times) == ("50", 50, sorted(times, reverse=True))
    assert all("AAPL" in {one["ticker"] for one in article["ticker_sentiment"]} for article in page["feed"])
    window = {"time_from": "20240501T0000", "time_to": "20240601T0000", "sort": "EARLIEST", "limit": "9999"}
    times = [article["time_published"] for article in ask("NEWS_SENTIMENT", tickers="AAPL", **window)["feed"]]
    assert (len(times), times) == (1000, sorted(times))
    assert times[0] >= "20240501T000000"


def test_two_tickers_are_articles_about_both_and_topics_are_a_filter():
    both = ask("NEWS_SENTIMENT", tickers="AAPL,IBM")["feed"]
    assert both
    assert all({"AAPL", "IBM"} <= {one["ticker"] for one in article["ticker_sentiment"]} for article in both)
    about = ask("NEWS_SENTIMENT", topics="ipo", sort="RELEVANCE", limit="5")["feed"]
    assert [article["topics"][0]["topic"] for article in about] == ["ipo"] * 5


@pytest.mark.parametrize(
    ("function", "query", "interval", "first"),
    [
        ("TREASURY_YIELD", {}, "monthly", "2000-01-01"),
        ("TREASURY_YIELD", {"interval": "daily", "maturity": "2year"}, "daily", "2000-01-03"),
        ("REAL_GDP", {}, "annual", "2000-01-01"),
        ("REAL_GDP", {"interval": "quarterly"}, "quarterly", "2000-01-01"),
        ("CPI", {"interval": "semiannual"}, "semiannual", "2000-01-01"),
        ("UNEMPLOYMENT", {}, "monthly", "2000-01-01"),
    ],
)
def test_indicators_come_whole_newest_first_with_their_default_interval(function, query, interval, first):
    page = ask(function, **query)
    days = [row["date"] for row in page["data"]]
    assert (page["interval"], days[-1], days) == (interval, first, sorted(days, reverse=True))
    assert any(row["value"] == "." for row in page["data"]) is (interval == "daily")


@pytest.mark.parametrize(
    ("function", "query"),
    [
        ("TIME_SERIES_DAILY", {}),
        ("TIME_SERIES_DAILY", {"symbol": "NOPE"}),
        ("TIME_SERIES_DAILY", {"symbol": "IBM", "outputsize": "huge"}),
        ("TIME_SERIES_INTRADAY", {"symbol": "IBM"}),
        ("TIME_SERIES_INTRADAY", {"symbol": "IBM", "interval": "3min"}),
        ("TIME_SERIES_INTRADAY", {"symbol": "IBM", "interval": "5min", "month": "2024-13"}),
        ("TIME_SERIES_INTRADAY", {"symbol": "IBM", "interval": "5min", "month": "2012-01"}),
        ("TIME_SERIES_INTRADAY", {"symbol": "IBM", "interval": "5min", "adjusted": "maybe"}),
        ("FX_DAILY", {"from_symbol": "EUR"}),
        ("DIGITAL_CURRENCY_DAILY", {"symbol": "BTC"}),
        ("CURRENCY_EXCHANGE_RATE", {"from_currency": "BTC", "to_currency": "CATS"}),
        ("TREASURY_YIELD", {"maturity": "1year"}),
        ("REAL_GDP", {"interval": "daily"}),
        ("SYMBOL_SEARCH", {}),
        ("GLOBAL_QUOTE", {}),
    ],
)
def test_a_wrong_request_gets_a_200_with_a_sentence_that_says_retry(function, query):
    key, text = sentence(function, **query)
    assert key == "Error Message"
    assert text.startswith("Invalid API call. Please retry")


@pytest.mark.parametrize(
    "query", [{"tickers": "NOPE"}, {"topics": "cats"}, {"sort": "BEST"}, {"time_from": "2024-01-01"}]
)
def test_wrong_news_get_a_sentence_of_their_own(query):
    key, text = sentence("NEWS_SENTIMENT", **query)
    assert key == "Information"
    assert text.startswith("Invalid inputs.")


def test_a_function_that_does_not_exist_is_said_not_to_and_other_paths_are_not_there():
    assert sentence("EVERYTHING") == ("Error Message", "This API function (EVERYTHING) does not exist.")
    assert LOADED.answer(Request("/other", {}, {}, "127.0.0.1", NOW_S)).status == 404


@pytest.mark.parametrize(
    ("key", "under", "says"),
    [
        ("", "Error Message", "apikey is invalid or missing"),
        ("wrong", "Error Message", "apikey is invalid or missing"),
        ("demo", "Information", "**demo** API key"),
    ],
)
def test_a_key_is_checked_before_all_else(key, under, says):
    found, text = sentence("EVERYTHING", key=key)
    assert found == under
    assert says in text


def test_without_a_plan_what_is_premium_is_refused_and_the_newest_hundred_days_are_not():
    dialect = AlphaVantage(7)
    dialect.limits |= {"requests_per_day": 10**9, "requests_per_s": 10**9, "entitled": 0}
    for function, query in (
        ("TIME_SERIES_DAILY", {"symbol": "IBM", "outputsize": "full"}),
        ("TIME_SERIES_DAILY_ADJUSTED", {"symbol": "IBM"}),
        ("TIME_SERIES_INTRADAY", {"symbol": "IBM", "interval": "5min"}),
        ("FX_INTRADAY", {"from_symbol": "EUR", "to_symbol": "USD", "interval": "5min"}),
        ("CRYPTO_INTRADAY", {"symbol": "BTC", "market": "USD", "interval": "5min"}),
    ):
        key, text = sentence(function, dialect=dialect, **query)
        assert key == "Information"
        assert "premium" in text
    assert "Meta Data" in ask("TIME_SERIES_DAILY", symbol="IBM", dialect=dialect)


def test_one_request_a_second_and_twenty_five_a_day_are_granted_and_the_sentences_say_premium_and_the_key():
    dialect = AlphaVantage(7)
    quotes = [ask("GLOBAL_QUOTE", symbol="IBM", dialect=dialect, now_s=NOW_S + i) for i in range(25)]
    assert all("Global Quote" in quote for quote in quotes)
    _, spent = sentence("GLOBAL_QUOTE", symbol="IBM", dialect=dialect, now_s=NOW_S + 30)
    assert SANDBOX_KEY in spent
    assert "25 requests per day" in spent
    assert "premium" in spent
    assert "Global Quote" in ask("GLOBAL_QUOTE", symbol="IBM", dialect=dialect, now_s=NOW_S + 86_400)
    key, text = sentence("GLOBAL_QUOTE", symbol="IBM", dialect=dialect, now_s=NOW_S + 86_400.5)
    assert (key, "1 request per second" in text, "25 requests per day" in text) == ("Information", True, True)
    dialect.forget_spending()
    assert "Global Quote" in ask("GLOBAL_QUOTE", symbol="IBM", dialect=dialect, now_s=NOW_S + 86_400.6)


def test_another_seed_is_another_market_but_the_same_real_days():
    other = AlphaVantage(8)
    days = {"symbol": "GOOG"}
    assert ask("TIME_SERIES_DAILY", dialect=other, **days) == ask("TIME_SERIES_DAILY", **days)
    rate = {"from_currency": "EUR", "to_currency": "USD"}
    assert ask("CURRENCY_EXCHANGE_RATE", dialect=other, now_s=NOW_S + 2, **rate) != ask(
        "CURRENCY_EXCHANGE_RATE", **rate
    )


def test_it_says_itself_what_must_come_of_it():
    assert isinstance(LOADED, Conforming)
    examples = LOADED.examples()
    assert {one.dataset for one in examples} == {"bars", "quotes", "actions", "news", "observations"}
    assert all(LOADED.rows(one, now_s=NOW_S) for one in examples)
    assert len({case.decision for case in LOADED.error_cases()}) >= 6
    assert LOADED.page(b"[]") is None
    assert LOADED.truth()["IBM"] == {"rows": 3270, "first": "2000-03-01", "last": "2013-03-01"}
    assert b"html" in LOADED.error_body


def test_the_documented_path_answers_over_the_socket_too_and_the_key_is_not_shown(sandbox):
    sandbox.control("POST", "limits", {"provider": "alpha_vantage", "limits": {"requests_per_s": 25}})
    path = "/alpha_vantage/query?function={}&apikey=" + SANDBOX_KEY
    assert len(sandbox.read(path.format("TIME_SERIES_DAILY&symbol=IBM"))["Time Series (Daily)"]) == 100
    assert sandbox.read(path.format("NEWS_SENTIMENT&tickers=CRYPTO%3ABTC&limit=3"))["items"] == "3"
    assert sandbox.read(path.format("TREASURY_YIELD&maturity=2year"))["unit"] == "percent"
    assert SANDBOX_KEY not in json.dumps(sandbox.control("GET", "requests?log=1")[1])
