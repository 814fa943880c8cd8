"""Concurrent writers of the same rows: none deadlocks, none loses anything, the ledger stays exact."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from sqlalchemy.orm import sessionmaker

from models import open_engine
from tests.models.rows import bar, counted, ledger, select, store

WRITERS, BATCHES, KEYS = 6, 8, 60


@pytest.fixture
def unpooled(sessions, module_database_url):
    """Return sessions that open a connection each, as processes do."""
    engine = open_engine(module_database_url, application_name="test race", pooled=False)
    yield sessionmaker(engine)
    engine.dispose()


def test_writers_of_overlapping_keys_in_random_orders_never_deadlock_and_lose_nothing(unpooled):
    together = Barrier(WRITERS)

    def write_many(writer):
        dice = random.Random(writer)
        together.wait(10)
        seen = []
        for number in range(BATCHES):
            observed = number * WRITERS + writer  # no two batches have the same time
            rows = [
                bar(key % 30 + key // 30 * 1440, observed=observed, series_id=1 + key % 3, close=f"1.{observed:03d}")
                for key in dice.sample(range(KEYS), 40)
            ]
            seen += [(row["series_id"], row["ts"], observed) for row in rows]
            store(unpooled, *rows)
        return seen

    with ThreadPoolExecutor(WRITERS) as pool:
        seen = [one for result in pool.map(write_many, range(WRITERS)) for one in result]
    latest = {}
    for series, ts, observed in sorted(seen, key=lambda one: one[2]):
        latest[series, ts] = f"1.{observed:03d}"
    rows = select(unpooled, "SELECT series_id, ts, close::text FROM bars")
    assert {(series, ts): close for series, ts, close in rows} == latest
    for series in (1, 2, 3):
        assert ledger(unpooled, series_id=series) == counted(unpooled, series_id=series)


def test_of_many_writers_of_one_row_exactly_one_inserts_it(unpooled):
    together = Barrier(WRITERS)

    def write_one(writer):
        together.wait(10)
        return store(unpooled, bar(observed=writer, close=f"1.{writer}"))

    with ThreadPoolExecutor(WRITERS) as pool:
        written = list(pool.map(write_one, range(WRITERS)))
    assert sum(one.inserted for one in written) == 1
    assert sum(one.revised for one in written) == select(unpooled, "SELECT count(*) FROM revisions")[0][0]
    assert select(unpooled, "SELECT close::text FROM bars") == [(f"1.{WRITERS - 1}",)]
    assert [row[1:] for row in ledger(unpooled)] == [(1, 1)]
