"""Write down what people do, and read it.

Deliberately not here: the acts. Invariant: an act that is written down in its own transaction is there if and only if
the act is; one that is no transaction (a breaker, a pool) is written down after it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from ingest.telemetry import redact
from models import AuditEntry

Way = Literal["command", "dashboard", "api"]


@dataclass(frozen=True, slots=True)
class By:
    """Who acts, and which way they came."""

    actor: str
    way: Way


def write_down(
    session: Session,
    by: By,
    act: str,
    subject: str,
    *,
    reason: str | None = None,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    """Write an act down; `act` is the command that does the same, without `tickfarm`. Values must be JSON's."""
    entry = AuditEntry(actor=by.actor, way=by.way, act=redact(act), subject=subject)
    entry.reason = None if reason is None else redact(reason)
    entry.before, entry.after = (None if one is None else dict(one) for one in (before, after))
    session.add(entry)


def acts_on(session: Session, command: str, subject: str | None = None, *, limit: int) -> Sequence[AuditEntry]:
    """Return the newest acts of a command (`schedule`: all that begin so), on one subject if given, newest first."""
    query = select(AuditEntry).where(AuditEntry.act.startswith(f"{command} ", autoescape=True))
    if subject is not None:
        query = query.where(AuditEntry.subject == subject)
    return session.scalars(query.order_by(AuditEntry.id.desc()).limit(limit)).all()


@dataclass(frozen=True, slots=True)
class ActFilter:
    """Which acts: `command` is how they begin (`schedule`, `schedule set`), `actor` who did them; empty: all."""

    command: str = ""
    actor: str = ""
    way: str = ""


EVERY_ACT = ActFilter()


def newest_acts(
    session: Session, wanted: ActFilter = EVERY_ACT, *, limit: int, before_id: int | None = None
) -> Sequence[AuditEntry]:
    """Return the newest acts that fit, newest first; `before_id`: those before that one."""
    query = select(AuditEntry).order_by(AuditEntry.id.desc()).limit(limit)
    if wanted.command:
        whole = AuditEntry.act == wanted.command
        query = query.where(whole | AuditEntry.act.startswith(f"{wanted.command} ", autoescape=True))
    if wanted.actor:
        query = query.where(AuditEntry.actor == wanted.actor)
    if wanted.way:
        query = query.where(AuditEntry.way == wanted.way)
    if before_id is not None:
        query = query.where(AuditEntry.id < before_id)
    return session.scalars(query).all()
