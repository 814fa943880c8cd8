"""Dead letters: work that was given up, with the reason, until somebody requeues or discards it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, Identity, Index, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from models.session import Base


class DeadLetter(Base):
    """A call that will not succeed by itself. `job_id` is None for calls that never had a job."""

    __tablename__ = "dead_letters"
    __table_args__ = (
        CheckConstraint("state IN ('open', 'requeued', 'discarded')", name="dead_letters_state"),
        Index("dead_letters_job", "job_id"),
        Index("dead_letters_open", "at", postgresql_where="state = 'open'"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    at: Mapped[datetime] = mapped_column(server_default=func.now())
    state: Mapped[str] = mapped_column(server_default="open")
    task: Mapped[str]
    task_id: Mapped[str | None] = mapped_column(unique=True)
    args: Mapped[list[Any]] = mapped_column(JSONB)
    kwargs: Mapped[dict[str, Any]]
    queue: Mapped[str | None]
    job_id: Mapped[int | None] = mapped_column(BigInteger)
    error_class: Mapped[str]
    error: Mapped[str]
