"""Nasdaq Data Link's two readings against each other: what is asked, the sandbox's dialect answers completely."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

import sandbox.contract
from ingest.errors import FixRequest, KeyRefused, SlowDown, TryAgain, UnknownName
from ingest.providers import nasdaq_data_link as nasdaq
from ingest.providers.contract import Query
from ingest.wire import Answer
from sandbox.dialects.nasdaq_data_link import NasdaqDataLink
from sandbox.nasdaq_cases import BARS, ERROR_CASES, EXAMPLES, GOLD

NOW = datetime(2026, 11, 25, 3, 0, tzinfo=UTC)
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


@pytest.fixture(scope="module")
def loaded():
    return NasdaqDataLink(7)


@pytest.fixture
def exchange(loaded):
    loaded.limits |= {"keyed_per_10_s": 10**6, "keyed_per_10_minutes": 10**6, "rows_per_page": 500}
    return loaded


def query_of(example):
    start, end = (datetime.fromisoformat(text) for text in (example.start, example.end))
    return Query(example.dataset, (example.instrument,), example.interval or None, start, end)


def send(exchange, request, *, key="sandbox-key", fault=None):
    asked = sandbox.contract.Request(
        request.path, dict(request.params), {"x-api-token": key}, "127.0.0.1", NOW.timestamp()
    )
    said = exchange.answer(asked)
    said = said if isinstance(said, sandbox.contract.Answer) else said()
    status, body = said.status, said.body
    if fault:
        status, body = fault["status"], str(fault["body"]).encode()
    return Answer(request, status, {}, body, NOW, NOW)


def fetch(exchange, query):
    """Return the rows of all pages, oldest first, and how many requests they took."""
    found, count, left = [], 0, nasdaq.build(query)
    while left:
        count += 1
        answer = send(exchange, left.pop(0))
        assert nasdaq.error_of(answer) is None, answer.body
        parsed = nasdaq.parse(query, answer)
        assert parsed.rejects == ()
        found += [dict(zip(parsed.columns, row, strict=True)) for row in zip(*parsed.columns.values(), strict=True)]
        following = nasdaq.next_page(answer.request, answer)
        left += [] if following is None else [following]
    return sorted(found, key=lambda row: row["ts"]), count


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: f"{e.instrument}-{e.start[:4]}")
def test_every_example_comes_whole_and_nothing_else(exchange, example):
    untold = {"vintage": None} if example.dataset == "observations" else {}
    expected = [
        {"instrument": example.instrument, **row, "ts": row["ts"][:10], **untold}
        for row in exchange.rows(example, now_s=NOW.timestamp())
    ]
    found, count = fetch(exchange, query_of(example))
    assert expected
    assert found == expected
    has_pages = example.dataset == "bars" or example.instrument.startswith("NDAQ.RTAT10.")
    assert count == (-(-len(expected) // 500) if has_pages else 1)


def test_examples_have_every_dataset_several_pages_and_missing_values(exchange):
    assert {example.dataset for example in EXAMPLES} == set(nasdaq.facts.datasets)
    assert fetch(exchange, query_of(BARS))[1] == 4
    holes = [row["ts"] for row in fetch(exchange, query_of(GOLD))[0] if row["value"] is None]
    assert holes == [f"{year}-12-{day}" for year in (2015, 2018, 2019) for day in (24, 31)]


def test_a_poll_brings_the_newest_rows_of_a_dataset_however_old_they_are(exchange):
    found, count = fetch(exchange, Query("observations", ("FRED.UNRATENSA.VALUE",), None, None, NOW))
    assert (len(found), count, found[-1]["ts"], found[-1]["value"]) == (100, 1, "2016-12-01", "4.5")


def test_a_window_after_the_datasets_end_is_empty_and_no_error(exchange):
    query = Query("observations", ("LBMA.GOLD.USDAM",), None, NOW - timedelta(days=30), NOW)
    assert fetch(exchange, query) == ([], 1)


@pytest.mark.parametrize("case", ERROR_CASES, ids=lambda case: case.name)
def test_every_error_of_the_sandbox_leads_to_what_its_documentation_wants(exchange, case):
    request = nasdaq.build(query_of(case.example))[0]
    answer = send(exchange, request, key=case.key or "sandbox-key", fault=case.fault.get("args"))
    error = nasdaq.error_of(answer)
    assert type(error) is DECISIONS[case.decision]
    if case.decision in ("wait", "quota"):
        assert (error.retry_after_s is None) == (case.decision == "quota")
    if error is None:
        assert nasdaq.parse(query_of(case.example), answer).columns["ts"] == []
