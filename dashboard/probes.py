"""`/livez` and `/readyz`, for whoever restarts and routes. Invariant: liveness depends on no server."""

from __future__ import annotations

from fastapi import APIRouter, Response
from sqlalchemy import text

from dashboard.context import Farm

router = APIRouter(include_in_schema=False)


@router.get("/livez")
def livez() -> Response:
    """Say that this process answers."""
    return Response("ok", media_type="text/plain")


@router.get("/readyz")
def readyz(farm: Farm) -> Response:
    """Say that PostgreSQL and Redis answer; an error otherwise (503)."""
    with farm.sessions() as session:
        session.execute(text("SELECT 1"))
    farm.redis.ping()
    return Response("ok", media_type="text/plain")
