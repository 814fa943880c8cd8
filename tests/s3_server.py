"""An S3 server of the tests' own: moto's, in a process, on loopback. Not here: anything of the farm."""

from __future__ import annotations

import contextlib
import http.client
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tests.waiting import until

BUCKET = "tickfarm-tests"
ENVIRONMENT = {"AWS_ACCESS_KEY_ID": "tests", "AWS_SECRET_ACCESS_KEY": "planted-s3-secret", "AWS_REGION": "us-east-1"}


@contextmanager
def s3_server() -> Iterator[str]:
    """Run a server with an empty bucket and yield its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: _asked(port, "PUT", f"/{BUCKET}") == 200, within_s=30, what="the S3 server")
        yield f"http://127.0.0.1:{port}"
    finally:
        server.kill()
        server.wait()


def _asked(port: int, method: str, path: str) -> int | None:
    with contextlib.suppress(OSError), contextlib.closing(http.client.HTTPConnection("127.0.0.1", port)) as connection:
        connection.request(method, path, headers={"Content-Length": "0"})
        return connection.getresponse().status
    return None
