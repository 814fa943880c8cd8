"""Breakers: when a provider is left alone because it is ill, what counts as ill, and how it is tried again.

Deliberately not here: counting and states (breaker.lua). Invariant: only an outage opens a breaker (no answer, 5xx, an
error that says so); throttling, spent quota and refusals mean that the provider works, and have waits of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Final, Literal

from ingest.errors import BadData, SlowDown, TickfarmError, TryAgain
from ingest.settings import Preset
from ingest.wire import Answer, Failure

State = Literal["closed", "open", "half"]
Verdict = Literal["ok", "failed", "bad", "throttled", "refused"]


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """Opens after `row` failures in a row, or over `percent` of at least `least` requests within a minute.

    It stays open for `open_ms`, doubled each time a probe fails, up to `cap_ms`: 58 s and not 60, so that with the
    probe's own time a provider that is back is in use within a minute.
    """

    row: int = 5
    percent: int = 5
    least: int = 100
    open_ms: int = 30_000
    cap_ms: int = 58_000

    def document(self) -> dict[str, int]:
        """Return it as the script reads it."""
        return asdict(self)


#: Conservative gives a provider in trouble more rest; aggressive tries it again sooner and more often.
POLICIES: Final[Mapping[Preset, BreakerPolicy]] = {
    "conservative": BreakerPolicy(row=3, open_ms=60_000, cap_ms=300_000),
    "standard": BreakerPolicy(),
    "aggressive": BreakerPolicy(row=10, percent=20, open_ms=10_000, cap_ms=30_000),
}


@dataclass(frozen=True, slots=True)
class Transition:
    """A breaker's change of state. `scope` is the base address's place, with `/dataset` where only that one is ill."""

    scope: str
    before: State
    after: State
    until: datetime | None
    reason: str


def verdict_of(outcome: Answer | Failure, error: TickfarmError | None) -> Verdict:
    """Return how a request went, for breakers and health."""
    if isinstance(outcome, Failure):
        return "refused" if outcome.kind == "too_large" else "failed"
    if error is None:
        return "ok"
    if outcome.status >= 500 or (isinstance(error, TryAgain) and outcome.status not in (408, 425)):
        return "failed"
    match error:
        case SlowDown():
            return "throttled"
        case BadData():
            return "bad"
        case _:
            return "refused"
