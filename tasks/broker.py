"""Celery's connection to Redis, which still knows where Redis was when a lost connection is tidied up.

kombu 5.7 takes the address from a connection it gives up; whatever then acknowledges or returns a message that came
over it meets an AttributeError, which Celery does not expect and on which the worker ends. Seen in one of five restarts
of Redis under load. With the address the message is acknowledged over a new connection, or Redis is away, which Celery
does expect. A publish that declares its queue after a loss is in the same place: declaring makes a new connection, and
the publish goes on over the channel that was closed with the old one. There it is tried again.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from celery.app.amqp import AMQP
from kombu import Connection
from kombu.connection import ConnectionPool, PooledConnection
from redis.exceptions import ConnectionError as ConnectionLost

from tasks import heartbeat


class _Outlived:
    """What is ours of a connection: its channels outlive it."""

    _transport: Any

    def _do_close_transport(self) -> None:
        self._transport = None

    def ensure(self, obj: Any, fun: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Return `fun` as kombu repeats it when the connection is lost, also where its channel was closed meanwhile."""
        return super().ensure(obj, _over_an_open_channel(fun), *args, **kwargs)  # type: ignore[misc]


class FarmConnection(_Outlived, Connection):
    """A connection of Celery's. A worker that waits for it is alive, and its own timers rest meanwhile."""

    def ensure_connection(self, *args: Any, callback: Callable[[], Any] | None = None, **kwargs: Any) -> Connection:
        """Connect, however long that takes; `callback` is called each second of it."""

        def each_second() -> None:
            heartbeat.beat()
            if callback is not None:
                callback()

        return super().ensure_connection(*args, callback=each_second, **kwargs)

    def Pool(self, limit: int | None = None, **kwargs: Any) -> ConnectionPool:  # noqa: N802 (kombu's name)
        """Return a pool of such connections: kombu's own would be of others."""
        return _Pool(self, limit, **kwargs)


class _Pooled(_Outlived, PooledConnection):
    """A connection that is published over."""


class _Pool(ConnectionPool):
    def new(self) -> PooledConnection:
        return _Pooled(self, **dict(self.connection._info(resolve=False)))


def _over_an_open_channel(fun: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(fun)
    def told(*args: Any, **kwargs: Any) -> Any:
        try:
            return fun(*args, **kwargs)
        except AttributeError as error:
            if (error.name, error.obj) == ("client", None):  # of `channel.connection.client`
                raise ConnectionLost("the channel was closed with its connection") from error
            raise

    return told


class FarmAMQP(AMQP):
    """What the application makes its connections with."""

    Connection = FarmConnection
