"""Alpha Vantage's two readings against each other: what the provider asks, the sandbox's dialect answers completely."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

import sandbox.contract
from ingest.errors import FixRequest, KeyRefused, SlowDown, TryAgain, UnknownName
from ingest.market.quality import check
from ingest.market.times import epoch_us
from ingest.pipeline import frames
from ingest.providers import alpha_vantage
from ingest.providers.alpha_vantage_parts import questions
from ingest.providers.contract import Query
from ingest.wire import Answer
from sandbox.body_faults import BODY_FAULTS, Case
from sandbox.dialects.alpha_vantage import SANDBOX_KEY, AlphaVantage

NOW = datetime(2026, 11, 23, 20, 37, 0, 500_000, UTC)
DIALECT = AlphaVantage(7)
DIALECT.limits |= {"requests_per_day": 10**9, "requests_per_s": 10**9, "minutes_days": 5}
EXAMPLES = DIALECT.examples()


def send(request, *, dialect=DIALECT, key=SANDBOX_KEY, fault=None, now=NOW):
    query = dict(request.params) | {"apikey": key}
    asked = sandbox.contract.Request(request.path, query, {}, "127.0.0.1", now.timestamp())
    said = dialect.answer(asked)
    said = said if isinstance(said, sandbox.contract.Answer) else said()
    if fault:
        case = Case(fault.get("args", {}), dialect, now.timestamp(), "")
        said = BODY_FAULTS[fault["fault"]](said, case)
    return Answer(request, said.status, {}, said.body, now, now)


def fetch(query, **how):
    """Return the rows of all pages, oldest first, and how many requests they took."""
    rows, count, left = [], 0, alpha_vantage.build(query)
    while left:
        count += 1
        answer = send(left.pop(0), **how)
        assert alpha_vantage.error_of(answer) is None, answer.body
        parsed = alpha_vantage.parse(query, answer)
        assert parsed.rejects == ()
        for values in zip(*parsed.columns.values(), strict=True):
            row = dict(zip(parsed.columns, values, strict=True))
            ts = row["ts"]
            seconds = ts if parsed.time_unit == "s" else datetime.fromisoformat(f"{ts}T00:00:00+00:00").timestamp()
            rows.append(row | {"ts": datetime.fromtimestamp(seconds, UTC).isoformat()})
        following = alpha_vantage.next_page(answer.request, answer)
        left += [] if following is None else [following]
    return sorted(rows, key=lambda row: row["ts"]), count


def query_of(example):
    start = datetime.fromisoformat(example.start) if example.start else None
    end = datetime.fromisoformat(example.end) if example.end else None
    return Query(example.dataset, (example.instrument,), example.interval or None, start, end)


def key_of(row):
    return row["ts"], row.get("article_id"), row.get("kind")


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda one: f"{one.dataset} {one.instrument} {one.interval}")
def test_an_example_comes_whole_once_and_to_the_digit(example):
    rows, _ = fetch(query_of(example))
    expected = DIALECT.rows(example, now_s=NOW.timestamp())
    assert expected
    found = [{name: row[name] for name in expected[0]} for row in rows]
    assert sorted(found, key=key_of) == sorted(expected, key=key_of)
    assert {row["instrument"] for row in rows} == {example.instrument}
    filled = {name for row in rows for name, value in row.items() if value is not None}
    assert filled - {"instrument"} <= set(expected[0])


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda one: f"{one.dataset} {one.instrument} {one.interval}")
def test_the_quality_rules_find_nothing_in_an_example(example):
    query = query_of(example)
    answer = send(alpha_vantage.build(query)[0])
    frame = frames.batch([(0, alpha_vantage.parse(query, answer), NOW, NOW)], query.dataset)
    bounds = {"start": query.start, "end": query.end}
    good, found = check(frame, dataset=query.dataset, interval=query.interval, **bounds, observed_at=NOW)
    assert (found, good.height) == ([], frame.height)


@pytest.mark.parametrize(
    ("dataset", "instrument", "interval", "pages"),
    [("bars", "IBM", "1d", 2), ("actions", "AAPL", "", 2), ("news", "AAPL", "", 3), ("bars", "IBM", "5m", 2)],
)
def test_windows_beyond_one_page_take_the_pages_they_need(dataset, instrument, interval, pages):
    (example,) = [
        one for one in EXAMPLES if (one.dataset, one.instrument, one.interval) == (dataset, instrument, interval)
    ]
    assert fetch(query_of(example))[1] == pages


def test_a_window_within_the_newest_hundred_takes_one_request_that_no_plan_is_needed_for():
    dialect = AlphaVantage(7)
    dialect.limits |= {"requests_per_day": 10**9, "requests_per_s": 10**9, "entitled": 0}
    start = datetime(2012, 11, 1, tzinfo=UTC)
    rows, count = fetch(Query("bars", ("AAPL",), "1d", start, datetime(2013, 3, 2, tzinfo=UTC)), dialect=dialect)
    assert (count, rows[0]["ts"][:10], rows[-1]["ts"][:10]) == (1, "2012-11-01", "2013-03-01")


def test_without_a_plan_an_older_window_ends_in_an_error_that_says_so_and_keeps_what_came():
    dialect = AlphaVantage(7)
    dialect.limits |= {"requests_per_day": 10**9, "requests_per_s": 10**9, "entitled": 0}
    (request,) = alpha_vantage.build(
        Query("bars", ("IBM",), "1d", datetime(2012, 1, 3, tzinfo=UTC), datetime(2013, 3, 2, tzinfo=UTC))
    )
    answer = send(request, dialect=dialect)
    assert len(alpha_vantage.parse(Query("bars", ("IBM",), "1d"), answer).columns["ts"]) == 100
    error = alpha_vantage.error_of(send(alpha_vantage.next_page(request, answer), dialect=dialect))
    assert type(error) is FixRequest
    assert "no plan" in str(error)


@pytest.mark.parametrize("name", ["BTC-USD", "EUR-USD"])
@pytest.mark.parametrize("interval", list(alpha_vantage.facts.intervals))
def test_pairs_bring_every_bar_of_a_window_within_their_reach(name, interval):
    first = "2026-11-09" if interval == "1d" else "2026-11-20"
    example = sandbox.contract.Example("bars", name, interval, f"{first}T00:00:00+00:00", "2026-11-23T20:00:00+00:00")
    rows, _ = fetch(query_of(example))
    expected = DIALECT.rows(example, now_s=NOW.timestamp())
    assert [{name: row[name] for name in expected[0]} for row in rows] == expected
    assert len(expected) >= (8 if interval == "1d" else 44)


def test_a_pairs_window_before_its_reach_is_reported_and_never_silently_empty():
    query = Query("bars", ("BTC-USD",), "1h", NOW - timedelta(days=60), NOW - timedelta(days=50))
    (request,) = alpha_vantage.build(query)
    full = alpha_vantage.next_page(request, send(request))
    parsed = alpha_vantage.parse(query, send(full))
    assert parsed.columns["ts"] == []
    assert [(one.rule, one.instrument) for one in parsed.rejects] == [("missing_rows", "BTC-USD")]


def test_a_live_poll_brings_the_newest_of_every_dataset():
    shares = ("IBM", "AAPL")
    bars, count = fetch(Query("bars", shares, "1m"))
    assert (len(bars), count) == (10, 2)
    assert {row["ts"] for row in bars} == {
        datetime.fromtimestamp(epoch_us(NOW) // 60_000_000 * 60 - 60 * i, UTC).isoformat() for i in range(5)
    }
    days, _ = fetch(Query("bars", shares, "1d"))
    assert [row["ts"][:10] for row in days if row["instrument"] == "IBM"] == [
        *("2013-02-25", "2013-02-26", "2013-02-27", "2013-02-28", "2013-03-01")
    ]
    quotes, count = fetch(Query("quotes", ("IBM", "EUR-USD", "BTC-USD")))
    assert [row["instrument"] for row in quotes] == ["IBM", "EUR-USD", "BTC-USD"]
    assert [row["bid"] is None for row in quotes] == [True, False, False]
    news, _ = fetch(Query("news", ("AAPL",)))
    assert len(news) == 200
    assert news[-1]["ts"] > (NOW - timedelta(hours=6)).isoformat()
    values, _ = fetch(Query("observations", ("TREASURY.10Y",)))
    assert len(values) == 40
    actions, _ = fetch(Query("actions", ("AAPL",)))
    assert all(row["ts"] > "2013-02" for row in actions)


@pytest.mark.parametrize("case", DIALECT.error_cases(), ids=lambda case: case.name)
def test_each_of_its_errors_leads_to_what_must_follow(case):
    request = alpha_vantage.build(query_of(case.example))[0]
    answer = send(request, fault=case.fault, key=case.key or SANDBOX_KEY)
    error = alpha_vantage.error_of(answer)
    kinds = {"again": TryAgain, "wait": SlowDown, "quota": SlowDown, "key": KeyRefused, "unknown": UnknownName}
    assert type(error) is kinds.get(case.decision, FixRequest)
    assert "sandbox-key" not in str(error)
    if case.decision == "wait":
        assert 0 < error.retry_after_s <= 60
    if case.decision == "quota":
        assert NOW + timedelta(seconds=error.retry_after_s) == datetime(2026, 11, 24, 5, 0, tzinfo=UTC)


def test_the_search_lists_shares_in_our_spelling():
    request = alpha_vantage.catalogue("BRK")
    assert alpha_vantage.listed(send(request)) == ["BRK.B"]
    assert alpha_vantage.error_of(send(request)) is None


def test_requests_at_the_stated_pace_are_never_refused_and_faster_ones_are_told_to_slow_down():
    dialect, at = AlphaVantage(7), NOW
    (request,) = alpha_vantage.build(Query("quotes", ("IBM",)))
    paced, daily = alpha_vantage.facts.limits
    for _ in range(daily.amount):
        assert alpha_vantage.error_of(send(request, dialect=dialect, now=at)) is None
        at += timedelta(seconds=paced.per_s)
    spent = alpha_vantage.error_of(send(request, dialect=dialect, now=at))
    assert (type(spent), spent.retry_after_s > 3600) == (SlowDown, True)
    dialect.forget_spending()
    send(request, dialect=dialect, now=at)
    assert alpha_vantage.error_of(send(request, dialect=dialect, now=at)).retry_after_s == 1.2


def test_the_pages_of_news_may_be_cut_anywhere(monkeypatch):
    """Every limit from 2 up gives the same articles, each once."""
    query = Query("news", ("CRYPTO.BTC",), None, datetime(2024, 5, 1, tzinfo=UTC), datetime(2024, 5, 2, tzinfo=UTC))
    whole, _ = fetch(query)
    for limit in (2, 3, 7, len(whole), len(whole) + 1):
        monkeypatch.setattr(questions, "NEWS_ROWS", limit)
        assert fetch(query)[0] == whole
    assert len(whole) > 20
    assert len(json.loads(whole[0]["sentiments"])) >= 1
