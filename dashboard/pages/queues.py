"""Lanes and workers: what waits, who works; more children or fewer, drain a worker and put it back.

Deliberately not here: what runs within a worker (Flower shows it). Invariant: a page never waits for a child to be
free; what came of an act is what workers announce afterwards.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Form, Request, Response

from dashboard.acts import Actor, Line, Name, asked_back, landed
from dashboard.context import Farm, ReadOnly
from dashboard.templating import render
from ingest.pipeline.audit import acts_on
from ingest.pipeline.queues import lanes_now
from tasks import scaling
from tasks.known import lanes
from tasks.queues import depths

router = APIRouter(prefix="/queues")


@router.get("")
def show(request: Request, farm: Farm, session: ReadOnly) -> Response:
    """Show the lanes and the workers."""
    found, workers = lanes_now(session, farm.redis, lanes(), depths(farm.redis), datetime.now(UTC))
    # Flower listens where the dashboard does; an address of its own would be a setting of its own.
    flower = f"http://{request.url.hostname}:{farm.settings.tickfarm_flower_port}"
    acts = acts_on(session, "workers", limit=10)
    return render(request, "queues.html", lanes=found, workers=workers, flower=flower, acts=acts)


@router.post("/scale/{lane}")
def scale(lane: Name, children: Annotated[int, Form(ge=1, le=1000)], farm: Farm, by: Actor) -> Response:
    """Give a lane so many children."""
    scaling.scale(farm, lane, children, by=by)
    return landed("queues")


@router.post("/drain")
def drain(request: Request, worker: Line, farm: Farm, by: Actor, sure: Line = "") -> Response:
    """Let a worker finish what it has and take no more, after asking back."""
    found = scaling.find(farm.redis, worker)
    if not sure:
        said = f"{worker} finishes the {found.held} messages it holds and takes no more until it is put back."
        fields = {"worker": worker}
        return asked_back(request, said, f"Drain {worker}", f"workers drain {worker}", back="/queues", fields=fields)
    scaling.drain(farm, worker, by=by)
    return landed("queues")


@router.post("/resume")
def resume(worker: Line, farm: Farm, by: Actor) -> Response:
    """Put a drained worker back."""
    scaling.resume(farm, worker, by=by)
    return landed("queues")
