"""Celery's consumer, except that no message ends it, and one it can't decode is filed before it is dropped."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import structlog
from celery.worker.consumer import Consumer

from tasks import control
from tasks.lifecycle import file_undecodable

__all__ = ["FarmConsumer", "control"]

log = structlog.get_logger(__name__)


class FarmConsumer(Consumer):
    """The consumer named by `worker_consumer`."""

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
