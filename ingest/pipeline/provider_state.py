"""What PostgreSQL remembers of providers for the gate: what was sent lately, who may be sending, holds, history.

Invariant: after Redis has forgotten everything, what is read here is never less than what the provider has counted,
within the windows that Redis keeps.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import structlog
from redis import Redis
from sqlalchemy import Select, func, literal, select, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session, sessionmaker

from ingest.pipeline.backlog import SLOW_S
from ingest.pipeline.entries import FETCH_PREFIX
from ingest.pipeline.jobs import LEASE_S
from ingest.transport.breaker import Transition
from ingest.transport.budget import LONGEST_SHORT_S
from ingest.transport.connections import LEASE_S as CONNECTIONS_LEASE_S
from ingest.transport.gate import Ask, Hold, Seed, Sent, TemporaryLimit
from models import FetchLog, Job, ProviderEvent, ProviderHold, ProviderLimit

#: Where changes of state are published, one JSON object each: {provider, kind, scope, before, after, until, reason}.
EVENTS = "tickfarm:events"
#: The pool of a hold by hand: whatever the credential.
EVERY_POOL = "*"
#: Waits shorter than this are not worth a row: Redis holds them, and loses them with less harm than the row costs.
WORTH_KEEPING_S = 5.0
#: A batch is over by then, whatever its timeout: the task is ended (celeryconfig's time limit of 90 s).
LONGEST_BATCH_S = 90.0

log = structlog.get_logger(__name__)


def seed_of(sessions: sessionmaker[Session], ask: Ask) -> Seed:
    """Return what is known of a credential's last hour. Three small queries, each over an index.

    Who is out is asked first: a job that ends in between is then counted twice, and never not at all.
    """
    provider, _, pool = ask.budget.rpartition(":")
    with sessions() as session:
        now: datetime = session.scalars(select(func.clock_timestamp())).one()
        begun = Job.task == f"{FETCH_PREFIX}{provider}", Job.state == "leased", Job.started_at.is_not(None)
        started = session.execute(select(Job.id, Job.attempt, Job.started_at).where(*begun))
        out = [
            (f"{job}:{attempt}", max((at - now).total_seconds() + LONGEST_BATCH_S, LEASE_S))
            for job, attempt, at in started
            if at is not None
        ]
        ended = [_sent(row, now) for row in session.scalars(_logged(provider, pool, now).where(FetchLog.requests > 0))]
        by_hand = _hold_of(session, provider, EVERY_POOL, now)
        return Seed(ended, out, _hold_of(session, provider, pool, now), by_hand, limit_of(session, provider, now))


def sent_by(sessions: sessionmaker[Session], ask: Ask, jobs: Sequence[str]) -> dict[str, list[Sent]]:
    """Return what each of these jobs (`<job>:<attempt>`) has sent, of those that have committed it. One query."""
    provider, _, pool = ask.budget.rpartition(":")
    pairs = [tuple(map(int, job.split(":"))) for job in jobs]
    found: dict[str, list[Sent]] = {}
    with sessions() as session:
        now: datetime = session.scalars(select(func.clock_timestamp())).one()
        theirs = tuple_(FetchLog.job_id, FetchLog.attempt).in_(pairs)
        for row in session.scalars(_logged(provider, pool, now).where(FetchLog.kind == "batch", theirs)):
            found.setdefault(f"{row.job_id}:{row.attempt}", []).append(_sent(row, now))
    return found


def may_hold_connections(sessions: sessionmaker[Session]) -> bool:
    """Say whether anybody may have connections open: a fetch has ended lately, or has been running for a while.

    Jobs that have just begun are those of a farm that has just started: who asks has begun one too.
    """
    now = func.now()  # and not clock_timestamp: no index is searched for what changes from row to row
    lately = FetchLog.at > now - timedelta(seconds=CONNECTIONS_LEASE_S)
    ended = select(FetchLog.id).where(lately, FetchLog.requests > 0).exists()
    runs = Job.state == "leased", Job.started_at < now - timedelta(seconds=SLOW_S), Job.task.startswith(FETCH_PREFIX)
    with sessions() as session:
        return bool(session.scalar(select(ended | select(Job.id).where(*runs).exists())))


def _logged(provider: str, pool: str, now: datetime) -> Select[FetchLog]:
    since = now - timedelta(seconds=LONGEST_SHORT_S + 60)
    return select(FetchLog).where(FetchLog.provider == provider, FetchLog.pool == pool, FetchLog.at > since)


def _sent(row: FetchLog, now: datetime) -> Sent:
    return (now - row.at).total_seconds(), row.dataset, row.requests, row.weight


def _hold_of(session: Session, provider: str, pool: str, now: datetime) -> Hold | None:
    mine = ProviderHold.provider == provider, ProviderHold.pool == pool
    holds = session.scalars(select(ProviderHold).where(*mine)).all()
    left = [Hold(math.inf if hold.until is None else (hold.until - now).total_seconds(), hold.reason) for hold in holds]
    return max((hold for hold in left if hold.for_s > 0), key=lambda hold: hold.for_s, default=None)


def limit_of(session: Session, provider: str, now: datetime) -> TemporaryLimit | None:
    """Return the limit by hand that a provider has now."""
    row = limits_now(session, now).get(provider)
    return None if row is None else temporary(row, now)


def limits_now(session: Session, now: datetime) -> dict[str, ProviderLimit]:
    """Return the limits by hand that last, by provider. One query: few providers have one."""
    lasting = ProviderLimit.until.is_(None) | (ProviderLimit.until > now)
    return {limit.provider: limit for limit in session.scalars(select(ProviderLimit).where(lasting))}


def temporary(limit: ProviderLimit, now: datetime) -> TemporaryLimit:
    """Return it as the gate is told."""
    for_s = math.inf if limit.until is None else (limit.until - now).total_seconds()
    return TemporaryLimit(for_s, limit.percent)


def keep_hold(session: Session, provider: str, pool: str, kind: str, until: datetime | None, reason: str) -> None:
    """Remember a hold; of two of a kind the one that lasts longer counts."""
    row = {"provider": provider, "pool": pool, "kind": kind, "until": until, "reason": reason}
    new = insert(ProviderHold).values(row)
    later = func.coalesce(ProviderHold.until < new.excluded.until, new.excluded.until.is_(None) & literal(True))
    session.execute(
        new.on_conflict_do_update(
            index_elements=["provider", "pool", "kind"],
            set_={"until": new.excluded.until, "reason": new.excluded.reason, "since": func.now()},
            where=later,
        )
    )


def record(session: Session, provider: str, transitions: Sequence[Transition]) -> None:
    """Write a breaker's changes of state into the history."""
    session.add_all(
        ProviderEvent(
            provider=provider,
            kind="breaker",
            scope=one.scope,
            before=one.before,
            after=one.after,
            until=one.until,
            reason=one.reason,
        )
        for one in transitions
    )


def announce(redis: Redis, provider: str, transitions: Sequence[Transition]) -> None:
    """Log a breaker's changes of state, and publish them to whoever listens."""
    for one in transitions:
        fields = {
            "provider": provider,
            "kind": "breaker",
            "scope": one.scope,
            "before": one.before,
            "after": one.after,
            "until": one.until.astimezone(UTC).isoformat() if one.until else None,
            "reason": one.reason,
        }
        (log.warning if one.after == "open" else log.info)("breaker_changed", **fields)
        redis.publish(EVENTS, json.dumps(fields))
