"""Small fetches: their rows are committed with them, and whatever keeps those from it costs no request twice.

Deliberately not here: children that are killed meanwhile (tests/tasks/test_lost_steps.py).
"""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from ingest import telemetry
from ingest.errors import LeaseLost
from ingest.payloads import StoredAnswer, pack, payload_key, unpack
from ingest.pipeline.context import Context
from ingest.pipeline.fetch import AT_ONCE_BYTES, fetch
from ingest.pipeline.store import ready, store
from ingest.wire import Answer, Request
from tests.pipeline.farm import LATER, bars_call, opened

NOW = datetime(2024, 3, 5, tzinfo=UTC)
REFUSE = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no rows today'; END $$;
CREATE TRIGGER refuse BEFORE INSERT ON bars FOR EACH STATEMENT EXECUTE FUNCTION refuse();
"""


@pytest.fixture
def job(farm):
    """Return a job that has begun."""
    farm.owe("binance", bars_call("BTC-USDT", "ETH-USDT"))
    [begun] = farm.begin()
    return begun


@pytest.fixture
def refused(farm):
    """Have the database refuse bars until the returned function is called."""
    farm.change(REFUSE)
    yield lambda: farm.change("DROP FUNCTION IF EXISTS refuse CASCADE")
    farm.change("DROP FUNCTION IF EXISTS refuse CASCADE")


@pytest.fixture
def own_secrets(monkeypatch):
    """Keep what a test registers from the others."""
    monkeypatch.setattr(telemetry, "_secrets", set())


def run(farm, job):
    return fetch(farm.context, "binance", job, make_ready=ready)


def in_flight(farm):
    return farm.context.redis.keys("tickfarm:payload:*")


def test_a_small_fetch_is_stored_and_done_in_the_transaction_that_logs_it(farm, job):
    outcome = run(farm, job)
    assert outcome.stored["inserted"] == farm.value("SELECT count(*) FROM bars") == 120
    assert farm.states() == ["done"]
    wrote = [farm.value(f"SELECT DISTINCT xmin::text FROM {table}") for table in ("fetch_log", "jobs", "bars")]
    assert len(set(wrote)) == 1


def test_what_is_stored_at_once_is_archived_and_never_in_redis(farm, job):
    run(farm, job)
    assert in_flight(farm) == []
    [(segment, position, size)] = farm.select("SELECT segment, position, size_bytes FROM fetch_log")
    archive = farm.context.settings.archive_dir
    assert (archive / segment).stat().st_size >= position + size > 0


def test_a_fetch_that_brought_much_waits_for_the_next_step(farm):
    farm.owe("binance", bars_call("BTC-USDT", minutes=1000))
    [job] = farm.begin()
    outcome = run(farm, job)
    assert outcome.payload_bytes > AT_ONCE_BYTES
    assert (outcome.state, outcome.stored, farm.states()) == ("fetched", None, ["fetched"])
    assert farm.load(job)["inserted"] == 1000


def test_what_the_database_refuses_stays_fetched_and_no_request_is_sent_twice(farm, job, refused):
    assert run(farm, job).stored is None
    assert (farm.states(), farm.value("SELECT count(*) FROM bars")) == (["fetched"], 0)
    assert farm.select("SELECT outcome, requests FROM fetch_log") == [("fetched", 2)]
    assert in_flight(farm) == [payload_key(job.id, job.attempt).encode()]
    refused()
    assert store(farm.context, job.id, job.attempt)["inserted"] == 120
    assert farm.requests("binance") == 2


def test_an_archive_that_cannot_be_written_sends_a_small_fetch_through_redis(farm, job):
    farm.context.settings.archive_dir.write_text("a file where the folder should be")
    assert run(farm, job).stored is None
    assert in_flight(farm) != []
    assert store(farm.context, job.id, job.attempt)["inserted"] == 120


def test_a_small_fetch_that_lost_its_lease_writes_nothing_at_all(farm, job):
    farm.change("UPDATE jobs SET attempt = attempt + 1")
    with pytest.raises(LeaseLost):
        run(farm, job)
    for table in ("fetch_log", "bars", "ledger", "findings"):
        assert farm.value(f"SELECT count(*) FROM {table}") == 0
    assert farm.states() == ["leased"]


def test_a_failed_part_is_owed_by_the_transaction_that_stores_the_others(farm, job):
    farm.sandbox.arm("binance", "status", match="ETHUSDT")
    outcome = run(farm, job)
    assert (outcome.stored["inserted"], outcome.owes) == (60, True)
    assert sorted(farm.states()) == ["done", "due"]
    farm.run(within=LATER)
    assert farm.value("SELECT count(*) FROM bars") == 120


@pytest.mark.parametrize("where", ["body", "header", "path", "call", "nowhere"])
def test_what_is_stored_at_once_is_what_the_archive_would_give(where, own_secrets):
    telemetry.register_secret("hush-hush-hush")
    said = {name: "hush-hush-hush" if name == where else "hello" for name in ("body", "header", "path", "call")}
    body = json.dumps({"said": said["body"]}).encode()
    answer = Answer(Request(f"/{said['path']}"), 200, {"x": said["header"]}, body, NOW, NOW)
    packed = pack([StoredAnswer(answer)], {"dataset": said["call"]})
    assert list(packed.answers) == unpack(packed.blob)
    assert "hush" not in repr(packed.answers)


def test_a_job_that_stores_while_redis_is_emptied_holds_nobody_up_once_it_is_committed(settings_of, farm):
    """It has told the gate already what it sent, and will not again: its row in the log says it."""
    with opened(Context(settings_of(tickfarm_pace=True), name="test paced"), farm.sandbox) as paced:
        paced.owe("binance", bars_call("BTC-USDT"))
        [storing] = paced.begin()

        def empty_then_ready(context, job, call, answers):
            context.redis.flushall()
            paced.owe("binance", bars_call("ETH-USDT"))
            assert paced.run_once().state == "deferred"  # whoever is not over may have sent anything
            return ready(context, job, call, answers)

        assert fetch(paced.context, "binance", storing, make_ready=empty_then_ready).stored is not None
        paced.change("UPDATE jobs SET due_at = now() WHERE state = 'due'")
        assert paced.run_once().state == "fetched"
