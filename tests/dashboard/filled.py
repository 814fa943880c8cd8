"""A dashboard's database with something on every page of the operator's: a schedule, dead letters, jobs, a worker."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from ingest.pipeline import schedule_edits, workers
from ingest.pipeline.dead_letters import Letter, write_letter
from ingest.pipeline.jobs import NewJob, insert_jobs

FILE = {
    "quotes": {"task": "tasks.fetch.binance", "schedule": "30s", "lane": "live", "kwargs": {"dataset": "quotes"}},
    "gaps": {"task": "tasks.gaps", "schedule": "15 6 * * 1-5", "timezone": "America/New_York", "lane": "maintenance"},
}
EVIL = "<img src=x onerror=alert(1)>'\"; DROP TABLE jobs; --"


@pytest.fixture(scope="module")
def filled(served):
    """Fill the database: a schedule, dead letters of two kinds, jobs that are owed, a worker that says it is there."""
    now = datetime.now(UTC)
    with served.context.sessions.begin() as session:
        schedule_edits.sync_file(session, FILE, now)
        for number in range(3):
            kwargs = {"dataset": "quotes", "instruments": [f"C{number}-USDT"]}
            write_letter(session, Letter("tasks.fetch.binance", ValueError(f"no {EVIL}"), kwargs, queue="live"))
        write_letter(session, Letter("tasks.fetch.kraken", TypeError("odd"), {}, args=[1], task_id="odd"))
        owed = [NewJob(f"owed:{at}", "tasks.fetch.binance", "live", {}, now - timedelta(minutes=at)) for at in (1, 9)]
        insert_jobs(session, owed)
    worker = workers.Worker("one@farm", ("live.load", "live"), 2, 2, busy=1, held=3, host="here", pid=77)
    workers.announce(served.context.redis, worker)
    return served


@pytest.fixture
def value(filled):
    """Return what reads one value."""

    def read(sql, **values):
        with filled.context.sessions() as session:
            return session.scalar(text(sql), values)

    return read
