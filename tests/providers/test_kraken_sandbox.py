"""Kraken's two readings against each other: what the provider asks, the sandbox's dialect answers completely."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

import sandbox.contract
from ingest.errors import SlowDown
from ingest.market.intervals import bar_opens, seconds_of
from ingest.market.times import epoch_ms
from ingest.providers import kraken
from ingest.providers.contract import Query
from ingest.wire import Answer
from sandbox.dialects.kraken import Kraken
from sandbox.kraken_market import is_quiet
from sandbox.price_walk import PriceWalk
from sandbox.trade_tape import TradeTape

NOW = datetime(2026, 11, 23, 2, 37, 0, 500_000, UTC)
MINUTE = timedelta(minutes=1)
PAIRS = ["BTC-USD", "ETH-USD", "SOL-USD", "XRP-USD", "ADA-USD", "DOGE-USD", "LTC-USD", "BTC-USDT", "ETH-USDT"]


@pytest.fixture
def exchange():
    dialect = Kraken(7)
    dialect.limits["counter_highest"] = 10**9
    return dialect


def send(exchange, request, now=NOW):
    asked = sandbox.contract.Request(request.path, dict(request.params), {}, "127.0.0.1", now.timestamp())
    said = exchange.answer(asked)
    said = said if isinstance(said, sandbox.contract.Answer) else said()
    return Answer(request, said.status, {}, said.body, now, now)


def fetch(exchange, query):
    """Return the rows of all pages, column by column, and how many requests they took."""
    columns, count, left = {}, 0, kraken.build(query)
    while left:
        count += 1
        answer = send(exchange, left.pop(0))
        assert kraken.error_of(answer) is None, answer.body
        parsed = kraken.parse(query, answer)
        assert parsed.rejects == ()
        for name, values in parsed.columns.items():
            columns.setdefault(name, []).extend(values)
        following = kraken.next_page(answer.request, answer)
        left += [] if following is None else [following]
    return columns, count


@pytest.mark.parametrize("interval", list(kraken.facts.intervals))
@pytest.mark.parametrize("offset_s", [0, 17])
def test_a_window_of_bars_brings_every_one_of_it_once_and_no_other(exchange, interval, offset_s):
    width = timedelta(seconds=seconds_of(interval))
    start = NOW.replace(minute=0, second=0, microsecond=0) - 40 * width + timedelta(seconds=offset_s)
    for end in (start + 30 * width, NOW):
        columns, count = fetch(exchange, Query("bars", ("SOL-USD",), interval, start, end))
        assert columns["ts"] == [int(ts.timestamp()) for ts in bar_opens(start, end, interval)]
        assert (count, set(columns["instrument"])) == (1, {"SOL-USD"})


def test_the_whole_reach_comes_in_one_page_and_minutes_without_trades_are_in_it(exchange):
    start = NOW.replace(second=0, microsecond=0) - 720 * MINUTE
    columns, _ = fetch(exchange, Query("bars", ("LTC-USD",), "1m", start, NOW))
    assert columns["ts"] == [int(ts.timestamp()) for ts in bar_opens(start, NOW, "1m")]
    quiet = [row for row in zip(*columns.values(), strict=True) if is_quiet(row[1] // 60)]
    assert {row[-2:] for row in quiet} == {("0.00000000", "0")}
    assert len(quiet) > 20
    assert all(len(set(row[2:6])) == 1 for row in quiet)


@pytest.mark.parametrize("exclusive", [0, 1])
@pytest.mark.parametrize("pair", ["BTC-USD", "DOGE-USD", "LTC-USD"])
def test_a_window_of_trades_brings_each_once_whether_since_is_inclusive_or_not(exchange, pair, exclusive):
    exchange.limits["trades_since_exclusive"] = exclusive
    start, end = NOW - 25 * MINUTE, NOW - 7 * MINUTE
    columns, count = fetch(exchange, Query("trades", (pair,), None, start, end))
    tape = TradeTape(PriceWalk(7)).trades(pair.replace("-", ""), epoch_ms(start), epoch_ms(end))
    expected = [t for t in tape if pair != "LTC-USD" or not is_quiet(t.time_us // 60_000_000)]
    assert columns["trade_id"] == [str(trade.id) for trade in expected]
    assert columns["side"] == ["buy" if trade.taker_buys else "sell" for trade in expected]
    assert max(abs(ts - t.time_us * 1000 - 500) for ts, t in zip(columns["ts"], expected, strict=True)) < 700
    assert count >= len(expected) / 1000 > 1


def test_a_window_of_trades_that_ends_now_loses_none(exchange):
    start = NOW - 3 * MINUTE
    columns, _ = fetch(exchange, Query("trades", ("BTC-USD",), None, start, NOW))
    expected = TradeTape(PriceWalk(7)).trades("BTCUSD", epoch_ms(start), epoch_ms(NOW))
    assert columns["trade_id"] == [str(trade.id) for trade in expected]


def test_a_live_poll_brings_the_newest_of_every_dataset(exchange):
    names = ("BTC-USD", "DOGE-USD", "BTC-USDT", "XRP-USD")
    bars, count = fetch(exchange, Query("bars", names, "1m", None, NOW))
    assert (len(bars["ts"]), count, max(bars["ts"])) == (20, 4, int(NOW.timestamp()))
    trades, count = fetch(exchange, Query("trades", names, None, None, NOW))
    assert (len(trades["ts"]), count) == (4000, 4)
    newest = TradeTape(PriceWalk(7)).newest("BTCUSD", 1, epoch_ms(NOW))
    assert trades["trade_id"][999] == str(newest[0].id)
    quotes, count = fetch(exchange, Query("quotes", names))
    assert (quotes["instrument"], quotes["ts"], count) == ([*names], [None] * 4, 1)
    books, _ = fetch(exchange, Query("books", names))
    assert (books["instrument"], books["ts"]) == ([*names], [None] * 4)
    assert {text.count(",") for name in ("bid_prices", "ask_sizes") for text in books[name]} == {99}
    for name in ("bid", "ask"):
        assert [text.partition(",")[0] for text in books[f"{name}_prices"]] == quotes[name]
        assert [text.partition(",")[0] for text in books[f"{name}_sizes"]] == quotes[f"{name}_size"]


def test_the_catalogue_lists_the_pairs_and_an_unlisted_one_is_an_unknown_name(exchange):
    assert kraken.listed(send(exchange, kraken.catalogue())) == PAIRS
    for dataset in kraken.facts.datasets:
        interval = "1m" if dataset == "bars" else None
        (request,) = kraken.build(Query(dataset, ("NO-USD",), interval))
        error = kraken.error_of(send(exchange, request))
        assert (getattr(error, "kind", None), error.instrument) == ("instrument", "NO-USD")


def test_requests_at_the_documented_pace_are_never_refused_and_faster_ones_are_told_to_slow_down():
    exchange, at = Kraken(7), NOW
    (request,) = kraken.build(Query("quotes", ("BTC-USD",)))
    for _ in range(60):
        assert kraken.error_of(send(exchange, request, at)) is None
        at += timedelta(seconds=kraken.facts.limits[0].per_s / kraken.facts.limits[0].amount)
    errors = [kraken.error_of(send(exchange, request, at)) for _ in range(20)]
    assert [type(error) for error in errors] == [type(None)] * 15 + [SlowDown] * 5
