"""The farm's polls of quotes: owed as jobs of 200 instruments, worked off by the real farm, looked for in the tables.

Deliberately not here: rounds and ratios (fetch), other contenders. Invariant: a time counts only if every quote that
was owed is in the table afterwards, the ledger and the fetch log agree, and no job failed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from benchmarks.contenders import Bench
from benchmarks.cpu import cpu_s, spent
from benchmarks.stage import context_of, number, running_farm, until
from benchmarks.tickers import BATCH, BATCHES, PROVIDER
from ingest.pipeline.context import Context
from ingest.pipeline.entries import FETCH_PREFIX
from ingest.pipeline.jobs import NewJob, insert_jobs
from ingest.pipeline.workers import wake_leader
from local.port import LOOPBACK

LANE = "live"
PATIENCE_S = 300.0
#: Every batch of instruments twice: each child has opened its connections and seen most of the series.
WARM_UP_JOBS = 2 * len(BATCHES)
#: A part of a second in which nothing is due: so that the first poll on time finds the jobs already owed.
_HEAD_START = timedelta(seconds=0.5)
_OWED = "SELECT count(*) FROM jobs WHERE state IN ('due', 'leased', 'fetched')"
_LATENCY = """
SELECT percentile_cont(ARRAY[0.5, 0.95, 0.99, 1.0]) WITHIN GROUP (ORDER BY extract(epoch FROM q.ts - j.due_at) * 1000)
FROM quotes q JOIN jobs j ON j.id = q.job_id WHERE j.key LIKE 'timed:%'
"""
_GROUPS = {"worker": "workers", "postgres": "postgres", "valkey": "redis"}


@dataclass(frozen=True, slots=True)
class Run:
    """One measurement. `cpu_us` is CPU time a request, by group of processes."""

    requests_s: float
    success_pct: float
    cpu_us: Mapping[str, float]


@dataclass
class Polls:
    """A farm that runs and is warm, and how many polls it was owed so far."""

    bench: Bench
    context: Context
    pids: Mapping[str, int]
    jobs: int = 0

    def throughput(self, jobs: int) -> Run:
        """Measure from the commit that owes the jobs to the last job's commit."""
        before, began = cpu_s(self.pids), datetime.now(UTC)
        self._work_off(jobs)
        seconds = (datetime.now(UTC) - began).total_seconds()
        used = spent(before, cpu_s(self.pids), per=jobs * BATCH / 1e6)
        return Run(jobs * BATCH / seconds, self.verify(), by_group(used))

    def latency(self, requests_s: float, seconds: float) -> dict[str, float]:
        """Owe evenly spaced polls of so many requests a second; return the ms from when each was due to its answers."""
        jobs = max(int(seconds * requests_s / BATCH), 1)
        self._work_off(jobs, every=timedelta(seconds=seconds / jobs))
        self.verify()
        with closing(self.bench.stage.database()) as connection, connection.cursor() as cursor:
            cursor.execute(_LATENCY)
            [found] = cursor.fetchone() or [[]]
        return dict(zip(("p50_ms", "p95_ms", "p99_ms", "max_ms"), (round(one, 1) for one in found), strict=True))

    def warm_up(self) -> None:
        """Work off the first polls."""
        self._work_off(WARM_UP_JOBS)

    def verify(self) -> float:
        """Return the percentage of requests that succeeded. Raises RuntimeError where a table misses something."""
        count = self.bench.stage.number
        rows = self.jobs * BATCH
        found = {
            "quotes": count("SELECT count(*) FROM quotes"),
            "stored in the ledger": count("SELECT coalesce(sum(stored), 0) FROM ledger"),
            "good requests in the fetch log": count(
                "SELECT coalesce(sum(requests - failed), 0) FROM fetch_log WHERE kind = 'batch'"
            ),
            "findings": count("SELECT count(*) FROM findings"),
            "jobs in trouble": count("SELECT count(*) FROM jobs WHERE state = 'dead' OR lost_leases + failures > 0"),
        }
        expected = dict.fromkeys(found, rows) | {"findings": 0, "jobs in trouble": 0}
        if found != expected:
            raise RuntimeError(f"expected {expected}, found {found}")
        return round(100 * rows / count("SELECT sum(requests) FROM fetch_log WHERE kind = 'batch'"), 3)

    def _work_off(self, jobs: int, *, every: timedelta | None = None) -> None:
        now = datetime.now(UTC)
        first, step = (now, timedelta()) if every is None else (now + _HEAD_START, every)
        kind = "polls" if every is None else "timed"
        owed = [self._poll(kind, self.jobs + at, first + at * step) for at in range(jobs)]
        with self.context.sessions.begin() as session:
            self.jobs += insert_jobs(session, owed)
        wake_leader(self.context.redis)
        with closing(self.bench.stage.database()) as connection, connection.cursor() as cursor:
            until(lambda: number(cursor, _OWED) == 0, PATIENCE_S, "the farm's jobs")

    def _poll(self, kind: str, at: int, due_at: datetime) -> NewJob:
        return NewJob(
            key=f"{kind}:{at:08d}",
            task=f"{FETCH_PREFIX}{PROVIDER}",
            lane=LANE,
            kwargs={"dataset": "quotes", "instruments": list(BATCHES[at % len(BATCHES)])},
            due_at=due_at,
        )


@contextmanager
def polls(
    bench: Bench, *, is_quiet: bool = False, children: int | None = None, settings: Mapping[str, str] | None = None
) -> Iterator[Polls]:
    """Run a farm with empty tables, warmed up, while the block runs. `children`: of the lane that polls."""
    bench.stage.clear()
    lanes = {} if children is None else {LANE: children}
    environment = farm_settings(bench.port) | dict(settings or {})
    with (
        running_farm(bench.stage, environment, is_quiet=is_quiet, children=lanes) as supervisor,
        context_of(bench.stage) as context,
    ):
        farm = Polls(bench, context, bench.pids() | supervisor.pids())
        farm.warm_up()
        yield farm


def farm_settings(port: int) -> dict[str, str]:
    """Return the settings under which the mock is asked: budgets, breakers and audit on, the limits out of the way.

    Coinbase's own are 10 requests a second. A limit above the stated one is taken beside a sandbox only.
    """
    return {"TICKFARM_SANDBOX_URL": f"http://{LOOPBACK}:{port}", **PLAN}


#: A plan that no provider sells.
PLAN = {"TICKFARM_PROVIDERS__COINBASE__LIMITS": "1000000/1s"}


def by_group(used: Mapping[str, float]) -> dict[str, float]:
    """Return the processes' figures, workers together, under the names people know."""
    groups: dict[str, float] = {}
    for name, value in used.items():
        group = _GROUPS.get(name.partition("-")[0], name)
        groups[group] = round(groups.get(group, 0.0) + value, 1)
    return groups
