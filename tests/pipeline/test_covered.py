"""Which stretches a batch's answers prove, whatever way a provider pages."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ingest.pipeline.fetch import fetch
from tests.pipeline.farm import DAY, LATER

HOUR = timedelta(hours=1)


def trades_call(*names, start=DAY, span=HOUR):
    return {
        "dataset": "trades",
        "instruments": list(names),
        "start": start.isoformat(),
        "end": (start + span).isoformat(),
    }


def once(farm, column="once"):
    return farm.value(f"SELECT {column}::text FROM ledger")


@pytest.mark.parametrize(
    ("provider", "name"), [("binance", "BTC-USDT"), ("bitfinex", "BTC-USD"), ("kraken", "BTC-USD")]
)
def test_a_window_of_trades_is_covered_by_the_whole_chain_of_its_pages(farm, provider, name):
    farm.owe(provider, trades_call(name, span=timedelta(minutes=2)))
    farm.run(within=LATER)
    assert farm.value("SELECT sum(stored) FROM ledger") == farm.value("SELECT count(*) FROM trades") > 0
    assert once(farm) == '{["2024-03-05 00:00:00+00","2024-03-05 00:02:00+00")}'


def test_a_chain_that_was_cut_covers_what_lies_between_its_rows_and_no_more(farm, monkeypatch):
    monkeypatch.setattr("ingest.pipeline.sending.MAX_ROUNDS", 2)
    farm.owe("binance", trades_call("BTC-USDT", span=HOUR))
    [job] = farm.begin()
    assert farm.fetch(job).owes
    farm.load(job)
    first, last = farm.select("SELECT min(ts), max(ts) FROM trades")[0]
    [[covers]] = farm.select(
        "SELECT once = tstzmultirange(tstzrange(CAST(:first AS timestamptz) + interval '1 us', :last)) FROM ledger",
        first=first,
        last=last,
    )
    assert covers


def test_a_page_with_a_row_that_was_refused_covers_nothing(farm):
    farm.sandbox.arm("binance", "null_prices")
    farm.owe("binance", trades_call("BTC-USDT", span=timedelta(minutes=2)))
    farm.run(within=LATER)
    assert once(farm) == "{}"


def test_a_poll_covers_from_its_oldest_bar_to_its_last_closed_one(farm):
    began = datetime.now(UTC)
    farm.owe("binance", {"dataset": "bars", "instruments": ["BTC-USDT"], "interval": "1m"})
    [job] = farm.begin()
    fetch(farm.context, "binance", job)
    farm.load(job)
    [[start, end, oldest, newest_final]] = farm.select(
        "SELECT lower(range_merge(range_agg(once))), upper(range_merge(range_agg(once))),"
        " (SELECT min(ts) FROM bars), (SELECT max(ts) FROM bars WHERE is_final)"
        " FROM (SELECT unnest(once) AS once FROM ledger) AS parts"
    )
    assert start == oldest
    assert end == newest_final + timedelta(minutes=1) <= began + timedelta(minutes=1)


def test_quotes_prove_no_stretch(farm):
    farm.owe("binance", {"dataset": "quotes", "instruments": ["BTC-USDT"]})
    farm.run()
    assert once(farm) == "{}"


def test_values_seen_again_and_older_vintages_make_no_day_of_observations_suspect(farm):
    call = {"dataset": "observations", "instruments": ["EUR-USD"], "start": "2015-01-01", "end": "2015-03-01"}
    for _ in range(2):
        farm.owe("frankfurter", call)
        farm.run(within=LATER)
    assert farm.value("SELECT count(*) FROM observations") > 0
    assert farm.select("SELECT DISTINCT state FROM ledger") == [("fetched",)]
