"""Runs `tickfarm` as a visitor does: a fresh login, free ports, a state folder of its own; and sees what runs there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

from ingest.settings import CHECKOUT
from tests import forked
from tests.waiting import is_gone


def environment(home, **more):
    """Return what a fresh login has, and free ports."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "TICKFARM_ENV_FILE") if name in os.environ}
    ours = {"TICKFARM_HOME": str(home), "TICKFARM_FLOWER_PORT": "0", "TICKFARM_SANDBOX_PORT": "0"}
    ours["TICKFARM_DASHBOARD_PORT"] = "0"
    return kept | {"HOME": str(home.parent)} | ours | more


def tickfarm(home, *arguments, **more):
    return subprocess.run(
        [sys.executable, "-m", "cli", *arguments],
        cwd=CHECKOUT,
        env=environment(home, **more),
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


def forked_tickfarm(home, *arguments, **more):
    """Run a command whose own start is not what is tested, in a fork that has the libraries (forked.py)."""
    return forked.run(arguments, environment(home, **more), within_s=200, arguments=arguments)


@contextmanager
def demo_that_stays(home, **more):
    """Run a demo that ends with Ctrl-C; yield the process, its output so far in `<home>/../shown`."""
    with (home.parent / "shown").open("w") as shown:
        process = subprocess.Popen(
            [sys.executable, "-m", "cli", "demo"],
            cwd=CHECKOUT,
            env=environment(home, **more),
            stdout=shown,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def shown(home):
    return (home.parent / "shown").read_text()


def processes_of(home):
    """Return the command line of each process that was started for this state folder, by pid."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command, environ = (folder / "cmdline").read_bytes(), (folder / "environ").read_bytes()
        except OSError:
            continue
        is_ours = f"TICKFARM_HOME={home}\0".encode() in environ or str(home).encode() in command
        if is_ours and not is_gone(int(folder.name)):
            found[int(folder.name)] = command.replace(b"\0", b" ").decode()
    return found
