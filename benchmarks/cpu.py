"""CPU time of processes and all that descend from them, from /proc: it says what bounds a figure.

Linux only; elsewhere every time is 0. Invariant: reading changes nothing and needs no rights over the process.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

_TICKS_S = os.sysconf("SC_CLK_TCK")


def cpu_s(pids: Mapping[str, int]) -> dict[str, float]:
    """Return the CPU seconds that each process and its descendants have used, those that ended included."""
    used: dict[int, float] = {}
    children: dict[int, list[int]] = {}
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = file.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it ended meanwhile
        pid = int(file.parent.name)
        used[pid] = sum(map(int, fields[11:15])) / _TICKS_S  # utime, stime, and those of children that were waited for
        children.setdefault(int(fields[1]), []).append(pid)
    return {name: _total(pid, used, children) for name, pid in pids.items()}


def spent(before: Mapping[str, float], after: Mapping[str, float], *, per: float, digits: int = 1) -> dict[str, float]:
    """Return the difference of two readings, divided by `per`."""
    return {name: round((after[name] - before[name]) / per, digits) for name in after}


def _total(pid: int, used: Mapping[int, float], children: Mapping[int, list[int]]) -> float:
    return used.get(pid, 0.0) + sum(_total(child, used, children) for child in children.get(pid, ()))
