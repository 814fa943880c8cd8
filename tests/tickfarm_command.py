"""Runs the `tickfarm` command as a script would, and reads what it said.

Deliberately not here: an interpreter of its own for each (visitor.py), which costs a second of importing.
"""

from __future__ import annotations

import json
import os
import subprocess

from tests import forked

FOLLOW_BTC = ("follow", "binance", "bars", "BTC-USDT", "--interval", "1m")
NO_POSTGRESQL = "postgresql://tickfarm:planted-password@127.0.0.1:1/tickfarm"
NO_REDIS = "redis://:planted-password@127.0.0.1:1/0"
#: what a command may take
WITHIN_S = 60.0


def run(*arguments, **env):
    """Run the command as a script would, with nothing but these settings, in a process of its own."""
    return forked.run(arguments, {**os.environ, **env}, within_s=WITHIN_S, arguments=arguments)


def run_each(lines, **env):
    """Run these command lines in one process, which is quicker still; return how each ended."""
    done = forked.run(lines, {**os.environ, **env}, within_s=WITHIN_S, lines=lines)
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    return [subprocess.CompletedProcess(line, *answer) for line, answer in zip(lines, answers, strict=True)]


def each_with(**env):
    """Return what runs many command lines, given as text, in one process with these settings."""

    def command(*lines, **more):
        return run_each([line.split() for line in lines], **env, **more)

    return command


def complaint(done):
    """Return the one line a refused command says."""
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert "Traceback" not in lines[0]
    return lines[0]
