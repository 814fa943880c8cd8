"""Windows of a budget: what a provider's limits and the farm's own become when a batch asks to go.

Deliberately not here: counting (budget.lua), windows of more than an hour (pipeline/quota.py, in PostgreSQL).
Invariant: a share of a window is free again one window after its request ended, so that no sliding window of the
provider's, wherever between sending and answering it counts, ever holds more than its amount.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ingest.wire import Limit, Request

#: Windows up to this long are kept in Redis and seeded from the fetch log when Redis has lost them.
LONGEST_SHORT_S = 3600
_PREFIX = "tickfarm:budget"


@dataclass(frozen=True, slots=True)
class Window:
    """One window in Redis. `per_ms` 0: a cap on what is out at the same time."""

    key: str
    amount: int
    per_ms: int
    unit: str
    datasets: tuple[str, ...] = ()

    def counts(self, dataset: str) -> bool:
        """Say whether a dataset's requests count in it."""
        return not self.datasets or dataset in self.datasets

    def share(self, request: Request) -> int:
        """Return what a request takes of it."""
        return request.weight if self.unit == "weight" else 1

    def document(self, **more: Any) -> dict[str, Any]:
        """Return it as the scripts read it."""
        return {"key": self.key, "amount": self.amount, "per_ms": self.per_ms, **more}


def is_short(limit: Limit) -> bool:
    """Say whether a limit is kept in Redis."""
    return limit.per_s <= LONGEST_SHORT_S


def windows_of(budget: str, limits: Iterable[Limit], *, at_once: int | None = None) -> tuple[Window, ...]:
    """Return the windows of these limits; of two alike, the smaller one.

    `budget` names whose they are: a provider (or what it shares its limits with) and a credential, or an entry.
    `at_once` caps the requests that are out at the same time.
    """
    found: dict[str, Window] = {}
    for limit in limits:
        if not is_short(limit):
            continue
        scope = f":{'+'.join(limit.datasets)}" if limit.datasets else ""
        key = f"{_PREFIX}:{budget}:{limit.unit}/{limit.per_s}{scope}"
        if key not in found or limit.amount < found[key].amount:
            found[key] = Window(key, limit.amount, limit.per_s * 1000, limit.unit, limit.datasets)
    if at_once is not None:
        key = f"{_PREFIX}:{budget}:out"
        found[key] = Window(key, at_once, 0, "requests")
    return tuple(found.values())


def costs(window: Window, requests: Sequence[Request]) -> list[int]:
    """Return what each request takes of the window; one number where all take the same."""
    each = [window.share(request) for request in requests]
    return each[:1] if len(set(each)) == 1 else each


def ends(window: Window, ended: Iterable[tuple[int, Request]]) -> list[list[int]]:
    """Return [age in ms, share] of requests that ended that long ago, those of the same bin of the window together."""
    width = max(1, window.per_ms // 100)
    found: dict[int, int] = {}
    for age_ms, request in ended:
        found[age_ms // width] = found.get(age_ms // width, 0) + window.share(request)
    return [[bin_ * width, share] for bin_, share in found.items()]
