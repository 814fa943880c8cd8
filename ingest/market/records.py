"""The datasets and the columns of a batch of each.

A batch is columnar from the provider's answer to the COPY: one list (or polars column) a field. Prices and sizes are
decimal strings exactly as the provider wrote them; PostgreSQL turns them into NUMERIC. Deliberately not here: polars,
because provider files import this one and a worker's parent process must not load polars before it forks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Dataset = Literal["bars", "trades", "quotes", "books"]
DATASETS: tuple[Dataset, ...] = ("bars", "trades", "quotes", "books")

#: Every value column of a dataset, in table order; `instrument` and `ts` come before them in each batch.
VALUE_COLUMNS: Mapping[Dataset, tuple[str, ...]] = {
    "bars": ("open", "high", "low", "close", "volume", "adjusted_close", "quote_volume", "trade_count"),
    "trades": ("trade_id", "price", "size", "side"),
    "quotes": ("bid", "bid_size", "ask", "ask_size", "last"),
    "books": ("bid_prices", "bid_sizes", "ask_prices", "ask_sizes", "sequence"),
}
#: A book's levels: one text a row, decimals joined by commas, the best price first; "" is a side without orders.
LEVEL_COLUMNS = ("bid_prices", "bid_sizes", "ask_prices", "ask_sizes")
#: Levels a side that are asked for and kept, where the provider has as many.
BOOK_LEVELS = 100
#: What tells a dataset's rows apart beside series and time: many trades share a millisecond.
KEY_COLUMNS: Mapping[Dataset, tuple[str, ...]] = {"bars": (), "trades": ("trade_id",), "quotes": (), "books": ()}
#: Columns without which a row means nothing: a null there is a finding.
REQUIRED_COLUMNS: Mapping[Dataset, tuple[str, ...]] = {
    "bars": ("open", "high", "low", "close"),
    "trades": ("trade_id", "price", "size"),
    "quotes": ("bid", "ask"),
    "books": LEVEL_COLUMNS,
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
    `VALUE_COLUMNS` of the dataset as decimal strings or None; `side` is the taker's, `buy` or `sell`; `trade_id` is
    the provider's own whole number. Rows stand in the provider's order, repeats included.
    """

    columns: Mapping[str, list[Any]]
    time_unit: TimeUnit
    rejects: tuple[Reject, ...] = field(default=())
