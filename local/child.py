"""One child process: started in its own process group, logging to a file, dying with its parent, stopped in time.

Deliberately not here: which processes there are, and restarting them. Invariant: no child outlives this process on
Linux, even if it is SIGKILLed: the kernel sends each child its `death_signal` (PR_SET_PDEATHSIG) when the thread that
started it ends, so children are started by the main thread. Other systems lack this; there a killed farm leaves
children behind, and the next start ends the servers it finds.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from local.state import PRIVATE_FILE, make_folder

LOG_LIMIT_BYTES = 10 * 1024 * 1024
PR_SET_PDEATHSIG = 1  # linux/prctl.h
# Resolved before any fork: between fork and exec only the bare call is safe.
_prctl = ctypes.CDLL(None, use_errno=True).prctl if sys.platform == "linux" else None


@dataclass(frozen=True, slots=True)
class Account:
    """The account a child runs under, where it is not ours."""

    uid: int
    gid: int


class Child:
    """A running process and its log. `pid` is also its process group's id."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self._process = process
        self.log = log
        self.pid = process.pid

    def exit_code(self) -> int | None:
        """Return how it ended (negative: by that signal), or None while it runs."""
        return self._process.poll()

    def send(self, number: signal.Signals) -> None:
        """Signal the process alone, never its group: what it started is its own to stop."""
        self._process.send_signal(number)

    def wait(self, timeout_s: float) -> bool:
        """Wait for its end; say whether it came in time."""
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def kill_group(self) -> None:
        """End what is left of its process group at once, and reap it."""
        with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS answers EPERM for a group of zombies
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()

    def last_words(self) -> str:
        """Return the last line it logged that says something."""
        return last_line(self.log)


def spawn(
    argv: Sequence[str | Path],
    *,
    log: Path,
    death_signal: signal.Signals = signal.SIGKILL,
    env: Mapping[str, str] | None = None,
    cwd: Path = Path("/"),
    account: Account | None = None,
    nice: int = 0,
) -> Child:
    """Start a child in its own session (a terminal's Ctrl-C reaches only us). Its secrets belong in `env` or files."""
    make_folder(log.parent)
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, PRIVATE_FILE)
    try:
        process = subprocess.Popen(
            [str(part) for part in argv],
            stdin=subprocess.DEVNULL,
            stdout=descriptor,
            stderr=subprocess.STDOUT,
            env=None if env is None else dict(env),
            cwd=cwd,
            start_new_session=True,
            umask=0o077,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
            preexec_fn=_before_exec(os.getpid(), death_signal, nice),  # noqa: PLW1509 (runs one system call or two)
        )
    finally:
        os.close(descriptor)
    return Child(process, log)


def _before_exec(parent: int, death_signal: signal.Signals, nice: int) -> Callable[[], None]:
    def tether() -> None:
        if _prctl is not None:
            _prctl(PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
            if os.getppid() != parent:  # it died between fork and prctl
                os._exit(1)
        if nice:
            os.nice(nice)

    return tether


def stop_all(
    children: Sequence[Child],
    *,
    grace_s: float,
    with_signal: signal.Signals = signal.SIGTERM,
    hurry: Callable[[], bool] = lambda: False,
) -> list[int]:
    """Signal them all, wait for all together (no longer if `hurry`), then SIGKILL the rest. Return whom that hit."""
    for child in children:
        child.send(with_signal)
    deadline = time.monotonic() + grace_s
    while any(child.exit_code() is None for child in children) and time.monotonic() < deadline and not hurry():
        time.sleep(0.02)
    late = [child.pid for child in children if child.exit_code() is None]
    for child in children:
        child.kill_group()
    return late


def rotate(log: Path, *, limit_bytes: int = LOG_LIMIT_BYTES) -> None:
    """Move a log that outgrew its limit to `<name>.1`, replacing the one before it: at most twice the limit is kept.

    The file is copied and cut, because its writer keeps it open (it appends, so it goes on at the new end); lines
    written between the two steps are lost, which a log of the farm on one machine can bear.
    """
    if not log.exists() or log.stat().st_size <= limit_bytes:
        return
    older = log.with_name(log.name + ".1")
    older.touch(mode=PRIVATE_FILE)
    older.write_bytes(log.read_bytes())
    os.truncate(log, 0)


def last_line(log: Path) -> str:
    """Return the last line of a log that is not blank, or an empty string."""
    if not log.exists():
        return ""
    with log.open("rb") as handle:
        handle.seek(max(0, log.stat().st_size - 4096))
        lines = handle.read().decode("utf-8", "replace").strip().splitlines()
    return lines[-1].strip() if lines else ""
