"""Marketstack alone: real days complete, paging, parameters and their defaults, keys, limits, documented refusals."""

from __future__ import annotations

import gzip
import importlib.resources
import json
from datetime import UTC, datetime, timedelta

import pytest

from sandbox.contract import Answer, Conforming, Request
from sandbox.dialects.marketstack import SANDBOX_KEY, Marketstack

NOW = datetime(2026, 11, 24, 22, 15, tzinfo=UTC)


@pytest.fixture(scope="module")
def loaded():
    return Marketstack(7)


@pytest.fixture
def dialect(loaded):
    loaded.limits |= {"per_second": 10**9, "month": 10**9, "prices_per_minute": 10**9}
    loaded.forget_spending()
    return loaded


def ask(dialect, path="/eod", *, now=NOW, key=SANDBOX_KEY, **query):
    texts = {name: str(value) for name, value in query.items()} | ({"access_key": key} if key else {})
    said = dialect.answer(Request(path, texts, {}, "127.0.0.1", now.timestamp()))
    return said if isinstance(said, Answer) else said()


def read(dialect, path="/eod", **query):
    said = ask(dialect, path, **query)
    assert said.status == 200, said.body
    return json.loads(said.body, parse_float=str, parse_int=str)


def code(said):
    return said.status, json.loads(said.body)["error"]["code"]


def test_paging_reassembles_exactly_the_days_of_the_wheel_with_their_numbers(dialect):
    packed = (importlib.resources.files("bokeh_sampledata") / "_data" / "stocks.csv.gz").read_bytes()
    lines = [line for line in gzip.decompress(packed).decode().splitlines() if line.startswith("AAPL,")]
    rows, offset, total = [], 0, 1
    while offset < total:
        body = read(dialect, symbols="AAPL", sort="ASC", limit=1000, offset=offset, date_from="2000-01-01")
        rows += body["data"]
        assert body["pagination"]["count"] == str(len(body["data"]))
        offset, total = offset + len(body["data"]), int(body["pagination"]["total"])
    names = ("open", "high", "low", "close", "volume", "adj_close")
    ours = [",".join(["AAPL", row["date"][:10], *(row[name].removesuffix(".0") for name in names)]) for row in rows]
    assert [line.replace(".0,", ",").removesuffix(".0") for line in lines] == ours
    assert len(ours) == 3270


def test_a_row_has_the_documented_fields_and_a_date_whose_offset_has_no_colon(dialect):
    (row,) = read(dialect, "/eod/2013-03-01", symbols="AAPL")["data"]
    assert row["date"] == "2013-03-01T00:00:00+0000"
    assert (row["symbol"], row["exchange"], row["exchange_code"]) == ("AAPL", "XNAS", "NASDAQ")
    assert set(row) >= {"adj_open", "adj_high", "adj_low", "adj_volume", "split_factor", "dividend", "price_currency"}
    assert row["volume"].endswith(".0")


def test_the_newest_comes_first_a_hundred_a_page_unless_it_is_asked_for_otherwise(dialect):
    body = read(dialect, symbols="IBM")
    days = [row["date"] for row in body["data"]]
    assert days == sorted(days, reverse=True)
    assert body["pagination"] == {"limit": "100", "offset": "0", "count": "100", "total": "3270"}
    assert read(dialect, symbols="IBM", limit=5000)["pagination"]["limit"] == "1000"


def test_dates_are_inclusive_and_symbols_interleave_by_date(dialect):
    body = read(dialect, symbols="AAPL,IBM,NOPE", date_from="2013-02-27", date_to="2013-02-28", sort="ASC")
    rows = [(row["date"][:10], row["symbol"]) for row in body["data"]]
    assert rows == [(day, name) for day in ("2013-02-27", "2013-02-28") for name in ("AAPL", "IBM")]
    latest = read(dialect, "/eod/latest", symbols="AAPL,TSCO.XLON")["data"]
    assert {row["symbol"]: row["date"][:10] for row in latest} == {"AAPL": "2013-03-01", "TSCO.XLON": "2026-11-23"}


def test_splits_and_dividends_and_prices_are_as_documented(dialect):
    assert read(dialect, "/splits", symbols="AAPL", date_from="2020-01-01")["data"] == [
        {"date": "2020-08-31", "split_factor": "4.0", "stock_split": None, "symbol": "AAPL"}
    ]
    (paid,) = read(dialect, "/dividends", symbols="IBM", date_from="2012-01-01", date_to="2012-03-31")["data"]
    assert (paid["date"], paid["dividend"], paid["payment_date"]) == ("2012-02-08", "0.37", "2012-02-29 00:00:00")
    prices = read(dialect, "/stockprice", ticker="AAPL")["data"]
    assert [(one["exchange_code"], one["currency"]) for one in prices] == [("WSE", "PLN"), ("NASDAQ", "USD")]
    assert prices[1]["price"] == read(dialect, "/eod/latest", symbols="AAPL")["data"][0]["close"]
    assert [one["ticker"] for one in read(dialect, "/tickerslist", search="tesco")["data"]] == ["TSCO.XLON"]


@pytest.mark.parametrize(
    ("path", "query", "expected"),
    [
        ("/eod", {}, (422, "validation_error")),
        ("/eod", {"symbols": ",".join(["A"] * 101)}, (422, "validation_error")),
        ("/eod", {"symbols": "NOPE"}, (422, "no_valid_symbols_provided")),
        ("/eod", {"symbols": "IBM", "sort": "up"}, (422, "validation_error")),
        ("/eod", {"symbols": "IBM", "limit": "x"}, (422, "validation_error")),
        ("/eod", {"symbols": "IBM", "date_from": "yesterday"}, (422, "validation_error")),
        ("/eod", {"symbols": "IBM", "date_from": "2013-01-02", "date_to": "2013-01-01"}, (422, "validation_error")),
        ("/eod/yesterday", {"symbols": "IBM"}, (404, "404_not_found")),
        ("/stockprice", {}, (422, "validation_error")),
        ("/stockprice", {"ticker": "NOPE"}, (422, "no_valid_symbols_provided")),
        ("/intraday", {"symbols": "IBM"}, (404, "invalid_api_function")),
    ],
)
def test_a_wrong_request_is_refused_with_status_and_code(dialect, path, query, expected):
    assert code(ask(dialect, path, **query)) == expected


def test_a_validation_error_names_the_parameter(dialect):
    error = json.loads(ask(dialect).body)["error"]
    assert error["context"]["symbols"][0]["key"] == "missing_symbols"


def test_a_key_is_needed_and_checked(dialect):
    assert code(ask(dialect, key="", symbols="IBM")) == (401, "missing_access_key")
    assert code(ask(dialect, key="wrong", symbols="IBM")) == (401, "invalid_access_key")


def test_five_requests_a_second_a_price_a_minute_and_each_symbol_of_a_month_are_counted(dialect):
    dialect.limits |= {"per_second": 5, "prices_per_minute": 1, "month": 10}
    asked = [ask(dialect, symbols="IBM", limit=1) for _ in range(6)]
    assert [one.status for one in asked] == [200] * 5 + [429]
    assert code(asked[-1]) == (429, "rate_limit_reached")
    later = NOW + timedelta(seconds=2)
    assert ask(dialect, "/stockprice", ticker="IBM", now=later).status == 200
    assert code(ask(dialect, "/stockprice", ticker="IBM", now=later)) == (429, "rate_limit_reached")
    assert ask(dialect, symbols="IBM,AAPL,MSFT,GOOG", now=later).status == 200
    assert code(ask(dialect, symbols="IBM", now=later)) == (429, "too_many_requests")
    assert ask(dialect, symbols="IBM", now=datetime(2026, 12, 1, tzinfo=UTC)).status == 200


def test_a_plan_without_prices_is_told_so(dialect):
    dialect.limits["has_prices"] = 0
    assert code(ask(dialect, "/stockprice", ticker="IBM")) == (403, "function_access_restricted")
    dialect.limits["has_prices"] = 1


def test_the_dialect_says_what_must_come_of_it_and_the_same_for_ever(dialect):
    assert isinstance(dialect, Conforming)
    assert {example.dataset for example in dialect.examples()} == {"bars", "quotes", "actions"}
    assert len(dialect.error_cases()) >= 3
    assert dialect.truth()["AAPL"] == {"rows": 3270, "last": "2013-03-01"}
    other = Marketstack(7)
    for example in dialect.examples():
        assert dialect.rows(example, now_s=NOW.timestamp()) == other.rows(example, now_s=NOW.timestamp())
