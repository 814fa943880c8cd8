"""The HTTP/1.1 server: read requests from connections, pass them on, keep each connection's answers in order.

Deliberately not here: what is answered (`routing.py`) and how it is put on the wire (`delivery.py`).
Invariant: one connection's answers leave in the order of its requests, one at a time.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol

from sandbox.contract import RawRequest
from sandbox.delivery import Sender
from sandbox.faults import Delivery
from sandbox.routing import plain

MAX_HEAD_BYTES = 65_536
MAX_BODY_BYTES = 1_048_576
BACKLOG = 1_024  # hundreds of workers may connect in the same moment


class Served(Protocol):
    """Whoever answers the requests of one server."""

    clock: Callable[[], float]

    def serve(self, raw: RawRequest, deliver: Callable[[Delivery], None]) -> None:
        """Answer one request and hand it to `deliver`: at once, or from a later turn of the loop."""
        ...

    def close(self) -> None:
        """End what is still under way."""
        ...


class Server:
    """The listening socket and its open connections."""

    def __init__(self, routing: Served) -> None:
        self.routing = routing
        self.connections: set[Connection] = set()

    async def listen(self, host: str, port: int) -> int:
        """Start to listen and return the port. Raises OSError where it is taken."""
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(lambda: Connection(self), host, port, backlog=BACKLOG)
        return int(self._listener.sockets[0].getsockname()[1])

    def close(self) -> None:
        self._listener.close()
        for connection in list(self.connections):
            connection.drop()
        self.routing.close()


class Connection(asyncio.Protocol):
    """One kept-alive connection. Requests that arrive while an answer is under way wait in the buffer."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._buffer = b""
        self._busy = False
        self._keep_alive = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._sender = Sender(transport)
        peer = transport.get_extra_info("peername")
        self._client = str(peer[0]) if peer else "unknown"
        self._name = str(peer)
        self._server.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.connections.discard(self)
        self._sender.stop()

    def pause_writing(self) -> None:
        self._sender.pause()

    def resume_writing(self) -> None:
        self._sender.resume()

    def drop(self) -> None:
        self._sender.stop()
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._busy and len(self._buffer) > MAX_HEAD_BYTES + MAX_BODY_BYTES:
            self.drop()
        self._serve_buffer()

    def _serve_buffer(self) -> None:
        """Answer the first request in the buffer, if it is complete and no answer is under way."""
        if self._busy or self._transport.is_closing():
            return
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > MAX_HEAD_BYTES:
                self._refuse(431, "the request's head is too long")
            return
        request_line, *lines = self._buffer[:end].decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        size = headers.get("content-length", "0")
        if "transfer-encoding" in headers or not size.isdecimal() or int(size) > MAX_BODY_BYTES:
            self._refuse(413, "a body must come with a Content-Length of at most 1 MB")
            return
        body_end = end + 4 + int(size)
        if len(self._buffer) < body_end:
            return
        body, self._buffer = self._buffer[end + 4 : body_end], self._buffer[body_end:]
        self._serve(request_line, headers, body)

    def _serve(self, request_line: str, headers: dict[str, str], body: bytes) -> None:
        parts = request_line.split(" ")
        if len(parts) != 3 or not parts[1].startswith("/") or not parts[2].startswith("HTTP/1."):
            self._refuse(400, "the request line is no HTTP/1.1")
            return
        method, target, version = parts
        wish = headers.get("connection", "").lower()
        self._keep_alive = wish != "close" and (version == "HTTP/1.1" or wish == "keep-alive")
        self._busy = True
        self._server.routing.serve(RawRequest(method, target, headers, body, self._client, self._name), self._deliver)

    def _deliver(self, delivery: Delivery) -> None:
        if self._transport.is_closing():
            return
        now_s = self._server.routing.clock()
        self._sender.send(delivery, now_s=now_s, keep_alive=self._keep_alive, finished=self._finish)

    def _finish(self) -> None:
        self._busy = False
        if not self._keep_alive:
            self._transport.close()
        elif self._buffer:
            # A fresh turn of the loop: a long pipeline must neither recurse nor starve the other connections.
            asyncio.get_running_loop().call_soon(self._serve_buffer)

    def _refuse(self, status: int, message: str) -> None:
        self._keep_alive = False
        self._busy = True
        self._deliver(Delivery(plain(status, message)))
