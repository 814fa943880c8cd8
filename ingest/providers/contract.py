"""What a provider file contains: facts as data and pure functions.

    build(query)               -> the requests that answer it
    next_page(request, answer) -> the request for the page after this one, or None
    error_of(answer)           -> the error the provider put into it (even with status 200), or None
    parse(query, answer)       -> columns and rejected rows
    catalogue(text), listed(answer) -> the request for the list of instruments, or for a search, and what it lists
    native_symbol(instrument), instrument_of(native) -> the provider's spelling, and back

Nothing in a provider sleeps, retries, logs, opens a socket, reads the clock or the environment. It raises only
`FixRequest` from `build` (a query the provider can't answer) and `BadData` from `parse` (a page that is no page).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol

from ingest.errors import TickfarmError
from ingest.market.markets import CURRENCIES, METALS
from ingest.market.records import Dataset, Parsed
from ingest.market.sessions import Calendar
from ingest.market.symbols import is_pair, legs
from ingest.wire import Answer, KeySpec, Limit, Request

#: What is worked into a bar's prices: nothing, splits, or splits and dividends.
Adjustment = Literal["none", "splits", "all"]

_MIC = re.compile(r"X[A-Z]{3}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Query:
    """What is wanted of one provider: a dataset of some instruments, in `[start, end)` UTC.

    No `start` means the newest rows only (a live poll), where `end` is now; quotes and books never have one. `interval`
    is set for bars and None elsewhere. `has_key`: the provider's key goes with the requests, which may open a better
    address; what `parse` reads is told by the request.
    """

    dataset: Dataset
    instruments: tuple[str, ...]
    interval: str | None = None
    start: datetime | None = None
    end: datetime | None = None
    has_key: bool = False


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
    #: "contiguous": a market's trades are numbered one after another, so that a hole in the numbers is a trade missing
    trade_ids: Literal["contiguous", "unique"] = "unique"
    #: bars that can be asked back from now at most; None where the whole history can be
    reach_bars: int | None = None
    #: days that can be asked back from now at most, by interval (bars) or dataset; all of it where none is named
    reach_days: Mapping[str, int] = field(default_factory=dict)
    #: when its instruments trade: "always" or "ecb", all of them; or the MIC of the exchange where its shares do, and
    #: then pairs of money trade like money and pairs of coins always
    trading: Calendar = "always"
    #: suffix of a share -> MIC, where it has shares of other exchanges; an X and three letters are a MIC as well
    exchanges: Mapping[str, str] = field(default_factory=dict)
    #: seconds before now up to which it can be asked: a window without an end of its own ends there
    lag_s: float = 0.0
    #: what is already worked into the prices of its bars
    adjustment: Adjustment = "none"
    #: the same of names that begin with a part of this, where it has bars of several kinds: `ADJUSTED.AAPL`
    adjustments: Mapping[str, Adjustment] = field(default_factory=dict)
    #: whose trades the volume of a share's bars counts: those of all venues, or of the provider's own alone
    volume: Literal["consolidated", "venue"] = "consolidated"
    #: datasets that need more than the free plan, and what: `news: "All-in-One"`
    paid: Mapping[str, str] = field(default_factory=dict)
    #: what it has that is not asked for, and why: `intraday bars: "each row is the day so far"`
    left_out: Mapping[str, str] = field(default_factory=dict)
    #: what each row costs, where a request is not free: then it is asked nothing until a monthly cap is set
    charge: str | None = None
    #: other names that people know it by; the first is its former one where it was renamed
    aliases: tuple[str, ...] = ()
    lifecycle: Literal["live", "renamed", "retired"] = "live"
    #: since when it is renamed or retired, and what to do about it: "2024-08-31: use polygon or yahoo"
    lifecycle_note: str = ""


def calendar_of(facts: Facts, instrument: str) -> Calendar:
    """Return the calendar by which an instrument trades at a provider."""
    if facts.trading in ("always", "ecb"):
        return facts.trading
    if is_pair(instrument):
        return "fx" if set(legs(instrument)) <= CURRENCIES | METALS else "always"
    suffix = instrument.rpartition(".")[2] if "." in instrument else ""
    return facts.exchanges.get(suffix) or (suffix if facts.exchanges and _MIC.fullmatch(suffix) else facts.trading)


def adjustment_of(facts: Facts, instrument: str) -> Adjustment:
    """Return what is worked into the prices of an instrument's bars at a provider."""
    kind, dot, _ = instrument.partition(".")
    return facts.adjustments.get(kind, facts.adjustment) if dot else facts.adjustment


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

    def native_symbol(self, instrument: str) -> str:
        """Return the provider's spelling (of bars, where it has several). Raises FixRequest for what it can't have."""

    def instrument_of(self, native: str) -> str | None:
        """Return our spelling of a native symbol, None where our grammar has none for it."""

    def catalogue(self, text: str = "") -> Request | None:
        """Return the request for the list of instruments, or None where there is none.

        With `text`, a provider that can only be searched returns the search for it; one that lists all ignores it.
        """

    def listed(self, answer: Answer) -> list[str]:
        """Return the instruments of such an answer. Raises BadData when it can't be read."""

    def parse(self, query: Query, answer: Answer) -> Parsed:
        """Return the rows of a good answer as columns. Raises BadData when the page can't be read at all."""
