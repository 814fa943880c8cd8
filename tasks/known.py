"""The names that people may use: the lanes and the tasks that there are. Invariant: nobody asks at import."""

from __future__ import annotations

from ingest.pipeline.schedule_edits import Names
from tasks.app import app


def lanes() -> list[str]:
    """Return the lanes there are. Raises the settings' own errors."""
    return [queue.name for queue in app.conf.task_queues if not queue.name.endswith(".load")]


def names() -> Names:
    """Return what an entry of the schedule may name; imports every task."""
    app.loader.import_default_modules()
    return Names(lanes(), app.tasks)
