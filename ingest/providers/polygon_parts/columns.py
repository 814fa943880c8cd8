"""What polygon's rows have in common: they are read one by one into columns, and only of what was asked for.

Deliberately not here: what a row means (rows.py, facts_rows.py). Invariant: each row is a value in every column, or a
Reject.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ingest.market.records import Parsed, Reject
from ingest.providers import answers

Row = tuple[Any, ...]


def table(
    names: Sequence[str],
    rows: Sequence[Any],
    read: Callable[[Any], Row | None],
    shape: str,
    instrument: str | None,
    unit: Any,
) -> Parsed:
    """Return what `read` makes of the rows by column, `instrument` first, and a Reject for each it makes nothing of."""
    found: list[Row] = []
    rejects: list[Reject] = []
    for raw in rows:
        row = read(raw)
        if row is None:
            rejects.append(answers.reject(raw, rule="wrong_shape", reason=shape, instrument=instrument))
        else:
            found.append(row)
    columns = list(zip(*found, strict=True)) or [()] * (len(names) + 1)
    return Parsed(dict(zip(("instrument", *names), map(list, columns), strict=True)), unit, tuple(rejects))


def is_among(ticker: Any, tickers: Mapping[str, str]) -> bool:
    return type(ticker) is str and ticker in tickers
