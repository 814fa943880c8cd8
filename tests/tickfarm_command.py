"""Runs the `tickfarm` command as a script would, and reads what it said.

Deliberately not here: an interpreter of its own for each (visitor.py), which costs most of a second of importing.
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
from pathlib import Path

from ingest.settings import CHECKOUT

FOLLOW_BTC = ("follow", "binance", "bars", "BTC-USDT", "--interval", "1m")
NO_POSTGRESQL = "postgresql://tickfarm:planted-password@127.0.0.1:1/tickfarm"
NO_REDIS = "redis://:planted-password@127.0.0.1:1/0"
#: what a command may take
WITHIN_S = 60.0


def run(*arguments, **env):
    """Run the command as a script would, with nothing but these settings, in a process of its own."""
    return _fork(arguments, env, arguments=arguments)


def run_each(lines, **env):
    """Run these command lines in one process, which is quicker still; return how each ended."""
    done = _fork(lines, env, lines=lines)
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    return [subprocess.CompletedProcess(line, *answer) for line, answer in zip(lines, answers, strict=True)]


def each_with(**env):
    """Return what runs many command lines, given as text, in one process with these settings."""

    def command(*lines, **more):
        return run_each([line.split() for line in lines], **env, **more)

    return command


def _fork(what, env, **order):
    """Have an order carried out by a fork; return how that ended and what it said."""
    with tempfile.TemporaryDirectory() as folder:
        places = {name: str(Path(folder) / name) for name in ("stdout", "stderr")}
        forks = _forks()
        forks.stdin.write(json.dumps({**order, **places, "env": {**os.environ, **env}}) + "\n")
        forks.stdin.flush()
        if not select.select([forks.stdout], [], [], WITHIN_S)[0]:
            _end(forks)
            raise subprocess.TimeoutExpired(what, WITHIN_S)
        code = int(forks.stdout.readline())
        said = {name: Path(place).read_text() for name, place in places.items()}
        return subprocess.CompletedProcess(what, code, **said)


@functools.cache
def _forks():
    """Start what forks for each command line (command_forks.py), once for all tests of this process."""
    forks = subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "tests.command_forks"],
        cwd=CHECKOUT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    atexit.register(_end, forks)
    return forks


def _end(forks):
    """End it, with the command it may still be running."""
    _forks.cache_clear()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(forks.pid, signal.SIGKILL)
    forks.wait()
    forks.stdin.close()
    forks.stdout.close()


def complaint(done):
    """Return the one line a refused command says."""
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert "Traceback" not in lines[0]
    return lines[0]
