"""What a person sees of the doctor's checks: a line each, and below what needs mending, how."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from ingest.pipeline.doctor_check import Check


def check_lines(checks: Sequence[Check]) -> Iterator[str]:
    """Return the checks as lines, in the order given; what mends one stands below it."""
    width = max(len(check.name) for check in checks)
    for check in checks:
        yield f"{check.state}  {check.name:{width}}  {check.seen}"
        if check.mend:
            yield f"      {'':{width}}  -> {check.mend}"


def summary(checks: Sequence[Check]) -> str:
    """Return how many checks ended how."""
    count: Counter[str] = Counter(check.state for check in checks)
    said = {"fail": "failed", "warn": "to look at", "skip": "skipped", "pass": "passed"}
    return f"{len(checks)} checks: " + ", ".join(
        f"{count[state]} {word}" for state, word in said.items() if count[state]
    )
