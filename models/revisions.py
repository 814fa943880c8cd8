"""Revisions: what a final row said before a later observation corrected it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Identity, Index, Integer
from sqlalchemy.orm import Mapped, mapped_column

from models.session import Base


class Revision(Base):
    """The old row, whole and exact (jsonb keeps NUMERIC digits), known from `known_since` until `superseded_at`."""

    __tablename__ = "revisions"
    __table_args__ = (Index("revisions_row", "series_id", "ts"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    series_id: Mapped[int] = mapped_column(Integer)
    ts: Mapped[datetime]
    old_row: Mapped[dict[str, Any]]
    known_since: Mapped[datetime]
    superseded_at: Mapped[datetime]
    #: the job that brought the correction
    job_id: Mapped[int] = mapped_column(BigInteger)
