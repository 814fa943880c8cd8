"""The fetch tasks, one name a provider: `tasks.fetch.binance`. Called by the leader, by hand, by Flower, by stock beat.

A provider's other names (`tasks.fetch.massive`) are for calls by hand: their jobs, and all else, have its name here.

Idempotent: an attempt of a job runs once, and a call by hand is one job however often it is delivered. Deadline: 75 s.
"""

from __future__ import annotations

from typing import Any

from celery import chain, signature

from celeryconfig import LOAD_SUFFIX
from ingest import providers
from ingest.pipeline import fetch as pipeline
from ingest.pipeline.jobs import Leased
from ingest.pipeline.workers import News, wake_leader
from ingest.telemetry import MESSAGE_HEADER
from tasks.attempts import begin
from tasks.farm_task import FarmTask, farm_task
from tasks.lifecycle import context

#: Up to this many (five pages of klines) one step parses and stores them: two steps cost 3 us of 13 a row. Beyond it,
#: two steps let another child help.
ONE_STEP_BYTES = 1024 * 1024


def _declare(provider: str, *, alias: str | None = None) -> Any:
    name = f"tasks.fetch.{provider}"

    @farm_task(name=f"tasks.fetch.{alias or provider}")
    def fetch(
        self: FarmTask,
        dataset: str,
        instruments: list[str] | None = None,
        interval: str | None = None,
        start: str | None = None,
        end: str | None = None,
        job_id: int | None = None,
        attempt: int | None = None,
    ) -> dict[str, Any]:
        call = {"dataset": dataset, "instruments": instruments, "interval": interval, "start": start, "end": end}
        job = begin(self, call, job_id, attempt, as_task=name)
        if job.state == "done":
            return dict(job.result or {})
        if job.state in ("dead", "expired", "cancelled"):  # a call by hand that was delivered again after its end
            return {"job_id": job.id, "state": job.state}
        if job.state == "fetched":
            raise self.replace(load_steps(job, size_bytes=0, ignore_result=self.request.ignore_result))
        from ingest.pipeline.store import ready  # noqa: PLC0415 - children only: polars must not meet a fork

        outcome = pipeline.fetch(context(), provider, job, make_ready=ready)
        if outcome.stored is not None:
            _wake_leader(job, outcome, room_only=not outcome.owes)
            return {"job_id": job.id, "state": "done", **outcome.stored}
        if outcome.state == "fetched":
            if outcome.owes or outcome.store_s is not None:
                _wake_leader(job, outcome, room_only=not outcome.owes)
            steps = load_steps(job, size_bytes=outcome.payload_bytes, ignore_result=self.request.ignore_result)
            raise self.replace(steps)
        _wake_leader(job, outcome)
        return _summary(job, outcome)

    return fetch


def _wake_leader(job: Leased, outcome: pipeline.Outcome, *, room_only: bool = False) -> None:
    full_until = None if outcome.full_until is None else outcome.full_until.timestamp()
    news = News(job.lane, job.task, outcome.store_s, full_until)
    wake_leader(context().redis, room_only=room_only, news=news)


def load_steps(job: Leased, *, size_bytes: int, ignore_result: bool) -> Any:
    """Return the steps that follow a fetch: `normalize | store`, or store alone, which normalizes a small payload."""
    queue = f"{job.lane}{LOAD_SUFFIX}"
    # On each step: what is set on a chain reaches only its first.
    options = {"queue": queue, "ignore_result": ignore_result, "headers": {MESSAGE_HEADER: job.correlation}}
    steps = [
        signature(name, args=(job.id, job.attempt), immutable=True, options=dict(options))
        for name in (("tasks.normalize", "tasks.store") if size_bytes > ONE_STEP_BYTES else ("tasks.store",))
    ]
    return chain(*steps) if len(steps) > 1 else steps[0]


def _summary(job: Leased, outcome: pipeline.Outcome) -> dict[str, Any]:
    until = outcome.until.isoformat() if outcome.until else None
    return {"job_id": job.id, "state": outcome.state, "until": until, "reason": outcome.reason}


for _provider in providers.names():
    globals()[_provider] = _declare(_provider)
for _alias, _provider in providers.aliases().items():  # so that `celery call tasks.fetch.massive` works
    globals()[_alias] = _declare(_provider, alias=_alias)
