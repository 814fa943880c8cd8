"""A farm without Celery: jobs are leased and run in this process, against real servers and a sandbox of its own.

Deliberately not here: fixtures (conftest). Invariant: every job takes the way production takes: lease, start, fetch,
normalize, store; only the clock that says what is due is the test's.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import text

from ingest.payloads import StoredAnswer, pack, payload_key
from ingest.pipeline import jobs
from ingest.pipeline.context import Context
from ingest.pipeline.entries import FETCH_PREFIX
from ingest.pipeline.fetch import Outcome, fetch
from ingest.pipeline.jobs import Leased, NewJob
from ingest.pipeline.normalize import normalize
from ingest.pipeline.store import store
from tests.pipeline.transitions import lease_all
from tests.sandbox.conftest import SandboxClient

LANES = ("live", "standard", "backfill", "maintenance")
#: Past every wait the retry policy and the providers of these tests can ask for.
LATER = timedelta(hours=2)
DAY = datetime(2024, 3, 5, tzinfo=UTC)
_numbers = itertools.count(1)


def new_job(**changes: Any) -> NewJob:
    """Return a job with a key of its own, due a minute ago."""
    fields: dict[str, Any] = {
        "key": f"test:{next(_numbers)}",
        "task": f"{FETCH_PREFIX}binance",
        "lane": "standard",
        "kwargs": {},
        "due_at": datetime.now(UTC) - timedelta(minutes=1),
    }
    return NewJob(**fields | changes)


def bars_call(*instruments: str, minutes: int = 60, interval: str = "1m", start: datetime = DAY) -> dict[str, Any]:
    """Return the arguments of a fetch of closed bars."""
    end = start + timedelta(minutes=minutes)
    return {
        "dataset": "bars",
        "instruments": list(instruments or ("BTC-USDT",)),
        "interval": interval,
        "start": start.isoformat(),
        "end": end.isoformat(),
    }


def days_call(*instruments: str, start: str = "2013-01-01", end: str = "2013-02-01") -> dict[str, Any]:
    """Return the arguments of a fetch of daily bars of shares."""
    names = list(instruments or ("AAPL",))
    return {"dataset": "bars", "instruments": names, "interval": "1d", "start": start, "end": end}


@dataclass
class Farm:
    """What a test works with. `select` reads the database, the rest moves jobs."""

    context: Context
    sandbox: SandboxClient

    def select(self, sql: str, **parameters: Any) -> list[tuple[Any, ...]]:
        with self.context.sessions() as session:
            return [tuple(row) for row in session.execute(text(sql), parameters)]

    def value(self, sql: str, **parameters: Any) -> Any:
        [[found]] = self.select(sql, **parameters)
        return found

    def change(self, sql: str, **parameters: Any) -> None:
        with self.context.sessions.begin() as session:
            session.execute(text(sql), parameters)

    def owe(self, provider: str, kwargs: dict[str, Any], **changes: Any) -> int:
        """Owe a fetch and return its job's id."""
        job = new_job(task=f"{FETCH_PREFIX}{provider}", kwargs=kwargs, **changes)
        with self.context.sessions.begin() as session:
            jobs.insert_jobs(session, [job])
        return int(self.value("SELECT id FROM jobs WHERE key = :key", key=job.key))

    def begin(self, *, within: timedelta = timedelta(0)) -> list[Leased]:
        """Lease and start what falls due `within` that time, in every lane."""
        if within:
            self.let_waits_pass()
        until = datetime.now(UTC) + within
        with self.context.sessions.begin() as session:
            leased = [job for lane in LANES for job in lease_all(session, lane, limit=100, now=until)]
        started = []
        for job in leased:
            with self.context.sessions.begin() as session:
                started.append(jobs.start(session, job.id, job.attempt))
        return started

    def fetch(self, job: Leased) -> Outcome:
        return fetch(self.context, job.task.removeprefix(FETCH_PREFIX), job)

    def load(self, job: Leased, *, in_two_steps: bool = True) -> dict[str, Any]:
        if in_two_steps:
            normalize(self.context, job.id, job.attempt)
        return store(self.context, job.id, job.attempt)

    def run(self, *, within: timedelta = timedelta(0), rounds: int = 100) -> list[Outcome]:
        """Run what falls due within that time, what follows from it included; return the fetches' outcomes."""
        outcomes = []
        for _ in range(rounds):
            begun = self.begin(within=within)
            if not begun:
                return outcomes
            for job in begun:
                outcomes.append(self.fetch(job))
                if outcomes[-1].state == "fetched":
                    self.load(job)
        raise AssertionError(f"jobs still fall due after {rounds} rounds: {self.select('SELECT key, error FROM jobs')}")

    def let_waits_pass(self) -> None:
        """Let the gate's waits be over, as they are when a job that is due later runs: Redis has a clock of its own."""
        redis = self.context.redis
        for key in redis.keys("tickfarm:gate:*"):
            redis.delete(key)
        for key in redis.keys("tickfarm:pool:*"):
            redis.hdel(key, "hold", "why")
        self.change("DELETE FROM provider_holds")

    def run_once(self) -> Outcome:
        """Run the one job that is due now."""
        [job] = self.begin()
        outcome = self.fetch(job)
        if outcome.state == "fetched":
            self.load(job)
        return outcome

    def load_answers(self, provider: str, kwargs: dict[str, Any], *answers: StoredAnswer) -> dict[str, Any]:
        """Load these answers as if a fetch had brought them (what a replay does): the clock is in the answers."""
        self.owe(provider, kwargs)
        [job] = self.begin()
        name = payload_key(job.id, job.attempt)
        self.context.payloads.put(name, pack(answers).blob, datetime.now(UTC), in_flight=True)
        with self.context.sessions.begin() as session:
            jobs.mark_fetched(session, job.id, job.attempt, payload_key=name, payload_bytes=1)
        return self.load(job, in_two_steps=False)

    def states(self) -> list[str]:
        """Return the jobs' states by id."""
        return [state for (state,) in self.select("SELECT state FROM jobs ORDER BY id")]

    def findings(self) -> list[tuple[str, str, int]]:
        """Return (rule, severity, rows) of every finding; each must name its payload, its reason and a sample."""
        every = self.select("SELECT rule, severity, rows, payload_key, reason, sample FROM findings ORDER BY rule, id")
        for *_, payload, reason, _sample in every:
            assert payload.startswith("tickfarm:payload:")
            assert len(reason) > 10
        return [(rule, severity, rows) for rule, severity, rows, *_ in every]

    def requests(self, provider: str) -> int:
        """Return how many requests the sandbox got."""
        counters = self.sandbox.control("GET", "requests")[1]["providers"]
        return int(counters.get(provider, {}).get("total", 0))


@contextmanager
def opened(context: Context, sandbox: SandboxClient) -> Iterator[Farm]:
    """Yield the farm and close what its context opened."""
    try:
        yield Farm(context, sandbox)
    finally:
        context.close()
