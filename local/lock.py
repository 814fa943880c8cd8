"""One farm per state folder: a lock the kernel frees when its holder dies, however it dies.

Deliberately not here: busy ports (port.py). Invariant: the pid in the file is a hint for people; the flock decides.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from local.state import PRIVATE_FILE, Refused

FILE = "farm.lock"
#: Between taking the lock and writing the pid, and between a process's last breath and its lock, lie microseconds.
_NAMED_WITHIN_S = 1.0


@contextmanager
def hold(home: Path, *, until_exit: bool = False) -> Iterator[None]:
    """Hold the state folder; refuse, naming the holder's pid, if a farm runs there already.

    With `until_exit` the kernel lets go of it when this process has ended, so that who waits for the lock waits for
    the process too.
    """
    file = home / FILE
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT, PRIVATE_FILE)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            pid = os.pread(descriptor, 20, 0).decode().strip() or "unknown"
            raise taken(home, pid) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        if not until_exit:
            os.close(descriptor)


def taken(home: Path, pid: int | str) -> Refused:
    """Return the refusal of a second farm in the same state folder."""
    return Refused(
        f"a farm already runs with the state folder {home} (pid {pid}): stop it with Ctrl-C there or `tickfarm down`, "
        "or set TICKFARM_HOME to run a second one"
    )


def holder(home: Path) -> int | None:
    """Return the pid of the farm that holds the state folder, None if no farm runs. Refuses one that can't be named."""
    deadline = time.monotonic() + _NAMED_WITHIN_S
    while True:
        try:
            return _holder(home / FILE)
        except Refused:  # it has the lock and no pid yet, or its pid no longer and the lock still
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def _holder(file: Path) -> int | None:
    try:
        descriptor = os.open(file, os.O_RDWR)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pid = os.pread(descriptor, 20, 0).decode().strip()
    else:
        return None
    finally:
        os.close(descriptor)
    if not pid.isdecimal() or not _has_open(int(pid), file):
        raise Refused(f"the farm that holds {file} can't be told yet: try again in a moment")
    return int(pid)


def _has_open(pid: int, file: Path) -> bool:
    """Say whether a process has the file open, so that nobody else is signalled; without /proc the pid is believed."""
    if not Path("/proc/self/fd").exists():
        return True
    try:
        return any(os.path.realpath(one) == str(file.resolve()) for one in Path(f"/proc/{pid}/fd").iterdir())
    except PermissionError:
        return True  # another account's, whom we can't signal either
    except FileNotFoundError:
        return False
