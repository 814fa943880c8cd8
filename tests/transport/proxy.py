"""A forward proxy on loopback that knows names no name server knows: a real CONNECT tunnel, on a thread of its own.

Deliberately not here: proxying plain http (server.py answers whole URLs itself). Invariant: it keeps every head it was
sent, so that a test sees what a proxy gets to know.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Proxy:
    """Its address, the heads it was sent, and where each name leads (a port on 127.0.0.1)."""

    def __init__(self, ports: dict[str, int]) -> None:
        self.url = ""
        self.heads: list[str] = []
        self._ports = ports
        self._loop = asyncio.new_event_loop()

    def run(self, ready: threading.Event) -> None:
        """Serve until `stop`; the thread's body."""
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        ready.set()
        self._loop.run_forever()
        server.close()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.run_until_complete(asyncio.sleep(0))  # the connections' last callbacks
        self._loop.close()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Cancelled at the end: its stream's callback would complain of that.
        open_ = [writer]
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            self.heads.append(head)
            method, target, _ = head.split(" ", 2)
            port = self._ports.get(target.partition(":")[0])
            if method != "CONNECT" or port is None:
                writer.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
            else:
                there, back = await asyncio.open_connection("127.0.0.1", port)
                open_.append(back)
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                await asyncio.gather(_pump(reader, back), _pump(there, writer))
        for one in open_:
            one.transport.abort()


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while piece := await source.read(65536):
            sink.write(piece)
            await sink.drain()
    sink.close()


@contextmanager
def proxying(**ports: int) -> Iterator[Proxy]:
    """Yield a running proxy and end it with its thread. `ports`: names, with _ for the dots, and where they lead."""
    proxy, ready = Proxy({name.replace("_", "."): port for name, port in ports.items()}), threading.Event()
    thread = threading.Thread(target=proxy.run, args=(ready,), daemon=True)
    thread.start()
    assert ready.wait(5), "the proxy did not start"
    try:
        yield proxy
    finally:
        proxy.stop()
        thread.join(5)
