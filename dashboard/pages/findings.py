"""What quality rules object to, by kind and newest first."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request, Response

from dashboard.context import Before, ReadOnly, Word
from dashboard.templating import render
from ingest import providers
from ingest.market.records import DATASETS
from ingest.pipeline.finding_views import FindingFilter, finding_kinds, newest_findings

PAGE = 50
#: PostgreSQL's largest id
router = APIRouter()


@router.get("/findings")
def show(
    request: Request,
    session: ReadOnly,
    days: Annotated[int, Query(ge=1, le=3660)] = 30,
    rule: Word = "",
    severity: Annotated[Literal["", "reject", "warn"], Query()] = "",
    provider: Word = "",
    dataset: Annotated[Literal["", *DATASETS], Query()] = "",  # type: ignore[valid-type]
    words: Word = "",
    before: Before = None,
) -> Response:
    """Show the kinds of what fits, and one page of it."""
    chosen = {
        "days": days,
        "rule": rule,
        "severity": severity,
        "provider": provider,
        "dataset": dataset,
        "words": words,
    }
    wanted = FindingFilter(rule, severity, provider, dataset, words.strip(), datetime.now(UTC) - timedelta(days=days))
    found = newest_findings(session, wanted, limit=PAGE + 1, before_id=before)
    return render(
        request,
        "findings.html",
        kinds=finding_kinds(session, wanted),
        findings=found[:PAGE],
        older=found[PAGE - 1].id if len(found) > PAGE else None,
        before=before,
        chosen=chosen,
        address=lambda **changes: f"/findings?{urlencode({**chosen, **changes})}",
        names=providers.names(),
        datasets=DATASETS,
    )
