"""Every dataset of every exchange, from the sandbox into its table: whole windows, exact digits, nothing twice.

Deliberately not here: columns, units and errors of one provider (tests/providers), the rules of good data
(tests/market). Invariant: what is expected is worked out from the answers the sandbox gave, not from our parsers.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ingest.errors import FixRequest
from ingest.pipeline.calls import check_call, within_reach
from ingest.pipeline.follow import plan_history
from ingest.pipeline.status import series_status
from ingest.providers import get
from tests.pipeline.farm import LATER, bars_call

PAIRS = {"binance": "BTC-USDT", "coinbase": "BTC-USD", "kraken": "BTC-USD"}
each_exchange = pytest.mark.parametrize("provider", PAIRS)
#: Long closed, on a minute, a few pages of trades long.
PAST = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=30)


def poll(farm, provider, dataset, **changes):
    farm.owe(provider, {"dataset": dataset, "instruments": [PAIRS[provider]], **changes})
    outcomes = farm.run(within=LATER)
    assert {outcome.state for outcome in outcomes} <= {"fetched", "deferred"}, outcomes
    assert set(farm.states()) == {"done"}


@each_exchange
def test_a_poll_of_trades_stores_the_newest_page_and_the_next_one_only_what_is_new(farm, provider):
    poll(farm, provider, "trades")
    seen = farm.value("SELECT count(*) FROM trades")
    assert 500 <= seen <= 1_000
    first = farm.select("SELECT trade_id, observed_at, job_id FROM trades ORDER BY trade_id")
    poll(farm, provider, "trades")
    assert farm.select("SELECT trade_id, observed_at, job_id FROM trades ORDER BY trade_id")[: len(first)] == first
    assert farm.findings() == []
    assert farm.value("SELECT count(DISTINCT trade_id) = count(*) FROM trades")
    assert set(farm.select("SELECT DISTINCT side FROM trades")) == {("buy",), ("sell",)}


@each_exchange
def test_a_window_of_trades_is_whole_whatever_its_pages_and_its_bars_agree_with_it(farm, provider):
    """The ids have no hole, and open, high, low, close and volume of each minute are those of its bar."""
    minutes = 8
    window = {"start": PAST.isoformat(), "end": (PAST + timedelta(minutes=minutes)).isoformat()}
    poll(farm, provider, "trades", **window)
    poll(farm, provider, "bars", interval="1m", **window)
    assert farm.findings() == []
    low, high, count = farm.select("SELECT min(trade_id), max(trade_id), count(*) FROM trades")[0]
    assert high - low + 1 == count
    assert farm.value("SELECT bool_and(ts >= :at AND ts < :end) FROM trades", at=PAST, end=PAST + timedelta(minutes=8))
    made = farm.select(
        "SELECT date_trunc('minute', ts) AS minute, (array_agg(price ORDER BY trade_id))[1], max(price), min(price),"
        " (array_agg(price ORDER BY trade_id DESC))[1], sum(size) FROM trades GROUP BY 1 ORDER BY 1"
    )
    bars = farm.select("SELECT ts, open, high, low, close, volume FROM bars ORDER BY ts")
    assert len(bars) == minutes
    assert made == bars


@each_exchange
def test_a_book_is_stored_level_by_level_best_first(farm, provider):
    poll(farm, provider, "books")
    [(bids, bid_sizes, asks, ask_sizes)] = farm.select("SELECT bid_prices, bid_sizes, ask_prices, ask_sizes FROM books")
    assert len(bids) == len(bid_sizes) == len(asks) == len(ask_sizes) == 100
    assert bids == sorted(bids, reverse=True)
    assert asks == sorted(asks)
    assert bids[0] < asks[0]
    assert min(bid_sizes + ask_sizes) > 0
    assert farm.findings() == []


@each_exchange
def test_quotes_and_books_have_no_history_and_say_so(provider):
    for dataset in ("quotes", "books"):
        kwargs = {"dataset": dataset, "instruments": [PAIRS[provider]], "start": "2024-01-01"}
        with pytest.raises(FixRequest, match=f"{dataset} have no history"):
            check_call(get(provider).facts, kwargs)


def test_each_dataset_is_current_after_its_first_poll(farm):
    for dataset, interval in (("bars", "1m"), ("trades", None), ("quotes", None), ("books", None)):
        for provider in PAIRS:
            poll(farm, provider, dataset, interval=interval)
    farm.change("UPDATE series SET followed = true")
    with farm.context.sessions() as session:
        rows = series_status(session, datetime.now(UTC))
    assert len(rows) == 12
    assert {(row.dataset, row.state) for row in rows} == {
        (dataset, "current") for dataset in ("bars", "trades", "quotes", "books")
    }
    assert min(row.rows for row in rows) >= 1


NOW = datetime(2026, 11, 24, 12, 0, 30, tzinfo=UTC)
FIRST = datetime(2026, 11, 24, 0, 0, tzinfo=UTC)


def test_a_window_before_a_providers_reach_is_refused_and_one_across_it_is_cut():
    facts = get("kraken").facts
    across = check_call(facts, bars_call("BTC-USD", minutes=120, start=FIRST - timedelta(hours=1)))
    assert within_reach(facts, across, NOW).start == FIRST
    before = check_call(facts, bars_call("BTC-USD", minutes=60, start=FIRST - timedelta(hours=1)))
    with pytest.raises(FixRequest, match=r"only its newest 720 bars: 1m from 2026-11-24T00:00:00\+00:00 on"):
        within_reach(facts, before, NOW)
    whole = check_call(get("binance").facts, bars_call("BTC-USDT", minutes=120, start=FIRST - timedelta(days=900)))
    assert within_reach(get("binance").facts, whole, NOW) == whole


def test_history_is_owed_from_a_providers_reach_on(farm):
    with farm.context.sessions.begin() as session:
        owed = plan_history(
            session, get("kraken"), ["BTC-USD"], interval="1m", start=FIRST - timedelta(days=30), end=NOW, now=NOW
        )
    assert owed >= 1
    assert farm.value("SELECT min(kwargs->>'start') FROM jobs") == FIRST.isoformat()
