"""Celery's connection to Redis, which still knows where Redis was when a lost connection is tidied up.

kombu 5.7 takes the address from a connection it gives up; whatever then acknowledges or returns a message that came
over it meets an AttributeError, which Celery does not expect and on which the worker ends. Seen in one of five restarts
of Redis under load. With the address the message is acknowledged over a new connection, or Redis is away, which Celery
does expect.
"""

from __future__ import annotations

from celery.app.amqp import AMQP
from kombu import Connection


class FarmConnection(Connection):
    """A connection whose channels outlive it."""

    def _do_close_transport(self) -> None:
        self._transport = None


class FarmAMQP(AMQP):
    """What the application makes its connections with."""

    Connection = FarmConnection
