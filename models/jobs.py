"""Jobs: units of fetch work. The row is the truth; Celery messages are wake-ups.

States: due -> leased -> fetched -> done, or expired | dead | cancelled; deferral and lease loss go back to due.
The transitions and who commits each stand in ingest/pipeline/jobs.py.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, Identity, Index, SmallInteger, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from models.session import Base

STATES = ("due", "leased", "fetched", "done", "expired", "dead", "cancelled")
IN_FLIGHT = ("leased", "fetched")


class Job(Base):
    """A job. `key` is deterministic (slot, chunk, task id), so the same work is never owed twice."""

    __tablename__ = "jobs"
    __table_args__ = (
        CheckConstraint(f"state IN {STATES}", name="jobs_state"),
        CheckConstraint("priority BETWEEN 1 AND 5", name="jobs_priority"),
        Index("jobs_due", "lane", "task", "priority", "due_at", postgresql_where=text("state = 'due'")),
        Index("jobs_next", "due_at", postgresql_where=text("state = 'due'")),
        Index("jobs_expiring", "expires_at", postgresql_where=text("state = 'due' AND expires_at IS NOT NULL")),
        Index("jobs_in_flight", "lease_until", postgresql_where=text(f"state IN {IN_FLIGHT}")),
        Index("jobs_run", "run_id", postgresql_where=text("run_id IS NOT NULL")),
        Index("jobs_parent", "parent_id", postgresql_where=text("parent_id IS NOT NULL")),
        # What ended lately, and what is old enough to go.
        Index("jobs_ended", "finished_at", postgresql_where=text("finished_at IS NOT NULL")),
        # Every transition rewrites the row: room in the page keeps the rewrite in place.
        {"postgresql_with": {"fillfactor": "70", "autovacuum_vacuum_scale_factor": "0.02"}},
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    key: Mapped[str] = mapped_column(unique=True)
    task: Mapped[str]
    lane: Mapped[str]
    kwargs: Mapped[dict[str, Any]]
    #: 1 is served first
    priority: Mapped[int] = mapped_column(SmallInteger, server_default="3")
    state: Mapped[str] = mapped_column(server_default="due")
    #: the fencing token: raised by each lease; whoever holds an older one can't write
    attempt: Mapped[int] = mapped_column(server_default="0")
    due_at: Mapped[datetime]
    #: not begun by then: the job is `expired` (a live poll that nobody needs any more)
    expires_at: Mapped[datetime | None]
    lease_until: Mapped[datetime | None]
    #: when the current attempt began to run; None while its message still waits in the queue
    started_at: Mapped[datetime | None]
    fetched_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    #: provider failures; lost leases are counted apart, and neither kills a healthy job for the other's reason
    failures: Mapped[int] = mapped_column(server_default="0")
    lost_leases: Mapped[int] = mapped_column(server_default="0")
    payload_key: Mapped[str | None]
    payload_bytes: Mapped[int] = mapped_column(BigInteger, server_default="0")
    parent_id: Mapped[int | None] = mapped_column(BigInteger)
    #: the schedule's entry and the run of it that owes this job
    entry: Mapped[str | None]
    run_id: Mapped[int | None] = mapped_column(BigInteger)
    #: what the entry says about how to fetch: `timeout_s`, `retries`, `per_minute` (see pipeline.jobs.JobOptions)
    options: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    error: Mapped[str | None]
    result: Mapped[dict[str, Any] | None]
    #: names what asked for it (a call, a request of the API, the job it is a part of) in logs; NULL: the job itself
    correlation_id: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
