"""Celery's consumer, except that a message it can't decode is filed before it is dropped."""

from __future__ import annotations

from typing import Any

from celery.worker.consumer import Consumer

from tasks.lifecycle import file_undecodable


class FarmConsumer(Consumer):
    """The consumer named by `worker_consumer`."""

    def on_decode_error(self, message: Any, exc: BaseException) -> None:
        """File the message as a dead letter, then do as Celery does: log it and acknowledge it."""
        file_undecodable(message, exc)
        super().on_decode_error(message, exc)
