"""Rows that were read, as whoever asked wants them: a polars or pandas frame, or an Arrow table.

Deliberately not here: reading them (read), digits (exact). Invariant: no way out loses a digit unless floats are asked
for, and what is missing of a range goes with its rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from ingest.errors import FixRequest
from ingest.market.records import Dataset
from ingest.pipeline.exact import typed
from ingest.pipeline.read_gaps import Gap


class Rows:
    """Rows as they are stored, oldest first, each instrument's together, in the order they were asked for.

    `gaps`: of bars, what is missing of the range that was asked for (ingest/pipeline/read_gaps.py says what counts).
    """

    def __init__(self, dataset: Dataset, frame: pl.DataFrame, gaps: Sequence[Gap] = ()) -> None:
        self._dataset, self._frame = dataset, frame
        self.gaps = tuple(gaps)

    def __len__(self) -> int:
        return self._frame.height

    def __repr__(self) -> str:
        missing = sum(gap.rows for gap in self.gaps)
        return f"<{len(self):,} {self._dataset}{f', {missing:,} missing' if missing else ''}>"

    def to_polars(self, *, floats: bool = False) -> pl.DataFrame:
        """Return a frame. Numbers are Decimal(38, places) with every digit that is stored, or Float64.

        A column that needs more than 38 digits is text instead of decimals. A book's sides are lists, best level first.
        """
        return typed(self._frame, self._dataset, floats=floats)

    def to_pandas(self, *, floats: bool = False) -> Any:
        """Return a pandas DataFrame: `decimal.Decimal` objects with every digit, or float64.

        Raises FixRequest without pandas and pyarrow.
        """
        frame = self.to_polars(floats=floats)
        try:
            return frame.to_pandas()
        except ModuleNotFoundError as missing:
            raise FixRequest("to_pandas needs pandas and pyarrow: pip install 'tickfarm[pandas]'") from missing

    def to_arrow(self, *, floats: bool = False) -> Any:
        """Return a pyarrow Table: decimal128 with every digit, or double. Raises FixRequest without pyarrow."""
        frame = self.to_polars(floats=floats)
        try:
            return frame.to_arrow()
        except ModuleNotFoundError as missing:
            raise FixRequest("to_arrow needs pyarrow: pip install 'tickfarm[pandas]'") from missing
