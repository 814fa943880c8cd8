"""GDELT's two readings against each other: what the provider asks, the sandbox's dialect answers completely."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

import sandbox.contract
from ingest.errors import FixRequest, SlowDown, TryAgain
from ingest.providers import gdelt
from ingest.providers.contract import Query
from ingest.wire import Answer
from sandbox.body_faults import BODY_FAULTS, Case
from sandbox.dialects.gdelt import Gdelt

NOW = datetime(2026, 11, 23, 2, 37, 20, 500_000, UTC)
EXAMPLES, ERROR_CASES = Gdelt(7).examples(), Gdelt(7).error_cases()
DECISIONS = {"wait": SlowDown, "again": TryAgain, "request": FixRequest, "nothing": type(None)}


@pytest.fixture
def news():
    dialect = Gdelt(7)
    dialect.limits["seconds_between"] = 0
    return dialect


def query_of(example):
    start, end = (datetime.fromisoformat(text) for text in (example.start, example.end))
    return Query(example.dataset, (example.instrument,), None, start, end)


def send(news, request, now=NOW):
    said = news.answer(sandbox.contract.Request(request.path, dict(request.params), {}, "127.0.0.1", now.timestamp()))
    return Answer(request, said.status, {}, said.body, now, now)


def fetch(news, query):
    """Return the rows of all answers as the dialect tells them, the findings' rules, and the number of requests."""
    rows, rules, count, left = [], [], 0, gdelt.build(query)
    while left:
        count += 1
        answer = send(news, left.pop(0))
        assert gdelt.error_of(answer) is None, answer.body
        parsed = gdelt.parse(query, answer)
        rules += [reject.rule for reject in parsed.rejects]
        columns = dict(parsed.columns)
        assert set(columns.pop("instrument")) <= set(query.instruments)
        assert set(columns.pop("instruments")) <= {""}
        rows += [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        following = gdelt.next_page(answer.request, answer)
        left += [] if following is None else [following]
    return sorted(rows, key=lambda row: (row["ts"], row["url"])), rules, count


def told(news, example):
    return [
        row | {"ts": int(datetime.fromisoformat(row["ts"]).timestamp())}
        for row in news.rows(example, now_s=NOW.timestamp())
    ]


@pytest.mark.parametrize("inclusive", [0, 1])
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.instrument)
def test_an_example_comes_whole_whether_its_bounds_are_inclusive_or_not(news, example, inclusive):
    news.limits["bounds_inclusive"] = inclusive
    rows, rules, count = fetch(news, query_of(example))
    expected = told(news, example)
    assert rows == expected
    assert expected
    assert rules == []
    assert count >= len(expected) / gdelt.PAGE_ROWS


def test_a_window_of_several_answers_is_among_the_examples(news):
    assert max(len(told(news, example)) for example in EXAMPLES) > 3 * gdelt.PAGE_ROWS


def test_windows_that_adjoin_share_no_article_and_miss_none(news):
    example = EXAMPLES[1]
    query, parts = query_of(example), []
    cut = query.start + timedelta(hours=3)
    for start, end in ((query.start, cut), (cut, query.end)):
        parts += fetch(news, replace(query, start=start, end=end))[0]
    assert parts == told(news, example)


def test_a_quarter_of_an_hour_with_more_articles_than_an_answer_holds_is_a_finding_and_the_others_are_whole(news):
    news.limits["articles_per_tick"] = 400
    example = replace(EXAMPLES[1], end="2024-03-04T08:00:00+00:00")
    rows, rules, _ = fetch(news, query_of(example))
    expected = told(news, example)
    counts = {ts: sum(row["ts"] == ts for row in expected) for ts in {row["ts"] for row in expected}}
    crowded = {ts for ts, count in counts.items() if count > gdelt.PAGE_ROWS}
    assert crowded
    assert rules.count("missing_rows") == len(rules) >= len(crowded)
    assert [row for row in rows if row["ts"] not in crowded] == [row for row in expected if row["ts"] not in crowded]


def test_titles_with_escapes_that_json_does_not_know_are_read(news):
    example = EXAMPLES[1]
    news.limits["bad_escapes"] = 1
    rows, _, _ = fetch(news, query_of(example))
    assert [row["title"] for row in rows] == [row["title"] + " \\'\t" for row in told(news, example)]


def test_a_live_poll_brings_the_newest_of_a_day(news):
    (request,) = gdelt.build(Query("news", ("INTEREST.RATES",), None, None, NOW))
    answer = send(news, request)
    seen = gdelt.parse(Query("news", ("INTEREST.RATES",)), answer).columns["ts"]
    assert seen == sorted(seen, reverse=True)
    assert NOW.timestamp() - 86_400 < seen[-1] < seen[0] <= NOW.timestamp()
    assert gdelt.next_page(request, answer) is None


@pytest.mark.parametrize("case", ERROR_CASES, ids=lambda case: case.name)
def test_each_of_its_errors_leads_to_what_must_follow(news, case):
    (request,) = gdelt.build(query_of(case.example))
    answer = send(news, request)
    if case.fault:
        sent = sandbox.contract.Answer(answer.status, answer.body)
        spoilt = BODY_FAULTS[case.fault["fault"]](sent, Case(case.fault["args"], news, NOW.timestamp(), ""))
        answer = replace(answer, status=spoilt.status, body=spoilt.body)
    assert type(gdelt.error_of(answer)) is DECISIONS[case.decision]
    assert case.source.startswith("https://")
    if case.decision == "nothing":
        assert gdelt.parse(query_of(case.example), answer).columns["ts"] == []


def test_requests_at_our_pace_are_never_refused_and_one_too_early_waits_a_minute():
    news, at = Gdelt(7), NOW
    (limit,) = gdelt.facts.limits
    (request,) = gdelt.build(Query("news", ("BITCOIN",)))
    for _ in range(9):
        assert gdelt.error_of(send(news, request, at)) is None
        at += timedelta(seconds=limit.per_s / limit.amount)
    at -= timedelta(seconds=limit.per_s / limit.amount - 1)
    error = gdelt.error_of(send(news, request, at))
    assert (type(error), error.retry_after_s) == (SlowDown, 60.0)
    assert gdelt.error_of(send(news, request, at + timedelta(seconds=60))) is None
