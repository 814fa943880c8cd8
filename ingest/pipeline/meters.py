"""Meters: what processes count as they work (tasks, rows, how long each took), added up in Redis for Prometheus.

A process counts in its memory and adds to the farm's totals once a second at most, at the end of a task, and when it
ends: a round trip a second, whatever it does. What a process that is killed had not added yet is lost: up to a second
of work, or what it did last before a quiet time. Deliberately not here: requests, which the gate counts (report.lua),
and what the numbers are shown as (dashboard/metrics.py). Invariant: label values are bounded: providers, datasets,
lanes and tasks, never an instrument; and counting never fails the work it counts.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, cast

import structlog
from redis import Redis
from redis.exceptions import RedisError

from ingest.pipeline.jobs import Leased

#: The farm's totals: hash of `<meter>|<label>|..[|<bucket>]` -> count.
METERS: Final = "tickfarm:meters"
#: A farm that stands still for longer begins at zero, as after a FLUSHALL: Prometheus reads both as a reset.
_KEEP_S: Final = 30 * 86_400
FLUSH_EVERY_S: Final = 1.0
#: Names no bucket: how many microseconds all of them took.
_SUM: Final = "us"
_MARK: Final = "|"

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Meter:
    """A counter or, with `buckets` (upper bounds in seconds), a histogram of durations. `name` is without its unit."""

    name: str
    says: str
    labels: tuple[str, ...]
    buckets: tuple[float, ...] = ()


_TASK_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 75.0)
_JOB_S = (0.025, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 3600.0)
_STORE_S = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0)

TASK_TIME: Final = Meter("task_duration", "How long a task ran in its worker.", ("task", "lane"), _TASK_S)
TASKS: Final = Meter("tasks", "Tasks that ended, by what became of their job.", ("task", "lane", "state"))
JOB_TIME: Final = Meter("job_latency", "From the moment a job was due to the commit of its rows.", ("lane",), _JOB_S)
ROWS: Final = Meter("rows", "Rows that were written.", ("provider", "dataset", "change"))
FINDINGS: Final = Meter("findings", "Findings that loads brought.", ("provider", "dataset"))
STORE_TIME: Final = Meter("store_duration", "How long the transaction took that stored rows.", ("dataset",), _STORE_S)
EVERY_METER: Final = (TASK_TIME, TASKS, JOB_TIME, ROWS, FINDINGS, STORE_TIME)


class Meters:
    """One process's meters. Not shared between threads."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._counts: defaultdict[tuple[str, ...], int] = defaultdict(int)
        self._flushed_at = 0.0

    def count(self, meter: Meter, *labels: str, by: int = 1) -> None:
        """Count `by` more. Zero is told too: a rate needs a value to rise from."""
        self._counts[meter.name, *labels] += by

    def observe(self, meter: Meter, *labels: str, took_s: float) -> None:
        """Count one that took so long."""
        self._counts[meter.name, *labels, str(bisect_left(meter.buckets, took_s))] += 1
        self._counts[meter.name, *labels, _SUM] += max(0, round(took_s * 1_000_000))

    def stored(self, job: Leased, result: Mapping[str, Any], *, took_s: float, now: datetime) -> None:
        """Count what a job stored, how long its transaction took and how long after it was due it was committed."""
        provider, dataset = job.task.rpartition(".")[2], str(job.kwargs["dataset"])
        for change in ("inserted", "updated", "revised"):
            self.count(ROWS, provider, dataset, change, by=result[change])
        self.count(FINDINGS, provider, dataset, by=result["findings"])
        self.observe(STORE_TIME, dataset, took_s=took_s)
        if job.due_at is not None:
            self.observe(JOB_TIME, job.lane, took_s=(now - job.due_at).total_seconds())

    def flush_if_due(self) -> None:
        """Add what was counted to the farm's totals, unless that was done within the last second."""
        if self._counts and time.monotonic() - self._flushed_at >= FLUSH_EVERY_S:
            self.flush()

    def flush(self) -> None:
        """Add what was counted to the farm's totals. Without Redis it is kept for the next time."""
        if not self._counts:
            return
        self._flushed_at = time.monotonic()
        try:
            with self._redis.pipeline(transaction=True) as pipe:
                for key, number in self._counts.items():
                    pipe.hincrby(METERS, _MARK.join(key), number)
                pipe.expire(METERS, _KEEP_S)
                pipe.execute()
        except RedisError as error:
            log.info("meters_not_added", error=str(error))
        else:
            self._counts.clear()


@dataclass(slots=True)
class Reading:
    """A meter's total for one set of labels. `counts`: how many in each bucket, the last one above all bounds."""

    labels: tuple[str, ...]
    total: int = 0
    sum_s: float = 0.0
    counts: dict[int, int] = field(default_factory=dict)


def read_meters(redis: Redis) -> dict[str, list[Reading]]:
    """Return the farm's totals by meter's name. One round trip; what another version counts is passed over."""
    raw = cast(Mapping[bytes, bytes], redis.hgetall(METERS))
    meters = {meter.name: meter for meter in EVERY_METER}
    found: dict[str, dict[tuple[str, ...], Reading]] = {name: {} for name in meters}
    for key, value in sorted(raw.items()):
        name, *parts = key.decode().split(_MARK)
        meter = meters.get(name)
        if meter is None or len(parts) != len(meter.labels) + bool(meter.buckets):
            continue
        labels = tuple(parts[: len(meter.labels)])
        reading = found[name].setdefault(labels, Reading(labels))
        if not meter.buckets:
            reading.total += int(value)
        elif parts[-1] == _SUM:
            reading.sum_s += int(value) / 1_000_000
        else:
            reading.counts[int(parts[-1])] = int(value)
            reading.total += int(value)
    return {name: list(readings.values()) for name, readings in found.items()}
