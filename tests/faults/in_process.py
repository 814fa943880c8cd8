"""Ground for the matrix inside the test's process: jobs are leased and run here, against real servers and a sandbox.

Deliberately not here: Celery, so messages and workers are not what is tested. Invariant: the healthy provider is polled
by a thread with connections of its own, as its lane's worker would be, and never by the loop that runs the ill one.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Literal

from sqlalchemy import select

from benchmarks.fault_sandbox import SandboxControl
from benchmarks.fault_table import HEALTHY, HEALTHY_INSTRUMENT
from benchmarks.fault_verdict import healthy_s
from benchmarks.forwarder import Forwarder
from ingest.pipeline import jobs
from ingest.pipeline.context import Context
from ingest.pipeline.entries import FETCH_PREFIX
from ingest.pipeline.fetch import fetch
from ingest.pipeline.jobs import NewJob
from ingest.pipeline.store import store
from models import IN_FLIGHT, Job
from tests.pipeline.transitions import lease_all

#: Far above what any scenario needs (the longest waits about 5 s), far below the test's own limit.
PATIENCE_S = 60.0
#: As often as a provider that allows ten requests a second can be polled.
POLL_EVERY_S = 0.1


class InProcess:
    """A `Ground`. `ill` asks through the forwarder, `nameless` an address whose name does not resolve."""

    def __init__(self, ill: Context, nameless: Context, forwarder: Forwarder, sandbox: SandboxControl) -> None:
        self.sandbox = sandbox
        self.context = ill
        self.sessions = ill.sessions
        self._ill, self._nameless, self._forwarder = ill, nameless, forwarder
        self._context = ill

    def work(self, until: Callable[[], bool], what: str, *, within_s: float = PATIENCE_S) -> None:
        deadline = time.monotonic() + within_s
        while not until():
            assert time.monotonic() < deadline, f"waited {within_s:g} s in vain for {what}"
            if not run_due(self._context, "backfill"):
                time.sleep(0.01)

    def leave_nothing_owed(self) -> None:
        """Cancel what a scenario that failed has left."""
        with self.sessions.begin() as session:
            left = select(Job.id).where(Job.state.in_(("due", *IN_FLIGHT)), Job.lane == "backfill")
            jobs.cancel(session, session.scalars(left).all())

    def owed(self) -> None:
        """`work` looks for itself."""

    def lose(self, what: Literal["connection", "name"]) -> None:
        if what == "name":
            self._context = self._nameless
        else:
            self._forwarder.shut()

    def restore(self, what: Literal["connection", "name"]) -> None:
        if what == "name":
            self._context = self._ill
        else:
            self._forwarder.open()


def run_due(context: Context, lane: str) -> int:
    """Lease what is due in a lane and run it as its worker would; return how many jobs that were."""
    with context.sessions.begin() as session:
        leased = lease_all(session, lane, limit=10, now=datetime.now(UTC))
    for one in leased:
        with context.sessions.begin() as session:
            job = jobs.start(session, one.id, one.attempt)
        if fetch(context, job.task.removeprefix(FETCH_PREFIX), job).state == "fetched":
            store(context, job.id, job.attempt)
    return len(leased)


class HealthyPolls:
    """Polls the healthy provider's quote in a thread until it is stopped. `error` is what ended it early."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._numbers = itertools.count()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._poll_on, daemon=True)
        self.error: Exception | None = None
        self.done = 0

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        self._thread.join(PATIENCE_S)

    def seconds(self, since: datetime) -> Sequence[float]:
        """Return the seconds that each poll since then has taken, from due to stored."""
        with self._context.sessions() as session:
            return healthy_s(session, since, datetime.now(UTC))

    def _poll_on(self) -> None:
        while not self._ended.wait(POLL_EVERY_S):
            try:
                self._poll()
            except Exception as error:  # noqa: BLE001 - told to the test, which fails by it
                self.error = error
                return

    def _poll(self) -> None:
        now = datetime.now(UTC)
        poll = NewJob(
            key=f"healthy:{next(self._numbers)}:{now.isoformat()}",
            task=f"{FETCH_PREFIX}{HEALTHY}",
            lane="live",
            kwargs={"dataset": "quotes", "instruments": [HEALTHY_INSTRUMENT]},
            due_at=now,
        )
        with self._context.sessions.begin() as session:
            jobs.insert_jobs(session, [poll])
        self.done += run_due(self._context, "live")


@contextmanager
def polling(context: Context) -> Iterator[HealthyPolls]:
    """Poll while the block runs; a poll that failed fails it."""
    polls = HealthyPolls(context)
    polls.start()
    try:
        yield polls
    finally:
        polls.stop()
    if polls.error is not None:
        raise polls.error
