"""What a person sees of a replay: the rows that would differ.

Deliberately not here: what is asked of the archive and the database.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rich.table import Table

_LETTERS = 40


def differences_table(rows: Iterable[Mapping[str, Any]]) -> Table:
    """Return the table of rows that would be new or say something else: of these only the columns that differ."""
    table = Table("instrument", "ts", "stored", "read anew", box=None, pad_edge=False)
    for row in rows:
        old, new = row["old"], row["new"]
        names = [name for name, value in new.items() if value is not None and (old is None or old[name] != value)]
        names += [name for name in old or () if old[name] is not None and new[name] is None]
        key = "" if row["key"] is None else f" #{row['key']}"
        stored = "-" if old is None else _values(old, names)
        table.add_row(row["instrument"], f"{row['ts']:%Y-%m-%d %H:%M:%S}{key}", stored, _values(new, names))
    return table


def _values(row: Mapping[str, Any], names: Iterable[str]) -> str:
    return " ".join(f"{name}={str(row[name])[:_LETTERS]}" for name in names)
