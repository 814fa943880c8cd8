"""The supervisor: starts processes, starts crashed ones again, stops all in order.

Deliberately not here: which processes there are (farm_processes.py) and how one is started or killed (child.py). It
has no thread: its owner calls `poll` about twice a second. Invariant: after `stop` none of them runs.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

from local.child import Child, rotate, spawn, stop_all

FIRST_WAIT_S = 1.0
LONGEST_WAIT_S = 60.0
#: one that ran this long before it crashed starts again after the first wait
SETTLED_S = 60.0


@dataclass(frozen=True, slots=True)
class Process:
    """What to run. `argv` shows in `ps`: secrets go to `env` or files. A lower `stop_rank` is stopped earlier."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    cwd: Path = Path("/")
    nice: int = 0
    stop_rank: int = 0
    grace_s: float = 10.0


@dataclass(slots=True)
class _Slot:
    process: Process
    child: Child | None = None
    started_at: float = 0.0
    due_at: float = 0.0
    wait_s: float = 0.0


class Supervisor:
    """Keeps processes running. Their logs are `<home>/logs/<name>.log`."""

    def __init__(self, home: Path, processes: Sequence[Process], *, first_wait_s: float = FIRST_WAIT_S) -> None:
        self._logs = home / "logs"
        self._slots = [_Slot(process) for process in processes]
        self._first_wait_s = first_wait_s
        self.count = len(processes)

    def start(self) -> None:
        """Start them all, in the order given."""
        for slot in self._slots:
            self._launch(slot)

    def pids(self) -> dict[str, int]:
        """Return the process id of each one that runs now, by name."""
        return {
            slot.process.name: slot.child.pid for slot in self._slots if slot.child and slot.child.exit_code() is None
        }

    def poll(self) -> list[str]:
        """Start crashed ones again when their wait is over, keep logs within their size; say what happened."""
        said = []
        for slot in self._slots:
            rotate(self._log(slot))
            code = slot.child.exit_code() if slot.child else None
            if slot.child is not None and code is not None:
                said.append(self._mourn(slot, slot.child, code))
            elif slot.child is None and time.monotonic() >= slot.due_at:
                self._launch(slot)
                said.append(f"{slot.process.name} runs again")
        return said

    def stop(self, *, hurry: Callable[[], bool] = lambda: False) -> list[str]:
        """Stop all, rank by rank: SIGTERM, the longest grace of the rank, SIGKILL. Return the names that took that."""
        ranked = sorted((slot for slot in self._slots if slot.child), key=lambda slot: slot.process.stop_rank)
        killed = []
        for _, rank in groupby(ranked, key=lambda slot: slot.process.stop_rank):
            slots = list(rank)
            late = stop_all(
                [slot.child for slot in slots if slot.child],
                grace_s=max(slot.process.grace_s for slot in slots),
                hurry=hurry,
            )
            killed += [slot.process.name for slot in slots if slot.child and slot.child.pid in late]
            for slot in slots:
                slot.child = None
                slot.due_at = sys.float_info.max
        return killed

    def _launch(self, slot: _Slot) -> None:
        process = slot.process
        slot.child = spawn(process.argv, log=self._log(slot), env=process.env, cwd=process.cwd, nice=process.nice)
        slot.started_at = time.monotonic()

    def _mourn(self, slot: _Slot, child: Child, code: int) -> str:
        """Note a crash, plan the next start, and put both in one sentence."""
        child.kill_group()  # a dead worker's pool children must not go on beside the new one's
        now = time.monotonic()
        settled = now - slot.started_at >= SETTLED_S
        slot.wait_s = self._first_wait_s if settled or not slot.wait_s else min(slot.wait_s * 2, LONGEST_WAIT_S)
        slot.child, slot.due_at = None, now + slot.wait_s
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        return (
            f"{slot.process.name} {how} and starts again in {slot.wait_s:g} s; "
            f"its last words: {child.last_words() or 'none'} (log: {child.log})"
        )

    def _log(self, slot: _Slot) -> Path:
        return self._logs / f"{slot.process.name}.log"
