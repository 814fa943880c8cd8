"""The health check: what has changed since the last one is written down and published, once.

Deliberately not here: what a state is, and when a change counts (health). Invariants: what was reported last is read
from the history itself, so nothing is reported twice or forgotten, whatever Redis loses; and holds by hand are in Redis
as PostgreSQL has them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, cast

import structlog
from redis import Redis
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from ingest import providers
from ingest.pipeline import events
from ingest.pipeline.context import Context
from ingest.pipeline.events import Event
from ingest.pipeline.health import RANK, Judged, Settled, State, judge, settle
from ingest.pipeline.provider_state import EVERY_POOL, limits_now, temporary
from ingest.pipeline.terms import terms_of
from ingest.transport.gate import Hold
from ingest.transport.traffic import Seen, look
from models import ProviderEvent, ProviderHold

#: What the last check leaned to, by provider. Losing it costs one check.
_LEANINGS: Final = "tickfarm:health"
#: Older than a few checks it says nothing about two in a row.
_FORGET_AFTER_S: Final = 60
#: The farm's number for "I report changes of health".
_LOCK: Final = 7_461_004

log = structlog.get_logger(__name__)


def check(context: Context, now: datetime) -> list[Event]:
    """Report what has changed; return it. Two checks at the same time report it once: the second does nothing.

    Four round trips to Redis and one short query a provider; more only where something changed.
    """
    names = providers.names()
    seen = look(context.redis, names)
    leanings = _leanings(context.redis)
    changed: list[Event] = []
    settled: dict[str, Settled] = {}
    with context.sessions.begin() as session:
        if not session.scalar(text("SELECT pg_try_advisory_xact_lock(:lock)"), {"lock": _LOCK}):
            return []
        for name in names:
            reported = _last_reported(session, name)
            is_shut = seen[name].is_shut(_addresses(context, name))
            before = Settled(reported, leanings.get(name, reported))
            settled[name] = settle(before, seen[name].traffic, is_shut=is_shut)
            if settled[name].reported != reported:
                judged = judge(seen[name].traffic, is_shut=is_shut)
                changed.append(_event(name, reported, settled[name].reported, judged))
        events.write_events(session, changed)
        _keep_by_hand(context, session, seen, now)
    context.redis.hset(_LEANINGS, mapping={name: one.leaning for name, one in settled.items()})
    context.redis.expire(_LEANINGS, _FORGET_AFTER_S)
    for event in changed:
        fields = {"before": event.before, "after": event.after, "reason": event.reason}
        if RANK[cast(State, event.after)] > RANK["HEALTHY"]:
            log.warning("health_changed", provider=event.provider, **fields)
        else:
            log.info("health_changed", provider=event.provider, **fields)
    events.publish(context.redis, changed)
    return changed


def _event(provider: str, before: State, after: State, judged: Judged) -> Event:
    return Event(provider, "health", before, after, reason="; ".join(judged.reasons) or None)


def _addresses(context: Context, name: str) -> int:
    return len(terms_of(context.settings, providers.get(name).facts, has_key=False).bases)


def _leanings(redis: Redis) -> dict[str, State]:
    raw = cast(Mapping[bytes, bytes], redis.hgetall(_LEANINGS))
    found = {name.decode(): value.decode() for name, value in raw.items()}
    return {name: cast(State, state) for name, state in found.items() if state in RANK}


def _last_reported(session: Session, provider: str) -> State:
    """Return the state that was reported last; IDLE where there is no report (any more)."""
    last = (
        select(ProviderEvent.after)
        .where(ProviderEvent.provider == provider, ProviderEvent.kind == "health")
        .order_by(ProviderEvent.at.desc(), ProviderEvent.id.desc())
        .limit(1)
    )
    state = session.scalar(last)
    return cast(State, state) if state in RANK else "IDLE"


def _keep_by_hand(context: Context, session: Session, seen: Mapping[str, Seen], now: datetime) -> None:
    """Put into Redis what PostgreSQL knows of holds and limits by hand: a command may have died between the two."""
    rows: Sequence[ProviderHold] = session.scalars(select(ProviderHold).where(ProviderHold.pool == EVERY_POOL)).all()
    lasting = {hold.provider: hold for hold in rows if hold.until is None or hold.until > now}
    limits = limits_now(session, now)
    for name, one in seen.items():
        hold, limit = lasting.get(name), limits.get(name)
        if hold is None and one.held_by_hand:
            context.gate.lift(name)
        elif hold is not None and not one.held_by_hand:
            for_s = math.inf if hold.until is None else (hold.until - now).total_seconds()
            context.gate.hold(name, Hold(for_s, hold.reason))
        if one.percent != (100 if limit is None else limit.percent):
            context.gate.limit(name, None if limit is None else temporary(limit, now))
