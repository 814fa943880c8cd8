"""One farm per state folder: a lock the kernel frees when its holder dies, however it dies.

Deliberately not here: busy ports (port.py). Invariant: the pid in the file is a hint for people; the flock decides.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from local.state import PRIVATE_FILE, Refused

FILE = "farm.lock"


@contextmanager
def hold(home: Path) -> Iterator[None]:
    """Hold the state folder; refuse, naming the holder's pid, if a farm runs there already."""
    file = home / FILE
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT, PRIVATE_FILE)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            pid = os.pread(descriptor, 20, 0).decode().strip() or "unknown"
            raise Refused(
                f"a farm already runs with the state folder {home} (pid {pid}): stop it with Ctrl-C there or "
                f"`kill {pid}`, or set TICKFARM_HOME to run a second one"
            ) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)
