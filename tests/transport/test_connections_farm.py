"""The farm's most connections, held open by several processes at a real server, which counts them.

Deliberately not here: the leases by themselves, and what one process opens meanwhile (test_connections.py). Invariant:
every process tries to open more than fit, and keeps open what it may, so that one too many would stay and be counted.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing
from pathlib import Path

import pytest
import redis

from ingest.transport.connections import LEASE_S, ConnectionLeases
from ingest.transport.leased import FULL_WAIT_S
from tests.transport.sending import until

ROOT = Path(__file__).resolve().parents[2]
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start() -> Iterator[Start]:
    """Return what starts a program of this folder; all are ended at the end."""
    started: list[subprocess.Popen[str]] = []

    def start_(name: str, *arguments: object) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", f"tests.transport.{name}", *map(str, arguments)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        started.append(subprocess.Popen(command, cwd=ROOT, text=True, env=os.environ.copy(), **pipes))  # type: ignore[call-overload]
        return started[-1]

    yield start_
    for process in started:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None
            with contextlib.suppress(OSError):
                pipe.close()


def open_at(server: subprocess.Popen[str]) -> int:
    """Return how many connections the server holds open."""
    assert server.stdin is not None
    print(file=server.stdin, flush=True)
    return int(said(server))


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.mark.parametrize(
    ("kind", "most", "wanted", "per_host"),
    [
        pytest.param("curl", 50, 20, 10, id="curl-50"),
        pytest.param("requests", 50, 20, 10, id="requests-50"),
        pytest.param("curl", 5000, 800, 100, id="curl-5000", marks=pytest.mark.full),
        pytest.param("requests", 5000, 800, 50, id="requests-5000", marks=pytest.mark.full),
    ],
    indirect=["kind"],
)
def test_all_processes_together_hold_the_most_connections_open_and_not_one_more(
    start: Start, redis_url: str, kind: str, most: int, wanted: int, per_host: int
) -> None:
    server = start("crowded", wanted // per_host)
    port = int(said(server))
    # One more than fit: all get their share but one that gets the rest, and one that gets none.
    processes = [start("holding", kind, redis_url, port, most, wanted, per_host) for _ in range(most // wanted + 2)]
    with closing(redis.Redis.from_url(redis_url)) as store:
        leases = ConnectionLeases(store, most=most)
        leased, deadline = [0], time.monotonic() + 120
        with ThreadPoolExecutor(len(processes)) as pool:
            answering = [pool.submit(said, process) for process in processes]
            while not all(answer.done() for answer in answering):
                assert time.monotonic() < deadline, f"{open_at(server)} are open"
                leased.append(leases.leased())
                wait(answering, timeout=0.05)
        answers = [answer.result() for answer in answering]
        assert sorted(answers) == [*["held"] * (most // wanted + 1), f"none {FULL_WAIT_S}"]
        assert leases.leased() == most
        assert max(leased) <= most
        # The server hears late of what was closed to make room for another host.
        until(lambda: open_at(server) <= most)
        assert open_at(server) == most

        killed = processes[answers.index("held")]
        killed.kill()
        for process in processes:
            assert process.stdin is not None
            process.stdin.close()
            assert process.wait(30) == (-signal.SIGKILL if process is killed else 0)
        # Those that ended have given theirs back; the killed one's lasts about a minute.
        assert 0 < leases.leased() <= wanted
        assert 0 < store.pttl("tickfarm:connections") <= LEASE_S * 2000
