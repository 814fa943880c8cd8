"""Servers that a killed farm left behind: found by their pid file, recognised for certain, ended.

Deliberately not here: the lock that makes sure no live farm owns them (lock.py; the caller holds it).
Invariant: a process is signalled only if it runs this program in this very folder, because a pid read from a file may
belong to anyone by now.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from local.state import Refused

PATIENCE_S = 60.0


def end_orphan(pid_file: Path, *, program: str, folder: Path, with_signal: signal.Signals) -> None:
    """End the server that the pid file names if it still runs, and remove a file that names something else."""
    pid = _read_pid(pid_file)
    if pid is None:
        return
    if _runs_here(pid, program, folder):
        os.kill(pid, with_signal)
        deadline = time.monotonic() + PATIENCE_S
        while _runs_here(pid, program, folder):
            if time.monotonic() > deadline:
                raise Refused(f"an earlier {program} (pid {pid}) still runs in {folder} and does not stop: kill {pid}")
            time.sleep(0.05)
    if Path("/proc/self").exists():
        pid_file.unlink(missing_ok=True)


def _read_pid(pid_file: Path) -> int | None:
    try:
        return int(pid_file.read_text().split()[0])
    except (FileNotFoundError, ValueError, IndexError):
        return None


def _runs_here(pid: int, program: str, folder: Path) -> bool:
    """Compare the program and the working folder (both servers change to theirs); a zombie has neither."""
    try:
        executable = Path(f"/proc/{pid}/exe").readlink().name
        return executable.removesuffix(" (deleted)") == program and Path(f"/proc/{pid}/cwd").readlink() == folder
    except OSError:
        return False
