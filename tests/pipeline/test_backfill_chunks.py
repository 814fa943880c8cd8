"""Chunks hold what was wanted, once each; they cost what the provider's file builds for them, and fit a job."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from ingest import providers
from ingest.errors import FixRequest
from ingest.market.calendars import expected_by_day
from ingest.pipeline.backfill_chunks import Cutter
from ingest.pipeline.follow import JOB_ROWS
from ingest.providers.contract import Query, calendar_of

END = datetime(2024, 11, 1, tzinfo=UTC)
STARTS = (datetime(2024, 10, 5, 7, tzinfo=UTC), datetime(2024, 1, 1, tzinfo=UTC))
WITH_BARS = [
    (name, interval)
    for name in providers.names()
    for interval in providers.get(name).facts.intervals
    if "bars" in providers.get(name).facts.datasets
]


def name_at(provider):
    return "BTC-USD" if provider.facts.trading == "always" else "AAPL"


def expected(calendar, interval, start, end):
    return sum(rows for _, rows in expected_by_day(calendar, interval, start, end))


@pytest.mark.parametrize(("provider_name", "interval"), WITH_BARS)
def test_chunks_hold_every_bar_and_cost_what_their_jobs_will_send(provider_name, interval):
    provider = providers.get(provider_name)
    name = name_at(provider)
    calendar = calendar_of(provider.facts, name)
    for start in STARTS:
        try:
            chunks = Cutter(provider, "bars", interval).chunks(name, calendar, start, END)
        except FixRequest:
            pytest.skip("the provider has no such bars of this instrument")
        assert all(one.end <= following.start for one, following in pairwise(chunks))
        held = sum(expected(calendar, interval, one.start, one.end) for one in chunks)
        assert held == expected(calendar, interval, start, END)
        for one in chunks:
            built = provider.build(Query("bars", (name,), interval, one.start, one.end))
            assert (one.requests, one.weight) == (len(built), sum(request.weight for request in built))


@pytest.mark.parametrize(
    ("provider_name", "rows", "requests"),
    [
        ("binance", JOB_ROWS, 5),  # five pages of 1,000
        ("coinbase", 4_800, 16),  # sixteen pages of 300: a seventeenth would be one of 200
        ("bitfinex", 10_000, 1),  # a page is more than a job has elsewhere
        ("polygon", 50_000, 1),  # its pages follow by cursor, so the window is cut here
    ],
)
def test_a_job_holds_whole_pages(provider_name, rows, requests):
    provider = providers.get(provider_name)
    first = Cutter(provider, "bars", "1m").chunks(name_at(provider), "always", STARTS[1], END)[0]
    assert (first.end - first.start, first.requests) == (timedelta(minutes=rows), requests)


def test_a_month_that_is_only_sent_whole_is_one_job():
    chunks = Cutter(providers.get("alpha_vantage"), "bars", "1m").chunks("AAPL", "XNYS", STARTS[1], END)
    assert [f"{one.start:%m-%d %H}" for one in chunks[:3]] == ["01-01 05", "02-01 05", "03-01 05"]  # New York's months
    assert len(chunks) == 10
    assert {one.requests for one in chunks} == {1}


def test_days_on_which_no_market_is_open_are_not_asked_for():
    friday = datetime(2024, 3, 1, tzinfo=UTC)
    chunks = Cutter(providers.get("fmp"), "bars", "1m").chunks("AAPL", "XNYS", friday, friday + timedelta(days=4))
    assert [(one.start.day, one.end.day) for one in chunks] == [(1, 2), (4, 5)]


def test_what_has_no_interval_is_cut_by_time():
    chunks = Cutter(providers.get("binance"), "trades", None).chunks(
        "BTC-USDT", "always", END - timedelta(hours=3), END
    )
    assert [one.end - one.start for one in chunks] == [timedelta(hours=1)] * 3
