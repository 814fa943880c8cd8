"""FRED's two readings against each other: what the provider asks, the sandbox's dialect answers completely."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

import sandbox.contract
from ingest.errors import FixRequest, KeyRefused, SlowDown, TryAgain, UnknownName
from ingest.providers import fred
from ingest.providers.contract import Query
from ingest.providers.fred_parts import real_time
from ingest.wire import Answer
from sandbox.dialects.fred import Fred
from sandbox.fred_cases import ERROR_CASES, examples
from sandbox.fred_series import FredMarket

EXAMPLES = examples(FredMarket(7))
#: Half past midnight in UTC, the day before in Saint Louis.
NOW = datetime(2026, 11, 25, 0, 30, tzinfo=UTC)
DECISIONS = {
    "again": TryAgain,
    "wait": SlowDown,
    "key": KeyRefused,
    "request": FixRequest,
    "unknown": UnknownName,
    "nothing": type(None),
}


@pytest.fixture(scope="module")
def market():
    return Fred(7)


@pytest.fixture
def exchange(market):
    market.limits |= {"requests_per_minute": 10**6, "observation_rows": 1_000}
    return market


def query_of(example):
    start, end = (datetime.fromisoformat(text) for text in (example.start, example.end))
    return Query(example.dataset, (example.instrument,), example.interval or None, start, end)


def send(exchange, request, *, now=NOW, key="sandbox-key", fault=None):
    params = dict(request.params) | {"api_key": key}
    asked = sandbox.contract.Request(request.path, params, {}, "127.0.0.1", now.timestamp())
    said = exchange.answer(asked)
    said = said if isinstance(said, sandbox.contract.Answer) else said()
    status, body = said.status, said.body
    if fault:
        status, body = fault["status"], str(fault["body"]).encode()
    return Answer(request, status, {}, body, now, now)


def fetch(exchange, query, now=NOW):
    """Return the rows of all pages by date and vintage, and the statuses of the requests that they took."""
    found, statuses, left = [], [], fred.build(query)
    while left:
        answer = send(exchange, left.pop(0), now=now)
        statuses.append(answer.status)
        assert fred.error_of(answer) is None, answer.body
        parsed = fred.parse(query, answer)
        assert parsed.rejects == ()
        found += [dict(zip(parsed.columns, row, strict=True)) for row in zip(*parsed.columns.values(), strict=True)]
        following = fred.next_page(answer.request, answer)
        left += [] if following is None else [following]
    return sorted(found, key=lambda row: (row["ts"], row["vintage"] or "")), statuses


def in_our_words(expected, instrument):
    """Return the sandbox's rows as the parser names them; a vintage that it does not tell is None."""
    return [
        {"instrument": instrument, "ts": row["ts"][:10], "vintage": row.get("vintage"), "value": row["value"]}
        for row in expected
    ]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: f"{e.instrument}-{e.start[:4]}")
def test_every_example_comes_whole_with_all_its_vintages_and_nothing_else(exchange, example):
    expected = in_our_words(exchange.rows(example, now_s=NOW.timestamp()), example.instrument)
    found, _ = fetch(exchange, query_of(example))
    assert expected
    assert found == expected


@pytest.mark.parametrize("page_rows", [300, 100_000])
def test_a_window_is_the_same_whatever_the_size_of_its_pages_and_steps(exchange, page_rows, monkeypatch):
    daily, monthly = (next(e for e in EXAMPLES if e.instrument == name) for name in ("DGS10", "INDPRO"))
    expected = [fetch(exchange, query_of(one))[0] for one in (daily, monthly)]
    exchange.limits["observation_rows"] = page_rows
    for days in (real_time.STEP_DAYS, 600):
        monkeypatch.setattr(real_time, "STEP_DAYS", days)
        assert [fetch(exchange, query_of(one))[0] for one in (daily, monthly)] == expected


def test_examples_have_revisions_missing_values_forecasts_pages_and_steps_of_real_time(exchange):
    answers = {example: fetch(exchange, query_of(example)) for example in EXAMPLES}
    statuses = {f"{e.instrument} {e.start[:4]}": found[1] for e, found in answers.items()}
    assert statuses["UNRATE 2012"] == statuses["GDPC1 2010"] == [200]
    assert statuses["PAYEMS 2000"] == [200, 200]
    assert statuses["SP500 2021"] == [400, 200]
    assert statuses["DGS10 2009"][:2] == [400, 400]
    assert len(statuses["DGS10 2009"]) > 8
    rows = [row for found, _ in answers.values() for row in found]
    assert max(Counter((row["instrument"], row["ts"]) for row in rows).values()) >= 8
    assert any(row["value"] is None for row in rows)
    assert any(row["vintage"] and row["vintage"] < row["ts"] for row in rows)


def test_a_poll_brings_what_was_published_lately_and_what_polls_bring_is_what_a_window_brings(exchange):
    for name in ("UNRATE", "INDPRO", "GDPC1", "DGS10", "FEDTARMD", "PAYEMS"):
        found, statuses = fetch(exchange, Query("observations", (name,), None, None, NOW))
        assert set(statuses) == {200}
        window = Query("observations", (name,), None, NOW - timedelta(days=6 * 366), NOW + timedelta(days=3650))
        published = (NOW - timedelta(days=400)).date().isoformat()
        whole, _ = fetch(exchange, window)
        assert found == [row for row in whole if row["vintage"] > published]
        assert found


def test_polls_over_the_years_together_hold_every_revision_of_that_time(exchange):
    name, found = "PAYEMS", {}
    for days in range(1000, -1, -200):
        at = NOW - timedelta(days=days)
        rows, _ = fetch(exchange, Query("observations", (name,), None, None, at), at)
        found |= {(row["ts"], row["vintage"]): row for row in rows}
    window = Query("observations", (name,), None, NOW - timedelta(days=5 * 365), NOW)
    whole, _ = fetch(exchange, window)
    since = (NOW - timedelta(days=1390)).date().isoformat()
    wanted = {(row["ts"], row["vintage"]): row for row in whole if row["vintage"] > since}
    assert len(wanted) > 100
    assert wanted.items() <= found.items()


def test_a_series_that_ended_years_ago_has_nothing_new_and_one_without_vintages_its_newest_values(exchange):
    assert fetch(exchange, Query("observations", ("UNRATENSA",), None, None, NOW)) == ([], [200])
    found, statuses = fetch(exchange, Query("observations", ("SP500",), None, None, NOW))
    assert statuses == [400, 200, 200]
    assert found[-1]["ts"] == "2026-11-23"
    assert {row["vintage"] for row in found} == {None}


@pytest.mark.parametrize("case", ERROR_CASES, ids=lambda case: case.name)
def test_every_error_of_the_sandbox_leads_to_what_its_documentation_wants(exchange, case):
    request = fred.build(query_of(case.example))[0]
    answer = send(exchange, request, key=case.key or "sandbox-key", fault=case.fault.get("args"))
    error = fred.error_of(answer)
    assert type(error) is DECISIONS[case.decision]
    if error is None:
        assert fred.parse(query_of(case.example), answer).columns["ts"] == []


def test_a_search_finds_series_by_id_and_title(exchange):
    assert fred.listed(send(exchange, fred.catalogue("unemployment rate"))) == ["UNRATENSA", "UNRATE"]
    assert fred.listed(send(exchange, fred.catalogue("dgs10"))) == ["DGS10"]
    assert fred.listed(send(exchange, fred.catalogue("nothing of the kind"))) == []


def test_requests_within_the_stated_limit_are_never_refused_and_the_next_is_told_to_slow_down():
    exchange = Fred(7)
    (request,) = fred.build(Query("observations", ("GDPC1",), None, None, NOW))
    for i in range(fred.facts.limits[0].amount):
        assert fred.error_of(send(exchange, request, now=NOW + timedelta(seconds=i / 4))) is None
    error = fred.error_of(send(exchange, request, now=NOW + timedelta(seconds=40)))
    assert (type(error), error.retry_after_s) == (SlowDown, 20.0)


def test_the_sandbox_speaks_xml_unless_json_is_asked_for_which_the_provider_always_does(exchange):
    for request in (*fred.build(query_of(EXAMPLES[0])), fred.catalogue("rate")):
        assert json.loads(send(exchange, request).body)
