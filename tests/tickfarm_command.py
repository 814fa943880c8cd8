"""Runs the `tickfarm` command as a script would, and reads what it said."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from ingest.settings import CHECKOUT

FOLLOW_BTC = ("follow", "binance", "bars", "BTC-USDT", "--interval", "1m")
NO_POSTGRESQL = "postgresql://tickfarm:planted-password@127.0.0.1:1/tickfarm"
NO_REDIS = "redis://:planted-password@127.0.0.1:1/0"
#: Runs many command lines in one process, because importing it all takes a second each time.
ONE_AFTER_ANOTHER = """
import contextlib, io, json, sys, cli
for sys.argv[1:] in json.load(sys.stdin):
    shown, said = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(shown), contextlib.redirect_stderr(said):
        try:
            code = cli.main() or 0
        except SystemExit as end:
            code = end.code
    print(json.dumps([code, shown.getvalue(), said.getvalue()]))
"""


def run(*arguments, **env):
    """Run the command as a script would, with nothing but these settings."""
    command = [sys.executable, "-W", "error", "-m", "cli", *arguments]
    return subprocess.run(
        command, cwd=CHECKOUT, env={**os.environ, **env}, capture_output=True, text=True, timeout=60, check=False
    )


def run_each(lines, **env):
    """Run these command lines in one process; return how each ended."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", ONE_AFTER_ANOTHER],
        cwd=CHECKOUT,
        env={**os.environ, **env},
        input=json.dumps(lines),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    return [subprocess.CompletedProcess(line, *answer) for line, answer in zip(lines, answers, strict=True)]


def complaint(done):
    """Return the one line a refused command says."""
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert "Traceback" not in lines[0]
    return lines[0]
