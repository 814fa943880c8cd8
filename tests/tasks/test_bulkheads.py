"""A provider that hangs on every request, beside one that is well: the one never waits for the other's deadline.

Deliberately not here: the rule (ingest/pipeline/leader.py) case by case (tests/pipeline/test_bulkheads.py).
Invariant: every slot of the healthy provider counts, whatever became of its job.
"""

from __future__ import annotations

import logging
import math
from datetime import timedelta

import pytest

from ingest.pipeline.backlog import SLOW_S
from ingest.pipeline.jobs import NewJob
from tests.tasks.load import PAIRS, bars_job, owe

#: Three entries of the provider that hangs, so that it would take every child if it could.
PAGE = """
def poll(provider, every, **kwargs):
    options = {"queue": "live", "expires": 60, "headers": {"tickfarm": {"overlap": True, "priority": 2}}}
    return {"task": f"tasks.fetch.{provider}", "schedule": every, "kwargs": kwargs, "options": options}

beat_schedule = {
    "well": poll("binance", 0.5, dataset="quotes", instruments=["BTC-USDT"]),
    "ill-quotes": poll("coinbase", 0.5, dataset="quotes", instruments=["BTC-USD"]),
    "ill-trades": poll("coinbase", 1.0, dataset="trades", instruments=["BTC-USD"]),
    "ill-books": poll("coinbase", 1.0, dataset="books", instruments=["BTC-USD"]),
}
"""
#: When a job's transaction is committed, not when it began: a deferred trigger is the last that runs before it.
WRITE_DOWN = """
CREATE TABLE ended (job_id bigint, at timestamptz);
CREATE FUNCTION write_down() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN INSERT INTO ended VALUES (NEW.id, clock_timestamp()); RETURN NULL; END$$;
CREATE CONSTRAINT TRIGGER write_down AFTER UPDATE ON jobs DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW WHEN (NEW.state = 'done' AND NEW.entry = 'well') EXECUTE FUNCTION write_down();
"""
WAITS = """
SELECT extract(epoch FROM at - due_at) FROM jobs LEFT JOIN ended ON job_id = id
WHERE entry = 'well' AND due_at >= :since AND due_at < :until ORDER BY due_at
"""
DONE = "SELECT count(*) FILTER (WHERE state = 'done') >= :count FROM jobs WHERE entry = 'well' AND due_at >= :since"
HANGS = """
SELECT count(*) > 0 FROM jobs
WHERE state = 'leased' AND task LIKE '%coinbase' AND started_at < now() - make_interval(secs => :s)
"""
DEADLINE_S = 8.0

log = logging.getLogger(__name__)


@pytest.fixture
def polling(farm):
    """Start a worker with two children and a beat that polls both providers, and wait until both are served."""
    page = farm.folder / "what_runs_when.py"
    page.write_text(PAGE)
    farm.env["TICKFARM_SCHEDULE_FILE"] = str(page)
    farm.env["TICKFARM_PROVIDERS__COINBASE__TIMEOUT_S"] = str(DEADLINE_S)
    farm.rows(WRITE_DOWN)
    farm.worker(queues="live.load,live")
    farm.beat()
    for entry in ("well", "ill-quotes"):
        farm.wait_for("SELECT count(*) > 2 FROM jobs WHERE entry = :entry AND state = 'done'", entry=entry)
    return farm


def waits(farm, since, slots):
    """Return how long that many slots waited to be committed, once all are; infinity for one that never was."""
    farm.wait_for(DONE, count=slots, since=since, within_s=slots + 60)
    until = since + timedelta(seconds=slots / 2)
    found = [math.inf if wait is None else float(wait) for (wait,) in farm.rows(WAITS, since=since, until=until)]
    assert len(found) >= slots - 1
    return found


def hang(farm, *, for_s):
    """Let every request of the one provider hang, and return once a job has hung for so long."""
    farm.sandbox.arm("coinbase", "hang", times=None)
    farm.wait_for(HANGS, s=for_s)


def p95(found):
    return sorted(found)[math.ceil(0.95 * len(found)) - 1]


def test_a_provider_that_hangs_leaves_a_child_of_the_live_lane_to_the_others(polling):
    hang(polling, for_s=1)
    found = waits(polling, polling.now(), slots=8)
    assert max(found) < DEADLINE_S / 2, found
    assert polling.value(HANGS, s=1), "it did not hang all the time"


@pytest.mark.full
@pytest.mark.timeout(300)
def test_the_healthy_provider_is_as_quick_beside_one_that_hangs_as_beside_one_that_answers(polling):
    calm, ill = [], []
    for _ in range(2):  # in turn, so that whatever else this machine does meets both
        calm += waits(polling, polling.now(), slots=40)
        hang(polling, for_s=SLOW_S)
        ill += waits(polling, polling.now(), slots=40)
        polling.sandbox.control("DELETE", "faults")
        polling.wait_for(f"SELECT NOT ({HANGS})", s=1)
    timeouts = polling.value("SELECT count(*) FROM fetch_log WHERE provider = 'coinbase' AND failed > 0")
    log.info("slot to commit, p95: %.0f ms, beside a hung provider %.0f ms", p95(calm) * 1000, p95(ill) * 1000)
    assert timeouts >= 4
    assert p95(ill) <= 1.5 * p95(calm), (sorted(calm), sorted(ill))


@pytest.mark.full
@pytest.mark.timeout(300)
def test_a_hung_history_leaves_a_child_to_the_others_and_fills_all_of_them_where_it_is_alone(farm):
    farm.worker(queues="backfill.load,backfill", TICKFARM_PROVIDERS__BINANCE__TIMEOUT_S=str(DEADLINE_S))
    farm.beat()
    farm.sandbox.arm("binance", "hang", times=None)
    owe(farm, *(bars_job(f"hangs:{at}", PAIRS[0]) for at in range(20)))
    running = "SELECT count(*) FROM jobs WHERE state = 'leased' AND started_at IS NOT NULL AND task LIKE '%binance'"
    farm.wait_for(f"SELECT ({running}) = 2 AND (SELECT count(*) FROM fetch_log) >= 4", within_s=60)
    kwargs = {"dataset": "bars", "instruments": ["BTC-USD"], "interval": "1m"}
    minute = timedelta(minutes=1)
    for at in range(6):
        start = farm.now().replace(second=0, microsecond=0) - (at + 10) * minute
        call = kwargs | {"start": start.isoformat(), "end": (start + minute).isoformat()}
        key = f"well:{at}"
        owe(farm, NewJob(key=key, task="tasks.fetch.coinbase", lane="backfill", kwargs=call, due_at=farm.now()))
        # The first may find both children taken, once; those after it find one that is kept free.
        within_s = 2 * DEADLINE_S if at == 0 else DEADLINE_S / 2
        farm.wait_for("SELECT state = 'done' FROM jobs WHERE key = :key", key=key, within_s=within_s)
        assert farm.value(running) <= 1 or at == 0
