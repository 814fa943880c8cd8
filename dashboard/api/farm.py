"""The farm and its providers: how they are, what they offer, how far back.

Deliberately not here: what a state means (ingest/pipeline/health.py). Invariant: no key and no address that holds one.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

from fastapi import APIRouter, Request, Response

from dashboard.api.encoded import unless_known
from dashboard.api.lists import Shape
from dashboard.context import Farm
from ingest import providers
from ingest.pipeline.calls import WITHOUT_HISTORY, first_in_reach
from ingest.pipeline.figures import farm_figures
from ingest.pipeline.health_figures import FarmReport, ProviderReport, farm_report, provider_reports
from ingest.providers.contract import Facts
from ingest.transport.traffic import WINDOW_S, Traffic
from tasks import app as celery_app

router = APIRouter(tags=["farm"])


class TrafficShape(Shape):
    """Requests of the last five minutes; latencies are None where there was none."""

    window_s: float
    requests: int
    requests_per_s: float
    ok: int
    errors: int
    rejected: int
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None


class UsedShape(Shape):
    """How much of a limit is in use now; `per_s` 0: requests that are out at once."""

    amount: int
    unit: str
    per_s: int
    used: int
    datasets: tuple[str, ...]


class BreakerShape(Shape):
    """A breaker that is not closed."""

    scope: str
    state: str
    until: datetime | None
    reason: str | None


class HoldShape(Shape):
    """Until when a provider is asked nothing; None: until somebody lifts it."""

    kind: str
    since: datetime
    until: datetime | None
    reason: str


class LimitShape(Shape):
    """To how many percent of its short windows a provider is kept by hand; `until` None: until somebody ends it."""

    percent: int
    since: datetime
    until: datetime | None
    reason: str


class ProviderShape(Shape):
    """A provider and how it is; `has_key` is None where none is needed."""

    provider: str
    title: str
    state: str
    reasons: tuple[str, ...]
    enabled: bool
    has_key: bool | None
    lifecycle: str
    lifecycle_note: str
    datasets: tuple[str, ...]
    intervals: tuple[str, ...]
    consecutive_failures: int
    traffic: TrafficShape
    budget: tuple[UsedShape, ...]
    batches_out: int
    breakers: tuple[BreakerShape, ...]
    holds: tuple[HoldShape, ...]
    limit: LimitShape | None


class ProvidersList(Shape):
    """Every provider."""

    at: datetime
    providers: list[ProviderShape]


class JobsShape(Shape):
    """How the jobs ended that ended within the last hour."""

    succeeded: int
    dead: int
    expired: int
    cancelled: int


class HealthShape(Shape):
    """The farm's verdict, with what it was made from."""

    at: datetime
    verdict: str
    reasons: tuple[str, ...]
    leads: bool
    since: datetime | None
    traffic: TrafficShape
    lanes: dict[str, int]
    workers: int
    connections: int
    most_connections: int
    jobs_of_the_last_hour: JobsShape
    providers: dict[str, str]


class TargetShape(Shape):
    """A target and what was measured; `is_met` is None where nothing was."""

    name: str
    wanted: float
    found: float | None
    is_met: bool | None


class MetricsShape(Shape):
    """The farm's figures of `covered_s` seconds, and what is in use now. None: nothing was measured.

    `success_rate` is the share of requests that were answered with what can be used, `peak_per_s` the busiest ten
    seconds; points are rows, `due` jobs wait in the table, `messages` are with the workers, and the buffer holds
    answers that are not stored yet.
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
    targets: tuple[TargetShape, ...]


class Capability(Shape):
    """What a provider has; `first_day` is the oldest that can be asked for now, None: as far as it has anything.

    `has_history` is false for what is only ever seen as it is now; `paid` names the plan that it needs.
    """

    provider: str
    dataset: str
    interval: str
    has_history: bool
    reach_bars: int | None
    reach_days: int | None
    first_day: date | None
    needs_key: bool
    paid: str | None
    adjustment: str | None
    lifecycle: str


class Capabilities(Shape):
    """Every provider, dataset and interval."""

    capabilities: list[Capability]


def lanes() -> list[str]:
    """Return the lanes there are."""
    return [queue.name for queue in celery_app.conf.task_queues if not queue.name.endswith(".load")]


@router.get("/providers", response_model=ProvidersList)
def list_providers(farm: Farm) -> object:
    """Say of each provider what it offers and how it is."""
    now = datetime.now(UTC)
    return {"at": now, "providers": [_provider(one) for one in provider_reports(farm, now)]}


@router.get("/health", response_model=HealthShape)
def health(farm: Farm) -> object:
    """Say how the farm is, from the last five minutes."""
    return _health(farm_report(farm, lanes(), datetime.now(UTC)))


@router.get("/metrics", response_model=MetricsShape)
def metrics(farm: Farm) -> object:
    """Give the farm's figures of the last five minutes, and whether each target that is set is met."""
    return farm_figures(farm, datetime.now(UTC))


@router.get("/capabilities", response_model=Capabilities)
def capabilities(request: Request) -> Response:
    """List what can be had: provider, dataset, interval, and how far back."""
    now = datetime.now(UTC)
    found = [one for name in providers.names() for one in _capabilities(providers.get(name).facts, now)]
    return unless_known(request, Capabilities(capabilities=found))


def _provider(report: ProviderReport) -> dict[str, Any]:
    facts = providers.get(report.provider).facts
    return {
        "provider": facts.name,
        "title": facts.title,
        "state": report.judged.state,
        "reasons": report.judged.reasons,
        "enabled": report.enabled,
        "has_key": report.has_key,
        "lifecycle": facts.lifecycle,
        "lifecycle_note": facts.lifecycle_note,
        "datasets": facts.datasets,
        "intervals": tuple(facts.intervals),
        "consecutive_failures": report.failing,
        "traffic": _traffic(report.traffic),
        "budget": report.budget,
        "batches_out": report.batches_out,
        "breakers": [
            {"scope": one.breaker.scope, "state": one.breaker.state, "until": one.breaker.until, "reason": one.reason}
            for one in report.breakers
        ],
        "holds": report.holds,
        "limit": report.limit,
    }


def _health(report: FarmReport) -> dict[str, Any]:
    figures = report.figures
    return {
        "at": report.at,
        "verdict": report.judged.state,
        "reasons": report.judged.reasons,
        "leads": figures.has_leader,
        "since": report.since,
        "traffic": _traffic(figures.traffic),
        "lanes": figures.lanes,
        "workers": len(report.workers),
        "connections": report.connections,
        "most_connections": report.most_connections,
        "jobs_of_the_last_hour": figures.jobs,
        "providers": figures.providers,
    }


def _traffic(traffic: Traffic) -> dict[str, Any]:
    counts = {name: getattr(traffic, name) for name in ("requests", "ok", "errors", "rejected")}
    latencies = {f"p{percent}_ms": traffic.percentile_ms(percent) for percent in (50, 95, 99)}
    return {"window_s": WINDOW_S, "requests_per_s": traffic.per_s, **counts, **latencies}


def _capabilities(facts: Facts, now: datetime) -> Iterator[Capability]:
    for dataset in facts.datasets:
        for interval in facts.intervals if dataset == "bars" else ("",):
            first = first_in_reach(facts, dataset, interval or None, now)
            yield Capability(
                provider=facts.name,
                dataset=dataset,
                interval=interval,
                has_history=dataset not in WITHOUT_HISTORY,
                reach_bars=facts.reach_bars if interval else None,
                reach_days=facts.reach_days.get(interval or dataset),
                first_day=None if first is None else first.date(),
                needs_key=facts.key is not None and facts.key.required,
                paid=facts.paid.get(dataset),
                adjustment=facts.adjustment if dataset == "bars" else None,
                lifecycle=facts.lifecycle,
            )
