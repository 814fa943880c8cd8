"""The values that cross the network boundary: what is asked, what came back, what a provider allows.

Deliberately not here: how they are sent (transport) and what they mean (providers).
Invariant: no value in this file ever holds a secret but `Key`, whose value never shows in a repr.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from hashlib import sha256
from typing import Literal

#: Hexadecimal digits of a pool's name: among the few keys of one provider no two are alike, and no key can be read out.
_POOL_DIGITS = 8
#: The header has whole seconds. A clock that is off by more than a day says nothing about when something was said.
_CLOCKS_DIFFER, _CLOCK_IS_BROKEN = timedelta(seconds=2), timedelta(days=1)
FailureKind = Literal["timeout", "refused", "dns", "reset", "tls", "too_large", "other"]


@dataclass(frozen=True, slots=True)
class Request:
    """One GET to a provider, as data. Transport adds the base URL and the key when it sends it.

    `path` starts with a slash; `params` keep their order. `instruments` are the ones (in our grammar) whose data
    this request asks for, so that a failed part can be asked for again by itself. `weight` is its cost in the
    provider's own unit. `start` and `end` bound the part of the window it covers, half-open, where it has bounds.
    `timeout_s` is for an answer known to be slow (or quick); transport keeps it within its own bounds. `follows`: it
    asks for what the page before it left out (the pipeline says so, not the provider).
    """

    path: str
    params: tuple[tuple[str, str], ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    instruments: tuple[str, ...] = ()
    weight: int = 1
    start: datetime | None = None
    end: datetime | None = None
    timeout_s: float | None = None
    follows: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete HTTP response, whatever its status. Header names are lower case; the body is decompressed.

    `sent_at` is the observation's time (`observed_at` in the tables): what the provider said can't be older than the
    moment it was asked. `received_at` dates a quote that carries no time of its own.
    """

    request: Request
    status: int
    headers: Mapping[str, str]
    body: bytes
    sent_at: datetime
    received_at: datetime

    @property
    def said_at(self) -> datetime:
        """Return when the provider said it: `sent_at`, or by its own clock (Date) where that is behind.

        A server whose clock is behind, or a cache, answers with bars that still formed then, and by our clock are over.
        """
        try:
            theirs = parsedate_to_datetime(self.headers["date"])
        except (KeyError, ValueError):
            return self.sent_at
        behind = self.sent_at - (theirs if theirs.tzinfo else theirs.replace(tzinfo=UTC))
        return self.sent_at - behind if _CLOCKS_DIFFER < behind < _CLOCK_IS_BROKEN else self.sent_at


@dataclass(frozen=True, slots=True)
class Failure:
    """A request that got no complete response. `detail` is already redacted and fit for a log."""

    request: Request
    kind: FailureKind
    detail: str
    sent_at: datetime
    received_at: datetime


@dataclass(frozen=True, slots=True)
class Limit:
    """What a provider allows: `amount` of `unit` in any `per_s` seconds. `source` says where that stands.

    `resets` names the time zone whose midnight (or first of the month, for windows of over 27 days) begins a new
    window, where the provider says so; else the window slides. `datasets` are those that count in it; empty: all.
    """

    amount: int
    per_s: int
    source: str
    unit: Literal["requests", "weight"] = "requests"
    resets: str | None = None
    datasets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class KeySpec:
    """Which credential a provider takes, and how. `env` names the variable it is read from, `also` older names of it.

    `prefix` stands before the key where it is sent (`Bearer `). `datasets` are those it is sent with; empty: all.
    `beside` is a second part without which the first is worth nothing: a crumb beside a cookie.
    """

    env: str
    place: Literal["query", "header"]
    name: str
    required: bool
    where_to_get: str
    also: tuple[str, ...] = ()
    prefix: str = ""
    datasets: tuple[str, ...] = ()
    beside: KeySpec | None = None

    @property
    def parts(self) -> tuple[KeySpec, ...]:
        """Return it, and its second part where it has one."""
        return (self,) if self.beside is None else (self, self.beside)


@dataclass(frozen=True, slots=True)
class Key:
    """A credential and where it goes, behind its prefix. It enters a request at send time and nowhere else."""

    place: Literal["query", "header"]
    name: str
    value: str = field(repr=False)
    prefix: str = ""
    beside: Key | None = None

    @property
    def parts(self) -> tuple[Key, ...]:
        """Return it, and its second part where it has one: both are sent, both are secrets."""
        return (self,) if self.beside is None else (self, self.beside)

    @property
    def pool(self) -> str:
        """Return the name under which what this key uses is counted: the same everywhere, and not the key."""
        values = " ".join(part.value for part in self.parts)
        return sha256(b"tickfarm pool " + values.encode()).hexdigest()[:_POOL_DIGITS]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a provider's requests go in this farm: base URL (no trailing slash) and the key, if it has one.

    `pool` names the credential whose limits count, without telling it: '' where there is no key.
    """

    base_url: str
    key: Key | None = None
    pool: str = ""
