"""IEX Cloud's dialect alone: paths, ranges, defaults and plain-text refusals as its archived documentation says."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from sandbox.contract import Answer, Conforming, Request
from sandbox.dialects.iex import SANDBOX_KEY, Iex

NOW_S = datetime(2026, 11, 23, 20, 37, 0, 500_000, UTC).timestamp()
LOADED = Iex(7)


def ask(path, *, dialect=LOADED, now_s=NOW_S, token=SANDBOX_KEY, **query):
    said = dialect.answer(Request(path, {"token": token, **query}, {}, "127.0.0.1", now_s))
    return said if isinstance(said, Answer) else said()


def read(path, **query):
    said = ask(path, dialect=fresh(), **query)
    assert said.status == 200, said.body
    assert dict(said.headers)["iexcloud-messages-used"] == "1"
    return json.loads(said.body)


def fresh():
    LOADED.forget_spending()
    return LOADED


def refusal(path, **query):
    said = ask(path, dialect=fresh(), **query)
    return said.status, said.body.decode()


def test_days_are_the_real_ones_oldest_first_and_a_range_counts_back_from_the_last():
    everything = read("/stock/ibm/chart/max")
    assert (len(everything), everything[0]["date"], everything[-1]["date"]) == (3270, "2000-03-01", "2013-03-01")
    assert {name: everything[-1][name] for name in ("open", "high", "low", "close", "volume")} == {
        "open": 200.65,
        "high": 202.94,
        "low": 199.36,
        "close": 202.91,
        "volume": 3308300,
    }
    assert [row["date"] for row in read("/stock/IBM/chart/5d")] == [
        *("2013-02-25", "2013-02-26", "2013-02-27", "2013-02-28", "2013-03-01")
    ]
    assert len(read("/stock/IBM/chart/1y", chartLast="2")) == 2


def test_a_date_is_its_minutes_or_with_chart_by_day_its_day():
    (day,) = read("/stock/AAPL/chart/date/20050228", chartByDay="true")
    assert day["date"] == "2005-02-28"
    assert read("/stock/AAPL/chart/date/20050227", chartByDay="true") == []
    minutes = read("/stock/AAPL/chart/date/20240311")
    assert (len(minutes), minutes[0]["minute"], minutes[-1]["minute"]) == (390, "09:30", "15:59")
    assert read("/stock/AAPL/chart/date/20240309") == []


def test_a_minute_without_a_trade_has_nulls_and_zeros_and_the_others_have_none():
    minutes = read("/stock/AAPL/chart/date/20240311")
    quiet = [row for row in minutes if row["numberOfTrades"] == 0]
    assert 10 < len(quiet) < 100
    assert {(row["open"], row["close"], row["high"], row["low"], row["volume"]) for row in quiet} == {
        (None, None, None, None, 0)
    }
    assert all(row["low"] <= row["open"] <= row["high"] for row in minutes if row not in quiet)


def test_intraday_prices_are_the_newest_sessions_minutes_that_are_over():
    assert read("/stock/IBM/intraday-prices", chartLast="2")[-1]["minute"] == "15:36"
    sunday = datetime(2026, 11, 22, 15, tzinfo=UTC).timestamp()
    rows = json.loads(ask("/stock/IBM/intraday-prices", dialect=fresh(), now_s=sunday).body)
    assert (rows[0]["date"], len(rows)) == ("2026-11-20", 390)


def test_tops_list_known_symbols_and_a_side_may_be_empty():
    rows = read("/tops", symbols="AAPL,NOPE,ibm")
    assert [row["symbol"] for row in rows] == ["AAPL", "IBM"]
    bids = {read("/tops", symbols="AAPL", now_s=NOW_S + i)[0]["bidPrice"] for i in range(12)}
    assert 0 in bids
    assert len(bids) > 2
    quote = read("/stock/ibm/quote")
    assert (quote["open"], quote["close"], quote["latestPrice"]) == (None, None, rows[1]["lastSalePrice"])


def test_deep_trades_are_the_newest_first_twenty_by_default_five_hundred_at_most():
    trades = read("/deep/trades", symbols="AAPL,IBM")
    assert [len(rows) for rows in trades.values()] == [20, 20]
    ids = [row["tradeId"] for row in read("/deep/trades", symbols="AAPL", last="9999")["AAPL"]]
    assert (len(ids), ids) == (500, sorted(ids, reverse=True))


def test_news_are_ten_by_default_and_fifty_at_most_newest_first():
    assert len(read("/stock/aapl/news")) == 10
    articles = read("/stock/aapl/news/last/99")
    times = [one["datetime"] for one in articles]
    assert (len(times), times) == (50, sorted(times, reverse=True))
    assert max(times) <= NOW_S * 1000
    assert all("AAPL" in one["related"].split(",") for one in articles)


@pytest.mark.parametrize(
    ("path", "query", "status", "text"),
    [
        ("/stock/NOPE/chart/max", {}, 404, "Unknown symbol"),
        ("/stock/IBM/chart/9y", {}, 400, "Invalid values were supplied for the API request"),
        ("/stock/IBM/chart/date/2013", {}, 400, "Invalid values were supplied for the API request"),
        ("/stock/IBM/chart/date/20131341", {}, 400, "Invalid values were supplied for the API request"),
        ("/stock/IBM/chart/1m", {"chartLast": "x"}, 400, "Invalid values were supplied for the API request"),
        ("/tops", {}, 400, "Invalid values were supplied for the API request"),
        ("/deep/trades", {"symbols": "IBM", "last": "0"}, 400, "Invalid values were supplied for the API request"),
        ("/stock/IBM/everything", {}, 404, "Not Found"),
        ("/everything", {}, 404, "Not Found"),
    ],
)
def test_a_wrong_request_gets_a_status_and_plain_text(path, query, status, text):
    assert refusal(path, **query) == (status, text)


def test_a_token_is_wanted_and_checked():
    assert refusal("/tops", symbols="IBM", token="") == (
        *(401, "An API key is required to access the requested endpoint."),
    )
    assert refusal("/tops", symbols="IBM", token="wrong") == (403, "The API key provided is not valid.")


def test_a_hundred_requests_a_second_are_granted_and_the_months_messages_if_they_are_counted():
    statuses = [ask("/tops", dialect=fresh() if i == 0 else LOADED, symbols="IBM").status for i in range(101)]
    assert statuses == [200] * 100 + [429]
    counted = Iex(7)
    counted.limits["messages_per_month"] = 1
    assert ask("/tops", dialect=counted, symbols="IBM").status == 200
    spent = ask("/tops", dialect=counted, symbols="IBM")
    assert (spent.status, b"message quota" in spent.body) == (402, True)
    assert ask("/tops", dialect=counted, symbols="IBM", now_s=NOW_S + 8 * 86_400).status == 200


def test_it_says_itself_what_must_come_of_it():
    assert isinstance(LOADED, Conforming)
    examples = LOADED.examples()
    assert {one.dataset for one in examples} == {"bars", "quotes", "books", "trades", "news"}
    assert all(LOADED.rows(one, now_s=NOW_S) for one in examples)
    assert len({case.decision for case in LOADED.error_cases()}) >= 7
    assert LOADED.page(b"[]") is None
    assert LOADED.truth()["FB"]["last"] == "2013-03-01"
    assert [one["symbol"] for one in read("/ref-data/symbols")][-1] == "BRK.B"


def test_the_documented_paths_answer_over_the_socket_too_and_the_token_is_not_shown(sandbox):
    assert len(sandbox.read(f"/iex/stock/ibm/chart/5d?token={SANDBOX_KEY}")) == 5
    assert [one["symbol"] for one in sandbox.read(f"/iex/tops?symbols=FB%2CIBM&token={SANDBOX_KEY}")] == ["FB", "IBM"]
    assert sandbox.get(f"/iex/stock/nope/quote?token={SANDBOX_KEY}").data == b"Unknown symbol"
    assert SANDBOX_KEY not in json.dumps(sandbox.control("GET", "requests?log=1")[1])
