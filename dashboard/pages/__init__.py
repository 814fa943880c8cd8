"""The pages, a file each. Deliberately not here: templates (templates/), queries (ingest/pipeline)."""

from __future__ import annotations

from fastapi import APIRouter

from dashboard.pages import audit, backfills, dead, findings, home, providers, queues, schedule, series, signing_in

router = APIRouter(include_in_schema=False)
for page in (home, series, findings, audit, providers, queues, backfills, dead, schedule, signing_in):
    router.include_router(page.router)
