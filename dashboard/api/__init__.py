"""The REST API, `/v1`: a file a group of resources. Deliberately not here: how rows are read (ingest/pipeline)."""

from __future__ import annotations

from fastapi import APIRouter

router = APIRouter(prefix="/v1")
