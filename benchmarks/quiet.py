"""The farm's Celery application without events: what a farm does that nobody watches with Flower.

Run as `celery -A benchmarks.quiet ..`. Invariant: nothing else differs from `celery -A tasks ..`.
"""

from __future__ import annotations

from tasks import app

app.conf.update(worker_send_task_events=False, task_send_sent_event=False)

__all__ = ["app"]
