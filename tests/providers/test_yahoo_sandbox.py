"""Yahoo's two readings against each other: what the provider asks, the sandbox's dialect answers completely."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

import sandbox.contract
from ingest.errors import FixRequest, KeyRefused, SlowDown, TryAgain, UnknownName
from ingest.market.quality import check
from ingest.pipeline import frames
from ingest.providers import yahoo
from ingest.providers.contract import Query
from ingest.providers.yahoo_parts import quotes
from ingest.wire import Answer
from sandbox.contract import Example
from sandbox.dialects.yahoo import Yahoo
from sandbox.faults import Faults
from sandbox.yahoo_market import HALTED_EVERY, SYMBOLS

#: A Monday, 12:31 in New York.
NOW = datetime(2026, 11, 23, 17, 31, 42, 500_000, UTC)
KINDS = {"key": KeyRefused, "wait": SlowDown, "again": TryAgain, "request": FixRequest, "unknown": UnknownName}


@pytest.fixture(scope="module")
def exchange():
    dialect = Yahoo(7)
    dialect.limits["requests_per_minute"] = 10**9
    return dialect


def send(exchange, request, now=NOW, faults=None, cookie="sandbox-key"):
    """Send it as transport does: with cookie and crumb where it asks for quotes."""
    path, query, headers = request.path, dict(request.params), dict(request.headers)
    if path == quotes.PATH:
        query, headers = query | {"crumb": "sandbox-key"}, headers | {"cookie": f"A3={cookie}"}
    asked = sandbox.contract.Request(path, query, headers, "127.0.0.1", now.timestamp())
    said = exchange.answer(asked)
    said = said if isinstance(said, sandbox.contract.Answer) else said()
    if faults is not None:
        said = faults.deliver(said, asked, provider="yahoo", query="", dialect=exchange).answer
    return Answer(request, said.status, {}, said.body, now, now)


def fetch(exchange, query, now=NOW):
    """Return the rows of all requests as the dialect says them, oldest first, and how many requests they took."""
    rows, requests = [], yahoo.build(query)
    for request in requests:
        answer = send(exchange, request, now)
        assert yahoo.error_of(answer) is None, answer.body
        parsed = yahoo.parse(query, answer)
        assert parsed.rejects == ()
        assert yahoo.next_page(request, answer) is None
        filled = {name: values for name, values in parsed.columns.items() if name not in ("instrument", "action_id")}
        for row in (dict(zip(filled, one, strict=True)) for one in zip(*filled.values(), strict=True)):
            moment = row["ts"] if parsed.time_unit == "date" else datetime.fromtimestamp(row["ts"], UTC).isoformat()
            row["ts"] = f"{moment}T00:00:00+00:00" if parsed.time_unit == "date" else moment
            rows.append({name: value for name, value in row.items() if value is not None})
    return sorted(rows, key=lambda row: row["ts"]), len(requests)


def query_of(example):
    start, end = (datetime.fromisoformat(text) if text else None for text in (example.start, example.end))
    has_key = example.dataset == "quotes"
    return Query(example.dataset, (example.instrument,), example.interval or None, start, end, has_key)


@pytest.mark.parametrize("example", Yahoo(7).examples(), ids=lambda e: f"{e.dataset}-{e.instrument}-{e.interval}")
def test_every_example_is_copied_whole_and_to_the_digit(exchange, example):
    expected = exchange.rows(example, now_s=NOW.timestamp())
    assert fetch(exchange, query_of(example))[0] == expected
    assert len(expected) > (0 if example.dataset == "quotes" else 20)


@pytest.mark.parametrize("interval", ["1m", "5m", "15m"])
@pytest.mark.parametrize("instrument", ["AAPL", "TSCO.LON", "EUR-USD", "BTC-USD", "GSPC.INDX"])
def test_a_window_within_the_reach_is_copied_whole_and_halted_minutes_are_left_out(exchange, interval, instrument):
    start, end = NOW - timedelta(days=10), NOW - timedelta(hours=7)
    example = Example("bars", instrument, interval, start.isoformat(), end.isoformat())
    rows, count = fetch(exchange, Query("bars", (instrument,), interval, start, end))
    assert rows == exchange.rows(example, now_s=NOW.timestamp())
    assert count == (2 if interval == "1m" else 1)
    minutes = [int(datetime.fromisoformat(row["ts"]).timestamp()) // 60 for row in rows]
    has_halts = any(minute % HALTED_EVERY == 0 for minute in minutes)
    assert interval != "1m" or has_halts == (instrument in ("EUR-USD", "BTC-USD", "GSPC.INDX"))


def test_a_window_that_ends_now_has_no_row_for_the_live_price(exchange):
    for instrument, interval in (("AAPL", "1m"), ("BTC-USD", "1h"), ("EUR-USD", "5m")):
        start = NOW - timedelta(hours=3)
        rows, _ = fetch(exchange, Query("bars", (instrument,), interval, start, NOW))
        example = Example("bars", instrument, interval, start.isoformat(), NOW.isoformat())
        assert rows == exchange.rows(example, now_s=NOW.timestamp())


@pytest.mark.parametrize("hours", [0, 5, 14])
@pytest.mark.parametrize("instrument", ["AAPL", "BTC-USD", "EUR-USD"])
def test_todays_bar_comes_once_during_and_after_the_session_with_the_live_volume(exchange, instrument, hours):
    now = NOW + timedelta(hours=hours)
    rows, _ = fetch(exchange, Query("bars", (instrument,), "1d", None, now), now)
    days = [row["ts"] for row in rows]
    assert len(days) == len(set(days)) > 5
    symbol = next(one for one in SYMBOLS.values() if one.instrument == instrument)
    live = exchange._market.live_day(symbol, now_s=now.timestamp())
    assert rows[-1] == {
        "ts": f"{live.day}T00:00:00+00:00",
        "open": live.open,
        "high": live.high,
        "low": live.low,
        "close": live.close,
        "volume": live.volume,
        "adjusted_close": live.adjusted,
    }


def test_a_live_poll_brings_the_newest_bars_of_every_kind(exchange):
    for instrument in ("AAPL", "BTC-USD", "GSPC.INDX"):
        rows, count = fetch(exchange, Query("bars", (instrument,), "1m", None, NOW))
        assert (rows[-1]["ts"], count) == ("2026-11-23T17:31:00+00:00", 1)
    sunday = NOW - timedelta(days=1)
    assert fetch(exchange, Query("bars", ("AAPL",), "1m", None, sunday), sunday)[0] == []


@pytest.mark.parametrize("hour", [0, 5, 8, 14, 18, 21])
@pytest.mark.parametrize("dataset_and_interval", ["bars 1m", "bars 15m", "bars 1d", "quotes", "actions"])
def test_what_polls_bring_at_any_hour_breaks_no_rule_of_good_data(exchange, dataset_and_interval, hour):
    dataset, _, interval = dataset_and_interval.partition(" ")
    now = NOW.replace(hour=hour)
    names = tuple(symbol.instrument for symbol in SYMBOLS.values())
    query = Query(dataset, names, interval or None, None, now)
    answers = [send(exchange, request, now) for request in yahoo.build(query)]
    parts = [(i, yahoo.parse(query, answer), now, now) for i, answer in enumerate(answers)]
    frame = frames.batch(parts, dataset)
    kept, findings = check(frame, dataset=dataset, interval=interval or None, start=None, end=None, observed_at=now)
    assert findings == []
    assert kept.height == frame.height >= (1 if dataset == "actions" else len(names) - 7)


@pytest.mark.parametrize("case", Yahoo(7).error_cases(), ids=lambda case: case.name)
def test_each_of_its_errors_leads_to_what_the_documentation_asks_for(exchange, case):
    query, faults = query_of(case.example), Faults()
    if case.fault:
        faults.arm({"provider": "yahoo", **case.fault}, {"yahoo": exchange})
    answer = send(exchange, yahoo.build(query)[0], faults=faults, cookie=case.key or "sandbox-key")
    error = yahoo.error_of(answer)
    if case.decision == "nothing":
        assert error is None
        assert yahoo.parse(query, answer).columns["ts"] == []
    else:
        assert type(error) is KINDS[case.decision]


def test_a_poll_of_quotes_is_one_request_with_a_key_and_one_a_symbol_without(exchange):
    names = tuple(symbol.instrument for symbol in SYMBOLS.values())
    known, count = fetch(exchange, Query("quotes", names, has_key=True))
    assert (len(known), count) == (len(names), 1)
    lasts, count = fetch(exchange, Query("quotes", names))
    assert count == len(names)
    assert [{"ts": row["ts"], "last": row["last"]} for row in known] == lasts


def test_what_its_search_lists_can_be_asked_for(exchange):
    for text in ("app", "usd", "ibm"):
        found = yahoo.listed(send(exchange, yahoo.catalogue(text)))
        assert found
        for name in found:
            assert yahoo.error_of(send(exchange, yahoo.build(Query("quotes", (name,)))[0])) is None


def test_requests_of_the_farms_pace_are_never_refused_and_a_bare_client_always_is():
    exchange = Yahoo(7)
    (request,) = yahoo.build(Query("quotes", ("AAPL",)))
    for second in range(180):
        assert yahoo.error_of(send(exchange, request, NOW + timedelta(seconds=second))) is None
    bare = Answer(
        request, 429, {}, exchange.answer(sandbox.contract.Request(request.path, {}, {}, "::1", 0)).body, NOW, NOW
    )
    assert type(yahoo.error_of(bare)) is SlowDown
