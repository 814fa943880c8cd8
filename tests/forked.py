"""Processes that are forks of one that has the libraries imported already (forks.py): commands, workers, beats.

Deliberately not here: what is run in them. A test whose subject is the process itself starts one of its own
(visitor.py, local/child.py). Invariant: no fork outlives this process.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from ingest.settings import CHECKOUT

#: importing the libraries takes a second, and on a busy machine much longer
START_S = 60.0


class Forks:
    """What forks, and which of its forks have ended."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.forks"],
            cwd=CHECKOUT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        self._unread = b""
        self._started: list[int] = []
        self._codes: dict[int, int] = {}

    def start(self, order: dict[str, Any]) -> int:
        """Have an order carried out; return the pid of who does."""
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        self._process.stdin.flush()
        deadline = time.monotonic() + START_S
        while not self._started:
            assert time.monotonic() < deadline, "nothing was forked"
            self.listen(0.1)
        return self._started.pop()

    def code(self, pid: int) -> int | None:
        """Return how a fork ended, None while it runs."""
        self.listen(0)
        return self._codes.get(pid)

    def listen(self, timeout_s: float) -> None:
        """Read what it says, and wait so long for the first of it."""
        while select.select([self._process.stdout], [], [], timeout_s)[0]:
            read = os.read(self._process.stdout.fileno(), 65536)
            assert read, "what forks has ended"
            *lines, self._unread = (self._unread + read).split(b"\n")
            for what, pid, *code in map(json.loads, lines):
                if what == "started":
                    self._codes.pop(pid, None)  # the number may have been another's before
                    self._started.append(pid)
                else:
                    self._codes[pid] = code[0]
            timeout_s = 0

    def end(self) -> None:
        """End it, with the command that it may still be running; workers die with it."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()


class ForkedProcess:
    """A fork, in the shape of a `subprocess.Popen`."""

    def __init__(self, **order: Any) -> None:
        self._forks = forks()
        self.args = order
        self.pid = self._forks.start(order)

    def poll(self) -> int | None:
        """Return how it ended, None while it runs."""
        return self._forks.code(self.pid)

    def wait(self, timeout_s: float | None = None) -> int:
        """Return how it ended. Raises TimeoutExpired where it did not in time."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while (code := self.poll()) is None:
            if deadline is not None and time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(str(self.args), timeout_s)
            self._forks.listen(0.05)
        return code

    def send_signal(self, number: int) -> None:
        """Signal it, if it has not ended."""
        if self.poll() is None:
            os.kill(self.pid, number)


@functools.cache
def forks() -> Forks:
    """Start what forks, once for all tests of this process."""
    started = Forks()
    atexit.register(started.end)
    return started


def start_celery(*arguments: str, log: Path, env: dict[str, str]) -> ForkedProcess:
    """Start `celery <arguments>`."""
    log.parent.mkdir(parents=True, exist_ok=True)
    log.touch(mode=0o600)
    return ForkedProcess(celery=arguments, stdout=str(log), stderr=str(log), env=env)


def run(what: Any, env: dict[str, str], *, within_s: float, **order: Any) -> subprocess.CompletedProcess[str]:
    """Have an order carried out; return how that ended and what it said."""
    with tempfile.TemporaryDirectory() as folder:
        places = {name: str(Path(folder) / name) for name in ("stdout", "stderr")}
        process = ForkedProcess(**order, **places, env=env)
        try:
            code = process.wait(within_s)
        finally:
            process.send_signal(signal.SIGKILL)
        said = {name: Path(place).read_text() for name, place in places.items()}
        return subprocess.CompletedProcess(what, code, **said)
