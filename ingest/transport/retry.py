"""What to do after something failed: again now, again later, wait as told, or give up. The only retry numbers we have.

Deliberately not here: waiting, counting, clocks and dice (arguments), and what a provider's own error codes mean.
Invariant: a wait a provider asked for is never undercut; a wait of our own is never over the policy's cap.

    cause                                            decision
    connection reset, the first time                 again now: mostly a kept-alive connection the provider closed
    timeout, refused, reset, dns, tls, other         again later by the policy (1 s doubling to 60 s), then give up
    408, 425, 5xx                                    the same; not before Retry-After where the answer has one
    429, 418 with Retry-After, SlowDown with a time  defer exactly that long, or a little longer
    429, 418 without                                 again later like a failure, then defer by the cap: never give up
    too large, other 3xx and 4xx, FixRequest         give up: asking again can't help
    BadData (a page that is none)                    again later like a failure: CDNs send such pages for a while
    LeaseLost                                        give up: somebody else has the job
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final, assert_never

from ingest.errors import FixRequest, LeaseLost, SlowDown, TickfarmError, TryAgain
from ingest.settings import Preset
from ingest.wire import Failure, FailureKind

# No provider of ours bans for longer: Binance's 418 lasts "from 2 minutes to 3 days".
# Source: https://developers.binance.com/docs/binance-spot-api-docs/rest-api/limits (2025-11)
LONGEST_RETRY_AFTER_S: Final = 3 * 86400.0
# Jobs deferred together come back spread over this much, or a tenth of the wait if that is less.
DEFER_SPREAD_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Policy:
    """Our own waits: `base_s` doubles up to `cap_s`, less up to `jitter` of it; `retries` failures are forgiven."""

    base_s: float = 1.0
    cap_s: float = 60.0
    jitter: float = 0.1
    retries: int = 3


@dataclass(frozen=True, slots=True)
class RetryNow:
    """Send it again at once."""


@dataclass(frozen=True, slots=True)
class RetryLater:
    """Send it again after `delay_s`; this counts as a failure."""

    delay_s: float


@dataclass(frozen=True, slots=True)
class Defer:
    """Send it again after `delay_s`, as the provider said; this does not count as a failure."""

    delay_s: float


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Don't send it again."""

    reason: str


Decision = RetryNow | RetryLater | Defer | GiveUp
DEFAULT: Final = Policy()
#: Conservative forgives as many failures as standard, over a minute instead of seven seconds: an outage of the provider
#: is met by few requests. Aggressive asks again at once and often, for data that is worth nothing in a minute.
POLICIES: Final[Mapping[Preset, Policy]] = {
    "conservative": Policy(base_s=10.0, cap_s=300.0),
    "standard": DEFAULT,
    "aggressive": Policy(base_s=0.5, cap_s=30.0, retries=6),
}


def decide(cause: TickfarmError | FailureKind, failures: int, rng: random.Random, policy: Policy = DEFAULT) -> Decision:
    """Return what to do about `cause`. `failures` counts this one: the first is 1."""
    if isinstance(cause, str):
        return _decide_kind(cause, failures, rng, policy)
    match cause:
        case LeaseLost():
            return GiveUp("the lease is lost: somebody else has the job")
        case FixRequest():
            return GiveUp(f"asking again can't help: {cause}")
        case SlowDown():
            return _slow_down(cause, failures, rng, policy)
        case _:
            return _again_later(failures, rng, policy, not_before_s=cause.retry_after_s, reason=str(cause))


def _decide_kind(kind: FailureKind, failures: int, rng: random.Random, policy: Policy) -> Decision:
    match kind:
        case "too_large":
            return GiveUp("the answer is too large: ask for less at a time")
        case "reset" if failures == 1:
            return RetryNow()
        case "timeout" | "refused" | "dns" | "reset" | "tls" | "other":
            return _again_later(failures, rng, policy, not_before_s=None, reason=kind)
        case _:
            assert_never(kind)


def _slow_down(cause: SlowDown, failures: int, rng: random.Random, policy: Policy) -> Decision:
    if cause.retry_after_s is not None:
        told_s = max(0.0, cause.retry_after_s)
        return Defer(told_s + rng.uniform(0.0, min(DEFER_SPREAD_S, told_s * policy.jitter)))
    if failures <= policy.retries:
        return RetryLater(_backoff_s(failures, rng, policy))
    return Defer(_backoff_s(failures, rng, policy))


def _again_later(
    failures: int, rng: random.Random, policy: Policy, *, not_before_s: float | None, reason: str
) -> Decision:
    if failures > policy.retries:
        return GiveUp(f"failed {failures} times, last: {reason}")
    return RetryLater(max(_backoff_s(failures, rng, policy), not_before_s or 0.0))


def _backoff_s(failures: int, rng: random.Random, policy: Policy) -> float:
    doublings = min(max(failures, 1) - 1, 32)  # 2 ** 32 s is over any cap, and no float overflows
    return float(min(policy.cap_s, policy.base_s * 2**doublings)) * (1.0 - rng.uniform(0.0, policy.jitter))


def countdown_s(retries: int, rng: random.Random) -> float:
    """Return how long a Celery task waits for the database or Redis to come back; `retries` so far, from 0."""
    return _backoff_s(retries + 1, rng, DEFAULT)


def retry_after_s(headers: Mapping[str, str], now: datetime) -> float | None:
    """Return the seconds `retry-after` asks for, in either form (seconds, HTTP-date), or None if it says nothing.

    A date is measured by the clock that wrote it, the answer's own `date`, where there is one: against ours, a server
    whose clock is behind would ask for no wait at all. `now` (aware) stands in for it. A date in the past is 0; more
    than three days is three days.
    """
    text = headers.get("retry-after", "").strip()
    if re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", text):
        wait_s = float(text)
    else:
        date = _http_date(text)
        if date is None:
            return None
        wait_s = date.timestamp() - (_http_date(headers.get("date", "")) or now).timestamp()
    return min(max(wait_s, 0.0), LONGEST_RETRY_AFTER_S)


def _http_date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)


def failure_to_error(failure: Failure, provider: str) -> TickfarmError:
    """Return the error that stands for a request without a complete answer."""
    message = f"no complete answer from {provider} ({failure.kind}): {failure.detail}"
    if failure.kind == "too_large":
        return FixRequest(f"{message}; ask for a shorter window or fewer instruments", provider=provider)
    return TryAgain(message, provider=provider)
