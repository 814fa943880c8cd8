"""What people did, newest first."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from dashboard.context import ReadOnly
from dashboard.templating import render
from ingest.pipeline.audit import newest_acts

router = APIRouter()


@router.get("/audit")
def show(request: Request, session: ReadOnly) -> Response:
    """Show the last acts."""
    return render(request, "audit.html", acts=newest_acts(session, limit=200))
