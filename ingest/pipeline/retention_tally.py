"""What a step of retention is told, and what it answers.

Deliberately not here: what is old (retention.py) and how it goes (the three files beside it).
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Span:
    """What is older than `cutoff` may go, until the monotonic clock says `until`. `dry_run`: it is only counted."""

    keep_days: int
    cutoff: datetime
    until: float
    dry_run: bool = False

    @property
    def is_over(self) -> bool:
        """Say whether the step's time is up."""
        return time.monotonic() >= self.until


@dataclass(slots=True)
class Tally:
    """What went, or with a dry run would go.

    `days` are series-days, `partitions` were dropped whole, `segments` are files of the archive with `size_bytes`.
    `held` is what is old and stays all the same: series-days that are not verified, with `held_rows` rows, or
    segments that somebody may still ask for. Not `is_complete`: the time was up, the next run goes on.
    """

    what: str
    keep_days: int
    rows: int = 0
    days: int = 0
    partitions: int = 0
    segments: int = 0
    size_bytes: int = 0
    held: int = 0
    held_rows: int = 0
    is_complete: bool = True
