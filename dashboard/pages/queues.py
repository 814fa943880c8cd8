"""Lanes and workers: what waits, who works; more children or fewer, drain a worker, put it back or end it.

Deliberately not here: what runs within a worker (Flower shows it). Invariant: a page never waits for a child to be
free; what came of an act is what workers announce afterwards.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Form, HTTPException, Request, Response

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
    acts = acts_on(session, "workers", limit=10)
    return render(request, "queues.html", lanes=found, workers=workers, flower=_flower(request, farm), acts=acts)


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


@router.post("/stop")
def stop(request: Request, worker: Line, farm: Farm, by: Actor, sure: Line = "") -> Response:
    """End a worker that has drained, after asking back."""
    found = scaling.find(farm.redis, worker)
    if not found.draining or found.held:
        raise HTTPException(409, f"{worker} is not drained: drain it first, and wait until it holds nothing")
    if not sure:
        said = f"{worker} ends; what started it may start it again, and then it takes work."
        same = f"workers drain {worker} --stop"
        return asked_back(request, said, f"Stop {worker}", same, back="/queues", fields={"worker": worker})
    scaling.stop(farm, worker, by=by)
    return landed("queues")


@router.post("/resume")
def resume(worker: Line, farm: Farm, by: Actor) -> Response:
    """Put a drained worker back."""
    scaling.resume(farm, worker, by=by)
    return landed("queues")


def _flower(request: Request, farm: Farm) -> str:
    """Return where a browser finds Flower: as it is set, or where the dashboard is, at Flower's port."""
    is_set = farm.settings.tickfarm_flower_url
    return is_set.rstrip("/") if is_set else f"http://{request.url.hostname}:{farm.settings.tickfarm_flower_port}"
