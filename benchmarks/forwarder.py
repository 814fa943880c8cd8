"""A TCP forwarder on loopback that can be shut and opened again while clients know its address.

Deliberately not here: anything of HTTP. Invariant: while it is shut its port is held (bound, not listening), so a
connection is refused by the kernel and no other process can answer in its place.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

LOOPBACK = "127.0.0.1"
_CHUNK = 65_536


class Forwarder:
    """Forwards every connection to one port. `shut` also breaks the ones that are open."""

    def __init__(self, target_port: int) -> None:
        self._target = (LOOPBACK, target_port)
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._listener = _bound(0)
        self.port: int = self._listener.getsockname()[1]
        self.open()

    def open(self) -> None:
        """Take connections from now on."""
        self._listener.listen(128)
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def shut(self) -> None:
        """Refuse connections from now on."""
        self.close()
        self._listener = _bound(self.port)

    def close(self) -> None:
        """Give the port back."""
        with self._lock:
            broken = [self._listener, *self._open]
            self._open.clear()
        for one in broken:
            with contextlib.suppress(OSError):  # the other side may have closed it already
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:  # it was shut
                return
            try:
                server = socket.create_connection(self._target)
            except OSError:
                client.close()
                continue
            with self._lock:
                self._open |= {client, server}
            for one, other in ((client, server), (server, client)):
                threading.Thread(target=self._pump, args=(one, other), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while chunk := source.recv(_CHUNK):
                sink.sendall(chunk)
        # An end, or a reset: for what is forwarded here both are the end of the connection.
        for one in (source, sink):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        with self._lock:
            self._open -= {source, sink}


def _bound(port: int) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # broken connections linger in TIME_WAIT
    listener.bind((LOOPBACK, port))
    return listener


@contextlib.contextmanager
def forwarding(target_port: int) -> Iterator[Forwarder]:
    """Yield an open forwarder and close it."""
    forwarder = Forwarder(target_port)
    try:
        yield forwarder
    finally:
        forwarder.close()
