"""Put an answer on the wire, whole or in the manner of a fault.

Deliberately not here: which answer and which manner (`faults.py`); reading requests (`server.py`).
Invariant: `finished` is called exactly once per delivery that ends, and never after the connection is gone.
"""

import asyncio
import socket
import struct
from collections.abc import Callable
from email.utils import formatdate
from http import HTTPStatus
from typing import assert_never

from sandbox.contract import Answer
from sandbox.faults import Delivery

_PHRASES = {int(status): status.phrase for status in HTTPStatus}
# On close, with a linger time of 0, the kernel sends RST instead of FIN.
_LINGER_RST = struct.pack("ii", 1, 0)
_SHORTEST_PAUSE_S = 0.001  # a pause of 0 would spin while the client doesn't read
_BEFORE_RESET_S = 0.02  # for the client to have read what was sent: an RST discards what waits at its end
_ENDLESS_CHUNK = b"400\r\n" + b" " * 1024 + b"\r\n"


def head_of(answer: Answer, *, now_s: float, keep_alive: bool, length: int | None) -> bytes:
    """Return status line and headers; `length` None announces a chunked body."""
    size = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    extra = "".join([f"{name}: {value}\r\n" for name, value in answer.headers])
    return (
        f"HTTP/1.1 {answer.status} {_PHRASES.get(answer.status, 'Unassigned')}\r\n"
        f"Date: {_http_date(int(now_s))}\r\nContent-Type: {answer.content_type}\r\n{size}\r\n{extra}"
        f"Connection: {'keep-alive' if keep_alive else 'close'}\r\n\r\n"
    ).encode("latin-1")


def _http_date(second: int) -> str:
    if second not in _DATES:
        _DATES.clear()
        _DATES[second] = formatdate(second, usegmt=True)
    return _DATES[second]


_DATES: dict[int, str] = {}  # holds the current second only


class Sender:
    """Deliver the answers of one connection, one after the other."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._paused = False

    def send(self, delivery: Delivery, *, now_s: float, keep_alive: bool, finished: Callable[[], None]) -> None:
        """Start the delivery; `finished` is called when the connection may carry the next answer."""
        body = delivery.answer.body
        length = None if delivery.manner == "endless" else len(body)
        head = head_of(delivery.answer, now_s=now_s + delivery.skew_s, keep_alive=keep_alive, length=length)
        match delivery.manner:
            case "whole":
                self._send_whole(head + body, finished)
            case "slow":
                delay_s = delivery.number("delay_s", 1.0)
                self._timer = self._loop.call_later(delay_s, self._send_whole, head + body, finished)
            case "cut":
                # At least the last byte is missing, whatever the arguments say.
                kept = max(min(int(delivery.number("bytes", len(body) // 2)), len(body) - 1), 0)
                self._transport.write(head + body[:kept])
                self._transport.close()
            case "hang":
                pass  # the client's patience ends it
            case "drip":
                self._transport.write(head)
                self._drip(body, 0, delivery.number("interval_s", 1.0), finished)
            case "endless":
                self._transport.write(head)
                self._send_endless(max(delivery.number("interval_s", 0.02), _SHORTEST_PAUSE_S))
            case "reset":
                self._reset()
            case "reset_midway":
                self._transport.write(head + body[: len(body) // 2])
                # A turn later: what is still in the buffer when the connection is aborted never leaves.
                self._timer = self._loop.call_later(_BEFORE_RESET_S, self._reset)
            case _:
                assert_never(delivery.manner)

    def _send_whole(self, message: bytes, finished: Callable[[], None]) -> None:
        self._transport.write(message)
        finished()

    def _drip(self, body: bytes, sent: int, interval_s: float, finished: Callable[[], None]) -> None:
        if sent >= len(body):
            finished()
            return
        self._transport.write(body[sent : sent + 1])
        self._timer = self._loop.call_later(interval_s, self._drip, body, sent + 1, interval_s, finished)

    def _send_endless(self, interval_s: float) -> None:
        # A client that doesn't read must not fill our memory.
        if not self._paused:
            self._transport.write(_ENDLESS_CHUNK)
        self._timer = self._loop.call_later(interval_s, self._send_endless, interval_s)

    def _reset(self) -> None:
        connection: socket.socket | None = self._transport.get_extra_info("socket")
        if connection is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_RST)
        self._transport.abort()

    def pause(self) -> None:
        self._paused = True

    def resume(self) -> None:
        self._paused = False

    def stop(self) -> None:
        """Cancel whatever is still to be sent; the connection is gone."""
        if self._timer is not None:
            self._timer.cancel()
