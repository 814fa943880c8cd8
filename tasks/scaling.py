"""Scaling from outside: tell the workers of a lane to grow or shrink, a worker to drain, to take work again, to stop.

Deliberately not here: what a worker does with that (control.py) and waiting for it (commands/workers.py, or a page that
is looked at again). Invariant: what was told is written down, once the worker has said that it does it.
"""

from __future__ import annotations

from collections.abc import Sequence
from shlex import join
from typing import Any

from redis import Redis

from ingest.errors import FixRequest, TryAgain, UnknownName
from ingest.pipeline.audit import By, write_down
from ingest.pipeline.context import Context
from ingest.pipeline.workers import Worker, live_workers, spread
from tasks.app import app as celery_app
from tasks.known import lanes

#: A worker answers within milliseconds, unless its machine is very busy.
ANSWER_S = 10.0


def scale(context: Context, lane: str, children: int, *, by: By) -> dict[str, int]:
    """Tell a lane's workers to have this many children together; return how many each is to have, by name.

    Raises UnknownName, FixRequest where it can't be, TryAgain where a worker does not answer.
    """
    serving = _serving(context.redis, lane, children)
    before = {worker.name: worker.processes for worker in serving}
    goal = spread(before, children)
    for name, have in before.items():
        more = goal[name] - have
        if more:
            _tell(name, "pool_grow" if more > 0 else "pool_shrink", n=abs(more))
    _write_down(context, by, ["scale", lane, str(children)], lane, before, goal)
    return goal


def drain(context: Context, name: str, *, by: By) -> Worker:
    """Tell a worker to finish what it has and take no more; return it as it was. Raises as `scale` does."""
    worker = find(context.redis, name)
    _tell(name, "drain")
    _write_down(context, by, ["drain", name], name, {"draining": worker.draining}, {"draining": True})
    return worker


def resume(context: Context, name: str, *, by: By) -> None:
    """Tell a drained worker to take work again. Raises as `scale` does."""
    worker = find(context.redis, name)
    _tell(name, "resume")
    _write_down(context, by, ["resume", name], name, {"draining": worker.draining}, {"draining": False})


def stop(context: Context, name: str, *, by: By) -> None:
    """Tell a worker to leave when it has finished what runs."""
    celery_app.control.broadcast("shutdown", destination=[name])
    _write_down(context, by, ["drain", name, "--stop"], name, {}, {"stopped": True})


def find(redis: Redis, name: str) -> Worker:
    """Return the worker of that name. Raises FixRequest that says who is there."""
    found = live_workers(redis)
    for worker in found:
        if worker.name == name:
            return worker
    there = ", ".join(worker.name for worker in found) or "none"
    raise FixRequest(f"no worker is named {name!r}; there are: {there}")


def _serving(redis: Redis, lane: str, children: int) -> list[Worker]:
    """Return the workers of a lane that can be scaled to this many children together."""
    if lane not in lanes():
        raise UnknownName("lane", lane, lanes())
    serving = [worker for worker in live_workers(redis) if lane in worker.lanes and not worker.draining]
    if not serving:
        raise FixRequest(f"no worker serves the {lane} lane: start one first")
    for worker in serving:
        if worker.autoscale is not None:
            most, fewest = worker.autoscale
            how = f"celery -A tasks control --destination {worker.name} autoscale MAX MIN"
            raise FixRequest(f"{worker.name} scales itself ({fewest} to {most} children); change that with: {how}")
    if children < len(serving):
        names = ", ".join(worker.name for worker in serving)
        raise FixRequest(
            f"{lane} has {len(serving)} workers ({names}) with a child each at least: "
            "stop one first, with `tickfarm workers drain NAME --stop`"
        )
    return serving


def _tell(name: str, command: str, **arguments: Any) -> None:
    """Send a worker a command and read its answer."""
    answers = celery_app.control.broadcast(
        command, arguments=arguments, destination=[name], reply=True, limit=1, timeout=ANSWER_S
    )
    if not answers:
        raise TryAgain(f"{name} does not answer: is it stopped, or its machine overloaded?")
    answer = answers[0][name]
    if "ok" not in answer:
        raise FixRequest(f"{name} refuses: {answer.get('error', answer)}")


def _write_down(
    context: Context, by: By, words: Sequence[str], subject: str, before: dict[str, Any], after: dict[str, Any]
) -> None:
    with context.sessions.begin() as session:
        write_down(session, by, join(["workers", *words]), subject, before=before, after=after)
