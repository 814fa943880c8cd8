"""Payloads that vanish between fetch and store: the archive has them, or the job is fetched again; never less."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta

import pytest

from ingest.errors import LeaseLost
from ingest.payloads import payload_key
from ingest.pipeline.normalize import normalize
from ingest.pipeline.store import store
from tests.pipeline.farm import LATER, bars_call, days_call


@pytest.fixture
def job(farm):
    """Return a job whose answers are in flight."""
    farm.owe("binance", bars_call("BTC-USDT", "ETH-USDT"))
    [begun] = farm.begin()
    assert farm.fetch(begun).state == "fetched"
    return begun


def archive_of(farm):
    return farm.context.settings.archive_dir


def test_a_payload_that_redis_lost_is_read_from_the_archive(farm, job):
    farm.context.redis.flushdb()
    assert farm.load(job)["inserted"] == 120
    assert farm.requests("binance") == 2


def test_a_payload_that_was_logged_long_ago_is_found_in_the_archive_too(farm, job):
    farm.context.redis.flushdb()
    old = datetime.now(UTC) - timedelta(days=20)
    farm.context.make_room("fetch_log", old, old)
    farm.change("UPDATE fetch_log SET at = :old", old=old)
    assert farm.load(job)["inserted"] == 120


def test_a_batch_that_redis_lost_after_normalize_is_made_again(farm, job):
    normalize(farm.context, job.id, job.attempt)
    farm.context.redis.flushdb()
    assert store(farm.context, job.id, job.attempt)["inserted"] == 120


@pytest.mark.parametrize("in_two_steps", [True, False])
def test_a_payload_that_is_gone_everywhere_is_fetched_again_without_blame(farm, job, in_two_steps):
    farm.context.redis.flushdb()
    shutil.rmtree(archive_of(farm))
    farm.context.payloads.close()
    result = farm.load(job, in_two_steps=in_two_steps)
    assert result["state"] == "due"
    assert farm.select("SELECT state, failures, error FROM jobs") == [("due", 0, "its payload is gone")]
    farm.run()
    assert farm.value("SELECT count(*) FROM bars") == 120
    assert farm.requests("binance") == 4
    assert farm.states() == ["done"]


def test_a_torn_archive_is_no_payload_and_is_fetched_again(farm, job):
    farm.context.redis.flushdb()
    [segment] = archive_of(farm).rglob("*.seg")
    segment.write_bytes(segment.read_bytes()[:-1])
    assert farm.load(job)["state"] == "due"
    farm.run()
    assert farm.value("SELECT count(*) FROM bars") == 120


def test_an_archive_that_cannot_be_written_costs_nothing_while_redis_holds_the_payload(farm):
    archive_of(farm).write_text("a file where the folder should be")
    farm.owe("binance", bars_call("BTC-USDT"))
    assert farm.run_once().state == "fetched"
    assert farm.value("SELECT count(*) FROM bars") == 60
    assert farm.select("SELECT segment, position FROM fetch_log") == [(None, None)]


def test_what_was_stored_leaves_redis_and_stays_in_the_archive(farm, job):
    name = payload_key(job.id, job.attempt)
    assert 0 < farm.context.redis.ttl(name) <= 3600
    farm.load(job)
    assert farm.context.redis.keys("tickfarm:payload:*") == farm.context.redis.keys("tickfarm:batch:*") == []
    [(segment, position, size)] = farm.select("SELECT segment, position, size_bytes FROM fetch_log")
    assert (archive_of(farm) / segment).stat().st_size >= position + size > 0


def test_a_store_that_is_delivered_twice_writes_once_and_the_second_stops(farm, job):
    farm.load(job)
    with pytest.raises(LeaseLost):
        store(farm.context, job.id, job.attempt)
    assert farm.select("SELECT sum(stored), count(*) FROM ledger") == [(120, 2)]


def test_a_worker_that_lost_its_lease_writes_nothing(farm, job):
    normalize(farm.context, job.id, job.attempt)
    farm.change("UPDATE jobs SET attempt = attempt + 1")
    for step in (normalize, store):
        with pytest.raises(LeaseLost):
            step(farm.context, job.id, job.attempt)
    assert farm.value("SELECT count(*) FROM bars") == 0
    assert farm.value("SELECT count(*) FROM findings") == 0
    assert store(farm.context, job.id, job.attempt + 1)["inserted"] == 120


def test_a_fetch_that_lost_its_lease_meanwhile_commits_nothing(farm):
    farm.owe("binance", bars_call("BTC-USDT"))
    [job] = farm.begin()
    farm.change("UPDATE jobs SET attempt = attempt + 1")
    with pytest.raises(LeaseLost):
        farm.fetch(job)
    assert farm.value("SELECT count(*) FROM fetch_log") == 0
    assert farm.states() == ["leased"]


def test_the_fetch_log_says_what_was_asked_and_how_it_went(farm):
    farm.sandbox.arm("binance", "status", match="ETHUSDT")
    farm.owe("binance", bars_call("BTC-USDT", "ETH-USDT"), lane="backfill")
    farm.run(within=LATER)
    columns = "provider, dataset, lane, requests, weight, failed, outcome"
    log = farm.select(f"SELECT {columns} FROM fetch_log WHERE kind = 'batch' ORDER BY at")
    assert log == [
        ("binance", "bars", "backfill", 2, 4, 1, "fetched"),
        ("binance", "bars", "backfill", 1, 2, 0, "fetched"),
    ]


def test_a_batch_may_span_years_of_which_this_process_knows_only_the_ends(farm):
    for start, end in (("2000-01-01", "2000-02-01"), ("2012-01-01", "2012-02-01"), ("2000-01-01", "2012-02-01")):
        farm.owe("nasdaq_data_link", days_call("AAPL", start=start, end=end))
        farm.run()
    assert farm.states() == ["done"] * 3
    assert farm.value("SELECT count(DISTINCT extract(year FROM ts)) FROM bars") == 13
