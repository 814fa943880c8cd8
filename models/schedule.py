"""The schedule's state: which entries exist and how far each has got. The entries themselves are beat_schedule.py."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Mapped, mapped_column

from models.session import Base


class ScheduleEntry(Base):
    """An entry. Slots up to and including `last_slot` are owed no more."""

    __tablename__ = "schedule"

    name: Mapped[str] = mapped_column(primary_key=True)
    task: Mapped[str]
    cadence: Mapped[str]
    enabled: Mapped[bool] = mapped_column(server_default="true")
    last_slot: Mapped[datetime]
