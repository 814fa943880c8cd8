"""The commands about workers: who serves which lane, more children, fewer, and a worker that takes no more work.

Deliberately not here: starting a worker (compose, `celery -A tasks worker`), telling it (tasks/scaling.py). What is
said of a worker here is what it announces afterwards, never only that it was told.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Annotated

import typer
from redis import Redis

from commands.terminal import Json, by, err, fail, open_context, out, print_json
from ingest.pipeline.workers import live_workers
from local.shown_workers import worker_row, workers_table
from tasks import scaling

#: A child is busy for 90 s at most, the time limit of a task.
WAIT_S = 120.0
_POLL_S = 0.1

Name = Annotated[str, typer.Argument(help="a worker's name, from `tickfarm workers ls`")]
Timeout = Annotated[float, typer.Option(min=1, max=86_400, help="seconds to wait for what runs")]

workers = typer.Typer(no_args_is_help=True, help="The workers: list, scale, drain, resume.")


@workers.command("ls")
def list_workers(as_json: Json = False) -> None:
    """List the workers: lanes, children, how many of them work, since when."""
    rows = [worker_row(worker) for worker in live_workers(open_context().redis)]
    if as_json:
        print_json(rows)
    elif rows:
        out.print(workers_table(rows))
    else:
        err.print("no worker is there: start one, for example with `tickfarm demo`")


@workers.command("scale")
def scale_lane(
    lane: Annotated[str, typer.Argument(help="live, standard, backfill or maintenance")],
    children: Annotated[int, typer.Argument(min=1, max=1000, help="child processes in this lane, of all its workers")],
    timeout: Timeout = WAIT_S,
) -> None:
    """Give a lane this many child processes, spread evenly over its workers. It lasts until they are restarted."""
    context = open_context()
    redis, goal = context.redis, scaling.scale(context, lane, children, by=by())

    def reached() -> bool:
        now = {worker.name: worker.children for worker in live_workers(redis)}
        return all(now.get(name) == count for name, count in goal.items())

    is_reached = _wait(reached, timeout)
    found = [worker for worker in live_workers(redis) if worker.name in goal]
    each = ", ".join(f"{worker.name} {worker.children}" for worker in found)
    total = sum(worker.children for worker in found)
    if not is_reached:
        fail(f"{lane} has {total} of {children} children after {timeout:g} s ({each}): busy ones go when they are free")
    out.print(f"{lane} has {total} children: {each}")


@workers.command("drain")
def drain_worker(
    name: Name,
    stop: Annotated[bool, typer.Option("--stop", help="then end the worker")] = False,
    timeout: Timeout = WAIT_S,
) -> None:
    """Let a worker finish what it has begun and take no more; `tickfarm workers resume` puts it back."""
    context = open_context()
    redis, worker = context.redis, scaling.drain(context, name, by=by())
    if not _wait(lambda: _is_drained(redis, name), timeout):
        left = next((one.held for one in live_workers(redis) if one.name == name), 0)
        fail(f"{name} takes no more work but still has {left} messages after {timeout:g} s; drain it again to wait on")
    _warn_of_lanes_without(redis, worker.lanes)
    if name not in {one.name for one in live_workers(redis)}:
        fail(f"{name} is gone: what it had begun is begun again elsewhere")
    if not stop:
        out.print(f"{name} is drained: nothing runs there. Put it back with: tickfarm workers resume {name}")
        return
    scaling.stop(context, name, by=by())
    if not _wait(lambda: name not in {one.name for one in live_workers(redis)}, scaling.ANSWER_S):
        fail(f"{name} is drained, but does not leave")
    out.print(f"{name} is drained and leaves")


@workers.command("resume")
def resume_worker(name: Name) -> None:
    """Let a drained worker take work again."""
    context = open_context()
    redis = context.redis
    scaling.resume(context, name, by=by())
    if not _wait(lambda: any(one.name == name and not one.draining for one in live_workers(redis)), scaling.ANSWER_S):
        fail(f"{name} was told to take work again, but does not say that it does")
    out.print(f"{name} takes work again")


def _is_drained(redis: Redis, name: str) -> bool:
    """Say whether a worker announces that it is drained. One that is gone need not be waited for."""
    found = [worker for worker in live_workers(redis) if worker.name == name]
    return all(worker.draining and not worker.held for worker in found)


def _warn_of_lanes_without(redis: Redis, lanes: Iterable[str]) -> None:
    served = {lane for worker in live_workers(redis) if not worker.draining for lane in worker.lanes}
    for lane in lanes:
        if lane not in served:
            err.print(f"nobody serves the {lane} lane now: its jobs wait", soft_wrap=True)


def _wait(condition: Callable[[], bool], timeout_s: float) -> bool:
    """Wait until the condition holds; return whether it did in time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)
    return True
