"""What an operator does by hand to a provider: hold it, limit it, lift that, open, close or probe its breakers.

Deliberately not here: how it is asked for (commands/providers.py, dashboard/pages/providers.py). Invariant: holds and
limits are committed to PostgreSQL before Redis has them, so that whatever Redis forgets, they are known; a breaker's
state is Redis' alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from shlex import quote
from typing import Final, Literal

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from ingest import providers
from ingest.errors import FixRequest
from ingest.pipeline import events, provider_state
from ingest.pipeline.audit import By, write_down
from ingest.pipeline.context import Context
from ingest.pipeline.entries import duration_text
from ingest.pipeline.events import Event
from ingest.pipeline.exchange import endpoint_of
from ingest.pipeline.provider_state import EVERY_POOL, limit_of
from ingest.pipeline.terms import refuse_unusable, terms_of
from ingest.transport.gate import Hold, TemporaryLimit
from ingest.transport.traffic import look
from models import ProviderHold, ProviderLimit

#: Redis keeps a provider's breakers for a day after its last request.
LONGEST_OPEN_S: Final = 86_400.0
#: Ten years: beyond it PostgreSQL's and Python's calendars are no help to anybody.
LONGEST_HOLD_S: Final = 3_650 * 86_400.0

Action = Literal["open", "close", "probe"]


def hold(context: Context, provider: str, for_s: float | None, reason: str, now: datetime, *, by: By) -> Event:
    """Hold a provider, whatever the credential, for so long or (None) until somebody lifts it; return the event.

    It takes the place of what was held by hand before. Raises FixRequest for a time or a reason that is none.
    """
    providers.get(provider)
    _check("hold", for_s, reason)
    return _hold(context, provider, for_s, reason, now, by, f"hold {provider}{_options(for_s, reason)}")


def _check(what: str, for_s: float | None, reason: str) -> None:
    if not reason.strip():
        raise FixRequest(f"a {what} needs a reason: --reason 'their maintenance'")
    if for_s is not None and for_s > LONGEST_HOLD_S:
        raise FixRequest(f"a {what} is for ten years at most; without --for it lasts until it is lifted")


def _options(for_s: float | None, reason: str) -> str:
    span = "" if for_s is None else f" --for {duration_text(for_s)}"
    return f"{span} --reason {quote(reason.strip())}"


def disable(context: Context, provider: str, now: datetime, *, by: By) -> Event:
    """Use a provider no more, until it is enabled; return the event."""
    providers.get(provider)
    return _hold(context, provider, None, "disabled", now, by, f"providers disable {provider}")


def enable(context: Context, provider: str, now: datetime, *, by: By) -> bool:
    """Use a provider again; return whether it was held by hand. Raises FixRequest for one that can't be used."""
    refuse_unusable(context.settings, providers.get(provider).facts)
    asked = f"providers enable {provider}"
    return bool(_lift(context, provider, everything=False, now=now, by=by, asked=asked)[0])


def _hold(
    context: Context, provider: str, for_s: float | None, reason: str, now: datetime, by: By, asked: str
) -> Event:
    until = None if for_s is None else now + timedelta(seconds=for_s)
    said = f"by hand: {reason.strip()}"
    event = Event(provider, "hold", "free", "held", until=until, reason=said)
    with context.sessions.begin() as session:
        new = insert(ProviderHold).values(provider=provider, pool=EVERY_POOL, kind="manual", until=until, reason=said)
        session.execute(
            new.on_conflict_do_update(
                index_elements=["provider", "pool", "kind"],
                set_={"until": new.excluded.until, "reason": new.excluded.reason, "since": func.now()},
            )
        )
        events.write_events(session, [event])
        held = {"held": True, "until": None if until is None else until.isoformat()}
        write_down(session, by, asked, provider, reason=reason.strip(), after=held)
    context.gate.hold(provider, Hold(math.inf if for_s is None else for_s, said))
    events.publish(context.redis, [event])
    return event


def lift(
    context: Context, provider: str, *, everything: bool, now: datetime, by: By
) -> tuple[Sequence[ProviderHold], Sequence[ProviderHold]]:
    """End what holds a provider by hand, with `everything` also what it asked for itself; return both: ended, left."""
    providers.get(provider)
    asked = f"lift {provider}{' --all' if everything else ''}"
    return _lift(context, provider, everything=everything, now=now, by=by, asked=asked)


def _lift(
    context: Context, provider: str, *, everything: bool, now: datetime, by: By, asked: str
) -> tuple[Sequence[ProviderHold], Sequence[ProviderHold]]:
    with context.sessions.begin() as session:
        lasting = _lasting(session, provider, now)
        ended = [one for one in lasting if everything or one.kind == "manual"]
        left = [one for one in lasting if one not in ended]
        for one in ended:
            session.delete(one)
        done = [
            Event(provider, "hold", "held", "free", scope=one.kind, reason=f"lifted by hand ({one.reason})")
            for one in ended
        ]
        events.write_events(session, done)
        before, after = ({"holds": [one.reason for one in some]} for some in ([*ended, *left], left))
        write_down(session, by, asked, provider, before=before, after=after)
    pools = {one.pool for one in ended} - {EVERY_POOL}
    if everything:  # a wait of seconds has no row
        pools.add(endpoint_of(context, providers.get(provider).facts, "").pool)
    context.gate.lift(provider, pools)
    events.publish(context.redis, done)
    return ended, left


def limit(
    context: Context, provider: str, percent: int, for_s: float | None, reason: str, now: datetime, *, by: By
) -> Event:
    """Keep a provider to so many percent of each window of up to an hour, for so long or (None) until `unlimit`.

    It takes the place of what was said before. Return the event. Raises FixRequest for what is no limit.
    """
    providers.get(provider)
    if not 1 <= percent <= 99:
        raise FixRequest(f"a limit is 1 to 99 percent of what the provider allows, given: {percent}")
    _check("limit", for_s, reason)
    until = None if for_s is None else now + timedelta(seconds=for_s)
    said = f"by hand: {reason.strip()}"
    with context.sessions.begin() as session:
        before = _percent(session, provider, now)
        row = {"percent": percent, "until": until, "reason": said, "since": func.now()}
        new = insert(ProviderLimit).values(provider=provider, **row)
        session.execute(new.on_conflict_do_update(index_elements=["provider"], set_=row))
        event = Event(provider, "limit", f"{before} %", f"{percent} %", until=until, reason=said)
        events.write_events(session, [event])
        asked = f"limit {provider} {percent}{_options(for_s, reason)}"
        after = {"percent": percent, "until": None if until is None else until.isoformat()}
        write_down(session, by, asked, provider, reason=reason.strip(), before={"percent": before}, after=after)
    context.gate.limit(provider, TemporaryLimit(math.inf if for_s is None else for_s, percent))
    events.publish(context.redis, [event])
    return event


def unlimit(context: Context, provider: str, now: datetime, *, by: By) -> bool:
    """End a provider's limit by hand; return whether there was one."""
    providers.get(provider)
    with context.sessions.begin() as session:
        before = _percent(session, provider, now)
        session.execute(delete(ProviderLimit).where(ProviderLimit.provider == provider))
        done = [] if before == 100 else [Event(provider, "limit", f"{before} %", "100 %", reason="lifted by hand")]
        events.write_events(session, done)
        write_down(session, by, f"limit {provider} 100", provider, before={"percent": before}, after={"percent": 100})
    context.gate.limit(provider, None)
    events.publish(context.redis, done)
    return bool(done)


def _percent(session: Session, provider: str, now: datetime) -> int:
    found = limit_of(session, provider, now)
    return 100 if found is None else found.percent


def switch(context: Context, provider: str, action: Action, for_s: float = 0.0, *, by: By) -> list[str]:
    """Open, close or probe all breakers of a provider; return what came of it, a line each, none where nothing did."""
    facts = providers.get(provider).facts
    if for_s > LONGEST_OPEN_S:
        raise FixRequest(f"a breaker is open for a day at most; for longer: `tickfarm hold {provider}`")
    bases = terms_of(context.settings, facts, has_key=False).bases
    changes = context.gate.switch(provider, action, bases=len(bases), for_s=for_s)
    with context.sessions.begin() as session:
        provider_state.record(session, provider, changes)
        span = f" --for {duration_text(for_s)}" if action == "open" else ""
        before, after = ({one.scope: getattr(one, side) for one in changes} for side in ("before", "after"))
        write_down(session, by, f"breaker {action} {provider}{span}", provider, before=before, after=after)
    done = [
        Event(provider, "breaker", one.before, one.after, scope=one.scope, until=one.until, reason=one.reason)
        for one in changes
    ]
    events.publish(context.redis, done)
    if action == "probe":
        waiting = [one for one in look(context.redis, [provider])[provider].breakers if one.state == "OPEN"]
        return [f"{provider} {one.scope}: its next request is a probe" for one in waiting]
    until = {one.scope: f" until {one.until:%H:%M:%S} UTC" if one.until else "" for one in done}
    return [f"{provider} {one.scope}: {one.before} -> {one.after}{until[one.scope]}" for one in done]


def _lasting(session: Session, provider: str, now: datetime) -> Sequence[ProviderHold]:
    lasting = ProviderHold.until.is_(None) | (ProviderHold.until > now)
    return session.scalars(select(ProviderHold).where(ProviderHold.provider == provider, lasting)).all()
