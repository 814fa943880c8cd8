"""The one interface through which requests leave the farm, and the choice between its two implementations.

Both are held to the same tests. `curl` (pycurl multi) sends a batch concurrently at about 40 us of CPU a request;
`requests` (requests + urllib3, a few threads) needs nothing compiled and suffices alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Literal, Protocol

from ingest.settings import MOST_PER_HOST
from ingest.transport.connections import ConnectionLeases
from ingest.transport.leased import LeasedClient, OwnClient
from ingest.transport.outgoing import KEEP_ALIVE_S, REQUEST_TIMEOUT_S
from ingest.wire import Answer, Endpoint, Failure, Request

Kind = Literal["auto", "curl", "requests"]


class Client(Protocol):
    """Sends batches over kept-alive connections. One per process, made after the fork; not shared between threads."""

    @property
    def lacks(self) -> tuple[str, ...]:
        """Return what this transport can't do and the other can."""

    def ready_in_s(self) -> float:
        """Return how long it takes until connections may be free; 0.0: there are some, and `send` will have them.

        Asked before anything is reserved for a batch. Raises Redis' errors when it can't be known.
        """

    def send(
        self,
        requests: Sequence[Request],
        endpoint: Endpoint,
        *,
        deadline_s: float,
        max_bytes: int,
        request_timeout_s: float = REQUEST_TIMEOUT_S,
        connections: int = MOST_PER_HOST,
    ) -> list[Answer | Failure]:
        """Send all requests concurrently and return one outcome each, in the requests' order.

        Returns within `deadline_s` seconds (monotonic, the whole batch) plus a few milliseconds, whatever the other
        side does: hung, drip-feeding or endless answers become Failures of kind `timeout` or `too_large` (a body over
        `max_bytes` once decompressed). One request may take `request_timeout_s`, or what it says itself, 30 s at most,
        from when its turn has come, connecting included. At most `connections` are opened to the host, 100 at most,
        and no more in all than the process's share of the farm's. Never raises for what the network or the provider
        does; raises SlowDown, with a time, where all connections of the farm are taken: then nothing was sent.
        Redirects are not followed: an answer with a 3xx status is returned as it is, so a key never travels to
        another host. The endpoint's key is added here, and is redacted from every Failure's detail.
        """

    def close(self) -> None:
        """Close every connection."""


def open_client(
    kind: Kind, *, connections: int, leases: ConnectionLeases | None = None, keep_alive_s: float = KEEP_ALIVE_S
) -> Client:
    """Return a client with at most `connections` open connections, and, with `leases`, at most its share of the farm's.

    `auto` takes curl where pycurl is installed. What was unused for `keep_alive_s` is closed.
    """
    client = client_class(kind)(connections, keep_alive_s=keep_alive_s)
    return client if leases is None else LeasedClient(client, leases, wanted=connections)


def client_class(kind: Kind) -> type[OwnClient]:
    """Return the implementation that is meant: its `name`, and what it `lacks`."""
    if kind == "curl" or (kind == "auto" and find_spec("pycurl")):
        from ingest.transport.curl import CurlClient  # noqa: PLC0415 - pycurl is optional

        return CurlClient
    from ingest.transport.pooled import PooledClient  # noqa: PLC0415 - loaded only where it is used

    return PooledClient
