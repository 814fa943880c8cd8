"""What people did to the farm, whichever way: the command, the dashboard, the API."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, Identity, Index, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from models.session import Base

WAYS = ("command", "dashboard", "api")


class AuditEntry(Base):
    """An act: `act` is the command that does the same (`breaker close kraken`), `subject` what it was done to.

    `before` and `after` are what changed, where that can be told; no secret stands in them.
    """

    __tablename__ = "audit"
    __table_args__ = (CheckConstraint(f"way IN {WAYS}", name="audit_way"), Index("audit_newest", "at"))

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    at: Mapped[datetime] = mapped_column(server_default=func.now())
    actor: Mapped[str]
    way: Mapped[str]
    act: Mapped[str]
    subject: Mapped[str]
    reason: Mapped[str | None]
    before: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    after: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
