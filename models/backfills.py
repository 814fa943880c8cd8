"""Backfills: what was ordered at once, and the jobs that bring it.

Deliberately not here: how far an order is, which is worked out from its jobs and the ledger, never stored. Invariant: a
job that is gone is over; so an order whose jobs retention has deleted is at its end, not unknown.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, Index, Text, func
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from models.session import Base

BACKFILL_MODES = ("missing", "suspect", "all")


class Backfill(Base):
    """An order as it was asked for, with what it was to take when it was given."""

    __tablename__ = "backfills"
    __table_args__ = (CheckConstraint(f"mode IN {BACKFILL_MODES}", name="backfills_mode"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    provider: Mapped[str]
    dataset: Mapped[str]
    instruments: Mapped[list[str]] = mapped_column(ARRAY(Text))
    interval: Mapped[str] = mapped_column(server_default="")
    start_at: Mapped[datetime]
    end_at: Mapped[datetime]
    mode: Mapped[str]
    #: the account that ordered it
    ordered_by: Mapped[str]
    #: jobs it has: its own, and others' that bring a part of it
    jobs: Mapped[int] = mapped_column(server_default="0")
    #: what its own jobs were to send, and to bring (NULL: nobody knew)
    requests: Mapped[int] = mapped_column(BigInteger, server_default="0")
    weight: Mapped[int] = mapped_column(BigInteger, server_default="0")
    rows: Mapped[int | None] = mapped_column(BigInteger)
    #: series-days that lie in it whole: proven all, it is complete
    days: Mapped[int] = mapped_column(server_default="0")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    cancelled_at: Mapped[datetime | None]


class BackfillJob(Base):
    """A job that brings a part of an order. `is_made`: it was made for it, else it was owed already."""

    __tablename__ = "backfill_jobs"
    __table_args__ = (Index("backfill_jobs_job", "job_id"),)

    backfill_id: Mapped[int] = mapped_column(
        BigInteger, ForeignKey("backfills.id", ondelete="CASCADE"), primary_key=True
    )
    job_id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    is_made: Mapped[bool]
