"""A plain farm-wide pace for each provider, kept in Redis, until budgets count its windows exactly.

Deliberately not here: windows as the provider counts them, weights learned from headers, the reserve for live data.
Invariant: batches no larger than a limit's burst never exceed the limit in any window; one larger than that runs over
by at most itself, and what follows it waits for its share.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from redis import Redis

from ingest.errors import FixRequest
from ingest.wire import Limit

# Above this a window is a quota (a day, a month): an even pace would make the first answers of "50 per day" take hours.
LONGEST_PACED_WINDOW_S: Final = 60
#: Longer than any window: a place is reserved however far ahead it lies.
LONGEST_WAIT_S: Final = 366 * 86_400.0
_SCRIPT: Final = Path(__file__).with_suffix(".lua")


def pace_key(prefix: str, provider: str) -> str:
    """Return the Redis key of a provider's pace: a hash, gone once its last reservation has passed."""
    return f"{prefix}:pace:{provider}"


def burst(limit: Limit) -> int:
    """Return how much may go at once after a pause.

    One second's allowance, but at most half of the amount; half of the amount for windows over a minute. What is left
    of the amount is spread evenly over the window, so burst and pace together stay within it: of 1,200 a minute 20 go
    at once, then 19.7 a second; of 50 a day 25 go at once, then one in 55 minutes.
    """
    half = limit.amount // 2
    if limit.per_s > LONGEST_PACED_WINDOW_S:
        return max(1, half)
    return max(1, min(limit.amount // limit.per_s, half))


class Pacer:
    """Says when a batch may go. One Redis round trip a batch; safe from any number of processes."""

    def __init__(self, redis: Redis, *, prefix: str = "tickfarm") -> None:
        self._script = redis.register_script(_SCRIPT.read_text(encoding="utf-8"))
        self._prefix = prefix

    def take(
        self,
        provider: str,
        limits: Sequence[Limit],
        requests: int,
        weight: int,
        *,
        max_wait_s: float = LONGEST_WAIT_S,
    ) -> float:
        """Reserve a batch's place and return the seconds to wait before it may go (0.0: now).

        The place is taken by the call, unless the wait is longer than `max_wait_s`: then nothing is reserved, and the
        caller comes back after it. `weight` is the batch's whole weight. Raises FixRequest for a batch larger than a
        limit's amount, which no pace can carry, and redis' own exceptions if Redis is away: then nothing is known to
        be free, so the caller must wait.
        """
        arguments: list[str | float] = [round(max_wait_s * 1_000_000)]
        for limit in limits:
            cost = requests if limit.unit == "requests" else weight
            if cost > limit.amount:
                raise FixRequest(
                    f"a batch of {cost} {limit.unit} can't fit in {limit.amount} per {limit.per_s} s: split it",
                    provider=provider,
                )
            unit_us = limit.per_s * 1_000_000 / (limit.amount - burst(limit) + 1)
            field = f"{limit.unit}:{limit.amount}:{limit.per_s}"
            arguments += [field, round(cost * unit_us), round(burst(limit) * unit_us)]
        if not limits:
            return 0.0
        wait_us = self._script(keys=[pace_key(self._prefix, provider)], args=arguments)
        return int(wait_us) / 1_000_000
