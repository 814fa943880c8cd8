"""Export: stored rows as CSV, JSON lines, Parquet and Arrow, chunk by chunk: a range of any size fits in memory.

Deliberately not here: reading (read) and where the bytes go (commands/data.py, dashboard/api). Invariant: every digit
that is stored is in the file; what has to be cut to be held is written as text instead.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

import polars as pl

from ingest.market.records import Dataset
from ingest.pipeline.exact import as_lists, digits_of, exact, widest
from ingest.pipeline.read import CHUNK_ROWS, no_rows

#: ISO 8601 with the offset: what COPY and every library read.
_ISO = "%Y-%m-%dT%H:%M:%S%.f%:z"


def csv_chunks(
    frames: Iterable[pl.DataFrame], dataset: Dataset, *, empty: pl.DataFrame | None = None
) -> Iterator[bytes]:
    """Yield CSV, its header first: null as an empty field, levels as PostgreSQL's arrays, digits as they are stored.

    `empty`, here and below, has the frames' columns where they are others than `read`'s.
    """
    yield _columns(dataset, empty).write_csv().encode()
    for frame in frames:
        yield frame.write_csv(include_header=False, datetime_format=_ISO).encode()


def json_chunks(frames: Iterable[pl.DataFrame], dataset: Dataset) -> Iterator[bytes]:
    """Yield JSON lines, an object a row: exact numbers as strings, levels as lists of them, moments in ISO 8601."""
    for frame in frames:
        moments = (pl.col(name).dt.to_string(_ISO) for name in ("ts", "observed_at"))
        yield frame.with_columns(*moments, *as_lists(dataset)).write_ndjson().encode()


def write_parquet(
    frames: Iterable[pl.DataFrame], dataset: Dataset, file: Path, *, empty: pl.DataFrame | None = None
) -> int:
    """Write a Parquet file of exact decimals, a row group a chunk; return the number of rows."""
    with _exact_rows(frames, dataset, empty) as (rows, count):
        rows.sink_parquet(file, row_group_size=CHUNK_ROWS[dataset], maintain_order=True)
    return count


def write_arrow(
    frames: Iterable[pl.DataFrame], dataset: Dataset, file: Path, *, empty: pl.DataFrame | None = None
) -> int:
    """Write an Arrow file (IPC, also called Feather 2) of the same; return the number of rows."""
    with _exact_rows(frames, dataset, empty) as (rows, count):
        rows.sink_ipc(file, compression="lz4", compat_level=pl.CompatLevel.oldest(), maintain_order=True)
    return count


@contextmanager
def _exact_rows(
    frames: Iterable[pl.DataFrame], dataset: Dataset, empty: pl.DataFrame | None
) -> Iterator[tuple[pl.LazyFrame, int]]:
    """Yield all rows with decimals in place of texts, and how many there are.

    How many places a column needs is known only when its last row was read, so the rows lie in a temporary folder
    (TMPDIR) until then, a file a chunk, and are not read from the database twice.
    """
    rows = 0
    with tempfile.TemporaryDirectory(prefix="tickfarm-export-") as folder:
        parts, digits = [], []
        for at, frame in enumerate(chain([_columns(dataset, empty)], ahead(frames))):  # no rows: still a schema
            parts.append(Path(folder) / f"{at}.arrow")
            frame.write_ipc(parts[-1], compression="lz4")
            digits.append(digits_of(frame, dataset))
            rows += frame.height
        yield pl.scan_ipc(parts).with_columns(exact(dataset, widest(digits))), rows


def ahead(frames: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """Yield the same while the next one is read: PostgreSQL writes text as long as it takes to count its digits."""
    waiting = iter(frames)
    with ThreadPoolExecutor(1) as reader:
        following = reader.submit(next, waiting, None)
        while (frame := following.result()) is not None:
            following = reader.submit(next, waiting, None)
            yield frame


def _columns(dataset: Dataset, empty: pl.DataFrame | None) -> pl.DataFrame:
    return no_rows(dataset) if empty is None else empty
