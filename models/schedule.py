"""The schedule: its entries as the file has them, what operators changed, and the runs of each.

How the two make the entry that counts stands in ingest/pipeline/entries.py.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, Identity, Index, UniqueConstraint, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from models.session import Base

OUTCOMES = ("ok", "nothing", "skipped", "failed", "expired", "cancelled")


class ScheduleEntry(Base):
    """An entry. Slots up to and including `last_slot` are owed no more."""

    __tablename__ = "schedule"

    name: Mapped[str] = mapped_column(primary_key=True)
    #: what beat_schedule.py says; NULL for an entry that is not, or no more, in the file
    spec: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    #: what an operator said, field by field; wins over `spec` until it is reset
    edits: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    changed_at: Mapped[datetime] = mapped_column(server_default=func.now())
    last_slot: Mapped[datetime]


class ScheduleRun(Base):
    """What became of one slot of an entry: of the jobs it was owed as, and of the jobs these made."""

    __tablename__ = "schedule_runs"
    __table_args__ = (
        UniqueConstraint("entry", "slot"),
        CheckConstraint(f"outcome IN {OUTCOMES}", name="schedule_runs_outcome"),
        Index("schedule_runs_open", "id", postgresql_where=text("outcome IS NULL")),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    entry: Mapped[str]
    #: when it was due; of a run by hand, when it was asked for
    slot: Mapped[datetime]
    by_hand: Mapped[bool] = mapped_column(server_default="false")
    owed_at: Mapped[datetime] = mapped_column(server_default=func.now())
    #: when its last job ended; NULL while one is at work
    finished_at: Mapped[datetime | None]
    jobs: Mapped[int] = mapped_column(server_default="0")
    rows: Mapped[int] = mapped_column(BigInteger, server_default="0")
    #: NULL while it is at work
    outcome: Mapped[str | None]
    reason: Mapped[str | None]
