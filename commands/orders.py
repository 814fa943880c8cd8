"""What a command line asks for of the stored rows.

Deliberately not here: its arguments (commands/data.py), what is done about it (commands/rows.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ingest.market.records import Dataset

Format = Literal["table", "json", "csv", "parquet"]
_SUFFIXES: dict[str, Format] = {".csv": "csv", ".json": "json", ".jsonl": "json", ".parquet": "parquet"}


@dataclass(frozen=True, slots=True)
class Order:
    """Series, window, form and place; moments as they were written."""

    provider: str
    dataset: Dataset
    instruments: Sequence[str]
    interval: str | None
    start: str | None
    end: str | None
    last: int | None
    given_form: Format | None
    file: Path | None
    final_only: bool = False
    as_of: str | None = None
    #: whose bars stand in where the provider has none, the first choice first
    fallback: Sequence[str] = ()

    @property
    def form(self) -> Format:
        """Return the form that was given, or the one that the file's name ends with; else a table."""
        return self.given_form or _SUFFIXES.get(self.file.suffix if self.file else "", "table")
