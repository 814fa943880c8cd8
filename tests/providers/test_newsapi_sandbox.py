"""NewsAPI's two readings against each other: what the provider asks, the sandbox's dialect answers completely."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

import sandbox.contract
from ingest.errors import FixRequest, KeyRefused, SlowDown, TryAgain
from ingest.providers import newsapi
from ingest.providers.contract import Query
from ingest.wire import Answer
from sandbox.contract import Example, placed
from sandbox.dialects.newsapi import SANDBOX_KEY, NewsApi
from sandbox.faults import Faults
from sandbox.news_wire import BURST, SUBJECTS

NOW = datetime(2026, 11, 23, 2, 37, 0, 500_000, UTC)
EXAMPLES = tuple(placed(one, NOW.timestamp()) for one in NewsApi(7).examples())
CASES = NewsApi(7).error_cases()
NOON = Example("news", "INFLATION", start="2026-11-12T06:00:00Z", end="2026-11-12T18:00:00Z")


@pytest.fixture
def dialect():
    made = NewsApi(7)
    made.limits |= {"requests_per_day": 10**6, "requests_per_12_hours": 10**6}
    return made


def asked(request, now=NOW, key=SANDBOX_KEY):
    headers = {newsapi.facts.key.name: key}
    return sandbox.contract.Request(request.path, dict(request.params), headers, "127.0.0.1", now.timestamp())


def said(dialect, ask):
    answer = dialect.answer(ask)
    return answer if isinstance(answer, sandbox.contract.Answer) else answer()


def received(request, answer, now=NOW):
    return Answer(request, answer.status, dict(answer.headers), answer.body, now, now)


def send(dialect, request, now=NOW):
    return received(request, said(dialect, asked(request, now)), now)


def query_of(example):
    example = placed(example, NOW.timestamp())
    start, end = (datetime.fromisoformat(text) if text else None for text in (example.start, example.end))
    return Query(example.dataset, (example.instrument,), None, start, NOW if end is None else end)


def fetch(dialect, query):
    """Return the rows of all pages, what was rejected, and the requests it took."""
    rows, rejects, sent, left = [], [], [], newsapi.build(query)
    while left:
        request = left.pop(0)
        sent.append(request)
        answer = send(dialect, request)
        assert newsapi.error_of(answer) is None, answer.body
        parsed = newsapi.parse(query, answer)
        rejects += parsed.rejects
        rows += [dict(zip(parsed.columns, row, strict=True)) for row in zip(*parsed.columns.values(), strict=True)]
        following = newsapi.next_page(answer.request, answer)
        left += [] if following is None else [following]
    return rows, rejects, sent


def in_order(rows):
    return sorted(rows, key=lambda row: (row["ts"], row["article_id"]))


def expected_of(dialect, example):
    rows = dialect.rows(example, now_s=NOW.timestamp())
    return in_order(row | {"ts": int(datetime.fromisoformat(row["ts"]).timestamp()) * 10**6} for row in rows)


@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_every_example_is_copied_exactly(dialect, example):
    rows, rejects, sent = fetch(dialect, query_of(example))
    expected = expected_of(dialect, example)
    assert len(expected) >= 10
    assert rejects == []
    assert {row.pop("instrument") for row in rows} == {example.instrument}
    assert in_order(rows) == expected
    assert len(sent) == 1 or len(expected) > 100


def test_the_examples_have_a_window_of_several_pages_whose_joints_lie_within_a_second(dialect):
    rows, _, sent = fetch(dialect, query_of(EXAMPLES[0]))
    assert len(sent) >= 4
    assert len({row["ts"] for row in rows}) < len(rows)
    assert {dict(request.params).get("page") for request in sent} == {None}


@pytest.mark.parametrize("rows_a_page", [7, 11, 25])
@pytest.mark.parametrize("subject", SUBJECTS)
def test_whatever_the_pages_size_every_article_comes_once(dialect, subject, rows_a_page, monkeypatch):
    monkeypatch.setattr(newsapi, "PAGE_ROWS", rows_a_page)
    name = subject.upper().replace(" ", ".")
    example = Example("news", name, start="2026-11-12T13:00:00Z", end="2026-11-13T11:30:00.700Z")
    rows, _, sent = fetch(dialect, query_of(example))
    assert [row["article_id"] for row in in_order(rows)] == [row["article_id"] for row in expected_of(dialect, example)]
    assert len(sent) > 5


def test_more_articles_in_one_second_than_a_page_holds_are_paged_by_number_where_the_plan_serves_it(dialect):
    dialect.limits["results_most"] = 10_000
    rows, rejects, sent = fetch(dialect, query_of(NOON))
    assert BURST > newsapi.PAGE_ROWS
    assert [row["article_id"] for row in in_order(rows)] == [row["article_id"] for row in expected_of(dialect, NOON)]
    assert rejects == []
    assert "2" in {dict(request.params).get("page") for request in sent}


def test_where_the_plan_does_not_the_rest_of_that_second_is_reported(dialect):
    rows, rejects, sent = fetch(dialect, query_of(NOON))
    expected = expected_of(dialect, NOON)
    assert [(r.rule, r.instrument) for r in rejects] == [("missing_rows", "INFLATION")]
    assert {row["article_id"] for row in rows} < {row["article_id"] for row in expected}
    assert dict(sent[-1].params)["page"] == "2"


def test_removed_articles_are_reported_and_the_others_all_come(dialect):
    dialect.limits["removed_every"] = 5
    rows, rejects, _ = fetch(dialect, query_of(EXAMPLES[0]))
    dialect.limits["removed_every"] = 0
    every = {row["article_id"] for row in expected_of(dialect, EXAMPLES[0])}
    kept = {row["article_id"] for row in rows}
    assert len(kept) == len(rows)
    assert kept < every
    assert all(int(url.rpartition("/")[2].partition("?")[0]) % 5 == 0 for url in every - kept)
    assert {r.rule for r in rejects} == {"missing_field"}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_of_its_errors_leads_to_what_its_documentation_says(dialect, case):
    (request,) = newsapi.build(query_of(case.example))
    ask = asked(request, key=case.key or SANDBOX_KEY)
    answer, faults = said(dialect, ask), Faults()
    if case.fault:
        faults.arm({"provider": "newsapi", **case.fault}, {"newsapi": dialect})
        answer = faults.deliver(answer, ask, provider="newsapi", query="", dialect=dialect).answer
        assert faults.shown()[0]["fired"] == 1
    error = newsapi.error_of(received(request, answer))
    if case.decision == "nothing":
        assert error is None
        assert newsapi.parse(query_of(case.example), received(request, answer)).columns["ts"] == []
        return
    kinds = {"key": KeyRefused, "wait": SlowDown, "quota": SlowDown, "request": FixRequest, "again": TryAgain}
    assert type(error) is kinds[case.decision]
    assert case.key not in str(error) or not case.key
    if isinstance(error, SlowDown):
        assert (error.retry_after_s >= 3600) is (case.decision == "quota")


def test_requests_within_the_stated_limits_are_never_refused_and_one_more_waits():
    dialect = NewsApi(7)
    (request,) = newsapi.build(Query("news", ("APPLE",), None, None, NOW))
    at = NOW
    for limit in sorted(newsapi.facts.limits, key=lambda limit: limit.per_s):
        room = limit.amount - (0 if at == NOW else 50)
        for _ in range(room):
            assert newsapi.error_of(send(dialect, request, at)) is None
        assert isinstance(newsapi.error_of(send(dialect, request, at)), SlowDown)
        at += timedelta(seconds=limit.per_s)


def test_the_farthest_reach_of_the_facts_is_answered_and_what_is_older_is_a_wrong_request(dialect):
    reach, hour = timedelta(days=newsapi.facts.reach_days["news"]), timedelta(hours=1)
    (request,) = newsapi.build(Query("news", ("APPLE",), None, NOW - reach, NOW - reach + hour))
    assert newsapi.error_of(send(dialect, request)) is None
    old = NOW - timedelta(days=31)
    (request,) = newsapi.build(Query("news", ("APPLE",), None, old, old + hour))
    assert type(newsapi.error_of(send(dialect, request))) is FixRequest


def test_a_window_that_ends_now_brings_what_the_plan_serves_of_it(dialect):
    query = Query("news", ("APPLE",), None, NOW - timedelta(days=2), NOW)
    rows, _, _ = fetch(dialect, query)
    assert rows
    assert max(row["ts"] for row in rows) <= int((NOW - timedelta(hours=24)).timestamp()) * 10**6
