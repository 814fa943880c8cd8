"""`celery control time_limit` that works: Celery's own sets the task's limits and goes on with the old ones.

Celery reads a task's limits once, when its consumer makes the task's strategy; a changed limit needs a new strategy.
Imported by consumer.py, so that it replaces the built-in command in every worker.
"""

from __future__ import annotations

from typing import Any

from celery.worker import control


@control.control_command(
    args=[("task_name", str), ("soft", float), ("hard", float)],
    signature="<task_name> <soft_secs> [hard_secs]",
)
def time_limit(
    state: Any, task_name: str | None = None, hard: float | None = None, soft: float | None = None, **_: Any
) -> Any:
    """Tell worker(s) to modify the time limit for task by type."""
    answer = control.time_limit(state, task_name=task_name, hard=hard, soft=soft)
    if "ok" in answer:
        state.consumer.update_strategies()
    return answer
