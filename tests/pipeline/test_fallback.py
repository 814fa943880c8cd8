"""A fallback read names each row's provider, fills what the first one lacks, and never replaces a final bar.

Deliberately not here: the command (test_cli_data.py) and the client (test_farm_client.py), which read through this.
"""

from __future__ import annotations

from datetime import timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.orm import sessionmaker

from ingest.errors import FixRequest, UnknownName
from ingest.market.records import DATASETS
from ingest.pipeline import read
from ingest.pipeline.export import csv_chunks, write_parquet
from ingest.pipeline.fallback import no_ranked_rows, rank, ranked_chunks, ranked_rows
from ingest.pipeline.read import find, within
from models import open_engine
from tests.stored_rows import START, add_series, keep, rows_of

PROVIDERS = ("binance", "kraken", "coinbase")


@pytest.fixture(scope="module")
def sessions(module_database_url):
    engine = open_engine(module_database_url, application_name="test fallback")
    yield sessionmaker(engine)
    engine.dispose()


@pytest.fixture(scope="module")
def pairs(sessions):
    """Series of one pair and of another, which has no bars, at each provider."""
    ids = {name: add_series(sessions, provider=name) for name in PROVIDERS}
    for name in PROVIDERS:
        add_series(sessions, "ETH-USDT", provider=name)
    return ids


@pytest.fixture(autouse=True, scope="module")
def _chunks_of_three():
    """Small chunks, so that a few rows make several."""
    before = read.CHUNK_ROWS
    read.CHUNK_ROWS = dict.fromkeys(DATASETS, 3)
    yield
    read.CHUNK_ROWS = before


def asked(sessions, *providers, instruments=("BTC-USDT",), interval="1m", **window):
    with sessions() as session:
        wanted = find(session, providers[0], "bars", instruments, interval=interval)
        wanted = within(wanted, **{"start": None, "end": None} | window)
        return rank(session, providers[0], wanted, providers[1:], interval=interval)


def store_bars(sessions, ids, bars):
    """Store each provider's bars: minute -> whether it is final; a bar's close tells whose it is."""
    with sessions.begin() as session:
        for table in ("bars", "ledger", "revisions"):
            session.execute(text(f"DELETE FROM {table}"))
    for name, minutes in bars.items():
        plain = rows_of("bars", 1)[0]
        rows = [
            plain
            | {"ts": START + timedelta(minutes=at), "is_final": "ft"[final], "close": f"1.{PROVIDERS.index(name)}"}
            for at, final in minutes.items()
        ]
        if rows:
            keep(sessions, "bars", ids[name], rows)


minutes = st.dictionaries(st.integers(0, 12), st.booleans(), max_size=12)


@settings(max_examples=25)
@given(st.fixed_dictionaries(dict.fromkeys(PROVIDERS, minutes)), st.none() | st.integers(1, 6), st.booleans())
def test_of_each_time_the_first_final_bar_is_read_and_a_forming_one_only_where_nobody_has_more(
    sessions, pairs, bars, last, final_only
):
    store_bars(sessions, pairs, bars)
    expected = []
    for at in range(13):
        final = [name for name in PROVIDERS if bars[name].get(at)]
        forming = [PROVIDERS[0]] if at in bars[PROVIDERS[0]] and not final_only else []
        expected += [(START + timedelta(minutes=at), name) for name in (final or forming)[:1]]
    rows = ranked_rows(sessions, asked(sessions, *PROVIDERS, last=last, final_only=final_only))
    assert rows.select("ts", "provider").rows() == (expected if last is None else expected[-last:])
    assert set(rows["close"]) <= {"1.0", "1.1", "1.2"}
    for provider, close in rows.select("provider", "close").rows():
        assert close == f"1.{PROVIDERS.index(provider)}"


def test_a_window_and_several_instruments_come_in_their_order_and_every_file_has_the_column(sessions, pairs, tmp_path):
    store_bars(sessions, pairs, {"binance": {0: True, 5: True}, "kraken": dict.fromkeys(range(12), True)})
    window = {"start": START + timedelta(minutes=2), "end": START + timedelta(minutes=7)}
    ranked = asked(sessions, "binance", "kraken", instruments=("ETH-USDT", "BTC-USDT"), **window)
    rows = ranked_rows(sessions, ranked)
    assert rows["provider"].to_list() == ["kraken", "kraken", "kraken", "binance", "kraken"]
    assert rows.columns[:3] == ["instrument", "provider", "ts"]
    text = b"".join(csv_chunks(ranked_chunks(sessions, ranked), "bars", empty=no_ranked_rows())).decode().splitlines()
    assert [line.split(",")[1] for line in text] == ["provider", *rows["provider"]]
    write_parquet(ranked_chunks(sessions, ranked), "bars", tmp_path / "rows.parquet", empty=no_ranked_rows())
    assert pl.read_parquet(tmp_path / "rows.parquet")["provider"].to_list() == rows["provider"].to_list()
    empty = asked(sessions, "binance", "kraken", instruments=("ETH-USDT",))
    write_parquet(ranked_chunks(sessions, empty), "bars", tmp_path / "none.parquet", empty=no_ranked_rows())
    assert pl.read_parquet(tmp_path / "none.parquet").columns == rows.columns


def test_prices_that_are_adjusted_otherwise_are_refused(sessions):
    made = {name: add_series(sessions, "AAPL", provider=name, interval="1d") for name in ("polygon", "fmp", "yahoo")}
    with sessions.begin() as session:
        for name, how in (("polygon", "none"), ("fmp", "splits"), ("yahoo", "splits")):
            session.execute(text("UPDATE series SET adjustment = :how WHERE id = :id"), {"how": how, "id": made[name]})
    share = {"instruments": ("AAPL",), "interval": "1d"}
    said = "fmp's bars of AAPL are adjusted for splits and polygon's are raw: one can't stand in for the other"
    with pytest.raises(FixRequest, match=said):
        asked(sessions, "polygon", "fmp", **share)
    assert len(asked(sessions, "fmp", "yahoo", **share).wanted) == 2
    with sessions.begin() as session:
        session.execute(text("UPDATE series SET adjustment = NULL WHERE id = :id"), {"id": made["yahoo"]})
    with pytest.raises(FixRequest, match="yahoo's bars of AAPL are of an unknown adjustment"):
        asked(sessions, "fmp", "yahoo", **share)


def test_who_has_none_of_it_or_is_named_twice_is_refused(sessions, pairs):
    with pytest.raises(UnknownName, match="stored provider"):
        asked(sessions, "binance", "bitfinex")
    with pytest.raises(FixRequest, match="binance is named twice"):
        asked(sessions, "binance", "binance")
    with sessions() as session, pytest.raises(FixRequest, match="only bars have a fallback, not quotes"):
        rank(session, "binance", read.Wanted("quotes", {}), ["kraken"], interval=None)
