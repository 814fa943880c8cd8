"""Every error tickfarm raises on purpose, sorted by what to do about it.

    TickfarmError
    +-- TryAgain            it may work later by itself (timeouts, resets, 5xx, a truncated page)
    |   +-- LeaseLost       somebody else works on the job now: stop, write nothing
    +-- SlowDown            the provider or our own pacing says not yet; never counts as a failure
    +-- FixRequest          it will never work as asked: fix the request, the key or the configuration
    |   +-- UnknownName     a provider, dataset, instrument or interval that does not exist; says what does
    |   +-- KeyRefused      the credential is not accepted: replace it; it rests meanwhile (pipeline/exchange.py)
    +-- BadData             the provider's data can't be used: becomes a finding, never a row

The fields are for machines, the message is for people: what was expected, what was found, what to do.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

#: A typing error or a missing letter is this alike; `30m` for `60m` is not.
_NEAR = 0.75


class TickfarmError(Exception):
    """The root. `retry_after_s` is set where the other side said how long to wait."""

    def __init__(
        self,
        message: str,
        *,
        provider: str | None = None,
        instrument: str | None = None,
        status: int | None = None,
        attempt: int | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.provider = provider
        self.instrument = instrument
        self.status = status
        self.attempt = attempt
        self.retry_after_s = retry_after_s


class TryAgain(TickfarmError):
    """It may work later by itself."""


class LeaseLost(TryAgain):
    """The job was given to somebody else, or is finished: stop and write nothing."""


class SlowDown(TickfarmError):
    """Not yet: wait `retry_after_s`, which is never a failure of the job."""


class FixRequest(TickfarmError):
    """It will never work as asked."""


class UnknownName(FixRequest):
    """A name that does not exist, with the ones that do, and the nearest of them or other advice."""

    def __init__(
        self, kind: str, given: str, accepted: Iterable[str], *, provider: str | None = None, advice: str = ""
    ) -> None:
        self.kind, self.given, self.accepted = kind, given, tuple(accepted)
        of = f" of {provider}" if provider else ""
        near = [] if advice else get_close_matches(given.lower(), self.accepted, n=1, cutoff=_NEAR)
        meant = f" (did you mean {near[0]}?)" if near else f" ({advice})" if advice else ""
        accepted_names = ", ".join(self.accepted)
        super().__init__(f"unknown {kind}{of}: {given!r}{meant}; accepted: {accepted_names}", provider=provider)


class KeyRefused(FixRequest):
    """The provider does not accept our credential: replace it."""


class BadData(TickfarmError):
    """The provider's data can't be used. `rule` names the quality rule it broke."""

    def __init__(self, message: str, *, rule: str, provider: str | None = None, status: int | None = None) -> None:
        super().__init__(message, provider=provider, status=status)
        self.rule = rule
