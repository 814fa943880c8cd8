"""A mock's server: one thread, epoll, keep-alive, GET only, prebuilt bytes; asyncio would cost three times as much.

Deliberately not here: what is answered (ticker_mock, weight_mock). Invariant: each complete request is handed to
`answer` once, when it arrives; its bytes leave `latency_s` later, in the order of arrival. Linux only.
"""

from __future__ import annotations

import select
import socket
import time
from collections import deque
from collections.abc import Callable

from local.port import LOOPBACK

#: A fifth of it holds a request of any contender; more means pipelined ones.
_READ_BYTES = 4096
_END = b"\r\n\r\n"
_HEAD = "HTTP/1.1 {status}\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: {size}\r\n{extra}\r\n"

#: Returns the whole HTTP answer to a request target.
Answer = Callable[[bytes], bytes]


def http_answer(status: str, body: str, extra: str = "") -> bytes:
    """Return an answer as it goes over the wire. `extra`: more header lines, each with its line end."""
    return _HEAD.format(status=status, size=len(body.encode()), extra=extra).encode() + body.encode()


class WireServer:
    """Listens from the moment it is made; `serve` never returns."""

    def __init__(self, port: int, answer: Answer, *, latency_s: float = 0.0) -> None:
        self._answer, self._latency_s = answer, latency_s
        self._listener = socket.create_server((LOOPBACK, port), backlog=4096)
        self._listener.setblocking(False)
        self._epoll = select.epoll()
        self._epoll.register(self._listener, select.EPOLLIN)
        self._wires: dict[int, socket.socket] = {}
        self._rests: dict[int, bytes] = {}
        self._late: deque[tuple[float, socket.socket, bytes]] = deque()

    def serve(self) -> None:
        """Answer until the process is killed."""
        listener = self._listener.fileno()
        while True:
            for descriptor, _ in self._epoll.poll(self._wait_s()):
                if descriptor == listener:
                    self._accept()
                else:
                    self._read(descriptor)
            self._send_late()

    def _wait_s(self) -> float:
        return max(0.0, self._late[0][0] - time.monotonic()) if self._late else -1.0

    def _accept(self) -> None:
        while True:
            try:
                wire, _ = self._listener.accept()
            except BlockingIOError:
                return
            wire.setblocking(False)
            wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._wires[wire.fileno()] = wire
            self._epoll.register(wire, select.EPOLLIN)

    def _read(self, descriptor: int) -> None:
        wire = self._wires[descriptor]
        try:
            data = wire.recv(_READ_BYTES)
        except OSError:
            data = b""
        if not data:
            self._drop(descriptor)
            return
        if descriptor in self._rests:
            data = self._rests.pop(descriptor) + data
        *requests, rest = data.split(_END)
        if rest:
            self._rests[descriptor] = rest
        for request in requests:
            page = self._answer(request.split(b" ", 2)[1])
            if self._latency_s:
                self._late.append((time.monotonic() + self._latency_s, wire, page))
            else:
                self._send(wire, page)

    def _send_late(self) -> None:
        now = time.monotonic()
        while self._late and self._late[0][0] <= now:
            _, wire, page = self._late.popleft()
            self._send(wire, page)

    def _send(self, wire: socket.socket, page: bytes) -> None:
        """An answer is far smaller than a socket's buffer, so what can't be sent at once goes to nobody who reads."""
        try:
            wire.send(page)
        except OSError:
            self._drop(wire.fileno())

    def _drop(self, descriptor: int) -> None:
        wire = self._wires.pop(descriptor, None)
        self._rests.pop(descriptor, None)
        if wire is not None:
            self._epoll.unregister(wire)
            wire.close()
