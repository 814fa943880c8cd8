"""The datasets and the columns of a batch of each.

A batch is columnar from the provider's answer to the COPY: one list (or polars column) a field. Prices and sizes are
decimal strings exactly as the provider wrote them; PostgreSQL turns them into NUMERIC. Deliberately not here: polars,
because provider files import this one and a worker's parent process must not load polars before it forks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Dataset = Literal["bars", "quotes"]
DATASETS: tuple[Dataset, ...] = ("bars", "quotes")

#: Every value column of a dataset, in table order; `instrument` and `ts` come before them in each batch.
VALUE_COLUMNS: Mapping[Dataset, tuple[str, ...]] = {
    "bars": ("open", "high", "low", "close", "volume", "adjusted_close", "quote_volume", "trade_count"),
    "quotes": ("bid", "bid_size", "ask", "ask_size", "last"),
}
#: Columns without which a row means nothing: a null there is a finding.
REQUIRED_COLUMNS: Mapping[Dataset, tuple[str, ...]] = {
    "bars": ("open", "high", "low", "close"),
    "quotes": ("bid", "ask"),
}

TimeUnit = Literal["s", "ms", "us", "ns", "date"]


@dataclass(frozen=True, slots=True)
class Reject:
    """A row whose shape the provider's parser could not read: which, and why."""

    instrument: str | None
    rule: str
    reason: str
    row: str  # the row as the provider wrote it, cut to a readable length


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a provider's `parse` makes of one answer.

    `columns` holds equally long lists: `instrument` (our grammar), `ts` (integers of `time_unit`, or ISO dates for
    `date`; None throughout where the provider sends no time: then the receive time dates the row), and any of
    `VALUE_COLUMNS` of the dataset as decimal strings or None. Rows stand in the provider's order, repeats included.
    """

    columns: Mapping[str, list[Any]]
    time_unit: TimeUnit
    rejects: tuple[Reject, ...] = field(default=())
