"""Frankfurter's two readings against each other: every example's rows come whole, every error means what it must."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

import sandbox.contract
from ingest.errors import FixRequest, SlowDown, TryAgain, UnknownName
from ingest.providers import frankfurter
from ingest.providers.contract import Query
from ingest.wire import Answer
from sandbox.body_faults import BODY_FAULTS, Case
from sandbox.dialects.frankfurter import Frankfurter

NOW = datetime(2026, 11, 22, 12, 0, 0, 0, UTC)  # a Sunday
MEANS = {"again": TryAgain, "wait": SlowDown, "request": FixRequest, "unknown": UnknownName, "nothing": type(None)}
DIALECT = Frankfurter(7)


@pytest.fixture
def exchange():
    DIALECT.forget_spending()
    DIALECT.limits |= {"calls_per_minute": 600, "thinned_after_days": 0}
    return DIALECT


def send(exchange, request, now=NOW):
    said = exchange.answer(
        sandbox.contract.Request(request.path, dict(request.params), {}, "127.0.0.1", now.timestamp())
    )
    return Answer(request, said.status, {}, said.body, now, now)


def query_of(example):
    bounds = (datetime.fromisoformat(text) for text in (example.start, example.end))
    return Query("observations", (example.instrument,), None, *bounds)


def fetch(exchange, query, now=NOW):
    found = []
    for request in frankfurter.build(query):
        answer = send(exchange, request, now)
        assert frankfurter.error_of(answer) is None, answer.body
        parsed = frankfurter.parse(query, answer)
        assert parsed.rejects == ()
        found += zip(*parsed.columns.values(), strict=True)
    return found


@pytest.mark.parametrize("example", DIALECT.examples(), ids=lambda e: f"{e.instrument}-{e.start[:10]}")
@pytest.mark.parametrize("thinned", [0, 90])
def test_an_example_comes_whole_even_where_long_ranges_are_thinned(exchange, example, thinned):
    exchange.limits["thinned_after_days"] = thinned
    expected = exchange.rows(example, now_s=NOW.timestamp())
    rows = fetch(exchange, query_of(example))
    assert [{"ts": f"{day}T00:00:00Z", "value": value} for _, day, value in rows] == expected
    assert {name for name, _, _ in rows} <= {example.instrument}
    assert len(expected) > 30 or example.instrument == "EUR-IDR"


@pytest.mark.parametrize("case", DIALECT.error_cases(), ids=lambda case: case.name)
def test_each_error_leads_to_what_the_documentation_says(exchange, case):
    query = query_of(case.example)
    request = frankfurter.build(query)[0]
    answer = send(exchange, request)
    if case.fault:
        said = sandbox.contract.Answer(answer.status, answer.body)
        faulty = BODY_FAULTS[case.fault["fault"]](said, Case(case.fault["args"], exchange, NOW.timestamp(), ""))
        answer = Answer(request, faulty.status, {}, faulty.body, NOW, NOW)
    error = frankfurter.error_of(answer)
    assert type(error) is MEANS[case.decision]
    if case.decision == "nothing":
        assert frankfurter.parse(query, answer).columns["ts"] == []


def test_on_a_sunday_a_poll_brings_the_days_until_friday_and_the_latest_is_fridays(exchange):
    rows = fetch(exchange, Query("observations", ("EUR-USD", "EUR-GBP"), None, None, NOW))
    assert sorted({day for _, day, _ in rows}) == [f"2026-11-{day}" for day in (12, 13, 16, 17, 18, 19, 20)]
    latest = fetch(exchange, Query("observations", ("EUR-USD", "EUR-GBP")))
    assert [row[:2] for row in latest] == [("EUR-GBP", "2026-11-20"), ("EUR-USD", "2026-11-20")]


def test_todays_rate_comes_in_the_afternoon(exchange):
    monday = datetime(2026, 11, 23, 14, 59, tzinfo=UTC)
    for now, last in ((monday, "2026-11-20"), (monday + timedelta(minutes=1), "2026-11-23")):
        assert fetch(exchange, Query("observations", ("EUR-USD",), None, None, now), now)[-1][1] == last


def test_a_cross_and_its_inverse_are_close_and_every_listed_pair_can_be_asked_for(exchange):
    names = frankfurter.listed(send(exchange, frankfurter.catalogue()))
    assert "EUR-RUB" not in names
    rows = {name: float(value) for name, _, value in fetch(exchange, Query("observations", tuple(names)))}
    assert rows.keys() == set(names)
    assert rows["USD-JPY"] * rows["JPY-USD"] == pytest.approx(1, abs=0.002)


def test_the_farms_own_pace_is_never_refused(exchange):
    (request,) = frankfurter.build(Query("observations", ("EUR-USD",)))
    limit = frankfurter.facts.limits[0]
    answers = [send(exchange, request, NOW + timedelta(seconds=i * limit.per_s / limit.amount)) for i in range(120)]
    assert {answer.status for answer in answers} == {200}
