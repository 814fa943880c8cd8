"""Marketstack's two readings against each other: what the provider asks, the sandbox's dialect answers completely."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

import sandbox.contract
from ingest.errors import FixRequest, KeyRefused, SlowDown, TryAgain, UnknownName
from ingest.market.quality import check
from ingest.pipeline import frames
from ingest.providers import marketstack
from ingest.providers.contract import Query
from ingest.wire import Answer
from sandbox.dialects.marketstack import SANDBOX_KEY, Marketstack
from sandbox.faults import Faults

NOW = datetime(2026, 11, 24, 22, 15, tzinfo=UTC)
KINDS = {
    "wait": SlowDown,
    "quota": SlowDown,
    "again": TryAgain,
    "key": KeyRefused,
    "plan": FixRequest,
    "request": FixRequest,
    "unknown": UnknownName,
}


@pytest.fixture(scope="module")
def loaded():
    return Marketstack(7)


@pytest.fixture
def service(loaded):
    loaded.limits |= {"per_second": 10**9, "month": 10**9, "prices_per_minute": 10**9, "page_most": 1000}
    loaded.forget_spending()
    return loaded


def send(service, request, now=NOW, faults=None, key=SANDBOX_KEY):
    query = {**dict(request.params), "access_key": key}
    asked = sandbox.contract.Request(request.path, query, {}, "127.0.0.1", now.timestamp())
    said = service.answer(asked)
    said = said if isinstance(said, sandbox.contract.Answer) else said()
    if faults is not None:
        said = faults.deliver(said, asked, provider="marketstack", query="", dialect=service).answer
    return Answer(request, said.status, {}, said.body, now, now)


def fetch(service, query, now=NOW):
    """Return the rows of all pages as the dialect says them, oldest first, and how many requests they took."""
    rows, count, left = [], 0, marketstack.build(query)
    while left:
        count += 1
        answer = send(service, left.pop(0), now)
        assert marketstack.error_of(answer) is None, answer.body
        parsed = marketstack.parse(query, answer)
        assert parsed.rejects == ()
        columns = {name: values for name, values in parsed.columns.items() if name != "action_id"}
        for one in zip(*columns.values(), strict=True):
            row = dict(zip(columns, one, strict=True))
            row["ts"] = f"{row['ts']}T00:00:00+00:00" if row["ts"] is not None else None
            rows.append({name: value for name, value in row.items() if value is not None})
        following = marketstack.next_page(answer.request, answer)
        left += [] if following is None else [following]
    return sorted(rows, key=lambda row: row.get("ts", "")), count


def query_of(example):
    start, end = (datetime.fromisoformat(text) if text else None for text in (example.start, example.end))
    return Query(example.dataset, (example.instrument,), example.interval or None, start, end)


@pytest.mark.parametrize("page_most", [1000, 97])
@pytest.mark.parametrize("example", Marketstack(7).examples(), ids=lambda e: f"{e.dataset}-{e.instrument}")
def test_every_example_is_copied_whole_and_to_the_digit_however_small_the_pages(service, example, page_most):
    service.limits["page_most"] = page_most
    expected = [row | {"instrument": example.instrument} for row in service.rows(example, now_s=NOW.timestamp())]
    rows, count = fetch(service, query_of(example))
    assert rows == expected
    assert len(rows) > (0 if example.dataset == "quotes" else 2)
    assert count >= len(expected) / page_most


def test_symbols_that_interleave_are_copied_whole_though_a_page_ends_in_the_middle_of_a_day(service):
    service.limits["page_most"] = 100
    names, start, end = ("AAPL", "IBM", "MSFT"), datetime(2008, 1, 1, tzinfo=UTC), datetime(2009, 1, 1, tzinfo=UTC)
    rows, count = fetch(service, Query("bars", names, "1d", start, end))
    alone = [fetch(service, Query("bars", (name,), "1d", start, end))[0] for name in names]
    assert count == 8
    key = lambda row: (row["ts"], row["instrument"])  # noqa: E731
    assert sorted(rows, key=key) == sorted((row for some in alone for row in some), key=key)
    assert len(rows) == 253 * 3


def test_a_live_poll_brings_the_newest_days_of_several_symbols_in_one_request(service):
    rows, count = fetch(service, Query("bars", ("BRK.B", "TSCO.LON"), "1d", None, NOW))
    assert count == 1
    assert {row["instrument"] for row in rows} == {"BRK.B", "TSCO.LON"}
    assert rows[-1]["ts"] == "2026-11-23T00:00:00+00:00"


@pytest.mark.parametrize("example", Marketstack(7).examples(), ids=lambda e: f"{e.dataset}-{e.instrument}")
def test_what_the_examples_bring_breaks_no_rule_of_good_data(service, example):
    query = query_of(example)
    answers = [send(service, request) for request in marketstack.build(query)]
    parts = [(i, marketstack.parse(query, answer), NOW, NOW) for i, answer in enumerate(answers)]
    frame = frames.batch(parts, example.dataset)
    window = {"start": query.start, "end": query.end}
    kept, findings = check(frame, dataset=example.dataset, interval=query.interval, observed_at=NOW, **window)
    assert findings == []
    assert kept.height == frame.height > 0
    assert set(kept["instrument"]) == {example.instrument}


@pytest.mark.parametrize("case", Marketstack(7).error_cases(), ids=lambda case: case.name)
def test_each_of_its_errors_leads_to_what_the_documentation_asks_for(service, case):
    query, faults = query_of(case.example), Faults()
    if case.fault:
        faults.arm({"provider": "marketstack", **case.fault}, {"marketstack": service})
    answer = send(service, marketstack.build(query)[0], faults=faults, key=case.key or SANDBOX_KEY)
    error = marketstack.error_of(answer)
    if case.decision == "nothing":
        assert error is None
        assert marketstack.parse(query, answer).columns["ts"] == []
        return
    assert type(error) is KINDS[case.decision]
    assert SANDBOX_KEY not in f"{error} {vars(error)}"
    if case.decision in ("wait", "quota"):
        assert (error.retry_after_s is None) == (case.decision == "quota")


def test_the_month_is_spent_by_symbols_as_the_farm_weighs_them(service):
    service.limits["month"] = 100
    requests = marketstack.build(Query("bars", ("AAPL", "IBM", "MSFT"), "1d", None, NOW))
    assert [request.weight for request in requests] == [3]
    errors = [marketstack.error_of(send(service, requests[0])) for _ in range(34)]
    assert [type(error) for error in errors] == [type(None)] * 33 + [SlowDown]
    assert marketstack.error_of(send(service, requests[0], NOW + timedelta(days=7))) is None  # December


def test_requests_at_the_documented_pace_are_never_refused_and_prices_come_once_a_minute(service):
    service.limits |= {"per_second": 5, "prices_per_minute": 1}
    (request,) = marketstack.build(Query("quotes", ("AAPL",)))
    errors = [marketstack.error_of(send(service, request, NOW + timedelta(seconds=s))) for s in (0, 30, 61)]
    assert [type(error) for error in errors] == [type(None), SlowDown, type(None)]
    (request,) = marketstack.build(Query("bars", ("AAPL",), "1d", None, NOW))
    later = NOW + timedelta(hours=1)
    assert all(
        marketstack.error_of(send(service, request, later + timedelta(seconds=i / 5))) is None for i in range(30)
    )
    service.limits["has_prices"] = 0
    (request,) = marketstack.build(Query("quotes", ("AAPL",)))
    assert "plan" in str(marketstack.error_of(send(service, request, later + timedelta(hours=1))))
    service.limits["has_prices"] = 1


def test_what_its_search_lists_can_be_asked_for(service):
    found = marketstack.listed(send(service, marketstack.catalogue("inc")))
    assert {"AAPL", "BRK.B"} <= set(found)
    for name in found:
        (request,) = marketstack.build(Query("bars", (name,), "1d", None, NOW))
        assert marketstack.error_of(send(service, request)) is None
