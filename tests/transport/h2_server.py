"""An HTTP/2 server that answers every stream alike: frames by hand, over TLS with ALPN, on a thread of its own.

Deliberately not here: everything a client of ours doesn't need answered; header blocks are not decoded. Source of the
frames: RFC 9113, section 4 and 6. Invariant: it counts what a client can't know of itself: connections, and streams
open at the same time.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RESET, SETTINGS, PING = 0x0, 0x1, 0x3, 0x4, 0x6
END_STREAM, ACK, END_HEADERS = 0x1, 0x1, 0x4
#: ":status: 200" is entry 8 of HPACK's static table. Source: RFC 7541, appendix A
STATUS_200 = b"\x88"
BODY = b"over one connection"


class H2Server:
    """Its address, and what it saw. A stream is answered once `gather` are open at the same time."""

    def __init__(self, tls: ssl.SSLContext, gather: int) -> None:
        self.url = ""
        self.connections = 0
        self.protocols: list[str | None] = []
        self.most_streams = 0
        self._gather = gather
        self._tls = tls
        self._loop = asyncio.new_event_loop()

    def run(self, ready: threading.Event) -> None:
        """Serve until `stop`; the thread's body."""
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls))
        self.url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        ready.set()
        self._loop.run_forever()
        server.close()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.close()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.protocols.append(writer.get_extra_info("ssl_object").selected_alpn_protocol())
        try:
            ended = (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError, asyncio.CancelledError)
            with contextlib.suppress(*ended):
                assert await reader.readexactly(len(PREFACE)) == PREFACE
                writer.write(frame(SETTINGS, 0, 0))
                await self._answer(reader, writer)
        finally:
            writer.transport.abort()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_streams: set[int] = set()
        while True:
            head = await reader.readexactly(9)
            length, kind, flags = int.from_bytes(head[:3], "big"), head[3], head[4]
            stream = struct.unpack(">I", head[5:])[0] & 0x7FFFFFFF
            payload = await reader.readexactly(length)
            if kind == SETTINGS and not flags & ACK:
                writer.write(frame(SETTINGS, ACK, 0))
            elif kind == PING and not flags & ACK:
                writer.write(frame(PING, ACK, 0, payload))
            elif kind == RESET:
                open_streams.discard(stream)
            elif kind == HEADERS:
                open_streams.add(stream)
                self.most_streams = max(self.most_streams, len(open_streams))
                if len(open_streams) >= self._gather:
                    for one in sorted(open_streams):
                        writer.write(frame(HEADERS, END_HEADERS, one, STATUS_200) + frame(DATA, END_STREAM, one, BODY))
                    open_streams.clear()


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + struct.pack(">I", stream) + payload


@contextmanager
def serving_h2(tls: ssl.SSLContext, *, gather: int) -> Iterator[H2Server]:
    """Yield a running server and end it with its thread."""
    tls.set_alpn_protocols(["h2"])
    server, ready = H2Server(tls, gather), threading.Event()
    thread = threading.Thread(target=server.run, args=(ready,), daemon=True)
    thread.start()
    assert ready.wait(5), "the HTTP/2 server did not start"
    try:
        yield server
    finally:
        server.stop()
        thread.join(5)
