"""The commands of `celery control` that Celery's own do not keep the promise of, and two of ours: drain, resume.

Deliberately not here: what they do (children.py, consumer.py, presence.py). Imported by consumer.py, so that they
replace the built-in commands in every worker; Flower's buttons send the same ones.
"""

from __future__ import annotations

from typing import Any

from celery.worker import control

from tasks import presence

_LIMITS_ARE_THE_FARMS = (
    "Celery's rate limits are per worker and are not used here: limits hold for the farm. Set"
    " TICKFARM_PROVIDERS__<NAME>__LIMITS or __PACE, or `tickfarm schedule set ENTRY --per-minute N`"
)
_SCALES_ITSELF = "this worker scales itself: adjust its range with `celery control autoscale` instead"


@control.control_command(
    args=[("task_name", str), ("soft", float), ("hard", float)],
    signature="<task_name> <soft_secs> [hard_secs]",
)
def time_limit(
    state: Any, task_name: str | None = None, hard: float | None = None, soft: float | None = None, **_: Any
) -> Any:
    """Tell worker(s) to modify the time limit for task by type."""
    # Celery's own sets the task's limits and goes on with the old ones: it reads them once, when its consumer makes
    # the task's strategy, so a changed limit needs a new strategy.
    answer = control.time_limit(state, task_name=task_name, hard=hard, soft=soft)
    if "ok" in answer:
        state.consumer.update_strategies()
    return answer


@control.control_command(
    args=[("task_name", str), ("rate_limit", str)],
    signature="<task_name> <rate_limit (e.g., 5/s | 5/m | 5/h)>",
)
def rate_limit(state: Any, task_name: str | None = None, rate_limit: str | None = None, **_: Any) -> dict[str, str]:
    """Refuse a rate limit per worker: limits of the farm hold for all workers together."""
    # Celery's own says that it is set. It would not hold (`worker_disable_rate_limits`), and per worker it is no limit.
    return control.nok(_LIMITS_ARE_THE_FARMS)  # type: ignore[no-any-return]


@control.control_command(args=[("n", int)], signature="[N=1]")
def pool_grow(state: Any, n: int = 1, **_: Any) -> dict[str, str]:
    """Grow pool by n processes, at once."""
    if state.consumer.controller.autoscaler:
        return control.nok(_SCALES_ITSELF)  # type: ignore[no-any-return]
    if n < 1:
        return control.nok(f"expected a number of children to add, found {n}")  # type: ignore[no-any-return]
    state.consumer.children.grow(n)
    return control.ok("pool will grow")  # type: ignore[no-any-return]


@control.control_command(args=[("n", int)], signature="[N=1]")
def pool_shrink(state: Any, n: int = 1, **_: Any) -> dict[str, str]:
    """Shrink pool by n processes, busy ones as soon as they are free."""
    if state.consumer.controller.autoscaler:
        return control.nok(_SCALES_ITSELF)  # type: ignore[no-any-return]
    wanted = state.consumer.children.wanted
    if not 1 <= n < wanted:
        return control.nok(f"it has {wanted} children and keeps at least one: can't end {n}")  # type: ignore[no-any-return]
    state.consumer.children.shrink(n)
    return control.ok("pool will shrink")  # type: ignore[no-any-return]


@control.control_command()
def drain(state: Any, **_: Any) -> dict[str, str]:
    """Take no more messages and finish those held; `resume` undoes it."""
    # Not within the reading of this very command: consumers are cancelled between two reads, as Celery does it.
    state.consumer.call_soon(state.consumer.drain)
    return control.ok("draining")  # type: ignore[no-any-return]


@control.control_command()
def resume(state: Any, **_: Any) -> dict[str, str]:
    """Take messages again after `drain`."""
    state.consumer.call_soon(state.consumer.resume)
    return control.ok("resumed")  # type: ignore[no-any-return]


@control.control_command()
def shutdown(state: Any, msg: str = "Got shutdown from remote", **_: Any) -> None:
    """Shutdown worker(s)."""
    # Celery's own sends no signal that it stops: the leader would feed a worker that only finishes what runs.
    presence.leave(state.hostname)
    control.shutdown(state, msg=msg)
