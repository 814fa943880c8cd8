"""IEX Cloud's two readings against each other: what the provider asks, the sandbox's archive answers completely."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

import sandbox.contract
from ingest.errors import FixRequest, KeyRefused, SlowDown, TryAgain, UnknownName
from ingest.market.quality import check
from ingest.pipeline import frames
from ingest.providers import iex
from ingest.providers.contract import Query
from ingest.wire import Answer
from sandbox.body_faults import BODY_FAULTS, Case
from sandbox.dialects.iex import SANDBOX_KEY, Iex

NOW = datetime(2026, 11, 23, 20, 37, 0, 500_000, UTC)
ARCHIVE = Iex(7)
ARCHIVE.limits["requests_per_s"] = 10**9
EXAMPLES = ARCHIVE.examples()


def send(request, *, key=SANDBOX_KEY, fault=None, archive=ARCHIVE):
    asked = sandbox.contract.Request(
        request.path, dict(request.params) | {"token": key}, {}, "127.0.0.1", NOW.timestamp()
    )
    said = archive.answer(asked)
    said = said if isinstance(said, sandbox.contract.Answer) else said()
    if fault:
        said = BODY_FAULTS[fault["fault"]](said, Case(fault.get("args", {}), archive, NOW.timestamp(), ""))
    return Answer(request, said.status, {}, said.body, NOW, NOW)


def query_of(example):
    start = datetime.fromisoformat(example.start) if example.start else None
    end = datetime.fromisoformat(example.end) if example.end else None
    return Query(example.dataset, (example.instrument,), example.interval or None, start, end)


def moment_of(ts, unit):
    if unit == "date":
        return datetime.fromisoformat(f"{ts}T00:00:00+00:00")
    return datetime(1970, 1, 1, tzinfo=UTC) + (timedelta(seconds=ts) if unit == "s" else timedelta(milliseconds=ts))


def fetch(query):
    """Return the rows of all requests in their order, and how many requests they took."""
    rows, requests = [], iex.build(query)
    for request in requests:
        answer = send(request)
        assert iex.error_of(answer) is None, answer.body
        assert iex.next_page(request, answer) is None
        parsed = iex.parse(query, answer)
        assert parsed.rejects == ()
        for values in zip(*parsed.columns.values(), strict=True):
            row = dict(zip(parsed.columns, values, strict=True))
            rows.append(row | {"ts": moment_of(row["ts"], parsed.time_unit).isoformat()})
    return rows, len(requests)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda one: f"{one.dataset} {one.instrument} {one.interval}")
def test_an_example_comes_whole_once_and_to_the_digit(example):
    rows, _ = fetch(query_of(example))
    expected = ARCHIVE.rows(example, now_s=NOW.timestamp())
    assert expected

    def key(row):
        return row["ts"], row.get("trade_id"), row.get("article_id")

    found = [{name: row[name] for name in expected[0]} for row in rows]
    assert sorted(found, key=key) == sorted(expected, key=key)
    assert {row["instrument"] for row in rows} == {example.instrument}
    assert {name for row in rows for name, value in row.items() if value is not None} <= {*expected[0], "instrument"}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda one: f"{one.dataset} {one.instrument} {one.interval}")
def test_the_quality_rules_find_nothing_in_an_example(example):
    query = query_of(example)
    parsed = iex.parse(query, send(iex.build(query)[0]))
    frame = frames.batch([(0, parsed, NOW, NOW)], query.dataset)
    bounds = {"start": query.start, "end": query.end}
    good, found = check(frame, dataset=query.dataset, interval=query.interval, **bounds, observed_at=NOW)
    assert (found, good.height) == ([], frame.height)


def test_a_window_of_days_is_one_request_and_a_short_one_a_request_a_weekday():
    assert [fetch(query_of(example))[1] for example in EXAMPLES[:3]] == [1, 3, 4]


def test_minutes_on_both_sides_of_a_change_of_the_clocks_are_a_session_each():
    rows, _ = fetch(query_of(EXAMPLES[2]))
    firsts = {row["ts"][:10]: row["ts"][11:16] for row in reversed(rows)}
    assert firsts["2024-03-08"] >= "14:30"
    assert "13:30" <= firsts["2024-03-11"] < "14:00"
    assert 300 < sum(row["ts"].startswith("2024-03-11") for row in rows) < 390


def test_a_live_poll_brings_the_newest_of_every_dataset():
    shares = ("IBM", "AAPL")
    minutes, count = fetch(Query("bars", shares, "1m"))
    assert count == 2
    assert 0 < len(minutes) <= 10
    days, _ = fetch(Query("bars", shares, "1d"))
    assert {row["ts"][:10] for row in days} >= {"2013-03-01", "2013-02-28"}
    quotes, count = fetch(Query("quotes", shares))
    assert ([row["instrument"] for row in quotes], count) == (["IBM", "AAPL"], 1)
    trades, count = fetch(Query("trades", shares))
    assert (len(trades), count) == (1000, 1)
    assert len(fetch(Query("news", shares))[0]) == 100


def test_an_archived_quote_of_the_market_is_read_too():
    (request,) = iex.build(Query("quotes", ("IBM",)))
    archived = send(sandbox_request("/stock/ibm/quote"))
    parsed = iex.parse(Query("quotes", ("IBM",)), Answer(request, 200, {}, archived.body, NOW, NOW))
    (row,) = ARCHIVE.rows(EXAMPLES[4], now_s=NOW.timestamp())
    assert {name: parsed.columns[name][0] for name in ("bid", "ask", "last")} == {
        name: row[name] for name in ("bid", "ask", "last")
    }


def sandbox_request(path):
    (request,) = iex.build(Query("quotes", ("IBM",)))
    return type(request)(path, (), (), ("IBM",))


@pytest.mark.parametrize("case", ARCHIVE.error_cases(), ids=lambda case: case.name)
def test_each_of_its_errors_leads_to_what_must_follow(case):
    query = query_of(case.example)
    answer = send(iex.build(query)[0], fault=case.fault, key=case.key or SANDBOX_KEY)
    error = iex.error_of(answer)
    if case.decision == "nothing":
        assert error is None
        assert iex.parse(query, answer).columns["ts"] == []
        return
    kinds = {"again": TryAgain, "wait": SlowDown, "quota": SlowDown, "key": KeyRefused, "unknown": UnknownName}
    assert type(error) is kinds.get(case.decision, FixRequest)
    assert "wrong-key" not in str(error)
    if case.decision == "quota":
        assert NOW + timedelta(seconds=error.retry_after_s) == datetime(2026, 12, 1, tzinfo=UTC)


def test_the_catalogue_lists_the_shares_that_our_grammar_spells():
    assert iex.listed(send(iex.catalogue())) == ["AAPL", "FB", "GOOG", "IBM", "MSFT", "BRK.B"]


def test_an_archive_that_counts_messages_is_waited_for():
    archive = Iex(7)
    archive.limits["messages_per_month"] = 1
    (request,) = iex.build(Query("quotes", ("IBM",)))
    assert iex.error_of(send(request, archive=archive)) is None
    assert type(iex.error_of(send(request, archive=archive))) is SlowDown
