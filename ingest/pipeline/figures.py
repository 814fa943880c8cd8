"""The farm's figures of the last minutes on one page: what was asked, what came of it, what is in use, what it owes.

Reads only. Deliberately not here: what they mean for health (health), each provider by itself (health_figures).
Invariant: a figure that nothing was measured for is None, never 0, and a target without its figure is neither met nor
missed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from ingest import providers
from ingest.pipeline.backlog import look_at
from ingest.pipeline.context import Context
from ingest.pipeline.entries import FETCH_PREFIX
from ingest.pipeline.leader import MESSAGES_PER_PROCESS
from ingest.pipeline.workers import Worker, live_workers
from ingest.settings import Settings
from ingest.transport.connections import ConnectionLeases
from ingest.transport.traffic import WINDOW_S, Traffic, busiest_per_s, look, together
from models import Finding, Job


@dataclass(frozen=True, slots=True)
class Target:
    """A target as it is set, with what was measured. `is_met` is None where nothing was."""

    name: str
    wanted: float
    found: float | None
    is_met: bool | None


@dataclass(frozen=True, slots=True)
class FarmFigures:
    """What the farm did in `covered_s` seconds up to `at`, and what is in use now.

    `success_rate` is the share of requests that were answered with what can be used, `peak_per_s` the busiest ten
    seconds. Points are rows: valid ones were stored (again, too), rejected ones are findings. Of the queue, `messages`
    of `most_messages` are with the workers, and `due` jobs wait in the table, the oldest for `oldest_due_s`. The buffer
    holds answers that are not stored yet.
    """

    at: datetime
    covered_s: float
    requests: int
    success_rate: float | None
    valid_points: int
    rejected_points: int
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    per_s: float
    peak_per_s: float
    due: int
    oldest_due_s: float | None
    messages: int
    most_messages: int
    buffer_bytes: int
    most_buffer_bytes: int
    workers: int
    workers_free: int
    connections: int
    most_connections: int
    targets: Sequence[Target]


def farm_figures(context: Context, now: datetime) -> FarmFigures:
    """Return the farm's figures. Eight round trips to Redis, two quick queries, and one pass over the jobs kept."""
    names, config = providers.names(), context.settings
    traffic = together(one.traffic for one in look(context.redis, names).values())
    workers = live_workers(context.redis)
    with context.sessions() as session:
        backlog = look_at(session, now)
        due, oldest_at = _waiting(session, now)
        valid, rejected = _points(session, now - timedelta(seconds=WINDOW_S))
    children = _children(workers)
    return FarmFigures(
        at=now,
        covered_s=traffic.covered_s,
        requests=traffic.requests,
        success_rate=_success_rate(traffic),
        valid_points=valid,
        rejected_points=rejected,
        p50_ms=traffic.percentile_ms(50),
        p95_ms=traffic.percentile_ms(95),
        p99_ms=traffic.percentile_ms(99),
        per_s=traffic.per_s,
        peak_per_s=busiest_per_s(context.redis, names),
        due=due,
        oldest_due_s=None if oldest_at is None else (now - oldest_at).total_seconds(),
        messages=sum(backlog.in_flight.values()),
        most_messages=MESSAGES_PER_PROCESS * children,
        buffer_bytes=backlog.payload_bytes,
        most_buffer_bytes=config.tickfarm_max_inflight_bytes,
        workers=children,
        workers_free=max(0, children - sum(one.busy for one in workers if not one.draining)),
        connections=ConnectionLeases(context.redis, most=config.tickfarm_most_connections).leased(),
        most_connections=config.tickfarm_most_connections,
        targets=targets_of(config, traffic),
    )


def targets_of(config: Settings, traffic: Traffic) -> tuple[Target, ...]:
    """Return each target that is set, and whether this traffic meets it."""
    rate, p95_ms = _success_rate(traffic), traffic.percentile_ms(95)
    found = [_at_least("success_rate", float(config.tickfarm_target_success), rate)]
    wanted_ms = config.tickfarm_target_p95_ms
    found.append(Target("p95_ms", wanted_ms, p95_ms, None if p95_ms is None else p95_ms <= wanted_ms))
    found.append(_at_least("requests_per_s", config.tickfarm_target_requests_s, traffic.per_s))
    return tuple(one for one in found if one.wanted)


def _at_least(name: str, wanted: float, found: float | None) -> Target:
    return Target(name, wanted, found, None if found is None else found >= wanted)


def _success_rate(traffic: Traffic) -> float | None:
    return traffic.share(traffic.ok) if traffic.requests else None


def _children(workers: Sequence[Worker]) -> int:
    return sum(one.processes for one in workers if not one.draining)


def _waiting(session: Session, now: datetime) -> tuple[int, datetime | None]:
    """Return how many jobs are due, and since when the one that has waited longest is."""
    query = select(func.count(), func.min(Job.due_at)).where(Job.state == "due", Job.due_at <= now)
    count, oldest_at = session.execute(query).one()
    return count, oldest_at


def _points(session: Session, since: datetime) -> tuple[int, int]:
    """Return how many rows were stored, and how many were refused, since then."""
    rows = Job.result["rows"].as_integer()
    stored = select(func.coalesce(func.sum(rows), 0)).where(
        Job.finished_at > since, Job.state == "done", Job.task.startswith(FETCH_PREFIX)
    )
    refused = select(func.coalesce(func.sum(Finding.rows), 0)).where(Finding.at > since, Finding.severity == "reject")
    return int(session.scalar(stored) or 0), int(session.scalar(refused) or 0)
