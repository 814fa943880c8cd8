"""A program for test_connections_farm: a server for thousands of connections, on 127.0.0.1 to 127.0.0.<HOSTS>.

`/<name>/<count>` is answered once as many requests with that name are waiting, so that each of them has a connection of
its own. Prints its port, and, for each line of its input, how many connections are open.
Usage: crowded.py HOSTS
"""

from __future__ import annotations

import selectors
import socket
import sys

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
selector = selectors.DefaultSelector()
waiting: dict[bytes, list[socket.socket]] = {}
open_now: set[socket.socket] = set()


def say(number: int) -> None:
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


def listen(host: str, port: int) -> socket.socket:
    listener = socket.create_server((host, port), backlog=1024)
    listener.setblocking(False)
    selector.register(listener, selectors.EVENT_READ, accept)
    return listener


def accept(listener: socket.socket) -> None:
    connection, _ = listener.accept()
    open_now.add(connection)
    selector.register(connection, selectors.EVENT_READ, read)


def read(connection: socket.socket) -> None:
    head = connection.recv(65536)  # one small request: it comes in one piece
    if not head:
        selector.unregister(connection)
        open_now.discard(connection)
        connection.close()
        return
    target = head.split(b" ", 2)[1]
    group = waiting.setdefault(target, [])
    group.append(connection)
    if len(group) >= int(target.rpartition(b"/")[2]):
        for one in waiting.pop(target):
            one.sendall(ANSWER)


def tell(stdin: object) -> None:
    if not sys.stdin.readline():
        sys.exit(0)
    say(len(open_now))


first = listen("127.0.0.1", 0)
port = first.getsockname()[1]
for number in range(2, int(sys.argv[1]) + 1):
    listen(f"127.0.0.{number}", port)
selector.register(sys.stdin, selectors.EVENT_READ, tell)
say(port)
while True:
    for key, _ in selector.select():
        key.data(key.fileobj)
