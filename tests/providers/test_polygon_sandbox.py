"""Polygon's two readings against each other: every example's rows come whole, every error means what it must."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta

import pytest

import sandbox.contract
from ingest.errors import BadData, FixRequest, KeyRefused, SlowDown, TryAgain, UnknownName
from ingest.market.symbols import is_instrument
from ingest.providers import polygon
from ingest.providers.contract import Query
from ingest.wire import Answer
from sandbox.body_faults import BODY_FAULTS, Case
from sandbox.dialects.polygon import SANDBOX_KEY, Polygon

NOW = datetime(2026, 11, 24, 17, 30, 12, 500_000, UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
PER_US = {"us": 1, "ms": 1000}
MEANS = {
    "again": TryAgain,
    "wait": SlowDown,
    "key": KeyRefused,
    "plan": FixRequest,
    "request": FixRequest,
    "unknown": UnknownName,
    "nothing": type(None),
}
DIALECT = Polygon(7)


@pytest.fixture
def exchange():
    DIALECT.forget_spending()
    DIALECT.limits |= {"calls_per_minute": 10**9, "bases_a_page": 5_000, "rows_a_page": 1_000}
    return DIALECT


def send(exchange, request, *, key=SANDBOX_KEY, now=NOW):
    headers = {"authorization": f"{polygon.facts.key.prefix}{key}"}
    asked = sandbox.contract.Request(request.path, dict(request.params), headers, "127.0.0.1", now.timestamp())
    said = exchange.answer(asked)
    said = said if isinstance(said, sandbox.contract.Answer) else said()
    return Answer(request, said.status, {}, said.body, now, now)


def moment(text):
    return datetime.fromisoformat(text) if text else None


def query_of(example):
    start, end = moment(example.start), moment(example.end)
    return Query(example.dataset, (example.instrument,), example.interval or None, start, end)


def fetch(exchange, query, now=NOW):
    """Return the rows of all pages as dictionaries, and how many requests they took."""
    found, count, left = [], 0, polygon.build(query)
    while left:
        count += 1
        answer = send(exchange, left.pop(0), now=now)
        assert polygon.error_of(answer) is None, answer.body
        parsed = polygon.parse(query, answer)
        assert parsed.rejects == ()
        names = list(parsed.columns)
        for row in zip(*parsed.columns.values(), strict=True):
            found.append(dict(zip(names, row, strict=True)) | {"unit": parsed.time_unit})
        following = polygon.next_page(answer.request, answer)
        left += [] if following is None else [following]
    return found, count


def iso(row):
    """Return the row's time as text, as the table would have it."""
    if row["unit"] == "date":
        return f"{row['ts']}T00:00:00Z"
    us = row["ts"] // 1000 if row["unit"] == "ns" else row["ts"] * PER_US[row["unit"]]
    return (EPOCH + timedelta(microseconds=us)).isoformat().replace("+00:00", "Z")


@pytest.mark.parametrize("example", DIALECT.examples(), ids=lambda e: f"{e.dataset}-{e.instrument}-{e.interval}")
def test_an_example_comes_whole_whatever_the_size_of_its_pages(exchange, example):
    expected = exchange.rows(example, now_s=NOW.timestamp())
    assert expected
    for sizes in ({}, {"bases_a_page": 97, "rows_a_page": 83}):
        if sizes and example.interval in ("1m", "30m"):
            continue  # hundreds of pages; the default has several already
        exchange.limits |= sizes
        rows, _ = fetch(exchange, query_of(example))
        rows = sorted(rows, key=iso) if example.dataset == "actions" else rows
        assert [row["instrument"] for row in rows] == [example.instrument] * len(expected)
        shown = [{"ts": iso(row)} | {name: row.get(name) for name in expected[0] if name != "ts"} for row in rows]
        assert shown == expected


def test_windows_take_several_pages_by_default(exchange):
    counts = {e.dataset: fetch(exchange, query_of(e))[1] for e in exchange.examples() if e.interval in ("1m", "")}
    assert counts["trades"] > 1
    assert counts["observations"] == 1
    assert fetch(exchange, query_of(exchange.examples()[2]))[1] == 2


@pytest.mark.parametrize("case", DIALECT.error_cases(), ids=lambda case: case.name)
def test_each_error_leads_to_what_the_documentation_says(exchange, case):
    query = query_of(case.example)
    request = polygon.build(query)[0]
    answer = send(exchange, request, key=case.key or SANDBOX_KEY)
    if case.fault:
        said = sandbox.contract.Answer(answer.status, answer.body)
        faulty = BODY_FAULTS[case.fault["fault"]](said, Case(case.fault["args"], exchange, NOW.timestamp(), ""))
        answer = Answer(request, faulty.status, {}, faulty.body, NOW, NOW)
    error = polygon.error_of(answer)
    assert type(error) is MEANS[case.decision]
    if case.decision == "wait":
        assert error.retry_after_s == 48.0
    if case.decision == "nothing":
        assert polygon.parse(query, answer).columns["ts"] == []


def test_raw_prices_are_served_and_adjusted_ones_are_never_taken_for_them(exchange):
    query = Query("bars", ("AAPL",), "1d", datetime(2005, 2, 25, tzinfo=UTC), datetime(2005, 3, 2, tzinfo=UTC))
    rows, _ = fetch(exchange, query)
    assert [(row["ts"], row["close"]) for row in rows] == [
        ("2005-02-25", "88.99"), ("2005-02-28", "44.86"), ("2005-03-01", "44.5")]  # fmt: skip
    (request,) = polygon.build(query)
    adjusted = send(exchange, request.__class__(request.path, request.params[1:]))
    with pytest.raises(BadData):
        polygon.parse(query, Answer(request, 200, {}, adjusted.body, NOW, NOW))


def sorted_by(row):
    return row["instrument"], row["ts"]


def test_many_shares_of_few_days_are_asked_for_by_day_and_give_the_same_bars(exchange):
    start, end = datetime(2012, 3, 9, tzinfo=UTC), datetime(2012, 3, 13, tzinfo=UTC)
    names = ("AAPL", "FB", "GOOG", "IBM", "MSFT")
    by_day, count = fetch(exchange, Query("bars", names, "1d", start, end))
    assert count == 2
    one_by_one = [row for name in names for row in fetch(exchange, Query("bars", (name,), "1d", start, end))[0]]
    assert sorted(by_day, key=sorted_by) == sorted(one_by_one, key=sorted_by)
    assert {row["instrument"] for row in by_day} == {"AAPL", "GOOG", "IBM", "MSFT"}


@pytest.mark.parametrize(
    "names", [("AAPL", "GOOG", "IBM", "MSFT", "FB"), ("BTC-USD", "DOGE-USD", "ETH-USD", "AAPL", "X-USD")]
)
def test_a_poll_of_daily_bars_is_never_refused_on_the_free_plan(exchange, names):
    rows, _ = fetch(exchange, Query("bars", names, "1d", None, NOW))
    dates = {row["ts"] for row in rows if row["instrument"] == names[0]}
    assert str(NOW.date() - timedelta(days=1)) in dates
    assert max(dates) <= str(NOW.date())


def test_todays_whole_market_is_refused_for_the_plan_and_comes_later(exchange):
    start, end = datetime(2026, 11, 24, tzinfo=UTC), datetime(2026, 11, 25, tzinfo=UTC)
    (request,) = polygon.build(Query("bars", ("AAPL", "IBM", "MSFT"), "1d", start, end))
    error = polygon.error_of(send(exchange, request))
    assert type(error) is FixRequest
    assert "after the day" in str(error)


def test_a_poll_of_minutes_brings_the_forming_bar_and_an_hour_before_it(exchange):
    rows, count = fetch(exchange, Query("bars", ("BTC-USD",), "1m", None, NOW))
    assert (count, iso(rows[-1])) == (1, "2026-11-24T17:30:00Z")
    assert 55 <= len(rows) <= 61


def test_a_poll_of_trades_and_news_brings_the_newest_first_in_one_page(exchange):
    trades, count = fetch(exchange, Query("trades", ("BTC-USD",)))
    assert (len(trades), count) == (1000, 1)
    assert [row["ts"] for row in trades] == sorted((row["ts"] for row in trades), reverse=True)
    news, count = fetch(exchange, Query("news", ("AAPL",)))
    assert (len(news), count) == (50, 1)


def test_the_catalogue_finds_tickers_and_series_and_names_go_there_and_back(exchange):
    names = polygon.listed(send(exchange, polygon.catalogue()))
    assert {"AAPL", "KIM.PR.L", "EUR-USD", "BTC-USD", "SPX.INDEX", "TREASURY.10Y"} <= set(names)
    for name in names:
        assert is_instrument(name)
        assert polygon.instrument_of(polygon.native_symbol(name)) == name
    assert polygon.listed(send(exchange, polygon.catalogue("dollar"))) == [
        "EUR-USD",
        "GBP-USD",
        "BTC-USD",
        "DOGE-USD",
        "ETH-USD",
    ]
    assert polygon.listed(send(exchange, polygon.catalogue("treasury")))[0] == "TREASURY.1M"


def test_five_calls_a_minute_are_never_refused_and_the_sixth_is_told_to_wait(exchange):
    exchange.limits["calls_per_minute"] = 5
    (request,) = polygon.build(Query("quotes", ("AAPL",)))
    errors = [polygon.error_of(send(exchange, request)) for _ in range(6)]
    assert [type(error) for error in errors] == [type(None)] * 5 + [SlowDown]
    assert polygon.error_of(send(exchange, request, now=NOW + timedelta(seconds=60))) is None


def test_the_next_page_goes_to_this_farms_address_and_carries_no_key(exchange):
    exchange.limits["rows_a_page"] = 10
    query = Query(
        "observations", ("TREASURY.10Y",), None, datetime(2020, 1, 1, tzinfo=UTC), datetime(2020, 3, 1, tzinfo=UTC)
    )
    answer = send(exchange, polygon.build(query)[0])
    following = polygon.next_page(answer.request, answer)
    assert following.path == "/fed/v1/treasury-yields"
    assert [name for name, _ in following.params] == ["cursor"]
    assert json.loads(answer.body)["next_url"].startswith("https://api.massive.com:443/")
    assert date.fromisoformat(polygon.parse(query, answer).columns["ts"][-1]) < date(2020, 2, 1)
