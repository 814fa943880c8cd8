"""How much memory a process of the farm and its children hold, as the kernel counts it.

Deliberately not here: what is too much (the tests say). Shared pages count in each process: what is watched is growth.
"""

from __future__ import annotations

from pathlib import Path

from tests.tasks.farm import Running

MIB = 1024


def resident_mib(running: Running) -> float:
    """Return the resident memory of a process and its children, together."""
    return sum(_resident_kib(pid) for pid in (running.pid, *running.children())) / MIB


def _resident_kib(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:  # a child that has just been replaced
        return 0
    return next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:")), 0)
