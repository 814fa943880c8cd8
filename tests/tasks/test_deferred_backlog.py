"""Ten thousand jobs that a provider told to wait: they lie in the table and cost neither memory, Redis nor other work.

Deliberately not here: how long is waited (tests/transport/test_retry.py). Celery's own answer, a countdown, would hold
each of them in a worker's memory and in Redis.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from ingest.pipeline import jobs
from tests.tasks.load import PAIRS, bars_job, owe
from tests.tasks.memory import resident_mib
from tests.waiting import until

DEFERRED = 10_000
#: Growth allowed to a worker with its two children, and to beat: 2.5 KiB a job. Measured: 5.7 and 0.6 MiB, and with
#: every one of them asked for by the worker 11.6 and 2.9.
BOUND_MIB = 24.0
RETRY_AFTER_S = 3600
WAITING = "SELECT count(*) FROM jobs WHERE state = 'due' AND lane = 'backfill'"
#: The first of them are; the leader keeps the others where they are, until then.
TOLD = "SELECT count(*) FROM jobs WHERE state = 'due' AND due_at > now() + interval '5 minutes' AND key LIKE 'asked:%'"
#: other work is done in this time beside them; on an idle farm it takes about 1 s
IN_TIME_S = 15.0


#: What a fetch that was told to wait leaves behind, again and again: each row that it wrote, under another key.
COPIED = """
INSERT INTO jobs OVERRIDING SYSTEM VALUE
SELECT copied.* FROM generate_series(1, :count) AS number, jobs AS asked, jsonb_populate_record(
    asked, jsonb_build_object('id', nextval(pg_get_serial_sequence('jobs', 'id')), 'key', 'told:' || number)) AS copied
WHERE asked.key = 'asked:' || lpad((number % :asked)::text, 5, '0')
"""


def load_everything(farm, worker):
    """Let each child store bars of an exchange, whose calendar is a library of 90 MiB, before memory is measured."""

    def is_loaded(child):
        return "pandas" in Path(f"/proc/{child}/maps").read_text()

    for at in range(50):
        shares(f"first {at} a", farm, prefix="warm")
        shares(f"first {at} b", farm, prefix="warm")
        farm.all_done(within_s=30)
        if all(is_loaded(child) for child in worker.children()):
            return
    raise AssertionError("a child has not stored any bars of an exchange")


def shares(number, farm, *, prefix="other"):
    """Owe daily bars of the other provider, which told nobody to wait."""
    kwargs = {"dataset": "bars", "instruments": ["AAPL"], "interval": "1d", "start": "2013-01-01", "end": "2013-02-01"}
    made = bars_job(f"{prefix}:{number}", "AAPL", task="tasks.fetch.nasdaq_data_link", lane="standard")
    owe(farm, jobs.NewJob(key=made.key, task=made.task, lane=made.lane, kwargs=kwargs, due_at=made.due_at))


@pytest.mark.parametrize(
    "by_the_worker", [120, pytest.param(10_000, marks=[pytest.mark.full, pytest.mark.timeout(900)])]
)
def test_ten_thousand_deferred_jobs_cost_no_memory_and_no_redis_and_hold_up_nobody(farm, by_the_worker):
    worker = farm.worker(NASDAQ_DATA_LINK_API_KEY="sandbox-key")
    beat = farm.beat()
    owe(farm, bars_job("first", PAIRS[0]))
    load_everything(farm, worker)
    before = {running.name: resident_mib(running) for running in (worker, beat)}
    keys = set(farm.context.redis.keys("*"))
    farm.sandbox.arm("binance", "status", times=None, args={"status": 429, "retry_after": RETRY_AFTER_S})
    owe(farm, *(bars_job(f"asked:{at:05}", PAIRS[at % 4]) for at in range(by_the_worker)))
    until(
        lambda: farm.value(TOLD) > 0 and farm.value(WAITING) == by_the_worker,
        within_s=by_the_worker / 20 + 30,
        what="them to wait",
    )
    farm.rows(COPIED, count=DEFERRED - by_the_worker, asked=by_the_worker)
    for number in range(12):
        shares(number, farm)
    of_other = "SELECT count(*) = 12 FROM jobs WHERE key LIKE 'other:%' AND state = 'done'"
    farm.wait_for(of_other, within_s=IN_TIME_S)
    until(lambda: farm.value(WAITING) == DEFERRED, what="all of them to wait")
    assert farm.letters() == []
    assert farm.value("SELECT max(failures) FROM jobs") == 0
    grown = {name: resident_mib(farm.processes[name]) - size for name, size in before.items()}
    assert max(grown.values()) < BOUND_MIB, grown
    redis = farm.context.redis
    until(lambda: redis.llen("farm:backfill") == redis.hlen("farm:unacked") == 0, what="no message to be left")
    paces = {key for key in redis.keys("*") if key.startswith(b"tickfarm:")}
    assert len(set(redis.keys("*")) - keys - paces) <= 3, "a queue's binding or two, nothing for each job"
