"""Coinbase's two readings against each other: what the provider asks, the sandbox's dialect answers completely."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

import sandbox.contract
from ingest.market.intervals import bar_opens
from ingest.market.times import epoch_ms, epoch_us
from ingest.providers import coinbase
from ingest.providers.contract import Query
from ingest.wire import Answer
from sandbox.coinbase_market import is_quiet
from sandbox.dialects.coinbase import Coinbase
from sandbox.price_walk import PriceWalk
from sandbox.trade_tape import TradeTape

NOW = datetime(2026, 11, 23, 3, 37, 0, 500_000, UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture(scope="module")
def exchange():
    dialect = Coinbase(7)
    dialect.limits["burst"] = 10**9
    return dialect


def send(exchange, request):
    asked = sandbox.contract.Request(
        request.path, dict(request.params), {"user-agent": "x"}, "127.0.0.1", NOW.timestamp()
    )
    said = exchange.answer(asked)
    said = said if isinstance(said, sandbox.contract.Answer) else said()
    headers = {name.lower(): value for name, value in said.headers}
    return Answer(request, said.status, headers, said.body, NOW, NOW)


def fetch(exchange, query):
    """Return the rows of all pages, column by column, and how many requests they took."""
    columns, count, left = {}, 0, coinbase.build(query)
    while left:
        count += 1
        answer = send(exchange, left.pop(0))
        assert coinbase.error_of(answer) is None, answer.body
        parsed = coinbase.parse(query, answer)
        assert parsed.rejects == ()
        for name, values in parsed.columns.items():
            columns.setdefault(name, []).extend(values)
        following = coinbase.next_page(answer.request, answer)
        left += [] if following is None else [following]
    return columns, count


@pytest.mark.parametrize("product", ["BTC-USD", "LTC-USD"])
@pytest.mark.parametrize("offset_s", [0, 17])
def test_a_window_of_bars_brings_every_minute_with_trades_once_and_no_other(exchange, product, offset_s):
    start = NOW.replace(second=0, microsecond=0) - timedelta(minutes=1000, seconds=offset_s)
    end = start + timedelta(minutes=901)
    columns, count = fetch(exchange, Query("bars", (product,), "1m", start, end))
    opens = [int(ts.timestamp()) for ts in bar_opens(start, end, "1m")]
    expected = [ts for ts in opens if product == "BTC-USD" or not is_quiet(ts // 60)]
    assert sorted(columns["ts"]) == expected
    assert count == 4
    assert 600 < len(expected) <= len(opens) == 901


@pytest.mark.parametrize("product", ["ETH-USD", "LTC-USD"])
def test_a_window_of_trades_brings_every_trade_of_it_once_however_many_pages_that_takes(exchange, product):
    start, end = NOW - 40 * MINUTE, NOW - 7 * MINUTE
    columns, count = fetch(exchange, Query("trades", (product,), None, start, end))
    tape = TradeTape(PriceWalk(7)).trades(product.replace("-", ""), epoch_ms(start), epoch_ms(end))
    expected = [t for t in tape if product == "ETH-USD" or not is_quiet(t.time_us // 60_000_000)]
    assert columns["trade_id"] == [str(trade.id) for trade in reversed(expected)]
    assert columns["ts"] == [trade.time_us for trade in reversed(expected)]
    assert columns["side"] == ["buy" if trade.taker_buys else "sell" for trade in reversed(expected)]
    assert count > len(expected) / 1000 > 1
    assert min(columns["ts"]) >= epoch_us(start)
    assert max(columns["ts"]) < epoch_us(end)


def test_a_live_poll_brings_the_newest_of_every_dataset(exchange):
    names = ("BTC-USD", "DOGE-USD")
    bars, _ = fetch(exchange, Query("bars", names, "1m", None, NOW))
    assert len(bars["ts"]) == 10  # four that are closed, and the one before, as the new minute has no trade yet
    trades, count = fetch(exchange, Query("trades", names, None, None, NOW))
    assert (len(trades["ts"]), count) == (2000, 2)
    quotes, _ = fetch(exchange, Query("quotes", names))
    assert (quotes["instrument"], quotes["ts"]) == ([*names], [None, None])
    books, _ = fetch(exchange, Query("books", names))
    assert books["ts"] == [epoch_us(NOW)] * 2
    assert [text.count(",") for name in ("bid_prices", "ask_sizes") for text in books[name]] == [99] * 4


def test_the_catalogue_lists_the_products_and_an_unlisted_one_is_an_unknown_name(exchange):
    listed = coinbase.listed(send(exchange, coinbase.catalogue()))
    assert listed == [f"{asset}-USD" for asset in ("BTC", "ETH", "SOL", "XRP", "ADA", "DOGE", "LTC")]
    for dataset in coinbase.facts.datasets:
        (request,) = coinbase.build(Query(dataset, ("NO-USD",), "1m" if dataset == "bars" else None))
        error = coinbase.error_of(send(exchange, request))
        assert (getattr(error, "kind", None), error.instrument) == ("instrument", "NO-USD")
