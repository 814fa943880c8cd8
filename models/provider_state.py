"""What the farm must remember about a provider even if Redis forgets: quota used, holds, and the history of both.

Deliberately not here: windows of up to an hour (Redis, seeded from fetch_log). Invariant: quota is counted before a
request is sent, so a crash can only count too much.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, Identity, Index, SmallInteger, func
from sqlalchemy.orm import Mapped, mapped_column

from models.session import Base

HOLD_KINDS = ("throttled", "quota", "entitlement", "manual")
EVENT_KINDS = ("breaker", "health", "hold", "limit")


class QuotaUse(Base):
    """What was used of a provider's long windows, an hour of the clock a row.

    `pool` is the credential it counts for ('' without a key), `unit` is `requests`, `weight` or a limit's own unit.
    """

    __tablename__ = "quota_use"
    __table_args__ = ({"postgresql_with": {"fillfactor": "70"}},)

    provider: Mapped[str] = mapped_column(primary_key=True)
    pool: Mapped[str] = mapped_column(primary_key=True)
    unit: Mapped[str] = mapped_column(primary_key=True)
    hour: Mapped[datetime] = mapped_column(primary_key=True)
    used: Mapped[int] = mapped_column(BigInteger)


class ProviderHold(Base):
    """A time until which a provider is asked nothing on one credential. `until` NULL: until somebody lifts it."""

    __tablename__ = "provider_holds"
    __table_args__ = (CheckConstraint(f"kind IN {HOLD_KINDS}", name="provider_holds_kind"),)

    provider: Mapped[str] = mapped_column(primary_key=True)
    pool: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    since: Mapped[datetime] = mapped_column(server_default=func.now())
    until: Mapped[datetime | None]
    reason: Mapped[str]


class ProviderLimit(Base):
    """A share of each of its windows that a provider is kept to by hand. `until` NULL: until somebody lifts it."""

    __tablename__ = "provider_limits"
    __table_args__ = (CheckConstraint("percent BETWEEN 1 AND 99", name="provider_limits_percent"),)

    provider: Mapped[str] = mapped_column(primary_key=True)
    percent: Mapped[int] = mapped_column(SmallInteger)
    since: Mapped[datetime] = mapped_column(server_default=func.now())
    until: Mapped[datetime | None]
    reason: Mapped[str]


class ProviderEvent(Base):
    """A change of state: of a breaker (`scope` says which), of a provider's health, of a hold or a limit by hand."""

    __tablename__ = "provider_events"
    __table_args__ = (
        CheckConstraint(f"kind IN {EVENT_KINDS}", name="provider_events_kind"),
        Index("provider_events_newest", "provider", "at"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    at: Mapped[datetime] = mapped_column(server_default=func.now())
    provider: Mapped[str]
    kind: Mapped[str]
    scope: Mapped[str] = mapped_column(server_default="")
    before: Mapped[str]
    after: Mapped[str]
    until: Mapped[datetime | None]
    reason: Mapped[str | None]
