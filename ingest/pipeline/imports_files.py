"""Files to import, as frames of what stands in them, chunk by chunk: CSV as text, Parquet as it is typed.

Deliberately not here: what the columns mean (imports_rows). Invariant: a file of any size is read in bounded memory;
what can't be read is a FixRequest, whatever is in it; a line of CSV with more or fewer fields than the header no row.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Literal, TextIO

import polars as pl
from polars.exceptions import PanicException, PolarsError

from ingest.errors import FixRequest
from ingest.market.records import Reject

_PARQUET = b"PAR1"
_PACKED = {b"\x1f\x8b": "gzip", b"PK\x03\x04": "zip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"(\xb5/\xfd": "zstd"}
#: A header is never as long; what has no line end in so many characters is no CSV.
_LONGEST_HEADER = 100_000
_SHOWN = 200
_QUOTED = re.compile(r'"(?:[^"]|"")*"')
_LINE = re.compile(f'(?:{_QUOTED.pattern}|[^",]*)(?:,(?:{_QUOTED.pattern}|[^",]*))*')


@dataclass(frozen=True, slots=True)
class Chunk:
    """Rows as they stand in the file, where each stands, and the lines that are no rows."""

    frame: pl.DataFrame
    places: pl.Series
    rejects: Sequence[Reject] = field(default=())


@dataclass(frozen=True, slots=True)
class Table:
    """A file of rows: its columns and their types. Places are lines of CSV (the header is 1), rows of Parquet."""

    file: Path
    columns: Mapping[str, pl.DataType]
    place: Literal["line", "row"]
    written_at: datetime
    size_bytes: int

    def chunks(self, rows: int) -> Iterator[Chunk]:
        """Yield all of it, so many rows at a time at most. Raises FixRequest where it can't be read on."""
        return _lines(self, rows) if self.place == "line" else _groups(self, rows)


def open_table(file: Path) -> Table:
    """Return what the file has. Raises FixRequest for what is neither CSV nor Parquet."""
    try:
        with file.open("rb") as opened:
            begins = opened.read(8)
        stat = file.stat()
    except OSError as error:
        raise FixRequest(f"can't read {file}: {error.strerror}") from error
    for magic, name in _PACKED.items():
        if begins.startswith(magic):
            raise FixRequest(f"{file} is packed with {name}: unpack it first")
    written_at = datetime.fromtimestamp(stat.st_mtime, UTC)
    if begins.startswith(_PARQUET):
        with _reading(file, "it is no whole Parquet file"):
            schema = pl.scan_parquet(file, glob=False, hive_partitioning=False).collect_schema()
        return Table(file, schema, "row", written_at, stat.st_size)
    with _text(file) as opened_text:
        header = opened_text.readline(_LONGEST_HEADER)
    names = next(csv.reader([header]), [])
    if not begins or not names:
        raise FixRequest(f"{file} is empty: expected CSV with a header, or Parquet")
    if len(header) == _LONGEST_HEADER or not all(name.isprintable() for name in names):
        raise FixRequest(f"{file} is neither CSV with a header nor Parquet")
    if len(set(names)) < len(names):
        raise FixRequest(f"{file} has a column twice: {', '.join(names)[:_SHOWN]}")
    return Table(file, dict.fromkeys(names, pl.String()), "line", written_at, stat.st_size)


@contextmanager
def _text(file: Path) -> Iterator[TextIO]:
    try:
        with file.open(encoding="utf-8-sig") as opened:
            yield opened
    except UnicodeDecodeError as error:
        raise FixRequest(f"{file} is neither Parquet nor text in UTF-8 ({error.reason})") from error


@contextmanager
def _reading(file: Path, what: str) -> Iterator[None]:
    """Turn what polars says of a broken file into one line; corrupt Parquet makes it panic."""
    try:
        yield
    except (PolarsError, PanicException, OSError) as error:
        said = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise FixRequest(f"can't read {file}: {what} ({said[:_SHOWN]})") from error


def _lines(table: Table, rows: int) -> Iterator[Chunk]:
    with _text(table.file) as opened:
        opened.readline()
        first = 2
        while lines := list(islice(opened, rows)):
            yield _chunk(table, lines, first)
            first += len(lines)


def _chunk(table: Table, lines: Sequence[str], first: int) -> Chunk:
    good, places, rejects = [], [], []
    for number, line in enumerate((one.rstrip("\n") for one in lines), first):
        if not line:
            continue
        fields = line.count(",") + 1 if '"' not in line else _fields(line)
        if fields == len(table.columns):
            good.append(line)
            places.append(number)
        else:
            why = f"a line of {fields or 'unreadable'} fields in a file of {len(table.columns)} columns"
            shown = line[:_SHOWN].replace("\0", "\\0")  # which PostgreSQL's text can't hold
            rejects.append(Reject(None, "wrong_shape", why, f"line {number}: {shown}"))
    between = f"lines {first} to {first + len(lines) - 1} are no CSV"
    with _reading(table.file, between):
        frame = pl.read_csv(
            BytesIO("\n".join(good).encode()), has_header=False, schema=dict(table.columns), raise_if_empty=False
        )
    if frame.height != len(good):
        raise FixRequest(f"can't read {table.file}: {between}")
    return Chunk(frame, pl.Series(table.place, places, dtype=pl.Int64), rejects)


def _fields(line: str) -> int:
    """Return how many fields a line with quotes has; 0 where they are not as RFC 4180 has them."""
    return _QUOTED.sub("", line).count(",") + 1 if _LINE.fullmatch(line) else 0


def _groups(table: Table, rows: int) -> Iterator[Chunk]:
    first = 1
    lazy = pl.scan_parquet(table.file, glob=False, hive_partitioning=False)
    with _reading(table.file, "it can't be read to its end; what was read before that is imported"):
        for batch in lazy.collect_batches(chunk_size=rows, maintain_order=True):
            for frame in batch.iter_slices(rows):
                places = pl.int_range(first, first + frame.height, dtype=pl.Int64, eager=True)
                yield Chunk(frame, places.alias(table.place))
                first += frame.height
