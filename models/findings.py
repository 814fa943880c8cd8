"""Findings: records or facts that quality rules object to. Nothing is dropped without one."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Identity, Index, UniqueConstraint, func
from sqlalchemy.orm import Mapped, mapped_column

from models.session import Base


class Finding(Base):
    """One rule broken by `rows` rows of one payload. `severity` is `reject` (not stored) or `warn` (stored).

    What two providers disagree about has a name of its own in place of a payload's (models/agreement.py).
    """

    __tablename__ = "findings"
    __table_args__ = (
        UniqueConstraint("payload_key", "answer", "rule", "instrument", postgresql_nulls_not_distinct=True),
        Index("findings_at", "at"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    at: Mapped[datetime] = mapped_column(server_default=func.now())
    job_id: Mapped[int] = mapped_column(BigInteger)
    provider: Mapped[str]
    #: the other provider, where two disagree
    against: Mapped[str | None]
    dataset: Mapped[str]
    instrument: Mapped[str | None]
    #: the first offending row's time, where it has one
    ts: Mapped[datetime | None]
    rule: Mapped[str]
    severity: Mapped[str]
    rows: Mapped[int]
    reason: Mapped[str]
    #: up to five offending rows as the provider wrote them
    sample: Mapped[str]
    payload_key: Mapped[str]
    #: which answer of the payload, counted from 0
    answer: Mapped[int]
    #: when what it says was over, where such a thing can be
    ended_at: Mapped[datetime | None]
