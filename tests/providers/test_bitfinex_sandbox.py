"""Bitfinex's two readings against each other: what the provider asks, the sandbox's dialect answers completely."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

import sandbox.contract
from ingest.errors import FixRequest, SlowDown, TryAgain, UnknownName
from ingest.market.times import epoch_us
from ingest.providers import bitfinex
from ingest.providers.contract import Query
from ingest.wire import Answer
from sandbox.bitfinex_market import PAIRS
from sandbox.body_faults import BODY_FAULTS, Case
from sandbox.dialects.bitfinex import Bitfinex
from sandbox.row_faults import spoil_page

NOW = datetime(2026, 11, 23, 2, 37, 20, 500_000, UTC)
EXAMPLES, ERROR_CASES = Bitfinex(7).examples(), Bitfinex(7).error_cases()
UNIT_US = 1_000
DECISIONS = {"wait": SlowDown, "again": TryAgain, "request": FixRequest, "unknown": UnknownName, "nothing": type(None)}
RATES = {"bars": "candles", "trades": "trades", "quotes": "tickers", "books": "book"}


@pytest.fixture
def exchange():
    dialect = Bitfinex(7)
    dialect.limits |= {name: 10**9 for name in dialect.limits if name.endswith("_per_minute")}
    return dialect


def query_of(example):
    moments = (datetime.fromisoformat(text) if text else None for text in (example.start, example.end))
    return Query(example.dataset, (example.instrument,), example.interval or None, *moments)


def send(exchange, request, now=NOW):
    asked = sandbox.contract.Request(request.path, dict(request.params), {}, "127.0.0.1", now.timestamp())
    said = exchange.answer(asked)
    said = said if isinstance(said, sandbox.contract.Answer) else said()
    return Answer(request, said.status, {}, said.body, now, now)


def fetch(exchange, query, now=NOW, spoil=lambda answer: answer):
    """Return the rows of all pages as the dialect tells them, oldest first, and how many requests they took."""
    rows, count, left = [], 0, bitfinex.build(query)
    while left:
        count += 1
        answer = spoil(send(exchange, left.pop(0), now))
        assert bitfinex.error_of(answer) is None, answer.body
        parsed = bitfinex.parse(query, answer)
        assert parsed.rejects == ()
        columns = dict(parsed.columns)
        assert set(columns.pop("instrument")) <= set(query.instruments)
        rows += [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        following = bitfinex.next_page(answer.request, answer)
        left += [] if following is None else [following]
    return rows, count


def told(exchange, example, now=NOW):
    """Return the dialect's rows with times counted as the parser does; quotes and books have none of their own."""
    has_times = example.dataset in ("bars", "trades")
    return [
        row | {"ts": epoch_us(datetime.fromisoformat(row["ts"])) // UNIT_US if has_times else None}
        for row in exchange.rows(example, now_s=now.timestamp())
    ]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: f"{e.dataset}-{e.instrument}-{e.interval}")
def test_an_example_comes_whole_and_to_the_digit(exchange, example):
    rows, count = fetch(exchange, query_of(example))
    expected = told(exchange, example)
    assert rows == expected
    assert expected
    assert count >= len(expected) / bitfinex.PAGE_ROWS


def test_the_examples_have_every_dataset_and_windows_of_several_pages(exchange):
    assert {example.dataset for example in EXAMPLES} == set(bitfinex.facts.datasets)
    for dataset in ("bars", "trades"):
        most = max(len(exchange.rows(e, now_s=NOW.timestamp())) for e in EXAMPLES if e.dataset == dataset)
        assert most > bitfinex.PAGE_ROWS


def test_pages_smaller_than_asked_for_lose_nothing(exchange):
    exchange.limits["most_rows"] = 250
    for example in EXAMPLES[1:2] + EXAMPLES[5:6]:
        rows, count = fetch(exchange, query_of(example))
        assert rows == told(exchange, example)
        assert count > 1


@pytest.mark.parametrize("example", [EXAMPLES[2], EXAMPLES[5]], ids=["bars", "trades"])
def test_a_page_that_loses_its_second_half_on_the_way_is_made_up_for(exchange, example):
    fired = []

    def spoil(answer):
        page = exchange.page(answer.body)
        if fired or page is None:
            return answer
        fired.append(spoil_page("short_page", page, arguments={}, now_s=NOW.timestamp()))
        return replace(answer, body=page.text().encode())

    rows, _ = fetch(exchange, query_of(example), spoil=spoil)
    assert fired == [True]
    assert rows == told(exchange, example)


def test_a_window_that_ends_now_has_the_forming_bar_and_the_latest_trade(exchange):
    start = NOW - timedelta(minutes=3)
    for dataset, interval in (("bars", "1m"), ("trades", "")):
        example = sandbox.contract.Example(dataset, "BTC-USD", interval, start.isoformat(), NOW.isoformat())
        rows, _ = fetch(exchange, query_of(example))
        assert rows == told(exchange, example)


def test_a_live_poll_brings_the_newest_of_every_dataset(exchange):
    names = ("BTC-USD", "DOGE-USD", "BTC-USDT", "BTCF0-USTF0")
    bars, count = fetch(exchange, Query("bars", names, "1m", None, NOW))
    assert (len(bars), count, bars[0]["ts"]) == (20, 4, int(NOW.timestamp()) // 60 * 60_000)
    trades, count = fetch(exchange, Query("trades", names, None, None, NOW))
    assert (len(trades), count) == (4_000, 4)
    assert trades[0]["ts"] > trades[999]["ts"]
    quotes, count = fetch(exchange, Query("quotes", names))
    assert (len(quotes), count) == (4, 1)
    books, _ = fetch(exchange, Query("books", names))
    assert [book["bid_prices"].partition(",")[0] for book in books] == [quote["bid"] for quote in quotes]
    assert [book["ask_prices"].partition(",")[0] for book in books] == [quote["ask"] for quote in quotes]


def test_the_catalogue_lists_every_pair_but_those_of_the_test_market(exchange):
    assert bitfinex.listed(send(exchange, bitfinex.catalogue())) == [pair.common for pair in PAIRS]
    assert [bitfinex.native_symbol(pair.common) for pair in PAIRS] == [pair.symbol for pair in PAIRS]


@pytest.mark.parametrize("case", ERROR_CASES, ids=lambda case: case.name)
def test_each_of_its_errors_leads_to_what_must_follow(exchange, case):
    (request,) = bitfinex.build(query_of(case.example))
    answer = send(exchange, request)
    if case.fault:
        sent = sandbox.contract.Answer(answer.status, answer.body)
        spoilt = BODY_FAULTS[case.fault["fault"]](sent, Case(case.fault["args"], exchange, NOW.timestamp(), ""))
        answer = replace(answer, status=spoilt.status, body=spoilt.body)
    error = bitfinex.error_of(answer)
    assert type(error) is DECISIONS[case.decision]
    assert case.source.startswith("https://")
    if case.decision == "nothing":
        assert bitfinex.parse(query_of(case.example), answer).columns["instrument"] == []


def test_a_pair_that_does_not_exist_is_missing_among_others_and_said_to_be(exchange):
    query = Query("quotes", ("BTC-USD", "NOPE-USD"))
    (request,) = bitfinex.build(query)
    parsed = bitfinex.parse(query, send(exchange, request))
    assert parsed.columns["instrument"] == ["BTC-USD"]
    assert [(r.rule, r.instrument) for r in parsed.rejects] == [("missing_rows", "NOPE-USD")]


@pytest.mark.parametrize("limit", bitfinex.facts.limits, ids=lambda limit: limit.datasets[0])
def test_requests_within_the_limits_are_never_refused_and_one_too_many_blocks_a_minute(limit):
    exchange, at = Bitfinex(7), NOW
    (dataset,) = limit.datasets
    interval = "1m" if dataset == "bars" else None
    names = ("BTC-USD", "ETH-USD") if dataset == "quotes" else ("BTC-USD",)
    (request,) = bitfinex.build(Query(dataset, names, interval))
    for _ in range(2):
        for _ in range(limit.amount):
            assert bitfinex.error_of(send(exchange, request, at)) is None
        at += timedelta(seconds=limit.per_s)
    at -= timedelta(seconds=limit.per_s / 2)
    error = bitfinex.error_of(send(exchange, request, at))
    assert isinstance(error, SlowDown)
    just_before = at + timedelta(seconds=error.retry_after_s - 1)
    assert isinstance(bitfinex.error_of(send(exchange, request, just_before)), SlowDown)
    assert bitfinex.error_of(send(exchange, request, at + timedelta(seconds=error.retry_after_s))) is None
