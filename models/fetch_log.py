"""The fetch log: one row a fetch, with what it asked, how it went and where its raw answers lie.

Partitioned by month.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Identity, Index
from sqlalchemy.orm import Mapped, mapped_column

from models.session import Base


class FetchLog(Base):
    """A fetch. `segment`, `position` and `size_bytes` locate its payload in the archive."""

    __tablename__ = "fetch_log"
    __table_args__ = (Index("fetch_log_payload", "payload_key"), {"postgresql_partition_by": "RANGE (at)"})

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    at: Mapped[datetime] = mapped_column(primary_key=True)
    job_id: Mapped[int] = mapped_column(BigInteger)
    attempt: Mapped[int]
    provider: Mapped[str]
    dataset: Mapped[str]
    lane: Mapped[str]
    requests: Mapped[int]
    weight: Mapped[int]
    failed: Mapped[int]
    duration_ms: Mapped[int]
    outcome: Mapped[str]
    error: Mapped[str | None]
    payload_key: Mapped[str]
    segment: Mapped[str | None]
    position: Mapped[int | None] = mapped_column(BigInteger)
    size_bytes: Mapped[int] = mapped_column(BigInteger, server_default="0")
