"""The figures of health, read from where they are kept: Redis (traffic, breakers, windows), PostgreSQL (the rest).

Reads only. Deliberately not here: what they mean (health) and how they are printed (local/shown_health). Cost of a
whole report: five round trips to Redis, some quick queries, and one count over the jobs of an hour.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from ingest import providers
from ingest.pipeline import quota
from ingest.pipeline.backlog import look_at
from ingest.pipeline.context import Context
from ingest.pipeline.credentials import keys_of
from ingest.pipeline.exchange import endpoint_of
from ingest.pipeline.figures import Target, targets_of
from ingest.pipeline.health import FarmFigures, JobCounts, Judged, judge, judge_farm
from ingest.pipeline.leader import LEADER_LOCK
from ingest.pipeline.provider_state import limits_now
from ingest.pipeline.terms import Terms, terms_of
from ingest.pipeline.workers import Worker, live_workers
from ingest.transport.budget import Window, windows_of
from ingest.transport.connections import ConnectionLeases
from ingest.transport.traffic import Breaker, InUse, Seen, Traffic, in_use, look, together
from ingest.wire import Limit
from models import Job, ProviderEvent, ProviderHold, ProviderLimit

HEALTH_TASK = "tasks.health"
_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Used:
    """How much of a limit, as the farm keeps to it, is in use now. `per_s` 0: requests that are out at once.

    `resets_at` is when its window ends, if it is one of the clock's; None: it slides.
    """

    amount: int
    unit: str
    per_s: int
    used: int
    datasets: tuple[str, ...] = ()
    resets_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ShownBreaker:
    """A breaker with what is known about it: which address it is for, and why it opened."""

    breaker: Breaker
    base_url: str
    reason: str | None


@dataclass(frozen=True, slots=True)
class ProviderReport:
    """All that is known of a provider's health now. `breakers` are those that are not closed.

    `has_key` is None where none is needed; `batches_out` are the batches that are under way.
    """

    provider: str
    judged: Judged
    traffic: Traffic
    failing: int
    enabled: bool
    has_key: bool | None
    bases: tuple[str, ...]
    budget: tuple[Used, ...]
    batches_out: int
    breakers: tuple[ShownBreaker, ...]
    holds: tuple[ProviderHold, ...]
    limit: ProviderLimit | None


@dataclass(frozen=True, slots=True)
class FarmReport:
    """The farm's verdict, with what it was made from. `since` is when the leader began to lead."""

    at: datetime
    judged: Judged
    figures: FarmFigures
    since: datetime | None
    workers: Sequence[Worker]
    connections: int
    most_connections: int
    providers: Sequence[ProviderReport]
    targets: Sequence[Target]


@dataclass(frozen=True, slots=True)
class _Asked:
    """How a provider is asked now: its terms, credential, the windows that Redis counts and those of PostgreSQL."""

    terms: Terms
    pool: str
    has_key: bool
    windows: tuple[Window, ...]
    long: tuple[Limit, ...]


def provider_reports(context: Context, now: datetime, names: Sequence[str] = ()) -> list[ProviderReport]:
    """Return what is known of these providers, of all where none is named."""
    wanted = tuple(names) or providers.names()
    seen = look(context.redis, wanted)
    asked = {name: _asked(context, name) for name in wanted}
    windows = [window for name in wanted for window in asked[name].windows]
    counted = dict(zip((window.key for window in windows), in_use(context.redis, windows), strict=True))
    with context.sessions() as session:
        holds, limits = _holds(session, now), limits_now(session, now)
        reasons = _opened_because(session, [name for name in wanted if seen[name].breakers], now)
        long = _long(session, asked, now)
    return [
        _report(
            context,
            name,
            seen[name],
            asked[name],
            counted,
            long[name],
            holds.get(name, ()),
            limits.get(name),
            reasons,
        )
        for name in wanted
    ]


def farm_report(context: Context, lanes: Sequence[str], now: datetime) -> FarmReport:
    """Return the farm's verdict and what it was made from."""
    reports = provider_reports(context, now)
    workers = live_workers(context.redis)
    with context.sessions() as session:
        has_leader, since = leadership(session)
        figures = FarmFigures(
            traffic=together(one.traffic for one in reports),
            providers={one.provider: one.judged.state for one in reports},
            lanes={lane: _children(workers, lane) for lane in lanes},
            waiting=frozenset(lane for lane, tasks in look_at(session, now).due.items() if tasks),
            has_leader=has_leader,
            jobs=count_jobs(session, now),
        )
    most = context.settings.tickfarm_most_connections
    leased = ConnectionLeases(context.redis, most=most).leased()
    targets = targets_of(context.settings, figures.traffic)
    return FarmReport(now, judge_farm(figures), figures, since, workers, leased, most, reports, targets)


def leadership(session: Session) -> tuple[bool, datetime | None]:
    """Say whether somebody leads, and since when: the lock's connection is opened for it. The moment is None where the
    database does not show another account's connections.
    """
    query = text(
        "SELECT backend_start FROM pg_locks LEFT JOIN pg_stat_activity USING (pid)"
        " WHERE locktype = 'advisory' AND granted AND classid = 0 AND objid = :lock AND objsubid = 1"
        " AND pg_locks.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    )
    found = session.execute(query, {"lock": LEADER_LOCK}).first()
    return found is not None, None if found is None else found[0]


def count_jobs(session: Session, now: datetime) -> JobCounts:
    """Return how the jobs that ended within the last hour ended; health's own checks are no work of the farm's."""
    wanted = Job.finished_at > now - _HOUR, Job.task != HEALTH_TASK
    query = select(Job.state, func.count()).where(*wanted).group_by(Job.state)
    ended = {row[0]: row[1] for row in session.execute(query)}
    return JobCounts(
        succeeded=ended.get("done", 0),
        dead=ended.get("dead", 0),
        expired=ended.get("expired", 0),
        cancelled=ended.get("cancelled", 0),
    )


def _asked(context: Context, name: str) -> _Asked:
    facts = providers.get(name).facts
    endpoint = endpoint_of(context, facts, "")
    has_key = bool(keys_of(context.settings, facts))
    terms = terms_of(context.settings, facts, has_key=has_key)
    limits = (*terms.limits, *terms.stated)
    windows = windows_of(f"{name}:{endpoint.pool}", limits, at_once=facts.at_once)
    return _Asked(terms, endpoint.pool, has_key, windows, _smallest(quota.long_limits(limits)))


def _report(
    context: Context,
    name: str,
    seen: Seen,
    asked: _Asked,
    counted: Mapping[str, InUse],
    long: Sequence[Used],
    holds: Sequence[ProviderHold],
    limit: ProviderLimit | None,
    reasons: Mapping[tuple[str, str], str | None],
) -> ProviderReport:
    bases = asked.terms.bases
    judged = judge(seen.traffic, is_shut=seen.is_shut(len(bases)))
    enabled = context.settings.of_provider(name).enabled
    notes = [] if enabled else ["it is switched off"]
    notes += [f"held until {_until(hold)}: {hold.reason}" for hold in holds]
    if limit is not None:
        notes.append(f"limited to {limit.percent} % until {_until(limit)}: {limit.reason}")
    return ProviderReport(
        provider=name,
        judged=Judged(judged.state, (*judged.reasons, *notes)),
        traffic=seen.traffic,
        failing=seen.failing,
        enabled=enabled,
        has_key=None if providers.get(name).facts.key is None else asked.has_key,
        bases=bases,
        budget=(*(_short(window, counted) for window in asked.windows), *long),
        batches_out=max((counted[window.key].out for window in asked.windows), default=0),
        breakers=tuple(
            ShownBreaker(one, _address(bases, one.base), reasons.get((name, one.scope))) for one in seen.breakers
        ),
        holds=tuple(holds),
        limit=limit,
    )


def _short(window: Window, counted: Mapping[str, InUse]) -> Used:
    return Used(window.amount, window.unit, window.per_ms // 1000, counted[window.key].used, window.datasets)


def _long(session: Session, every: Mapping[str, _Asked], now: datetime) -> dict[str, list[Used]]:
    windows = [(name, asked.pool, limit) for name, asked in every.items() for limit in asked.long]
    found: dict[str, list[Used]] = {name: [] for name in every}
    for (name, _, one), used in zip(windows, quota.used_of(session, windows, now), strict=True):
        ends = quota.window_end(one, now) if one.resets else None
        found[name].append(Used(one.amount, one.unit, one.per_s, used, one.datasets, ends))
    return found


def _smallest(limits: Sequence[Limit]) -> tuple[Limit, ...]:
    """Return one limit of those that count the same over the same time: the smallest."""
    found: dict[tuple[object, ...], Limit] = {}
    for limit in limits:
        kind = (limit.unit, limit.per_s, limit.resets, limit.datasets)
        if kind not in found or limit.amount < found[kind].amount:
            found[kind] = limit
    return tuple(found.values())


def _holds(session: Session, now: datetime) -> dict[str, tuple[ProviderHold, ...]]:
    """Return the holds that last, by provider."""
    lasting = ProviderHold.until.is_(None) | (ProviderHold.until > now)
    found: dict[str, tuple[ProviderHold, ...]] = {}
    for hold in session.scalars(select(ProviderHold).where(lasting).order_by(ProviderHold.since)):
        found[hold.provider] = (*found.get(hold.provider, ()), hold)
    return found


def _opened_because(session: Session, names: Sequence[str], now: datetime) -> dict[tuple[str, str], str | None]:
    """Return why breakers opened last, by provider and scope. The row is there when the fetch that saw it has ended."""
    found: dict[tuple[str, str], str | None] = {}
    for name in names:
        opened = (
            select(ProviderEvent.scope, ProviderEvent.reason)
            .where(ProviderEvent.provider == name, ProviderEvent.kind == "breaker", ProviderEvent.after == "open")
            .where(ProviderEvent.at > now - timedelta(days=1))  # Redis keeps no breaker for longer
            .order_by(ProviderEvent.at, ProviderEvent.id)
        )
        found |= {(name, scope): reason for scope, reason in session.execute(opened)}
    return found


def _children(workers: Sequence[Worker], lane: str) -> int:
    return sum(worker.processes for worker in workers if lane in worker.lanes and not worker.draining)


def _address(bases: Sequence[str], place: int) -> str:
    """Return an address by its place; one that is no longer set has none."""
    return bases[place] if place < len(bases) else ""


def _until(lasting: ProviderHold | ProviderLimit) -> str:
    return "somebody lifts it" if lasting.until is None else f"{lasting.until.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
