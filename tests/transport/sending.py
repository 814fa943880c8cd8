"""How the client tests send and read outcomes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from ingest.transport.client import Client
from ingest.wire import Answer, Endpoint, Failure, Request
from tests.transport.server import LocalServer

LATE_S = 0.5
CAP = 100_000


def send(
    client: Client, server: LocalServer, *paths: str, deadline_s: float = 5.0, max_bytes: int = CAP, **more: Any
) -> list[Answer | Failure]:
    requests = [Request(path) for path in paths]
    return client.send(requests, Endpoint(server.url), deadline_s=deadline_s, max_bytes=max_bytes, **more)


def answer(outcome: Answer | Failure) -> Answer:
    assert isinstance(outcome, Answer), outcome
    return outcome


def failure(outcome: Answer | Failure) -> Failure:
    assert isinstance(outcome, Failure), (outcome.status, len(outcome.body))
    return outcome


def until(condition: Callable[[], bool], within_s: float = 5.0) -> None:
    """Wait for what the server's thread will see a moment later."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.005)
