"""Cursors: however many pages, every row arrives exactly once, digit by digit, over either transport."""

from __future__ import annotations

import csv
import gzip
import importlib.resources
from decimal import Decimal

from ingest.pipeline.sending import MAX_ROUNDS
from ingest.providers.nasdaq_data_link_parts import tables
from tests.pipeline.farm import days_call

TICKERS = ("AAPL", "FB", "GOOG", "IBM", "MSFT")
PAGE_ROWS = 500
VALUES = {
    "Open": "open",
    "High": "high",
    "Low": "low",
    "Close": "close",
    "Volume": "volume",
    "Adj Close": "adjusted_close",
}


def real_rows() -> dict[tuple[str, str], tuple[Decimal, ...]]:
    """Return the file's rows by ticker and date, read here and not by the sandbox."""
    packed = (importlib.resources.files("bokeh_sampledata") / "_data" / "stocks.csv.gz").read_bytes()
    rows = csv.DictReader(gzip.decompress(packed).decode().splitlines())
    return {(row["Ticker"], row["Date"]): tuple(Decimal(row[name]) for name in VALUES) for row in rows}


def test_all_12154_rows_of_the_file_are_stored_exactly_over_many_pages_and_successor_jobs(
    farm_on_each_transport, monkeypatch
):
    farm = farm_on_each_transport
    monkeypatch.setattr(tables, "PAGE_ROWS", PAGE_ROWS)
    expected = real_rows()
    assert len(expected) == 12_154
    farm.owe("nasdaq_data_link", days_call(*TICKERS, start="1990-01-01", end="2020-01-01"))
    outcomes = farm.run()
    pages = -(-len(expected) // PAGE_ROWS)
    assert pages > MAX_ROUNDS
    assert farm.requests("nasdaq_data_link") == pages
    assert [outcome.requests for outcome in outcomes] == [10, 10, pages - 20]
    assert farm.states() == ["done", "done", "done"]
    stored = farm.select(
        f"SELECT instrument, (ts AT TIME ZONE 'UTC')::date::text, {', '.join(VALUES.values())}, is_final"
        " FROM bars JOIN series ON id = series_id"
    )
    assert {(row[0], row[1]): tuple(row[2:8]) for row in stored} == expected
    assert all(row[8] for row in stored)
    assert farm.findings() == []
    assert farm.select("SELECT sum(stored), sum(final) FROM ledger") == [(12_154, 12_154)]
    assert farm.value("SELECT count(*) FROM revisions") == 0


def test_fetching_them_again_changes_no_row_and_no_count(farm):
    farm.owe("nasdaq_data_link", days_call(*TICKERS, start="2012-01-01", end="2013-01-01"))
    farm.run()
    rows = "SELECT series_id, ts, open, high, low, close, volume, adjusted_close, is_final FROM bars ORDER BY 1, 2"
    first, ledger = farm.select(rows), farm.select("SELECT series_id, day, stored, final FROM ledger ORDER BY 1, 2")
    farm.owe("nasdaq_data_link", days_call(*TICKERS, start="2012-01-01", end="2013-01-01"))
    farm.run()
    assert farm.select(rows) == first
    assert farm.select("SELECT series_id, day, stored, final FROM ledger ORDER BY 1, 2") == ledger
    assert farm.value("SELECT count(*) FROM revisions") == 0
    assert len(first) == farm.value("SELECT sum(stored) FROM ledger")


def test_a_cursor_that_stands_still_ends_and_is_told(farm, monkeypatch):
    monkeypatch.setattr(tables, "PAGE_ROWS", 5)
    farm.owe("nasdaq_data_link", days_call("AAPL"))
    farm.run_once()
    log = farm.sandbox.control("GET", "requests?log=1")[1]["log"]
    cursor = log[1]["query"].split("qopts.cursor_id=")[1]
    still = farm.sandbox.get(f"/nasdaq_data_link{log[1]['path']}?{log[1]['query']}", **{"x-api-token": "sandbox-key"})
    body = still.data.decode().rpartition('"next_cursor_id":')[0] + f'"next_cursor_id":"{cursor}"}}}}'
    farm.change("TRUNCATE bars, ledger")
    farm.sandbox.arm("nasdaq_data_link", "error_in_200", match="cursor_id", args={"body": body})
    farm.owe("nasdaq_data_link", days_call("AAPL"))
    farm.run_once()
    assert farm.sandbox.fired() == [1]
    assert farm.findings() == [("unparsable_page", "reject", 0)]
    assert farm.value("SELECT count(*) FROM bars") == 5
    assert farm.value("SELECT count(*) FROM jobs WHERE state = 'due' AND parent_id IS NOT NULL") == 1
