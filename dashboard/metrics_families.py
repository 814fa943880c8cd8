"""The families of `/metrics`: the farm's figures under Prometheus' names, in base units.

Deliberately not here: reading them (ingest/pipeline: scraped, health_figures, meters) and serving them (metrics.py).
Invariant: labels are provider, dataset, interval, lane, task, queue and words of ours: bounded, never an instrument.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final, cast

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from redis import Redis
from sqlalchemy.orm import Session

from celeryconfig import LANES
from ingest import providers
from ingest.pipeline import meters, scraped, workers
from ingest.pipeline.context import Context
from ingest.pipeline.health import RANK
from ingest.pipeline.health_figures import ProviderReport, leadership, provider_reports
from ingest.settings import Settings
from ingest.transport.connections import ConnectionLeases
from ingest.transport.gate import LATENCY_STEP
from ingest.transport.traffic import Traffic, totals
from tasks.queues import depths

_KIND: Final = ("provider", "dataset", "interval")
_VERDICTS: Final = ("ok", "failed", "bad", "throttled", "refused")
#: Of the gate's latency steps of 15 %, every fifth: 6 ms to 27 s, with 101 ms among them.
_STEPS: Final = tuple(range(13, 74, 5))
_MEMINFO: Final = Path("/proc/meminfo")


def gauge(name: str, says: str, labels: Iterable[str], values: Iterable[tuple[Iterable[str], float | None]]) -> Metric:
    """Return a gauge; a value that is not known (None) is left out."""
    family = GaugeMetricFamily(f"tickfarm_{name}", says, labels=list(labels))
    for given, value in values:
        if value is not None:
            family.add_metric(list(given), float(value))
    return family


def of_postgres(session: Session, now: datetime) -> Iterator[Metric]:
    """Yield what the tables say: one query a function of `scraped`."""
    yield from _freshness(scraped.freshness(session, now))
    yield from _coverage(scraped.coverage_by_kind(session, now))
    yield from _jobs(scraped.open_jobs(session, now))
    runs = scraped.recent_runs(session, now)
    outcomes = [((outcome,), count) for outcome, count in sorted(runs.outcomes.items())]
    yield gauge("recent_runs", "Slots of the schedule of the last 5 minutes, by what became.", ["outcome"], outcomes)
    says = "How late the slots of the last 5 minutes were owed: 95 % of them so late at most."
    yield gauge("slot_lateness_seconds", says, (), [((), runs.late_s)])
    letters = {"other": 0} | scraped.open_letters(session)
    says = "Open dead letters."
    yield gauge("dead_letters", says, ["provider"], [((name,), count) for name, count in sorted(letters.items())])
    leads, since = leadership(session)
    yield gauge("leader", "Whether somebody leads (beat holds the lock).", (), [((), leads)])
    moment = None if since is None else since.timestamp()
    yield gauge("leader_since_timestamp_seconds", "Since when the leader leads.", (), [((), moment)])


def _freshness(rows: list[scraped.Freshness]) -> Iterator[Metric]:
    yield gauge("series", "Followed series.", _KIND, [(row.kind, row.series) for row in rows])
    says = "Followed series that are late against their own pace, in the hours of their market."
    yield gauge("series_late", says, _KIND, [(row.kind, row.late) for row in rows])
    newest = [(row.kind, None if row.newest is None else row.newest.timestamp()) for row in rows]
    yield gauge("newest_row_timestamp_seconds", "The newest row's own time.", _KIND, newest)
    says = "How long, within market hours, the worst series of its kind has had nothing new."
    yield gauge("freshness_lag_seconds", says, _KIND, [(row.kind, row.lag_s) for row in rows])
    says = "The lag from which a series is late."
    yield gauge("freshness_target_seconds", says, _KIND, [(row.kind, row.target_s) for row in rows])


def _coverage(rows: list[scraped.Proven]) -> Iterator[Metric]:
    shares = [
        ((*row.kind, period), proven / expected if expected else None)
        for row in rows
        for period, proven, expected in (
            ("yesterday", row.proven_yesterday, row.expected_yesterday),
            ("30d", row.proven, row.expected),
        )
    ]
    says = "The share that is proven of what had to be there: bars in rows, other datasets in days."
    yield gauge("coverage_ratio", says, (*_KIND, "period"), shares)
    says = "Days of the last 30 that are over and not settled: the farm works on them."
    yield gauge("gap_days", says, _KIND, [(row.kind, row.gap_days) for row in rows])


def _jobs(rows: list[scraped.OpenJobs]) -> Iterator[Metric]:
    counts = {(lane, state): 0 for lane in LANES for state in scraped.OPEN_STATES}
    counts |= {(row.lane, row.state): row.count for row in rows}
    yield gauge("jobs", "Jobs that are not over.", ("lane", "state"), sorted(counts.items()))
    oldest: dict[tuple[str, str], float] = dict.fromkeys(counts, 0.0)
    oldest |= {(row.lane, row.state): row.oldest_s for row in rows}
    says = "For how long the oldest such job has been due."
    yield gauge("job_oldest_age_seconds", says, ("lane", "state"), sorted(oldest.items()))
    says = "Raw answers that were fetched and are not stored yet."
    yield gauge("payload_in_flight_bytes", says, (), [((), sum(row.payload_bytes for row in rows))])


def of_redis(redis: Redis, config: Settings) -> Iterator[Metric]:
    """Yield what Redis knows: seven round trips."""
    says = "When the leader looked around last."
    yield gauge("leader_last_look_timestamp_seconds", says, (), [((), workers.last_look(redis))])
    waiting = [((name,), count) for name, count in depths(redis).items()]
    yield gauge("queue_messages", "Messages that no worker has taken yet.", ["queue"], waiting)
    yield from _workers(workers.live_workers(redis))
    most = config.tickfarm_most_connections
    yield gauge("connections", "Connections that are leased.", (), [((), ConnectionLeases(redis, most=most).leased())])
    yield gauge("connections_limit", "How many may be.", (), [((), most)])
    limit = config.tickfarm_max_inflight_bytes
    yield gauge("payload_limit_bytes", "Above so many in flight, only live work begins.", (), [((), limit)])
    says = "How many requests a second the farm is to send at least; 0: no target (TICKFARM_TARGET_REQUESTS_S)."
    yield gauge("requests_per_second_target", says, (), [((), config.tickfarm_target_requests_s)])
    memory = cast(Mapping[str, Any], redis.info("memory"))
    used, allowed = memory["used_memory"], memory["maxmemory"] or memory["total_system_memory"]
    says = "The share of Redis' memory limit (of the machine's memory, without one) that is in use."
    yield gauge("redis_memory_used_ratio", says, (), [((), used / allowed)])
    yield from _metered(meters.read_meters(redis))
    yield from _requests(totals(redis, providers.names()))


def _workers(found: list[workers.Worker]) -> Iterator[Metric]:
    by_lane = {lane: [one for one in found if lane in one.lanes] for lane in LANES}

    def summed(name: str, says: str, of: Any) -> Metric:
        return gauge(name, says, ["lane"], [((lane,), sum(map(of, ones))) for lane, ones in by_lane.items()])

    yield summed("workers", "Workers that take work.", lambda one: not one.draining)
    yield summed("workers_draining", "Workers that finish what they have.", lambda one: one.draining)
    yield summed("worker_children", "Child processes.", lambda one: one.children)
    yield summed("worker_children_busy", "Child processes at work.", lambda one: one.busy)


def _metered(found: Mapping[str, list[meters.Reading]]) -> Iterator[Metric]:
    for meter in meters.EVERY_METER:
        name = f"tickfarm_{meter.name}"
        if not meter.buckets:
            counter = CounterMetricFamily(name, meter.says, labels=list(meter.labels))
            for one in found[meter.name]:
                counter.add_metric(one.labels, one.total)
            yield counter
            continue
        histogram = HistogramMetricFamily(f"{name}_seconds", meter.says, labels=list(meter.labels))
        for one in found[meter.name]:
            histogram.add_metric(one.labels, _cumulated(meter.buckets, one.counts), one.sum_s)
        yield histogram


def _cumulated(bounds: Iterable[float], counts: Mapping[int, int]) -> list[tuple[str, float]]:
    """Return the buckets as Prometheus wants them: each with all that are below it."""
    buckets, total = [], 0
    for place, bound in enumerate(bounds):
        total += counts.get(place, 0)
        buckets.append((f"{bound:g}", float(total)))
    return [*buckets, ("+Inf", float(sum(counts.values())))]


def _requests(found: Mapping[str, Traffic]) -> Iterator[Metric]:
    """Yield the requests of each provider that has had any, as the gate counted them."""
    asked = {name: one for name, one in found.items() if one.requests}
    requests = CounterMetricFamily("tickfarm_requests", "Requests by how they ended.", labels=["provider", "verdict"])
    answered = CounterMetricFamily("tickfarm_response_bytes", "Bodies, decompressed.", labels=["provider"])
    says = "From a request's sending to the end of its answer."
    took = HistogramMetricFamily("tickfarm_request_duration_seconds", says, labels=["provider"])
    bounds = [LATENCY_STEP**step / 1000 for step in _STEPS]
    for name, one in asked.items():
        for verdict in _VERDICTS:
            requests.add_metric([name, verdict], getattr(one, verdict))
        answered.add_metric([name], one.size_bytes)
        counts: dict[int, int] = {}
        for step, count in one.steps.items():
            place = sum(step >= bound for bound in _STEPS)
            counts[place] = counts.get(place, 0) + count
        took.add_metric([name], _cumulated(bounds, counts), one.total_ms / 1000)
    yield from (requests, answered, took)


def of_providers(context: Context, now: datetime) -> Iterator[Metric]:
    """Yield what both servers together say of each provider."""
    reports = provider_reports(context, now)
    says = "IDLE 0, HEALTHY 1, DEGRADED 2, CRITICAL 3, OFFLINE 4."
    yield gauge("provider_health", says, ["provider"], _each(reports, lambda one: RANK[one.judged.state]))
    says = "Whether it is switched on."
    yield gauge("provider_enabled", says, ["provider"], _each(reports, lambda one: one.enabled))
    says = "Holds that last: by hand, or what the provider asked for."
    yield gauge("provider_holds", says, ["provider"], _each(reports, lambda one: len(one.holds)))
    states = [
        ((one.provider, state), sum(shown.breaker.state == state.upper() for shown in one.breakers))
        for one in reports
        for state in ("open", "half_open")
    ]
    yield gauge("breakers", "Breakers that are not closed.", ("provider", "state"), states)
    used: dict[tuple[str, str, str, str], float] = {}
    for one in reports:
        for limit in one.budget:
            key = (one.provider, limit.unit, str(limit.per_s), ",".join(limit.datasets))
            used[key] = max(used.get(key, 0.0), limit.used / limit.amount if limit.amount else 1.0)
    says = "The share of a limit that is in use. `window` is in seconds, 0: requests that are out at once."
    yield gauge("budget_used_ratio", says, ("provider", "unit", "window", "datasets"), used.items())


def _each(reports: list[ProviderReport], of: Any) -> list[tuple[tuple[str], float]]:
    return [((one.provider,), float(of(one))) for one in reports]


def of_the_machine() -> Iterator[Metric]:
    """Yield what this process sees of its machine."""
    share = None
    if _MEMINFO.exists():
        lines = (line.split() for line in _MEMINFO.read_text().splitlines())
        kib = {words[0].rstrip(":"): int(words[1]) for words in lines}
        share = 1 - kib["MemAvailable"] / kib["MemTotal"]
    yield gauge("machine_memory_used_ratio", "The share of the dashboard's machine's memory in use.", (), [((), share)])
