"""Finnhub's two readings against each other: what the provider asks, the sandbox's dialect answers completely."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

import sandbox.contract
from ingest.errors import FixRequest, KeyRefused, SlowDown, TryAgain, UnknownName
from ingest.providers import finnhub
from ingest.providers.contract import Query
from ingest.wire import Answer
from sandbox.dialects.finnhub import Finnhub
from sandbox.finnhub_cases import ERROR_CASES, EXAMPLES

NOW = datetime(2026, 11, 24, 15, 37, 0, 500_000, UTC)
DECISIONS = {
    "again": TryAgain,
    "wait": SlowDown,
    "key": KeyRefused,
    "plan": FixRequest,
    "request": FixRequest,
    "unknown": UnknownName,
    "nothing": type(None),
}


@pytest.fixture
def exchange():
    dialect = Finnhub(7)
    dialect.limits |= {"calls_per_minute": 10**6, "calls_per_second": 10**6}
    return dialect


def query_of(example):
    """Return the example's query; a live poll where it has no window."""
    start, end = (datetime.fromisoformat(text) if text else None for text in (example.start, example.end))
    if end is None and example.dataset not in ("quotes", "books", "trades"):
        end = NOW
    return Query(example.dataset, (example.instrument,), example.interval or None, start, end)


def send(exchange, request, *, now=NOW, key="sandbox-key", fault=None):
    headers = {"x-finnhub-token": key}
    asked = sandbox.contract.Request(request.path, dict(request.params), headers, "127.0.0.1", now.timestamp())
    said = exchange.answer(asked)
    said = said if isinstance(said, sandbox.contract.Answer) else said()
    status, body = said.status, said.body
    if fault:
        status, body = fault["status"], str(fault.get("body", exchange.error_body.decode())).encode()
    return Answer(request, status, {name.lower(): value for name, value in said.headers}, body, now, now)


def fetch(exchange, query):
    """Return the rows of all pages, oldest first, and how many requests they took."""
    found, count, left = [], 0, finnhub.build(query)
    while left:
        count += 1
        answer = send(exchange, left.pop(0))
        assert finnhub.error_of(answer) is None, answer.body
        parsed = finnhub.parse(query, answer)
        assert parsed.rejects == ()
        found += [(parsed.time_unit, row) for row in zip(*parsed.columns.values(), strict=True)]
        names = list(parsed.columns)
        following = finnhub.next_page(answer.request, answer)
        left += [] if following is None else [following]
    rows = [dict(zip(names, row, strict=True)) | {"ts": iso(row[1], unit)} for unit, row in found]
    return sorted(rows, key=lambda row: row["ts"]), count


def iso(ts, unit):
    per_s = {"s": 1, "ms": 1000, "date": 1}[unit]
    if unit == "date":
        return f"{date.fromisoformat(ts)}T00:00:00.000Z"
    return f"{datetime.fromtimestamp(ts // per_s, UTC):%Y-%m-%dT%H:%M:%S}.{ts % per_s * 1000 // per_s:03d}Z"


@pytest.mark.parametrize("new_york", [0, 1])
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: f"{e.dataset}-{e.instrument}-{e.interval}")
def test_every_example_comes_whole_and_nothing_else_whatever_zone_its_dates_are_in(exchange, example, new_york):
    exchange.limits |= {"news_dates_in_new_york": new_york, "daily_stamps_in_new_york": new_york}
    expected = exchange.rows(example, now_s=NOW.timestamp())
    found, _ = fetch(exchange, query_of(example))
    assert expected
    assert [row.pop("instrument") for row in found] == [example.instrument] * len(expected)
    assert found == expected


def test_examples_have_windows_of_several_pages(exchange):
    counts = {example: fetch(exchange, query_of(example))[1] for example in EXAMPLES}
    assert {e.dataset for e, count in counts.items() if count > 1} == {"bars", "trades", "news"}
    assert {e.dataset for e in EXAMPLES} == set(finnhub.facts.datasets)


@pytest.mark.parametrize("case", ERROR_CASES, ids=lambda case: case.name)
def test_every_error_of_the_sandbox_leads_to_what_its_documentation_wants(exchange, case):
    request = finnhub.build(query_of(case.example))[0]
    answer = send(exchange, request, key=case.key or "sandbox-key", fault=case.fault.get("args"))
    error = finnhub.error_of(answer)
    assert type(error) is DECISIONS[case.decision]
    if error is None:
        assert finnhub.parse(query_of(case.example), answer).columns["ts"] == []


@pytest.mark.parametrize("dataset", ["bars", "trades", "books", "observations"])
def test_on_the_free_plan_paid_datasets_are_refused_for_good_and_the_others_are_not(exchange, dataset):
    exchange.limits["paid_plan"] = 0
    name = "MA.USA.656880" if dataset == "observations" else "AAPL"
    query = Query(dataset, (name,), "1d" if dataset == "bars" else None, NOW - timedelta(days=3), NOW)
    error = finnhub.error_of(send(exchange, finnhub.build(query)[0]))
    assert type(error) is FixRequest
    assert dataset in finnhub.facts.paid
    for free in (Query("quotes", ("AAPL",)), Query("news", ("AAPL", "MERGER"), None, None, NOW)):
        assert free.dataset not in finnhub.facts.paid
        assert all(finnhub.error_of(send(exchange, request)) is None for request in finnhub.build(free))


def test_a_live_poll_brings_the_newest_of_every_dataset_that_has_one(exchange):
    bars, count = fetch(exchange, Query("bars", ("AAPL", "BTC-USDT"), "1m", None, NOW))
    assert (count, max(row["ts"] for row in bars)) == (2, "2026-11-24T15:37:00.000Z")
    assert len(bars) == 10
    days, _ = fetch(exchange, Query("bars", ("BTC-USDT",), "1d", None, NOW))
    assert [row["ts"][:10] for row in days][-1] == "2026-11-24"
    news, _ = fetch(exchange, Query("news", ("AAPL",), None, None, NOW))
    assert {row["ts"][:10] for row in news} >= {"2026-11-22", "2026-11-23"}


def test_a_long_window_of_news_is_never_cut_by_the_number_of_rows_of_an_answer(exchange):
    exchange.limits["news_rows"] = 12
    start = datetime(2026, 1, 1, tzinfo=UTC)
    rows, count = fetch(exchange, Query("news", ("MSFT",), None, start, start + timedelta(days=60)))
    assert count == 61
    assert len(rows) > 200
    assert len({row["article_id"] for row in rows}) == len(rows)


def test_the_catalogue_lists_shares_and_a_search_finds_pairs_that_our_grammar_can_spell(exchange):
    assert finnhub.listed(send(exchange, finnhub.catalogue())) == ["AAPL", "FB", "GOOG", "IBM", "MSFT"]
    assert finnhub.listed(send(exchange, finnhub.catalogue("btc"))) == ["BTC-USDT", "ETH-BTC"]
    assert finnhub.listed(send(exchange, finnhub.catalogue("VOLV"))) == []


def test_requests_within_the_stated_limits_are_never_refused_and_the_next_is_told_to_slow_down():
    exchange = Finnhub(7)
    (request,) = finnhub.build(Query("quotes", ("AAPL",)))
    for i in range(60):
        assert finnhub.error_of(send(exchange, request, now=NOW + timedelta(seconds=i / 30))) is None
    error = finnhub.error_of(send(exchange, request, now=NOW + timedelta(seconds=2)))
    assert type(error) is SlowDown
