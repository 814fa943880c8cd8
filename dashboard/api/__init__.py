"""The REST API, `/v1`: a file a group of resources. Deliberately not here: how rows are read (ingest/pipeline)."""

from __future__ import annotations

from fastapi import APIRouter

from dashboard.api import farm, rows, series, work
from dashboard.api.documented import ERRORS

router = APIRouter(prefix="/v1", responses=ERRORS)
for group in (rows, series, farm, work):
    router.include_router(group.router)
