"""A real sandbox in a process of its own, one per session, and a small client for it.

Deliberately not here: the clock. Rules that depend on time are tested on a dialect object with `now_s` as an argument.
Invariant: each test starts without faults, with the standard limits, nothing spent and empty counters.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import urllib3

REPOSITORY = Path(__file__).parents[2]
STANDARD_LIMITS = {
    "binance": {"weight_per_minute": 6000, "ignored_429s_before_ban": 50, "first_ban_s": 120},
    "coinbase": {"requests_per_s": 10, "burst": 15},
    "kraken": {"counter_highest": 15, "counter_decay_per_s": 1},
    "nasdaq_data_link": {"anonymous_per_day": 50, "keyed_per_10_s": 300, "keyed_per_10_minutes": 2000},
}
TABLE = "/nasdaq_data_link/datatables/WIKI/PRICES.json"


class SandboxClient:
    """Talk to one sandbox over kept-alive connections; nothing is retried."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.port = int(url.rpartition(":")[2])
        self.pool = urllib3.PoolManager(retries=False, timeout=5)

    def get(self, path: str, **headers: str) -> urllib3.BaseHTTPResponse:
        return self.pool.request("GET", self.url + path, headers=headers)

    def read(self, path: str, **headers: str) -> Any:
        """Return the JSON of a 200."""
        answer = self.get(path, **headers)
        assert answer.status == 200, answer.data
        return json.loads(answer.data)

    def control(self, method: str, path: str, wish: object = None) -> tuple[int, Any]:
        body = None if wish is None else json.dumps(wish)
        answer = self.pool.request(method, f"{self.url}/sandbox/{path}", body=body)
        return answer.status, json.loads(answer.data)

    def arm(self, provider: str, fault: str, **fields: object) -> None:
        status, answer = self.control("POST", "faults", {"provider": provider, "fault": fault, **fields})
        assert status == 201, answer

    def fired(self) -> list[int]:
        return [rule["fired"] for rule in self.control("GET", "faults")[1]["faults"]]


def start_sandbox(*arguments: str) -> tuple[subprocess.Popen[str], str]:
    """Start a sandbox and return it with its address, once it says that it listens."""
    command = [sys.executable, "-m", "sandbox", *arguments]
    process = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    line = process.stdout.readline()  # ends at once where the process fails
    assert line.startswith("sandbox listening on http://127.0.0.1:"), process.communicate()
    return process, line.split()[-1]


@contextmanager
def running_sandbox() -> Iterator[str]:
    """Run a sandbox of its own and yield its address; it must end cleanly."""
    process, url = start_sandbox("--port", "0")
    with process:
        yield url
        process.terminate()
        assert process.wait(10) == 0


@contextmanager
def fresh_client(url: str, limits: Mapping[str, object]) -> Iterator[SandboxClient]:
    """Yield a client of a sandbox that has forgotten its faults and requests, and has these limits."""
    client = SandboxClient(url)
    for what in ("faults", "requests"):
        client.control("DELETE", what)
    for provider, dials in limits.items():
        client.control("POST", "limits", {"provider": provider, "limits": dials})
    yield client
    client.pool.clear()


@pytest.fixture(scope="session")
def sandbox_url() -> Iterator[str]:
    with running_sandbox() as url:
        yield url


@pytest.fixture
def sandbox(sandbox_url: str) -> Iterator[SandboxClient]:
    with fresh_client(sandbox_url, STANDARD_LIMITS) as client:
        yield client
