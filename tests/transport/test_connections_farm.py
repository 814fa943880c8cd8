"""The farm's most connections, held open by several processes at a real server, and counted where nobody can cheat.

Deliberately not here: the leases by themselves (test_connections.py). Invariant: what counts is what the kernel holds
open (/proc/net/tcp), looked at all the time while connections are opened; the server's own count comes late.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import redis

from ingest.transport.connections import LEASE_S, ConnectionLeases
from ingest.transport.leased import FULL_WAIT_S

ROOT = Path(__file__).resolve().parents[2]
ESTABLISHED = "01"
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


def open_connections(port: int) -> int:
    """Return how many connections to the port the kernel holds open, from the clients' side."""
    wanted = f":{port:04X} {ESTABLISHED} "
    return Path("/proc/net/tcp").read_text().count(wanted)


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.mark.parametrize(
    ("kind", "most", "wanted", "per_host"),
    [
        pytest.param("curl", 5000, 800, 100, id="curl-5000"),
        pytest.param("requests", 50, 20, 10, id="requests-50"),
        pytest.param("requests", 5000, 800, 50, id="requests-5000", marks=pytest.mark.full),
    ],
    indirect=["kind"],
)
def test_all_processes_together_hold_the_most_connections_open_and_never_one_more(
    start: Start, redis_url: str, kind: str, most: int, wanted: int, per_host: int
) -> None:
    server = start("crowded", wanted // per_host)
    port = int(said(server))
    # One more than fit: all get their share but one that gets the rest, and one that gets none.
    processes = [start("holding", kind, redis_url, port, most, wanted, per_host) for _ in range(most // wanted + 2)]
    with closing(redis.Redis.from_url(redis_url)) as store:
        leases = ConnectionLeases(store, most=most)
        counted, deadline = [0], time.monotonic() + 120
        while counted[-1] < most:
            assert time.monotonic() < deadline, f"only {counted[-1]} are open"
            counted.append(open_connections(port))
        answers = [said(process) for process in processes]
        counted.append(open_connections(port))
        assert sorted(answers) == [*["held"] * (most // wanted + 1), f"none {FULL_WAIT_S}"]
        assert max(counted) == counted[-1] == most
        assert leases.leased() == most
        assert server.stdin is not None
        print(file=server.stdin, flush=True)
        assert int(said(server)) == most

        killed = processes[answers.index("held")]
        killed.kill()
        for process in processes:
            assert process.stdin is not None
            process.stdin.close()
            assert process.wait(30) == (-signal.SIGKILL if process is killed else 0)
        # Those that ended have given theirs back; the killed one's lasts about a minute.
        assert 0 < leases.leased() <= wanted
        assert 0 < store.pttl("tickfarm:connections") <= LEASE_S * 1000
