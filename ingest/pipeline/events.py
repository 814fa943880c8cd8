"""Events: changes of state of providers, as rows that stay and as messages to whoever listens.

Deliberately not here: what a breaker's transition is (transport/breaker) and when health changes (health_watch).
Invariant: a message is sent after the row's commit; who missed it finds the row.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

from redis import Redis
from sqlalchemy import select
from sqlalchemy.orm import Session

from ingest.pipeline.provider_state import EVENTS
from models import ProviderEvent


@dataclass(frozen=True, slots=True)
class Event:
    """A change of state: of a breaker (`scope` says which), of a provider's health, of a hold or a limit by hand."""

    provider: str
    kind: str
    before: str
    after: str
    scope: str = ""
    until: datetime | None = None
    reason: str | None = None
    at: datetime | None = None


def write_events(session: Session, events: Sequence[Event]) -> None:
    """Write them into the history."""
    for event in events:
        fields = asdict(event)
        if event.at is None:
            del fields["at"]  # the database's clock
        session.add(ProviderEvent(**fields))


def publish(redis: Redis, events: Sequence[Event]) -> None:
    """Tell whoever listens, one JSON object each."""
    for event in events:
        fields: dict[str, Any] = {name: value for name, value in asdict(event).items() if name != "at"}
        fields["until"] = event.until.astimezone(UTC).isoformat() if event.until else None
        redis.publish(EVENTS, json.dumps(fields))


def newest_events(
    session: Session, *, provider: str | None = None, kind: str | None = None, limit: int = 50
) -> list[Event]:
    """Return the newest events that fit, oldest first."""
    query = select(ProviderEvent).order_by(ProviderEvent.at.desc(), ProviderEvent.id.desc()).limit(limit)
    if provider is not None:
        query = query.where(ProviderEvent.provider == provider)
    if kind is not None:
        query = query.where(ProviderEvent.kind == kind)
    rows = session.scalars(query).all()
    return [Event(**{name: getattr(row, name) for name in Event.__slots__}) for row in reversed(rows)]


class Listener:
    """Hears events from now on. Raises Redis' errors; what is published while nobody listens is in the table only."""

    def __init__(self, redis: Redis) -> None:
        self._messages = redis.pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]
        self._messages.subscribe(EVENTS)

    def events(self, *, provider: str | None = None) -> Iterator[Event]:
        """Yield events as they come, each with the moment it came, without an end."""
        while True:
            message = self._messages.get_message(timeout=1.0)
            if message is None:
                continue
            event = _read(message["data"])
            if event is not None and provider in (None, event.provider):
                yield replace(event, at=datetime.now(UTC))

    def close(self) -> None:
        """Stop listening."""
        self._messages.close()


def _read(raw: bytes) -> Event | None:
    """Return a message's event; None for one that is none, or of another version's kind."""
    try:
        fields = json.loads(raw)
        until = fields.pop("until", None)
        known = {name: value for name, value in fields.items() if name in Event.__slots__}
        return Event(**known, until=datetime.fromisoformat(until) if until else None)
    except (ValueError, TypeError, AttributeError):
        return None
