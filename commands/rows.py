"""Stored rows on stdout or in a file: as a table, CSV, JSON lines or Parquet.

Deliberately not here: reading (ingest/pipeline/read.py), formats (ingest/pipeline/export.py). Only commands/data.py
imports this file, when it runs: it loads polars. Invariant: a range of any size is written in bounded memory, and a
file is there whole or not at all.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from sqlalchemy.orm import Session, sessionmaker

from commands.orders import Order
from commands.terminal import err, fail, open_context, out
from ingest.errors import FixRequest
from ingest.market.times import parse_time
from ingest.pipeline.context import Context
from ingest.pipeline.export import csv_chunks, json_chunks, write_parquet
from ingest.pipeline.fallback import Ranked, rank, ranked_rows
from ingest.pipeline.months import month_files, parts_of
from ingest.pipeline.pages import Asked, frames_of
from ingest.pipeline.read import find, stored, within
from local.shown_rows import rows_table

#: The newest rows of each instrument that a table shows unless it is told how many.
TABLE_ROWS = 20


def write_rows(order: Order) -> None:
    """Write what is ordered. Raises FixRequest for what can't be; a reader that went away is no error."""
    if order.form == "parquet" and order.file is None and sys.stdout.isatty():
        raise FixRequest("Parquet is nothing for a terminal: give --out FILE, or redirect stdout")
    start, end, as_of = (None if one is None else parse_time(one) for one in (order.start, order.end, order.as_of))
    context = open_context()
    with context.sessions() as session:
        wanted = find(session, order.provider, order.dataset, order.instruments, interval=order.interval)
        wanted = within(wanted, start=start, end=end, last=order.last, final_only=order.final_only, as_of=as_of)
        asked: Asked = wanted
        if order.fallback:
            asked = rank(session, order.provider, wanted, order.fallback, interval=order.interval)
    try:
        with _opened(order.file) as file:
            _write(context, asked, order, file)
            file.flush()
    except BrokenPipeError:
        # Who reads has seen enough (`| head`): no error. What Python still holds for stdout must not fail at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        fail(f"can't write {order.file or 'stdout'}: {error.strerror}")


def _write(context: Context, asked: Asked, order: Order, file: BinaryIO) -> None:
    frames, empty = frames_of(context.sessions, asked)
    match order.form:
        case "table":
            file.writelines(_table(context.sessions, asked))
        case "csv":
            file.writelines(csv_chunks(frames, order.dataset, empty=empty))
        case "json":
            file.writelines(json_chunks(frames, order.dataset))
        case "parquet":
            months = parts_of(context.sessions, asked, month_files(context.settings), datetime.now(UTC))
            with tempfile.TemporaryDirectory(prefix="tickfarm-parquet-") as folder, months as (parts, empty):
                whole = Path(folder) / "rows.parquet"
                write_parquet(parts, order.dataset, whole, empty=empty)
                with whole.open("rb") as made:
                    shutil.copyfileobj(made, file)


def _table(sessions: sessionmaker[Session], asked: Asked) -> Iterable[bytes]:
    """Yield the table; say on stderr what it leaves out."""
    # One row more than is shown says whether there are more.
    most = asked.last or TABLE_ROWS + 1
    if isinstance(asked, Ranked):
        frame = ranked_rows(sessions, asked.newest(most))
    else:
        frame = stored(sessions, replace(asked, last=most))
    if not frame.height:
        err.print("no rows are stored there")
        return
    shown = frame if asked.last else frame.group_by("instrument", maintain_order=True).tail(TABLE_ROWS)
    with out.capture() as captured:
        out.print(rows_table(shown.rows(named=True)))
    yield captured.get().encode()
    if shown.height < frame.height:
        err.print(f"the newest {TABLE_ROWS} of each instrument; for more: --last N, or --format csv", soft_wrap=True)


@contextmanager
def _opened(file: Path | None) -> Iterator[BinaryIO]:
    """Yield what to write to: stdout, or a draft beside the file that takes its place once it is whole."""
    if file is None:
        yield sys.stdout.buffer
        return
    if file.exists() and not file.is_file():  # a pipe or a device has no whole
        with _writable(file, file) as opened:
            yield opened
        return
    target = file.resolve()  # a link stays one
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    opened = _writable(file, draft)
    try:
        with opened:
            yield opened
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)


def _writable(file: Path, opens: Path) -> BinaryIO:
    try:
        return opens.open("wb")
    except OSError as error:
        raise FixRequest(f"can't write {file}: {error.strerror}") from error
