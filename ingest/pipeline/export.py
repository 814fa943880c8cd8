"""Export: stored rows as CSV, JSON lines, Parquet and Arrow, chunk by chunk: a range of any size fits in memory.

Deliberately not here: reading (read) and where the bytes go (commands/data.py, dashboard/api). Invariant: every digit
that is stored is in the file; what has to be cut to be held is written as text instead.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import polars as pl

from ingest.market.records import Dataset
from ingest.pipeline.exact import Digits, as_lists, digits_in, digits_of, exact, widened, widest
from ingest.pipeline.read import CHUNK_ROWS, no_rows

#: Rows to write: a frame of texts as it was read, or a Parquet file that `tight` wrote.
Part = pl.DataFrame | Path
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
    parts: Iterable[Part], dataset: Dataset, file: Path, *, empty: pl.DataFrame | None = None, tight: bool = False
) -> int:
    """Write a Parquet file of exact decimals, a row group a chunk; return the number of rows.

    `tight`: of decimals with no more digits than they need, to be a part of another file.
    """
    with _exact_rows(parts, dataset, empty, tight=tight) as (rows, count):
        rows.sink_parquet(file, row_group_size=CHUNK_ROWS[dataset], maintain_order=True)
    return count


def write_arrow(parts: Iterable[Part], dataset: Dataset, file: Path, *, empty: pl.DataFrame | None = None) -> int:
    """Write an Arrow file (IPC, also called Feather 2) of the same; return the number of rows."""
    with _exact_rows(parts, dataset, empty) as (rows, count):
        rows.sink_ipc(file, compression="lz4", compat_level=pl.CompatLevel.oldest(), maintain_order=True)
    return count


@dataclass(frozen=True, slots=True)
class _Lying:
    """A part as it lies on disk: Arrow that was written here, or Parquet."""

    file: Path
    digits: Mapping[str, Digits]

    @property
    def kind(self) -> tuple[str, Mapping[str, Digits]]:
        """Return what files have in common that are read as one."""
        return self.file.suffix, self.digits


@contextmanager
def _exact_rows(
    parts: Iterable[Part], dataset: Dataset, empty: pl.DataFrame | None, *, tight: bool = False
) -> Iterator[tuple[pl.LazyFrame, int]]:
    """Yield all rows with decimals in place of texts, and how many there are.

    How many places a column needs is known only when its last row was read, so the rows lie in a temporary folder
    (TMPDIR) until then, a file a chunk, and are not read from the database twice.
    """
    rows, lying = 0, list[_Lying]()
    with tempfile.TemporaryDirectory(prefix="tickfarm-export-") as folder:
        for at, part in enumerate(parts):
            if isinstance(part, Path):
                lying.append(_Lying(part, digits_in(pl.read_parquet_schema(part), dataset)))
                rows += pl.scan_parquet(part).select(pl.len()).collect().item()
            else:
                lying.append(_written(part, dataset, Path(folder) / f"{at}.arrow"))
                rows += part.height
        if not lying:  # no rows: still a schema
            lying.append(_written(_columns(dataset, empty), dataset, Path(folder) / "none.arrow"))
        types = widened(dataset, widest(one.digits for one in lying), tight=tight)
        scans = [_scan([one.file for one in alike]) for _, alike in groupby(lying, key=lambda one: one.kind)]
        yield pl.concat([one.with_columns(types) for one in scans]), rows


def _written(frame: pl.DataFrame, dataset: Dataset, file: Path) -> _Lying:
    digits = digits_of(frame, dataset)
    frame.with_columns(exact(dataset, digits)).write_ipc(file, compression="lz4")
    return _Lying(file, digits)


def _scan(files: list[Path]) -> pl.LazyFrame:
    return pl.scan_ipc(files) if files[0].suffix == ".arrow" else pl.scan_parquet(files)


def _columns(dataset: Dataset, empty: pl.DataFrame | None) -> pl.DataFrame:
    return no_rows(dataset) if empty is None else empty
