"""What a provider file contains: facts as data and pure functions.

    build(query)               -> the requests that answer it
    next_page(request, answer) -> the request for the page after this one, or None
    error_of(answer)           -> the error the provider put into it (even with status 200), or None
    parse(query, answer)       -> columns and rejected rows
    catalogue(), listed(answer) -> the request for the list of instruments, and what it lists

Nothing in a provider sleeps, retries, logs, opens a socket, reads the clock or the environment. It raises only
`FixRequest` from `build` (a query the provider can't answer) and `BadData` from `parse` (a page that is no page).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from ingest.errors import TickfarmError
from ingest.market.records import Dataset, Parsed
from ingest.wire import Answer, Limit, Request


@dataclass(frozen=True, slots=True)
class Query:
    """What is wanted of one provider: a dataset of some instruments, in `[start, end)` UTC.

    No `start` means the newest rows only (a live poll); quotes and books never have one. `interval` is set for bars
    and None elsewhere.
    """

    dataset: Dataset
    instruments: tuple[str, ...]
    interval: str | None = None
    start: datetime | None = None
    end: datetime | None = None


@dataclass(frozen=True, slots=True)
class KeySpec:
    """Which credential a provider takes, and how. `env` names the variable it is read from."""

    env: str
    place: Literal["query", "header"]
    name: str
    required: bool
    where_to_get: str


@dataclass(frozen=True, slots=True)
class UsageHeader:
    """A header (lower case) in which a provider says how much of a limit is used, or left of its amount."""

    name: str
    per_s: int
    unit: Literal["requests", "weight"] = "requests"
    says: Literal["used", "left"] = "used"


@dataclass(frozen=True, slots=True)
class Facts:
    """What a provider is and allows. Every number has its source beside it in the provider's file."""

    name: str
    title: str
    base_url: str
    docs_url: str
    terms_url: str
    datasets: tuple[Dataset, ...]
    #: our interval -> the provider's spelling; an interval that is absent does not exist there
    intervals: Mapping[str, str]
    #: rows a page holds at most
    page_rows: int
    #: seconds after a bar's end before the provider's figure for it is taken as final
    settle_s: float
    limits: tuple[Limit, ...]
    key: KeySpec | None = None
    #: what holds without a key, where that is less
    keyless_limits: tuple[Limit, ...] | None = None
    #: what holds on a plan that is paid for, by the plan's name (TICKFARM_PROVIDERS__<NAME>__PLAN)
    plans: Mapping[str, tuple[Limit, ...]] | None = None
    #: other addresses that serve the same, in the order in which they are tried when the first is ill
    mirrors: tuple[str, ...] = ()
    #: requests that may be out at the same time, where the provider says so
    at_once: int | None = None
    usage_headers: tuple[UsageHeader, ...] = ()
    #: instruments that fit into one request, per dataset (1 where the provider takes one symbol at a time)
    batch: Mapping[str, int] | None = None
    #: whether every interval has a bar, traded or not: then a page with fewer than its window holds is short
    has_every_bar: bool = False
    #: bars that can be asked back from now at most; None where the whole history can be
    reach_bars: int | None = None
    #: "always": around the clock; "sessions": exchange days
    trading: Literal["always", "sessions"] = "always"
    lifecycle: Literal["live", "renamed", "retired"] = "live"


class Provider(Protocol):
    """A provider file as seen by the pipeline: the module's own functions satisfy it."""

    facts: Facts

    def build(self, query: Query) -> list[Request]:
        """Return the requests that together answer the query, each naming its instruments and its part of the window.

        Raises FixRequest (UnknownName) for a dataset, interval or instrument the provider does not have.
        """

    def next_page(self, request: Request, answer: Answer) -> Request | None:
        """Return the request for the following page, or None after the last."""

    def error_of(self, answer: Answer) -> TickfarmError | None:
        """Return the error the provider sent, whatever the status: TryAgain, SlowDown, FixRequest or BadData."""

    def catalogue(self) -> Request | None:
        """Return the request for the list of instruments, or None where the provider has none."""

    def listed(self, answer: Answer) -> list[str]:
        """Return the instruments of a catalogue's answer. Raises BadData when it can't be read."""

    def parse(self, query: Query, answer: Answer) -> Parsed:
        """Return the rows of a good answer as columns. Raises BadData when the page can't be read at all."""
