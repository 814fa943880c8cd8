"""The commands about workers: who serves which lane, more children, fewer, and a worker that takes no more work.

Deliberately not here: starting a worker (compose, `celery -A tasks worker`). What a worker does with a command is
tasks/control.py; what is said of it here is what it announces afterwards, never only that it was told.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Annotated, Any

import typer
from redis import Redis

from commands.terminal import Json, err, fail, lanes, open_context, out, print_json
from ingest.errors import FixRequest, UnknownName
from ingest.pipeline.workers import Worker, live_workers, spread
from local.shown_workers import worker_row, workers_table
from tasks import app as celery_app

#: A worker answers within milliseconds, unless its machine is very busy.
ANSWER_S = 10.0
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
    redis = open_context().redis
    serving = _serving(redis, lane, children)
    goal = spread({worker.name: worker.processes for worker in serving}, children)
    for worker in serving:
        more = goal[worker.name] - worker.processes
        if more:
            _tell(worker.name, "pool_grow" if more > 0 else "pool_shrink", n=abs(more))

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
    redis = open_context().redis
    worker = _find(redis, name)
    _tell(name, "drain")
    if not _wait(lambda: _is_drained(redis, name), timeout):
        left = next((one.held for one in live_workers(redis) if one.name == name), 0)
        fail(f"{name} takes no more work but still has {left} messages after {timeout:g} s; drain it again to wait on")
    _warn_of_lanes_without(redis, worker.lanes)
    if name not in {one.name for one in live_workers(redis)}:
        fail(f"{name} is gone: what it had begun is begun again elsewhere")
    if not stop:
        out.print(f"{name} is drained: nothing runs there. Put it back with: tickfarm workers resume {name}")
        return
    celery_app.control.broadcast("shutdown", destination=[name])
    if not _wait(lambda: name not in {one.name for one in live_workers(redis)}, ANSWER_S):
        fail(f"{name} is drained, but does not leave")
    out.print(f"{name} is drained and leaves")


@workers.command("resume")
def resume_worker(name: Name) -> None:
    """Let a drained worker take work again."""
    redis = open_context().redis
    _find(redis, name)
    _tell(name, "resume")
    if not _wait(lambda: any(one.name == name and not one.draining for one in live_workers(redis)), ANSWER_S):
        fail(f"{name} was told to take work again, but does not say that it does")
    out.print(f"{name} takes work again")


def _serving(redis: Redis, lane: str, children: int) -> list[Worker]:
    """Return the workers of a lane that can be scaled to this many children together, or say why not."""
    if lane not in lanes():
        raise UnknownName("lane", lane, lanes())
    serving = [worker for worker in live_workers(redis) if lane in worker.lanes and not worker.draining]
    if not serving:
        fail(f"no worker serves the {lane} lane: start one first")
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


def _find(redis: Redis, name: str) -> Worker:
    """Return the worker of that name, or say who is there."""
    found = live_workers(redis)
    for worker in found:
        if worker.name == name:
            return worker
    there = ", ".join(worker.name for worker in found) or "none"
    raise FixRequest(f"no worker is named {name!r}; there are: {there}")


def _tell(name: str, command: str, **arguments: Any) -> None:
    """Send a worker a command and read its answer; leave with what it says against it."""
    answers = celery_app.control.broadcast(
        command, arguments=arguments, destination=[name], reply=True, limit=1, timeout=ANSWER_S
    )
    if not answers:
        fail(f"{name} does not answer: is it stopped, or its machine overloaded?")
    answer = answers[0][name]
    if "ok" not in answer:
        fail(f"{name} refuses: {answer.get('error', answer)}")


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
