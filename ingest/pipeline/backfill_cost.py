"""What a number of requests costs: days of quota, and hours at the budget that backfill has. Pure.

Deliberately not here: how many requests there are (backfill_plan). Invariant: the forecast is the provider's limits
alone, at our pace and without the share that is kept for live work; a farm that is slower takes longer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from ingest.transport.budget import is_short
from ingest.transport.gate import LIVE_RESERVE
from ingest.wire import Limit

_DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Cost:
    """What it takes: `quota_days`, whole windows of the longest limit (0: none is longer than an hour), and the time.

    `limit` is the one that decides how long it takes; None where nothing limits it.
    """

    quota_days: float = 0.0
    takes: timedelta = timedelta(0)
    limit: Limit | None = None


def cost_of(
    limits: Sequence[Limit], dataset: str, requests: int, weight: int, *, keys: int, used: Callable[[Limit], int]
) -> Cost:
    """Return what so many requests cost. Each of several `keys` has limits of its own; `used` is what of a long one is.

    A window of up to an hour keeps a fifth for live work. One of days does not, and is as full as it is now: what does
    not fit any more waits for the windows after it.
    """
    quota_days, takes_s, slowest = 0.0, 0.0, None
    for limit in limits:
        need = weight if limit.unit == "weight" else requests
        if not need or (limit.datasets and dataset not in limit.datasets):
            continue
        if is_short(limit):
            amount = max(limit.amount - math.floor(limit.amount * LIVE_RESERVE), 1) * keys
            seconds = need / amount * limit.per_s
        else:
            amount = limit.amount * keys
            quota_days = max(quota_days, math.ceil(need / amount) * limit.per_s / _DAY_S)
            seconds = math.ceil(max(need - max(amount - used(limit), 0), 0) / amount) * limit.per_s
        if seconds >= takes_s:
            takes_s, slowest = seconds, limit
    return Cost(quota_days, timedelta(seconds=takes_s), slowest)
