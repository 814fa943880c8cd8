"""A provider that misbehaves on demand: a real HTTP/1.1 server on loopback, on a thread of its own.

Deliberately not here: anything of `ingest` (what the clients are held to must not share their mistakes).
Invariant: it counts what a client can't know of itself: connections opened, open at most, requests seen.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qsl, urlsplit

DRIP_S = 0.02
CHUNK = b"x" * 65536


class LocalServer:
    """The server's address and counters."""

    def __init__(self) -> None:
        self.url = ""
        self.elsewhere = ""
        self.opened = 0
        self.open_now = 0
        self.most_open = 0
        self.paths: list[str] = []
        self._loop = asyncio.new_event_loop()
        self._gathered: list[asyncio.Future[None]] = []
        self._handlers: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    def run(self, ready: threading.Event, tls: ssl.SSLContext | None) -> None:
        """Serve until `stop`; the thread's body."""
        asyncio.set_event_loop(self._loop)
        self._server = self._loop.run_until_complete(
            asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=1024, ssl=tls)
        )
        port = self._server.sockets[0].getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
        ready.set()
        self._loop.run_forever()
        self._loop.run_until_complete(self._end())
        self._loop.close()

    def close_connections(self) -> None:
        """Close what is open, as a server does with connections idle for too long."""

        def close() -> None:
            for task in self._handlers:
                task.cancel()

        self._loop.call_soon_threadsafe(close)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)

    async def _end(self) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._handlers:
            task.cancel()
        await asyncio.gather(*self._handlers, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._handlers.add(task)
        self.opened += 1
        self.open_now += 1
        self.most_open = max(self.most_open, self.open_now)
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
                while await self._answer_one(reader, writer):
                    pass
        except asyncio.CancelledError:
            pass
        finally:
            self.open_now -= 1
            self._handlers.discard(task)
            writer.transport.abort()

    async def _answer_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; say whether the connection stays open."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        target = head.split(" ", 2)[1]
        headers = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
        self.paths.append(target)
        url = urlsplit(target)  # a whole URL if we are asked as a proxy
        name, _, argument = url.path[1:].partition("/")
        handler: Callable[..., Coroutine[Any, Any, bool | None]] = getattr(self, f"_{name}")
        seen = {
            "query": parse_qsl(url.query, keep_blank_values=True),
            "headers": {k.lower(): v for k, v in headers.items()},
            "names": [line.partition(":")[0].lower() for line in head.split("\r\n")[1:] if line],
        }
        closed = asyncio.ensure_future(reader.read(1)) if name in {"hang", "drip", "dripheaders", "endless"} else None
        work = asyncio.ensure_future(handler(writer, argument, seen))
        try:  # an answer without an end ends when its reader has gone
            await asyncio.wait({work, closed} if closed else {work}, return_when=asyncio.FIRST_COMPLETED)
            return work.done() and bool(work.result())
        finally:
            work.cancel()
            if closed:
                closed.cancel()

    async def _ok(self, writer: asyncio.StreamWriter, argument: str, _seen: dict[str, Any]) -> bool:
        return _write(writer, 200, f"ok {argument}".encode(), "X-Two: a", "x-two: b", "Content-Type: text/plain")

    async def _status(self, writer: asyncio.StreamWriter, argument: str, _seen: dict[str, Any]) -> bool:
        return _write(writer, int(argument), b"" if argument == "204" else b"no", "Retry-After: 7")

    async def _echo(self, writer: asyncio.StreamWriter, _argument: str, seen: dict[str, Any]) -> bool:
        return _write(writer, 200, json.dumps(seen).encode(), "Set-Cookie: session=1; Path=/")

    async def _gzip(self, writer: asyncio.StreamWriter, argument: str, _seen: dict[str, Any]) -> bool:
        return _write(writer, 200, gzip.compress(b"0" * int(argument or "1000")), "Content-Encoding: gzip")

    async def _big(self, writer: asyncio.StreamWriter, argument: str, _seen: dict[str, Any]) -> bool:
        return _write(writer, 200, b"b" * int(argument))

    async def _redirect(self, writer: asyncio.StreamWriter, _argument: str, _seen: dict[str, Any]) -> bool:
        return _write(writer, 302, b"moved", f"Location: {self.elsewhere or self.url}/ok/elsewhere")

    async def _redirectdrip(self, writer: asyncio.StreamWriter, _argument: str, _seen: dict[str, Any]) -> bool:
        writer.write(f"HTTP/1.1 302 Found\r\nLocation: {self.url}/ok\r\n\r\n".encode())
        return await self._drop_by_drop(writer)

    async def _early(self, writer: asyncio.StreamWriter, _argument: str, _seen: dict[str, Any]) -> bool:
        writer.write(b"HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n")
        return _write(writer, 200, b"late")

    async def _gather(self, writer: asyncio.StreamWriter, argument: str, _seen: dict[str, Any]) -> bool:
        """Answer nobody before `argument` requests are waiting."""
        mine: asyncio.Future[None] = self._loop.create_future()
        self._gathered.append(mine)
        if len(self._gathered) >= int(argument):
            for waiting in self._gathered:
                waiting.set_result(None)
            self._gathered.clear()
        await mine
        return _write(writer, 200, b"together")

    async def _slow(self, writer: asyncio.StreamWriter, argument: str, _seen: dict[str, Any]) -> bool:
        await asyncio.sleep(float(argument))
        return _write(writer, 200, b"slow")

    async def _hang(self, writer: asyncio.StreamWriter, _argument: str, _seen: dict[str, Any]) -> bool:
        await asyncio.Event().wait()
        return False

    async def _drip(self, writer: asyncio.StreamWriter, _argument: str, _seen: dict[str, Any]) -> bool:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        return await self._drop_by_drop(writer)

    async def _dripheaders(self, writer: asyncio.StreamWriter, _argument: str, _seen: dict[str, Any]) -> bool:
        writer.write(b"HTTP/1.1 200 OK\r\nX-Drip: ")
        return await self._drop_by_drop(writer)

    async def _drop_by_drop(self, writer: asyncio.StreamWriter) -> bool:
        while not writer.is_closing():
            writer.write(b"d")
            await writer.drain()
            await asyncio.sleep(DRIP_S)
        return False

    async def _endless(self, writer: asyncio.StreamWriter, _argument: str, _seen: dict[str, Any]) -> bool:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"%x\r\n%b\r\n" % (len(CHUNK), CHUNK))
            await writer.drain()
        return False

    async def _cut(self, writer: asyncio.StreamWriter, argument: str, _seen: dict[str, Any]) -> bool:
        """Close in the middle of a body whose end was announced by a length, or by a last chunk that never comes."""
        if argument == "chunked":
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n400\r\nhalf")
        else:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf")
        await writer.drain()
        writer.close()
        return False

    async def _garbage(self, writer: asyncio.StreamWriter, _argument: str, _seen: dict[str, Any]) -> bool:
        writer.write(b"\x00\x01 this is not HTTP\r\n\r\n")
        await writer.drain()
        writer.close()
        return False

    async def _reset(self, writer: asyncio.StreamWriter, _argument: str, _seen: dict[str, Any]) -> bool:
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
        return False


def _write(writer: asyncio.StreamWriter, status: int, body: bytes, *headers: str) -> bool:
    lines = [f"HTTP/1.1 {status} Any: reason", f"Content-Length: {len(body)}", *headers, "", ""]
    writer.write("\r\n".join(lines).encode() + body)
    return True


@contextmanager
def serving(tls: ssl.SSLContext | None = None) -> Iterator[LocalServer]:
    """Yield a running server and end it with its thread."""
    server, ready = LocalServer(), threading.Event()
    thread = threading.Thread(target=server.run, args=(ready, tls), daemon=True)
    thread.start()
    assert ready.wait(5), "the local server did not start"
    try:
        yield server
    finally:
        server.stop()
        thread.join(5)
