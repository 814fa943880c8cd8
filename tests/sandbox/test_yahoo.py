"""Yahoo alone: charts as clients describe them, sessions and summer time, the live last row, reach, refusals."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from sandbox.contract import Answer, Conforming, Request
from sandbox.dialects.yahoo import CHART, SEARCH, Yahoo

NOW = datetime(2026, 11, 23, 17, 31, 42, tzinfo=UTC)
AGENT = {"user-agent": "Mozilla/5.0"}


@pytest.fixture(scope="module")
def dialect():
    one = Yahoo(7)
    one.limits["requests_per_minute"] = 10**9
    return one


def ask(dialect, path, *, now=NOW, headers=AGENT, **query):
    texts = {name: str(value) for name, value in query.items()}
    said = dialect.answer(Request(path, texts, headers, "127.0.0.1", now.timestamp()))
    return said if isinstance(said, Answer) else said()


def chart(dialect, symbol, start=None, end=None, *, now=NOW, **query):
    """Return the one result of a chart."""
    period = {} if start is None else {"period1": int(start.timestamp()), "period2": int(end.timestamp())}
    said = ask(dialect, CHART + symbol, now=now, **period, **query)
    assert said.status == 200, said.body
    body = json.loads(said.body)["chart"]
    assert body["error"] is None
    (result,) = body["result"]
    return result


def error(said, root="chart"):
    body = json.loads(said.body)[root]
    assert body["result"] is None
    return said.status, body["error"]["code"], body["error"]["description"]


def test_columns_are_equally_long_and_days_open_at_half_past_nine_in_new_york(dialect):
    start, end = datetime(2025, 10, 27, tzinfo=UTC), datetime(2025, 11, 8, tzinfo=UTC)
    result = chart(dialect, "AAPL", start, end, interval="1d")
    quote = result["indicators"]["quote"][0]
    lengths = {len(column) for column in (result["timestamp"], *quote.values())}
    assert lengths == {len(result["indicators"]["adjclose"][0]["adjclose"])} == {10}
    hours = [datetime.fromtimestamp(ts, UTC).strftime("%H:%M") for ts in result["timestamp"]]
    assert hours == ["13:30"] * 5 + ["14:30"] * 5
    assert set(quote) == {"open", "high", "low", "close", "volume"}


def test_real_days_are_those_of_the_wheel_through_32_bits(dialect):
    start, end = datetime(2013, 3, 1, tzinfo=UTC), datetime(2013, 3, 2, tzinfo=UTC)
    result = chart(dialect, "IBM", start, end, interval="1d")
    assert [round(value, 2) for value in result["indicators"]["quote"][0]["close"]] == [202.91]
    assert result["indicators"]["quote"][0]["close"] != [202.91]


def test_sessions_have_no_weekend_and_intraday_bars_begin_with_the_session_while_coins_never_rest(dialect):
    start = NOW - timedelta(days=7)
    hours = chart(dialect, "AAPL", start, NOW - timedelta(days=2), interval="1h")["timestamp"]
    assert {ts % 3600 for ts in hours} == {1800}
    assert {datetime.fromtimestamp(ts, UTC).weekday() for ts in hours} == set(range(5))
    coins = chart(dialect, "BTC-USD", start, NOW - timedelta(days=2), interval="1h")["timestamp"]
    assert len(coins) == 5 * 24
    assert "adjclose" not in chart(dialect, "BTC-USD", start, NOW, interval="1h")["indicators"]


def test_a_halted_minute_is_a_row_of_nulls(dialect):
    result = chart(dialect, "AAPL", NOW - timedelta(days=3), NOW - timedelta(days=1, hours=2), interval="1m")
    rows = list(zip(*result["indicators"]["quote"][0].values(), strict=True))
    assert (None,) * 5 in rows
    assert all(row.count(None) in (0, 5) for row in rows)


def test_a_smaller_interval_makes_up_the_larger(dialect):
    start, end = NOW - timedelta(days=3), NOW - timedelta(days=2)
    fives, quarters = (chart(dialect, "BTC-USD", start, end, interval=name) for name in ("5m", "15m"))
    first = fives["timestamp"].index(quarters["timestamp"][0])
    highs = fives["indicators"]["quote"][0]["high"][first:]
    parts = [max(highs[i : i + 3]) for i in range(0, len(highs) - 2, 3)]
    assert parts == quarters["indicators"]["quote"][0]["high"][: len(parts)]
    assert len(parts) > 90


def test_the_newest_price_is_a_row_of_its_own_at_the_last_trade_even_after_the_asked_end(dialect):
    start = NOW - timedelta(hours=2)
    during = chart(dialect, "AAPL", start, NOW - timedelta(hours=1), interval="1m")
    assert during["timestamp"][-1] == during["meta"]["regularMarketTime"] == int(NOW.timestamp())
    assert during["indicators"]["quote"][0]["volume"][-1] == 0
    evening = NOW + timedelta(hours=6)
    after = chart(dialect, "AAPL", evening - timedelta(days=2), evening, now=evening, interval="1d")
    last, live = after["timestamp"][-2:]
    assert live == after["meta"]["regularMarketTime"] == last + 390 * 60 + 6
    assert after["indicators"]["quote"][0]["close"][-1] == after["indicators"]["quote"][0]["close"][-2]
    assert after["indicators"]["quote"][0]["volume"][-1] > after["indicators"]["quote"][0]["volume"][-2]


def test_without_rows_the_timestamps_are_absent_and_the_quote_is_empty(dialect):
    result = chart(dialect, "IBM", datetime(2020, 1, 1, tzinfo=UTC), datetime(2020, 2, 1, tzinfo=UTC), interval="1d")
    assert "timestamp" not in result
    assert result["indicators"]["quote"] == [{}]


def test_events_come_when_they_are_asked_for_keyed_by_their_sessions_open(dialect):
    start, end = datetime(2020, 8, 1, tzinfo=UTC), datetime(2020, 9, 1, tzinfo=UTC)
    assert "events" not in chart(dialect, "AAPL", start, end, interval="1d")
    events = chart(dialect, "AAPL", start, end, interval="1d", events="div,splits")["events"]
    split = {"date": 1598880600, "numerator": 4, "denominator": 1, "splitRatio": "4:1"}
    assert events["splits"] == {"1598880600": split}
    assert [event["date"] for event in events["dividends"].values()] == [1597411800]
    assert "splits" not in chart(dialect, "AAPL", start, end, interval="1d", events="div")["events"]


def test_symbols_are_told_apart_by_kind_zone_and_unit(dialect):
    start, end = datetime(2026, 6, 1, tzinfo=UTC), datetime(2026, 6, 5, tzinfo=UTC)
    metas = {name: chart(dialect, name, start, end)["meta"] for name in ("TSCO.L", "^GSPC", "EURUSD=X", "BTC-USD")}
    assert [meta["currency"] for meta in metas.values()] == ["GBp", "USD", "USD", "USD"]
    assert metas["EURUSD=X"]["exchangeTimezoneName"] == "Europe/London"
    assert metas["EURUSD=X"]["gmtoffset"] == 0  # today's, though the window is in summer
    days = chart(dialect, "EURUSD=X", start, end, interval="1d")["timestamp"]
    assert {datetime.fromtimestamp(ts, UTC).hour for ts in days} == {23}


@pytest.mark.parametrize(
    ("interval", "days", "says"),
    [("1m", 31, "within the last 30 days"), ("5m", 61, "within the last 60 days"), ("1h", 731, "within the last 730")],
)
def test_intraday_bars_reach_back_only_so_far(dialect, interval, days, says):
    start = NOW - timedelta(days=days)
    span = {"period1": int(start.timestamp()), "period2": int(start.timestamp()) + 3600, "interval": interval}
    status, code, text = error(ask(dialect, f"{CHART}AAPL", **span))
    assert (status, code) == (422, "Unprocessable Entity")
    assert says in text


def test_nine_days_of_minutes_are_too_many_for_one_request(dialect):
    span = {"period1": int((NOW - timedelta(days=9)).timestamp()), "period2": int(NOW.timestamp()), "interval": "1m"}
    assert "Only 8 days worth of 1m" in error(ask(dialect, f"{CHART}AAPL", **span))[2]


@pytest.mark.parametrize(
    ("path", "query", "expected"),
    [
        (f"{CHART}NOPE", {}, (404, "Not Found")),
        (f"{CHART}FB", {"period1": 1, "period2": 2}, (400, "Bad Request")),
        (f"{CHART}FB", {"period1": 2, "period2": 1}, (400, "Bad Request")),
        (f"{CHART}FB", {"period1": "x"}, (400, "Bad Request")),
        (f"{CHART}FB", {"interval": "7m"}, (422, "Unprocessable Entity")),
        (f"{CHART}FB", {"range": "7d"}, (422, "Unprocessable Entity")),
    ],
)
def test_a_wrong_chart_is_refused_in_an_error_object(dialect, path, query, expected):
    assert error(ask(dialect, path, **query))[:2] == expected


GIVEN = {"user-agent": "Mozilla/5.0", "cookie": "A1=x; A3=sandbox-key"}


@pytest.mark.parametrize(
    ("cookie", "query", "says"),
    [
        ("", {}, "User is unable to access this feature"),
        ("A3=sandbox-key", {}, "Invalid Crumb"),
        ("", {"crumb": "sandbox-key"}, "Invalid Crumb"),
        ("A3=other", {"crumb": "sandbox-key"}, "Invalid Crumb"),
        ("A3=sandbox-key", {"crumb": "other"}, "Invalid Crumb"),
    ],
)
def test_quotes_want_a_cookie_and_the_crumb_that_belongs_to_it(dialect, cookie, query, says):
    refused = ask(dialect, "/v7/finance/quote", headers=GIVEN | {"cookie": cookie}, symbols="AAPL", **query)
    status, code, description = error(refused, "finance")
    assert (status, code) == (401, "Unauthorized")
    assert description.startswith(says)
    assert error(ask(dialect, "/v10/finance/quoteSummary/AAPL"), "finance") == (401, "Unauthorized", "Invalid Crumb")


def test_quotes_come_in_one_answer_without_the_symbols_that_are_not_known(dialect):
    symbols = "AAPL,NOPE,^GSPC,eurusd=x"
    said = ask(dialect, "/v7/finance/quote", headers=GIVEN, symbols=symbols, crumb="sandbox-key")
    answer = json.loads(said.body)["quoteResponse"]
    assert (said.status, answer["error"]) == (200, None)
    apple, index, euro = answer["result"]
    assert [one["symbol"] for one in answer["result"]] == ["AAPL", "^GSPC", "EURUSD=X"]
    assert apple["bid"] < apple["regularMarketPrice"] < apple["ask"]
    assert (apple["bidSize"], apple["currency"], "bid" in index) == (1, "USD", False)
    assert type(euro["regularMarketTime"]) is int


def test_too_many_requests_and_clients_that_are_no_browser_get_plain_text():
    dialect = Yahoo(7)
    assert ask(dialect, SEARCH, headers={"user-agent": "curl/8"}).status == 429
    statuses = [ask(dialect, SEARCH, q="ibm").status for _ in range(121)]
    assert statuses == [200] * 120 + [429]
    assert ask(dialect, SEARCH).body.strip() == b"Too Many Requests"
    assert ask(dialect, SEARCH, now=NOW + timedelta(seconds=61)).status == 200


def test_the_search_finds_symbols_by_name_and_the_truth_names_them_all(dialect):
    found = json.loads(ask(dialect, SEARCH, q="apple").body)["quotes"]
    assert [(one["symbol"], one["quoteType"]) for one in found] == [("AAPL", "EQUITY")]
    assert {"AAPL", "IBM", "^GSPC", "BTC-USD"} <= dialect.truth().keys()


def test_the_dialect_says_what_must_come_of_it_and_the_same_for_ever(dialect):
    assert isinstance(dialect, Conforming)
    assert {example.dataset for example in dialect.examples()} == {"bars", "quotes", "actions"}
    assert len(dialect.error_cases()) >= 3
    other = Yahoo(7)
    for example in dialect.examples():
        assert dialect.rows(example, now_s=NOW.timestamp()) == other.rows(example, now_s=NOW.timestamp())
