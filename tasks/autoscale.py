"""Celery's autoscaler, except that it also shrinks while a little work goes on, and ends only children that are free.

Celery shrinks after half a minute without any message, which a lane with a poll a second never has. Here the half
minute counts from the last moment at which a message took the last free child, and one child goes at a time, so that a
lane that needs three of four children keeps three.
"""

from __future__ import annotations

from time import monotonic
from typing import Any

from celery.worker.autoscale import Autoscaler


class FarmAutoscaler(Autoscaler):
    """The autoscaler named by `worker_autoscaler`."""

    def on_task_received(self, req: Any) -> None:
        """Note that a message came, if it needs the last free child."""
        if self.qty >= self.processes:
            super().on_task_received(req)

    def scale_down(self, n: int) -> None:
        """End one child if none was missing for a while; at once those above a maximum that was lowered."""
        if self.processes > self.max_concurrency:
            self._shrink(self.processes - self.max_concurrency)
            return
        before = self.processes
        super().scale_down(1)
        if self.processes < before:
            self._last_scale_up = monotonic()

    def _shrink(self, n: int) -> None:
        if self.worker.consumer.children.is_settled():
            super()._shrink(n)
