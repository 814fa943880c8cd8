"""What alerts have told so far, a topic a row: so that each change goes out once, whoever sends."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import func
from sqlalchemy.orm import Mapped, mapped_column

from models.session import Base


class AlertMark(Base):
    """How far a topic was told: the last event's number, the last day, or what somebody was told last; `at` is when."""

    __tablename__ = "alert_marks"

    topic: Mapped[str] = mapped_column(primary_key=True)
    mark: Mapped[str]
    at: Mapped[datetime] = mapped_column(server_default=func.now())
