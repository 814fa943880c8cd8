"""Work: jobs and findings.

Deliberately not here: owing and ending work (`tickfarm fetch`, `tickfarm jobs cancel`, the dashboard's pages).
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, HTTPException, Path, Query, Request
from pydantic import Field

from dashboard.api.asked import Name
from dashboard.api.farm import lanes
from dashboard.api.lists import OfInstrument, Paged, RowId, Shape, next_of
from dashboard.api.reads import note
from dashboard.context import ReadOnly
from ingest import providers
from ingest.errors import UnknownName
from ingest.pipeline.job_views import list_jobs, show_job
from ingest.pipeline.listed import list_findings

router = APIRouter(tags=["work"])
JobState = Literal["due", "leased", "fetched", "done", "expired", "dead", "cancelled"]


class JobsQuery(Paged):
    """Which jobs."""

    lane: Annotated[str, Field(max_length=40)] | None = None
    state: JobState | None = None
    provider: Name | None = None
    entry: Annotated[str, Field(pattern=r"^[^\x00]{1,200}$")] | None = None


class JobShape(Shape):
    """A job as its row is."""

    id: int
    key: str
    task: str
    lane: str
    kwargs: dict[str, Any]
    priority: int
    state: str
    attempt: int
    due_at: datetime
    expires_at: datetime | None
    lease_until: datetime | None
    started_at: datetime | None
    fetched_at: datetime | None
    finished_at: datetime | None
    failures: int
    lost_leases: int
    parent_id: int | None
    entry: str | None
    run_id: int | None
    error: str | None
    result: dict[str, Any] | None
    created_at: datetime


class JobsPage(Shape):
    """Jobs, newest first; `next` is the next page's cursor."""

    jobs: list[JobShape]
    next: int | None


class FetchShape(Shape):
    """A batch of requests, or one that failed."""

    at: datetime
    attempt: int
    provider: str
    dataset: str
    requests: int
    failed: int
    duration_ms: int
    outcome: str
    error: str | None
    status: int | None
    cause: str | None


class LetterShape(Shape):
    """What was given up."""

    id: int
    at: datetime
    state: str
    error_class: str
    error: str


class JobWhole(Shape):
    """All that is known about a job."""

    job: JobShape
    fetches: list[FetchShape]
    failures: list[FetchShape]
    findings: int
    children: list[JobShape]
    letters: list[LetterShape]


class FindingsQuery(OfInstrument, Paged):
    """Which findings."""

    rule: str | None = Field(default=None, pattern=r"^[a-z0-9_]{1,60}$")
    severity: Literal["reject", "warn"] | None = None


class FindingShape(Shape):
    """A rule that rows broke: `reject` were not stored, `warn` were."""

    id: int
    at: datetime
    job_id: int
    provider: str
    against: str | None
    dataset: str
    instrument: str | None
    ts: datetime | None
    rule: str
    severity: str
    rows: int
    reason: str
    sample: str
    ended_at: datetime | None


class FindingsPage(Shape):
    """Findings, newest first; `next` is the next page's cursor."""

    findings: list[FindingShape]
    next: int | None


@router.get("/jobs", response_model=JobsPage)
def jobs(request: Request, session: ReadOnly, query: Annotated[JobsQuery, Query()]) -> object:
    """List jobs, newest first."""
    if query.lane is not None and query.lane not in lanes():
        raise UnknownName("lane", query.lane, lanes())
    if query.provider is not None:
        providers.get(query.provider)
    found = list_jobs(
        session,
        lane=query.lane,
        state=query.state,
        provider=query.provider,
        entry=query.entry,
        before_id=query.cursor,
        limit=query.limit,
    )
    note(request, rows=len(found))
    return {"jobs": found, "next": next_of([one.id for one in found], query.limit)}


@router.get("/jobs/{job_id}", response_model=JobWhole)
def job(session: ReadOnly, job_id: Annotated[RowId, Path()]) -> object:
    """Show a job: its row, fetches, failed requests, findings, children, dead letters."""
    found = show_job(session, job_id)
    if found is None:
        raise HTTPException(404, f"there is no job {job_id} (any more)")
    return found


@router.get("/findings", response_model=FindingsPage)
def findings(request: Request, session: ReadOnly, query: Annotated[FindingsQuery, Query()]) -> object:
    """List what quality rules object to, newest first."""
    where = query.columns() | {
        name: value for name in ("rule", "severity") if (value := getattr(query, name)) is not None
    }
    found = list_findings(session, where, before_id=query.cursor, limit=query.limit)
    note(request, rows=len(found))
    return {"findings": found, "next": next_of([one.id for one in found], query.limit)}
