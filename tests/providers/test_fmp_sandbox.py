"""FMP's two readings against each other: what the provider asks, the sandbox's dialect answers completely."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

import sandbox.contract
from ingest.errors import FixRequest, KeyRefused, SlowDown, TryAgain, UnknownName
from ingest.providers import fmp
from ingest.providers.contract import Query
from ingest.wire import Answer
from sandbox.dialects.fmp import Fmp
from sandbox.fmp_cases import ERROR_CASES, EXAMPLES

NOW = datetime(2026, 11, 24, 15, 37, 0, 500_000, UTC)
DECISIONS = {
    "again": TryAgain,
    "wait": SlowDown,
    "quota": SlowDown,
    "key": KeyRefused,
    "plan": FixRequest,
    "request": FixRequest,
    "unknown": UnknownName,
    "nothing": type(None),
}


@pytest.fixture
def exchange():
    dialect = Fmp(7)
    dialect.limits["calls_per_day"] = 10**6
    return dialect


def query_of(example):
    """Return the example's query; a live poll where it has no window."""
    start, end = (datetime.fromisoformat(text) if text else None for text in (example.start, example.end))
    if end is None and example.dataset not in ("quotes", "books", "trades"):
        end = NOW
    return Query(example.dataset, (example.instrument,), example.interval or None, start, end)


def send(exchange, request, *, now=NOW, key="sandbox-key", fault=None):
    headers = {"apikey": key}
    asked = sandbox.contract.Request(request.path, dict(request.params), headers, "127.0.0.1", now.timestamp())
    said = exchange.answer(asked)
    said = said if isinstance(said, sandbox.contract.Answer) else said()
    status, body = said.status, said.body
    if fault:
        status, body = fault["status"], str(fault.get("body", exchange.error_body.decode())).encode()
    return Answer(request, status, {name.lower(): value for name, value in said.headers}, body, now, now)


def fetch(exchange, query):
    """Return the rows of all pages, oldest first, and how many requests they took."""
    found, count, left = [], 0, fmp.build(query)
    while left:
        count += 1
        answer = send(exchange, left.pop(0))
        assert fmp.error_of(answer) is None, answer.body
        parsed = fmp.parse(query, answer)
        assert parsed.rejects == ()
        found += [(parsed.time_unit, row) for row in zip(*parsed.columns.values(), strict=True)]
        names = list(parsed.columns)
        following = fmp.next_page(answer.request, answer)
        left += [] if following is None else [following]
    rows = [dict(zip(names, row, strict=True)) | {"ts": iso(row[1], unit)} for unit, row in found]
    return sorted(rows, key=lambda row: row["ts"]), count


def iso(ts, unit):
    per_s = {"s": 1, "ms": 1000, "date": 1}[unit]
    if unit == "date":
        return f"{date.fromisoformat(ts)}T00:00:00.000Z"
    return f"{datetime.fromtimestamp(ts // per_s, UTC):%Y-%m-%dT%H:%M:%S}.{ts % per_s * 1000 // per_s:03d}Z"


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: f"{e.dataset}-{e.instrument}-{e.interval}")
def test_every_example_comes_whole_and_nothing_else(exchange, example):
    expected = exchange.rows(example, now_s=NOW.timestamp())
    found, _ = fetch(exchange, query_of(example))
    assert expected
    assert [row.pop("instrument") for row in found] == [example.instrument] * len(expected)
    assert found == expected


def test_examples_have_windows_of_several_requests_and_news_of_several_pages(exchange):
    counts = {example: fetch(exchange, query_of(example))[1] for example in EXAMPLES}
    assert {e.dataset for e, count in counts.items() if count > 1} == {"bars", "actions", "news", "observations"}
    assert {e.dataset for e in EXAMPLES} == set(fmp.facts.datasets)


@pytest.mark.parametrize("case", ERROR_CASES, ids=lambda case: case.name)
def test_every_error_of_the_sandbox_leads_to_what_its_documentation_wants(exchange, case):
    request = fmp.build(query_of(case.example))[0]
    answer = send(exchange, request, key=case.key or "sandbox-key", fault=case.fault.get("args"))
    error = fmp.error_of(answer)
    assert type(error) is DECISIONS[case.decision]
    if case.decision in ("quota", "wait"):
        assert (error.retry_after_s is None) is (case.decision == "quota")
    if error is None:
        assert fmp.parse(query_of(case.example), answer).columns["ts"] == []


@pytest.mark.parametrize("in_200", [0, 1])
def test_a_spent_day_a_wrong_key_and_a_missing_plan_are_told_apart_whatever_their_status(in_200):
    exchange = Fmp(7)
    exchange.limits |= {"errors_in_200": in_200, "paid_plan": 0, "calls_per_day": 2}
    (quote,) = fmp.build(Query("quotes", ("AAPL",)))
    (news,) = fmp.build(Query("news", ("GENERAL",), None, None, NOW))
    assert type(fmp.error_of(send(exchange, quote, key="wrong"))) is KeyRefused
    assert type(fmp.error_of(send(exchange, news))) is FixRequest
    assert fmp.error_of(send(exchange, quote)) is None
    assert type(fmp.error_of(send(exchange, quote))) is SlowDown
    assert fmp.error_of(send(exchange, quote, now=NOW + timedelta(days=1))) is None


def test_a_symbol_the_plan_lacks_is_refused_for_that_symbol_alone(exchange):
    (request,) = fmp.build(Query("quotes", ("TSCO.LON",)))
    error = fmp.error_of(send(exchange, request))
    assert (type(error), error.instrument) == (FixRequest, "TSCO.LON")


def test_a_live_poll_brings_the_newest_of_every_dataset(exchange):
    minutes, count = fetch(exchange, Query("bars", ("AAPL",), "1m", None, NOW))
    assert (count, max(row["ts"] for row in minutes)) == (1, "2026-11-24T15:37:00.000Z")
    days, _ = fetch(exchange, Query("bars", ("BTC-USD",), "1d", None, NOW))
    assert (len(days), days[-1]["ts"][:10]) == (11, "2026-11-24")
    actions, count = fetch(exchange, Query("actions", ("AAPL",), None, None, NOW))
    assert (count, actions[0]["ts"][:4], actions[-1]["ts"][:7]) == (2, "1988", "2026-11")
    news, count = fetch(exchange, Query("news", ("STOCKS", "AAPL"), None, None, NOW))
    assert (len(news), count) == (40, 2)
    rates, count = fetch(exchange, Query("observations", ("TREASURY.10Y", "GDP", "TREASURY.1M"), None, None, NOW))
    assert {row["instrument"] for row in rates} == {"TREASURY.10Y", "GDP", "TREASURY.1M"}
    assert count == 4
    assert max(row["ts"] for row in rates if row["instrument"] == "GDP")[:10] == "2026-07-01"


def test_a_dividend_is_in_the_shares_of_the_day_it_is_asked_for(exchange):
    query = Query("actions", ("AAPL",), None, datetime(2020, 8, 1, tzinfo=UTC), datetime(2020, 8, 31, tzinfo=UTC))
    amounts = []
    for now in (datetime(2020, 8, 30, tzinfo=UTC), NOW):
        answer = send(exchange, fmp.build(query)[0], now=now)
        amounts += fmp.parse(query, answer).columns["amount"]
    before, after = map(Decimal, amounts)
    assert before == 4 * after


def test_the_catalogue_lists_shares_and_a_search_finds_what_our_grammar_can_spell(exchange):
    assert fmp.listed(send(exchange, fmp.catalogue())) == ["AAPL", "FB", "GOOG", "IBM", "MSFT"]
    assert fmp.listed(send(exchange, fmp.catalogue("A"))) == ["AAPL", "AAPL.MX"]
    assert fmp.listed(send(exchange, fmp.catalogue("S"))) == ["MSFT", "BTC-USD", "EUR-USD", "TSCO.LON"]
    assert fmp.listed(send(exchange, fmp.catalogue("VIX"))) == ["INDEX.VIX"]
