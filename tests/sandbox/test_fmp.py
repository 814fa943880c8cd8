"""The FMP dialect alone, held against the provider's documentation."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from sandbox.contract import Answer, Conforming, Request
from sandbox.dialects.fmp import Fmp

NOW = datetime(2026, 11, 24, 15, 37, 0, 500_000, UTC)


@pytest.fixture
def exchange():
    dialect = Fmp(7)
    dialect.limits["calls_per_day"] = 10**6
    return dialect


def ask(dialect, path, /, *, key="sandbox-key", now=NOW, **query):
    headers = {"apikey": key} if key else {}
    texts = {name.strip("_"): str(value) for name, value in query.items()}
    said = dialect.answer(Request(path, texts, headers, "127.0.0.1", now.timestamp()))
    return said if isinstance(said, Answer) else said()


def read(dialect, path, /, **query):
    said = ask(dialect, path, **query)
    assert said.status == 200, said.body
    return json.loads(said.body, parse_float=Decimal)


def refusal(dialect, path, /, **query):
    said = ask(dialect, path, **query)
    return said.status, json.loads(said.body)["Error Message"]


def test_a_quote_is_a_list_of_one_with_its_second_and_an_unknown_symbols_is_empty(exchange):
    (quote,) = read(exchange, "/quote", symbol="AAPL")
    assert (quote["symbol"], quote["timestamp"], quote["marketCap"]) == ("AAPL", int(NOW.timestamp()), None)
    assert quote["price"] - quote["previousClose"] == quote["change"]
    assert read(exchange, "/quote", symbol="NOSUCH") == []


def test_the_bid_after_hours_is_below_the_ask_in_milliseconds(exchange):
    (best,) = read(exchange, "/aftermarket-quote", symbol="AAPL")
    assert sorted(best) == ["askPrice", "askSize", "bidPrice", "bidSize", "symbol", "timestamp", "volume"]
    assert best["bidPrice"] < best["askPrice"]
    assert best["timestamp"] == int(NOW.timestamp() * 1000)


def test_days_come_newest_first_with_both_bounds_in_them(exchange):
    page = read(exchange, "/historical-price-eod/full", symbol="AAPL", from_="2012-02-01", to="2012-02-29")
    dates = [row["date"] for row in page]
    assert dates == sorted(dates, reverse=True)
    assert (dates[0], dates[-1], len(dates)) == ("2012-02-29", "2012-02-01", 20)
    assert all(row["low"] <= row["open"] <= row["high"] for row in page)
    light = read(exchange, "/historical-price-eod/light", symbol="AAPL", from_="2012-02-01", to="2012-02-29")
    assert [row["price"] for row in light] == [row["close"] for row in page]


@pytest.mark.parametrize("kind", ["non-split-adjusted", "dividend-adjusted"])
def test_other_adjustments_come_under_other_keys_which_are_the_same_for_both(exchange, kind):
    (row,) = read(exchange, f"/historical-price-eod/{kind}", symbol="AAPL", from_="2012-02-01", to="2012-02-01")
    assert sorted(row) == ["adjClose", "adjHigh", "adjLow", "adjOpen", "date", "symbol", "volume"]
    assert row["adjLow"] <= row["adjOpen"] <= row["adjHigh"]


def test_dividends_work_down_the_days_before_them_and_no_later_ones(exchange):
    def closes(kind, name):
        path = f"/historical-price-eod/{kind}"
        return {
            row["date"]: row[name] for row in read(exchange, path, symbol="MSFT", from_="2004-11-01", to="2004-11-12")
        }

    raw, adjusted = closes("non-split-adjusted", "adjClose"), closes("dividend-adjusted", "adjClose")
    ratios = {day: adjusted[day] / raw[day] for day in raw}
    assert closes("full", "close") == raw
    # Two were paid on the eighth: their ex-date is the first day with prices that hold them no more.
    assert len({round(ratios[day], 5) for day in raw if day < "2004-11-08"}) == 1
    assert round(ratios["2004-11-05"] / ratios["2004-11-08"], 4) == Decimal("0.9900")
    assert ratios["2004-11-12"] < 1


def test_only_so_many_days_come_at_a_time_and_five_years_without_dates(exchange):
    exchange.limits["eod_rows"] = 7
    page = read(exchange, "/historical-price-eod/full", symbol="AAPL", from_="2012-01-01", to="2012-02-29")
    assert (page[0]["date"], len(page)) == ("2012-02-29", 7)
    exchange.limits["eod_rows"] = 5000
    page = read(exchange, "/historical-price-eod/full", symbol="AAPL", to="2012-02-29")
    assert (page[0]["date"], page[-1]["date"]) == ("2012-02-29", "2007-03-02")


@pytest.mark.parametrize(
    ("interval", "count"), [("1min", 390), ("5min", 78), ("30min", 13), ("1hour", 7), ("4hour", 2)]
)
def test_intraday_bars_have_no_symbol_and_new_yorks_clock(exchange, interval, count):
    page = read(exchange, f"/historical-chart/{interval}", symbol="AAPL", from_="2024-05-06", to="2024-05-06")
    assert len(page) == count
    assert sorted(page[0]) == ["close", "date", "high", "low", "open", "volume"]
    times = [row["date"] for row in page]
    assert times == sorted(times, reverse=True)
    assert times[0] > "2024-05-06 11"
    assert times[-1] == "2024-05-06 09:30:00"


def test_sessions_begin_at_the_same_local_time_in_winter_and_in_summer(exchange):
    for date in ("2024-03-08", "2024-03-11"):
        page = read(exchange, "/historical-chart/1min", symbol="AAPL", from_=date, to=date)
        assert (page[-1]["date"], page[0]["date"]) == (f"{date} 09:30:00", f"{date} 15:59:00")


def test_only_the_newest_intraday_bars_of_a_long_window_come(exchange):
    page = read(exchange, "/historical-chart/1min", symbol="AAPL", from_="2024-05-06", to="2024-05-17")
    assert (len(page), page[-1]["date"][:10]) == (1170, "2024-05-15")


def test_dividends_come_newest_first_with_what_was_paid_and_what_that_is_in_todays_shares(exchange):
    page = read(exchange, "/dividends", symbol="AAPL", from_="2020-01-01", to="2020-02-01")
    assert sorted(page[0]) == [
        *("adjDividend", "date", "declarationDate", "dividend", "frequency"),
        *("paymentDate", "recordDate", "symbol", "yield"),
    ]
    dates = [row["date"] for row in page]
    assert (dates, dates[-1][:4]) == (sorted(dates, reverse=True), "1988")
    by_date = {row["date"]: row for row in page}
    assert by_date["2020-08-10"]["dividend"] == pytest.approx(4 * by_date["2020-08-10"]["adjDividend"])
    assert by_date["2020-11-09"]["dividend"] == by_date["2020-11-09"]["adjDividend"]
    assert (page[-1]["declarationDate"], page[-1]["recordDate"] > page[-1]["date"]) == ("", True)
    assert page[:2] == read(exchange, "/dividends", symbol="AAPL", limit=2)


def test_a_declared_dividend_shows_before_its_ex_date_and_an_undeclared_one_does_not(exchange):
    for now, newest in (("2026-10-27", "2026-08-10"), ("2026-10-30", "2026-11-09")):
        page = read(exchange, "/dividends", symbol="IBM", now=datetime.fromisoformat(f"{now}T20:00:00Z"))
        assert page[0]["date"] == newest


def test_two_dividends_of_one_day_have_different_frequencies(exchange):
    page = read(exchange, "/dividends", symbol="MSFT")
    assert [row["frequency"] for row in page if row["date"] == "2004-11-08"] == ["Quarterly", "Irregular"]


def test_splits_come_newest_first_as_new_shares_for_old_ones_and_not_before_their_day(exchange):
    page = read(exchange, "/splits", symbol="AAPL")
    assert page[0] == {"symbol": "AAPL", "date": "2020-08-31", "numerator": 4, "denominator": 1}
    assert [row["date"] for row in page] == ["2020-08-31", "2014-06-09", "2005-02-28", "2000-06-21"]
    before = read(exchange, "/splits", symbol="AAPL", now=datetime(2020, 8, 30, 12, tzinfo=UTC))
    assert before == page[1:]
    for path in ("/splits", "/dividends"):
        assert read(exchange, path, symbol="NOSUCH") == []


def test_the_free_plan_refuses_a_limit_above_five_and_gives_all_without_one(exchange):
    exchange.limits["paid_plan"] = 0
    status, text = refusal(exchange, "/dividends", symbol="AAPL", limit=1000)
    assert (status, text) == (402, "Premium Query Parameter: 'limit' must be between 0 and 5")
    assert len(read(exchange, "/dividends", symbol="AAPL", limit=5)) == 5
    assert len(read(exchange, "/dividends", symbol="AAPL")) > 100


def test_news_comes_newest_first_in_pages_of_the_asked_size_until_one_is_empty(exchange):
    window = {"from_": "2026-03-01", "to": "2026-03-05"}
    pages = [read(exchange, "/news/stock-latest", page=page, limit=7, **window) for page in range(12)]
    rows = [row for page in pages for row in page]
    dates = [row["publishedDate"] for row in rows]
    assert [len(page) for page in pages[:2]] == [7, 7]
    assert pages[-1] == []
    assert dates == sorted(dates, reverse=True)
    assert (dates[0][:10], dates[-1][:10], len({row["url"] for row in rows})) == ("2026-03-05", "2026-03-01", len(rows))
    assert len(read(exchange, "/news/stock-latest", limit=250, **window)) == 20
    fields = ["image", "publishedDate", "publisher", "site", "symbol", "text", "title", "url"]
    assert sorted(rows[0]) == fields
    assert None in {row["symbol"] for row in rows}


def test_news_of_the_hours_before_new_yorks_midnight_has_new_yorks_date(exchange):
    page = read(exchange, "/news/forex-latest", limit=250, from_="2026-03-01", to="2026-03-01")
    assert {row["publishedDate"][:10] for row in page} == {"2026-03-01"}
    assert max(row["publishedDate"] for row in page) > "2026-03-01 19"


@pytest.mark.parametrize(("kind", "symbol"), [("stock", "AAPL"), ("crypto", "BTCUSD"), ("forex", "EURUSD")])
def test_news_about_a_symbol_names_it_and_an_unknown_ones_is_empty(exchange, kind, symbol):
    page = read(exchange, f"/news/{kind}", symbols=symbol)
    assert {row["symbol"] for row in page} == {symbol}
    assert len(page) == 20
    assert read(exchange, f"/news/{kind}", symbols="NOSUCH") == []


def test_its_own_articles_have_tickers_with_an_exchange_and_dates_mean_nothing(exchange):
    page = read(exchange, "/fmp-articles", from_="2020-01-01", to="2020-01-02")
    assert page == read(exchange, "/fmp-articles")
    assert page[0]["date"] > "2026-11-2"
    assert "NASDAQ:AAPL" in {row["tickers"] for row in page}
    assert sorted(page[0]) == ["author", "content", "date", "image", "link", "site", "tickers", "title"]


def test_an_indicator_is_cut_to_ninety_days_and_known_some_time_after_its_date(exchange):
    page = read(exchange, "/economic-indicators", name="federalFunds", from_="2024-01-01", to="2024-12-31")
    assert [row["date"] for row in page] == ["2024-12-01", "2024-11-01"]
    (latest, *_) = read(exchange, "/economic-indicators", name="GDP", from_="2026-06-30", to="2026-09-15")
    assert (latest["name"], latest["date"]) == ("GDP", "2026-07-01")
    before = NOW - timedelta(days=60)
    assert read(exchange, "/economic-indicators", name="GDP", from_="2026-06-30", to="2026-09-15", now=before) == []
    assert read(exchange, "/economic-indicators", name="gdp") == []


def test_treasury_rates_are_a_row_a_weekday_with_a_column_a_tenor(exchange):
    page = read(exchange, "/treasury-rates", from_="2026-01-01", to="2026-03-31")
    dates = [datetime.fromisoformat(row["date"]) for row in page]
    assert dates == sorted(dates, reverse=True)
    assert {date.weekday() for date in dates} == set(range(5))
    assert len(page[0]) == 13
    assert None in {row["month1"] for row in page}
    assert read(exchange, "/treasury-rates", from_="2026-11-24", to="2026-11-24") == []


def test_symbols_are_listed_and_found(exchange):
    assert [row["symbol"] for row in read(exchange, "/stock-list")][:2] == ["AAPL", "FB"]
    assert [row["symbol"] for row in read(exchange, "/search-symbol", query="aapl")] == ["AAPL", "AAPL.MX"]
    assert len(read(exchange, "/search-symbol", query="a", limit=1)) == 1


@pytest.mark.parametrize(
    ("path", "query", "status"),
    [
        ("/quote", {}, 400),
        ("/quote", {"symbol": "TSCO.L"}, 402),
        ("/splits", {}, 400),
        ("/dividends", {"symbol": "AAPL", "limit": "all"}, 400),
        ("/nothing", {}, 404),
        ("/api/v3/quote/AAPL", {}, 403),
        ("/historical-chart/2min", {"symbol": "AAPL"}, 404),
        ("/historical-price-eod/full", {"symbol": "AAPL", "from": "01.02.2024"}, 400),
        ("/news/stock-latest", {"page": "first"}, 400),
        ("/economic-indicators", {}, 400),
    ],
)
@pytest.mark.parametrize("in_200", [0, 1])
def test_a_refusal_is_an_object_with_its_status_or_with_200_by_a_dial(exchange, path, query, status, in_200):
    exchange.limits["errors_in_200"] = in_200
    assert refusal(exchange, path, **query)[0] == (200 if in_200 else status)


def test_a_key_is_needed_in_the_header_or_the_query(exchange):
    for key in ("", "wrong"):
        status, text = refusal(exchange, "/quote", symbol="AAPL", key=key)
        assert (status, text[:15]) == (401, "Invalid API KEY")
    assert read(exchange, "/quote", symbol="AAPL", key="", apikey="sandbox-key")


def test_what_is_paid_for_is_refused_on_the_free_plan_and_articles_are_not(exchange):
    exchange.limits["paid_plan"] = 0
    for path in ("/historical-chart/1min", "/news/stock", "/news/general-latest"):
        assert refusal(exchange, path, symbol="AAPL", symbols="AAPL")[0] == 402
    assert read(exchange, "/fmp-articles")
    assert read(exchange, "/historical-price-eod/full", symbol="AAPL", to="2012-02-29")


def test_a_day_has_so_many_calls_and_its_refusal_speaks_of_upgrades():
    exchange = Fmp(7)
    exchange.limits["calls_per_day"] = 2
    said = [ask(exchange, "/quote", symbol="AAPL").status for _ in range(3)]
    assert said == [200, 200, 429]
    assert refusal(exchange, "/quote", symbol="AAPL")[1].startswith("Limit Reach . Please upgrade your plan")
    assert read(exchange, "/quote", symbol="AAPL", now=NOW + timedelta(days=1))
    exchange.forget_spending()
    assert read(exchange, "/quote", symbol="AAPL")


def test_the_same_seed_is_the_same_market_and_another_is_not():
    page, same, other = (ask(Fmp(seed), "/historical-chart/5min", symbol="AAPL").body for seed in (7, 7, 8))
    assert page == same != other


def test_it_says_itself_what_must_come_of_it_and_its_pages_are_no_lists_of_rows(exchange):
    assert isinstance(exchange, Conforming)
    assert len(exchange.error_cases()) >= 3
    assert exchange.page(ask(exchange, "/news/stock-latest").body) is None
    assert exchange.truth()["AAPL"]["rows"] > 3000


def test_the_documented_paths_answer_over_the_socket_too(sandbox):
    assert sandbox.read("/fmp/quote?symbol=NOSUCH&apikey=sandbox-key") == []
    page = sandbox.read(
        "/fmp/historical-price-eod/full?symbol=AAPL&from=2012-02-01&to=2012-02-02", apikey="sandbox-key"
    )
    assert [row["date"] for row in page] == ["2012-02-02", "2012-02-01"]
