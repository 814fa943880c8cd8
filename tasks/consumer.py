"""Celery's consumer, except that no message ends it, that it can be drained, and that it knows its children.

A message that it can't decode is filed before it is dropped. Deliberately not here: the commands that scale and drain
it (control.py), what it announces (presence.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import structlog
from celery.worker.consumer import Consumer

from tasks import control
from tasks.children import Children
from tasks.lifecycle import file_undecodable
from tasks.presence import Presence

__all__ = ["FarmConsumer", "control"]

log = structlog.get_logger(__name__)


class FarmConsumer(Consumer):
    """The consumer named by `worker_consumer`."""

    #: None until the worker is ready
    presence: Presence | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.children = Children(self)
        self.is_draining = False
        self._parked: list[str] = []

    @property
    def max_prefetch_count(self) -> int:
        """Return how many messages may be held when a lost connection is back.

        Celery counts the children there are. A worker that scales itself grows by messages without a child, so after
        a restart of Redis it would stay as small as it was for ever.
        """
        scaler = self.controller.autoscaler
        most: int = max(self.children.wanted, scaler.max_concurrency if scaler else 0)
        return most * int(self.prefetch_multiplier)

    def queues_served(self) -> list[str]:
        """Return the queues this worker serves, or will serve again when it is no longer drained."""
        return self._parked if self.is_draining else list(self.app.amqp.queues.consume_from)

    def drain(self) -> None:
        """Take no more messages; those held are worked off. A lost connection changes nothing about it."""
        if not self.is_draining:
            self._parked = self.queues_served()
            self.is_draining = True
            for queue in self._parked:
                self.cancel_task_queue(queue)
        self.tell()

    def resume(self) -> None:
        """Take messages again, from the same queues in the same order."""
        if self.is_draining:
            for queue in self._parked:
                self.add_task_queue(queue)
            self.is_draining = False
        self.tell()

    def tell(self) -> None:
        """Announce what has just changed, and have the leader look at it."""
        if self.presence is not None:
            self.presence.announce()
            self.presence.wake_leader()

    def create_task_handler(self, *args: Any, **kwargs: Any) -> Callable[[Any], None]:
        """Return Celery's handler of messages, made safe against those of another shape.

        A JSON body that is not `[args, kwargs, embed]` is a ValueError to Celery, on which the worker ends and puts
        the message back, so that it ends the next one too.
        """
        handle = super().create_task_handler(*args, **kwargs)

        def on_task_received(message: Any) -> None:
            try:
                handle(message)
            except (ValueError, TypeError, LookupError, AttributeError) as error:
                log.error("malformed_message", headers=str(message.headers)[:500], error=repr(error))
                file_undecodable(message, error)
                if not message.acknowledged:
                    message.ack()

        return on_task_received

    def on_decode_error(self, message: Any, exc: BaseException) -> None:
        """File the message as a dead letter, then do as Celery does: log it and acknowledge it."""
        file_undecodable(message, exc)
        super().on_decode_error(message, exc)
