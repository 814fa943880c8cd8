"""The one interface through which requests leave the farm, and the choice between its two implementations.

Both are held to the same tests. `curl` (pycurl multi) sends a batch concurrently at about 40 us of CPU a request;
`requests` (requests + urllib3, a few threads) needs nothing compiled and suffices alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Literal, Protocol

from ingest.wire import Answer, Endpoint, Failure, Request


class Client(Protocol):
    """Sends batches over kept-alive connections. One per process, made after the fork; not shared between threads."""

    def send(
        self, requests: Sequence[Request], endpoint: Endpoint, *, deadline_s: float, max_bytes: int
    ) -> list[Answer | Failure]:
        """Send all requests concurrently and return one outcome each, in the requests' order.

        Returns within `deadline_s` seconds (monotonic, the whole batch) plus a few milliseconds, whatever the other
        side does: hung, drip-feeding or endless answers become Failures of kind `timeout` or `too_large` (a body over
        `max_bytes` once decompressed). Never raises for what the network or the provider does. Redirects are not
        followed: an answer with a 3xx status is returned as it is, so a key never travels to another host. The
        endpoint's key is added here, and is redacted from every Failure's detail.
        """

    def close(self) -> None:
        """Close every connection."""


def open_client(kind: Literal["auto", "curl", "requests"], *, connections: int) -> Client:
    """Return a client with at most `connections` open connections. `auto` takes curl where pycurl is installed."""
    if kind == "curl" or (kind == "auto" and find_spec("pycurl")):
        from ingest.transport.curl import CurlClient  # noqa: PLC0415 - pycurl is optional

        return CurlClient(connections)
    from ingest.transport.pooled import PooledClient  # noqa: PLC0415 - loaded only where it is used

    return PooledClient(connections)
