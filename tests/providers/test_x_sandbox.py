"""X's two readings against each other: what the provider asks, the sandbox's dialect answers completely."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

import sandbox.contract
from ingest.errors import FixRequest, KeyRefused, SlowDown, TryAgain
from ingest.providers import x
from ingest.providers.contract import Query
from ingest.wire import Answer
from sandbox.contract import placed
from sandbox.dialects.x import SANDBOX_KEY, X
from sandbox.faults import Faults

NOW = datetime(2026, 11, 23, 2, 37, 0, 500_000, UTC)
EXAMPLES = tuple(placed(one, NOW.timestamp()) for one in X(7).examples())
CASES = X(7).error_cases()


@pytest.fixture
def dialect():
    return X(7)


def asked(request, now=NOW, key=SANDBOX_KEY):
    headers = {"authorization": f"{x.facts.key.prefix}{key}"}
    return sandbox.contract.Request(request.path, dict(request.params), headers, "127.0.0.1", now.timestamp())


def said(dialect, ask):
    answer = dialect.answer(ask)
    return answer if isinstance(answer, sandbox.contract.Answer) else answer()


def received(request, answer, now=NOW):
    return Answer(request, answer.status, dict(answer.headers), answer.body, now, now)


def send(dialect, request, now=NOW, key=SANDBOX_KEY):
    return received(request, said(dialect, asked(request, now, key)), now)


def query_of(example):
    example = placed(example, NOW.timestamp())
    start, end = (datetime.fromisoformat(text) if text else None for text in (example.start, example.end))
    return Query(example.dataset, (example.instrument,), None, start, NOW if end is None else end)


def fetch(dialect, query):
    """Return the rows of all pages, oldest first, as the dialect's own account has them, and the requests it took."""
    rows, sent, left = [], [], x.build(query)
    while left:
        request = left.pop(0)
        sent.append(request)
        answer = send(dialect, request)
        assert x.error_of(answer) is None, answer.body
        parsed = x.parse(query, answer)
        assert parsed.rejects == ()
        rows += [dict(zip(parsed.columns, row, strict=True)) for row in zip(*parsed.columns.values(), strict=True)]
        following = x.next_page(answer.request, answer)
        left += [] if following is None else [following]
    return rows[::-1], sent


@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_every_example_is_copied_exactly(dialect, example):
    rows, sent = fetch(dialect, query_of(example))
    expected = dialect.rows(example, now_s=NOW.timestamp())
    assert len(expected) >= 10
    assert len(sent) == (-(-len(expected) // 100) if example.start else 1)
    assert {(row.pop("instrument"), row.pop("author")) for row in rows} == {(example.instrument, None)}
    for row in expected:
        row["ts"] = round(datetime.fromisoformat(row["ts"]).timestamp() * 1000)
    assert rows == expected


def test_the_examples_have_windows_of_several_pages_and_posts_that_were_edited(dialect):
    rows, sent = fetch(dialect, query_of(EXAMPLES[0]))
    assert len(sent) >= 3
    assert len({row["post_id"] for row in rows}) == len(rows)
    assert any(datetime.fromtimestamp(row["ts"] / 1000, UTC) != time_of(row["post_id"]) for row in rows)


def time_of(post_id):
    return datetime.fromtimestamp(((int(post_id) >> 22) + 1288834974657) / 1000, UTC)


@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_what_is_billed_is_never_more_than_the_weight_of_what_was_sent(dialect, example):
    _, sent = fetch(dialect, query_of(example))
    dialect.limits["credit_posts"] = sum(request.weight for request in sent) + 1
    assert x.error_of(send(dialect, sent[0])) is None


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_of_its_errors_leads_to_what_its_documentation_says(dialect, case):
    (request,) = x.build(query_of(case.example))
    ask = asked(request, key=case.key or SANDBOX_KEY)
    answer, faults = said(dialect, ask), Faults()
    if case.fault:
        faults.arm({"provider": "x", **case.fault}, {"x": dialect})
        answer = faults.deliver(answer, ask, provider="x", query="", dialect=dialect).answer
        assert faults.shown()[0]["fired"] == 1
    error = x.error_of(received(request, answer))
    if case.decision == "nothing":
        assert error is None
        assert x.parse(query_of(case.example), received(request, answer)).columns["post_id"] == []
        return
    kinds = {"key": KeyRefused, "plan": FixRequest, "wait": SlowDown, "quota": SlowDown}
    assert type(error) is (kinds | {"request": FixRequest, "again": TryAgain})[case.decision]
    if case.decision == "quota":
        assert error.retry_after_s > 3600


def test_requests_at_the_documented_pace_are_never_refused_and_a_burst_waits_until_the_window_ends(dialect):
    (request,) = x.build(Query("posts", ("TSLA",), None, None, NOW))
    limit = x.facts.limits[0]
    for i in range(limit.amount):
        assert x.error_of(send(dialect, request, NOW + timedelta(seconds=i))) is None
    error = x.error_of(send(dialect, request, NOW + timedelta(seconds=limit.amount)))
    assert isinstance(error, SlowDown)
    assert 0 < error.retry_after_s <= limit.per_s - limit.amount + 1
    later = NOW + timedelta(seconds=limit.amount + error.retry_after_s)
    assert x.error_of(send(dialect, request, later)) is None


def test_the_meters_of_money_stop_everything_until_the_day_turns(dialect):
    for dial in ("posts_per_cycle", "credit_posts"):
        dialect.limits[dial] = 5
        (request,) = x.build(Query("posts", ("TSLA",), None, None, NOW))
        assert x.error_of(send(dialect, request)) is None
        error = x.error_of(send(dialect, request))
        assert isinstance(error, SlowDown)
        assert (
            error.retry_after_s
            == (NOW.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1) - NOW).total_seconds()
        )
        dialect.limits[dial] = 10**6
        dialect.forget_spending()


def test_a_window_that_ends_now_is_told_to_wait_and_then_answered(dialect):
    (request,) = x.build(Query("posts", ("TSLA",), None, NOW - timedelta(hours=1), NOW))
    error = x.error_of(send(dialect, request))
    assert isinstance(error, SlowDown)
    assert x.error_of(send(dialect, request, NOW + timedelta(seconds=error.retry_after_s))) is None
    near = NOW - timedelta(seconds=x.facts.lag_s)
    (request,) = x.build(Query("posts", ("TSLA",), None, NOW - timedelta(hours=1), near))
    assert x.error_of(send(dialect, request)) is None


def test_the_farthest_reach_of_the_facts_is_answered_and_a_day_more_is_a_wrong_request(dialect):
    reach = timedelta(days=x.facts.reach_days["posts"])
    hour = timedelta(hours=1)
    (request,) = x.build(Query("posts", ("TSLA",), None, NOW - reach, NOW - reach + hour))
    assert x.error_of(send(dialect, request)) is None
    start = NOW - reach - timedelta(days=1, seconds=1)
    (request,) = x.build(Query("posts", ("TSLA",), None, start, start + hour))
    error = x.error_of(send(dialect, request))
    assert type(error) is FixRequest
    assert "start_time" in str(error)
