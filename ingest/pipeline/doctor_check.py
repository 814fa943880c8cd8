"""What a check of the doctor's says, and the rules that several share: how full is full, how far off is a clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

State = Literal["pass", "warn", "fail", "skip"]
#: From here on somebody should look; from here on it is about to stop.
WARN_SHARE: Final = 0.80
FAIL_SHARE: Final = 0.95
#: A bar's end, a budget's window and a job's due time are compared with this machine's clock.
CLOCK_WARN_S: Final = 1.0
CLOCK_FAIL_S: Final = 5.0
#: What is asked for on a dead or silent server ends by then.
ANSWER_WITHIN_S: Final = 2


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at: what was seen, and what mends it where that is needed."""

    name: str
    state: State
    seen: str
    mend: str = ""


@dataclass(frozen=True, slots=True)
class Told:
    """What a check found, before it has its name."""

    state: State
    seen: str
    mend: str = ""

    def named(self, name: str) -> Check:
        """Return it as a check; what passed needs no mending."""
        return Check(name, self.state, self.seen, "" if self.state in ("pass", "skip") else self.mend)


def fullness(used: int, limit: int, what: str, mend: str) -> Told:
    """Say how full something is: `used` of `limit`, and what to do from four fifths on."""
    share = used / limit if limit else 1.0
    state: State = "fail" if share >= FAIL_SHARE else "warn" if share >= WARN_SHARE else "pass"
    return Told(state, f"{used:,} of {limit:,} {what} ({share:.0%})", mend)


def skew(ask: Callable[[], datetime], clock: Callable[[], datetime]) -> Told:
    """Say how far a server's clock is from ours: `ask` returns its time. The way there and back is allowed for."""
    before = clock()
    theirs = ask()
    after = clock()
    half = (after - before) / 2
    off_s = max(abs(theirs - (before + half)) - half, timedelta()).total_seconds()
    state: State = "fail" if off_s >= CLOCK_FAIL_S else "warn" if off_s >= CLOCK_WARN_S else "pass"
    mend = "timedatectl set-ntp true, on this machine and on the server's"
    return Told(state, f"{off_s:.1f} s from this machine's", mend)


def first_line(error: Exception) -> str:
    """Return what an error says first; a driver's own line where SQLAlchemy wraps it."""
    said = str(getattr(error, "orig", None) or error).strip()
    return (said.splitlines() or [type(error).__name__])[0]
