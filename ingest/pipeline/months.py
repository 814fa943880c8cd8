"""Months: settled months of a series, kept as Parquet files, so that a file of years is made of files and not of rows.

A file's name holds a key: the versions of the month's days in the ledger. Whatever changes a row writes its day's row
in the same transaction (models/ledger.py), so a file whose key is the ledger's holds what the table holds. Deliberately
not here: what is read of the table (read), how files are joined into one (export). Invariant: a file is taken only
while the ledger says its key, whole, and of settled days; a row that was altered past the farm is seen by a scrub,
which takes the key away.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from itertools import chain, groupby
from operator import itemgetter
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

import polars as pl
import structlog
from sqlalchemy import bindparam, text
from sqlalchemy.orm import Session, sessionmaker

from ingest.market.intervals import SECONDS
from ingest.market.times import midnight
from ingest.pipeline.export import Part, write_parquet
from ingest.pipeline.pages import Asked, frames_of
from ingest.pipeline.read import Texts, Wanted, texts
from ingest.settings import Settings, home
from models.ledger import SETTLED

#: A month of fewer rows is not worth a file; one of more would fill the folder by itself.
LEAST_ROWS, MOST_ROWS = 5_000, 5_000_000
_DATASETS = ("bars", "trades", "quotes")
_DENSE = [interval for interval, width in SECONDS.items() if 28 * 86_400 // width >= LEAST_ROWS]
#: What the files hold: another number once other columns or types are written.
_FORM = 1
_DRAFT_S = 3_600
_MIB = 1 << 20
#: `xmin` is the transaction that wrote this version of the day.
_MONTHS = text(f"""
    SELECT series_id, month, md5(string_agg(concat_ws('|', {_FORM}, created_at, instrument, day, days.xmin, stored,
        final, hash, days.updated_at), ' ' ORDER BY day)) AS key
    FROM series JOIN (SELECT *, xmin, date_trunc('month', day::timestamp)::date AS month FROM ledger) AS days
        ON days.series_id = series.id
    WHERE series_id IN :ids AND day >= :first AND day < :past AND (dataset <> 'bars' OR interval IN :dense)
    GROUP BY series_id, month
    HAVING sum(stored) BETWEEN {LEAST_ROWS} AND {MOST_ROWS} AND sum(stored) = sum(final)
        AND bool_and(state IN :settled)
    ORDER BY series_id, month
""").bindparams(*(bindparam(name, expanding=True) for name in ("ids", "dense", "settled")))
_T = TypeVar("_T")

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Month:
    """A month of a series that may be a file."""

    series_id: int
    first: date
    key: str

    @property
    def name(self) -> str:
        """Return what its file's name begins with."""
        return f"{self.series_id}-{self.first:%Y-%m}-"


@dataclass(frozen=True, slots=True)
class _Stretch:
    """What is read at once: of a whole month that may be kept, or of what lies between."""

    wanted: Wanted
    month: _Month | None = None


class MonthFiles:
    """A folder of months, bounded: what nobody asked for longest goes first. Several processes may share it."""

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self._folder = folder
        self._most_bytes = most_bytes

    def take(self, month: _Month, into: Path) -> Path | None:
        """Return a copy of the month's file that nobody takes away, None where there is none that is whole."""
        for file in self._folder.glob(f"{month.name}{month.key}-*.parquet"):
            own = into / file.name
            try:
                shutil.copyfile(file, own)
                os.utime(file)
                if file.stem.rpartition("-")[2] == _digest(own):
                    return own
                log.warning("month_file_spoilt", file=file.name)
                _remove(file)
            except OSError as error:  # another process has made room, or the file is another user's
                log.info("month_not_taken", file=file.name, why=error.strerror)
        return None

    def keep(self, month: _Month, made: Path) -> None:
        """Put a month's file into the folder in place of older ones of the same month. A full disk is no error."""
        draft = self._folder / f"{uuid4()}.draft"
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with made.open("rb") as source, draft.open("wb") as copy:
                shutil.copyfileobj(source, copy)
                copy.flush()
                os.fsync(copy.fileno())
            for old in self._folder.glob(f"{month.name}*.parquet"):
                _remove(old)
            draft.replace(self._folder / f"{month.name}{month.key}-{_digest(made)}.parquet")
        except OSError as error:
            log.warning("month_not_kept", month=month.name, why=error.strerror)
        finally:
            _remove(draft)

    def make_room(self, now: datetime) -> None:
        """Take away what is more than the folder may hold, and drafts that were left behind."""
        kept = []
        for file in self._folder.glob("*"):
            with suppress(FileNotFoundError):
                about = file.stat()
                kept.append((about.st_mtime, about.st_size, file))
        size = 0
        for at, bytes_, file in sorted(kept, reverse=True):
            size += bytes_
            if size > self._most_bytes or (file.suffix == ".draft" and at < now.timestamp() - _DRAFT_S):
                _remove(file)


def _remove(file: Path) -> None:
    with suppress(OSError):  # another process has, or may
        file.unlink()


def month_files(config: Settings) -> MonthFiles | None:
    """Return the folder of months of this machine; None where a setting says that there is none."""
    size = config.tickfarm_export_cache_mb
    return MonthFiles(home() / "months", size * _MIB) if size else None


@contextmanager
def parts_of(
    sessions: sessionmaker[Session], asked: Asked, files: MonthFiles | None, now: datetime
) -> Iterator[tuple[Iterator[Part], pl.DataFrame]]:
    """Yield the parts of all the rows, in their order, and a frame of their columns without any.

    Months that are whole and settled come from their files, and are kept for who asks next where there is no file yet.
    """
    frames, empty = frames_of(sessions, asked)
    if not isinstance(asked, Wanted):
        yield _ahead(frames), empty
    elif files is not None and (months := _months(sessions, asked, now)):
        with tempfile.TemporaryDirectory(prefix="tickfarm-months-") as folder:
            yield _parts(sessions, asked, months, files, Path(folder), now), empty
        files.make_room(now)
    else:
        yield (one.frame() for one in _ahead(texts(sessions, asked))), empty


def _parts(
    sessions: sessionmaker[Session],
    asked: Wanted,
    months: Sequence[_Month],
    files: MonthFiles,
    folder: Path,
    now: datetime,
) -> Iterator[Part]:
    """Yield months as files, of others than are there already after they are made, and what lies between as frames."""

    def read() -> Iterator[tuple[_Stretch, Texts | Path]]:
        for stretch in _stretches(asked, months):
            taken = None if stretch.month is None else files.take(stretch.month, folder)
            yield from ((stretch, one) for one in (texts(sessions, stretch.wanted) if taken is None else [taken]))

    for stretch, alike in groupby(_ahead(read()), key=itemgetter(0)):
        parts = (part if isinstance(part, Path) else part.frame() for _, part in alike)
        if stretch.month is None:
            yield from parts
            continue
        first = next(parts)
        if isinstance(first, Path):
            yield first
            continue
        made = folder / f"{stretch.month.name}made.parquet"
        write_parquet(chain([first], parts), asked.dataset, made, tight=True)
        if stretch.month in _months(sessions, stretch.wanted, now):  # nothing has changed while it was read
            files.keep(stretch.month, made)
        yield made


def _months(sessions: sessionmaker[Session], asked: Wanted, now: datetime) -> list[_Month]:
    """Return the months that may be files, of what is wanted and over. One query over the ledger's days."""
    if asked.dataset not in _DATASETS or asked.as_of or asked.last or asked.behind or asked.most_rows:
        return []
    first = date.min if asked.start is None else _month_behind(asked.start)
    past = min(asked.end or now, now).astimezone(UTC).date().replace(day=1)
    wanted = {"ids": list(asked.series.values()), "first": first, "past": past, "dense": _DENSE, "settled": SETTLED}
    if first >= past or not asked.series:
        return []
    with sessions() as session:
        return [_Month(*row) for row in session.execute(_MONTHS, wanted)]


def _month_behind(moment: datetime) -> date:
    """Return the first day of the first month that begins at the moment or after it."""
    day = moment.astimezone(UTC).date().replace(day=1)
    return day if midnight(day) >= moment else _month_after(day)


def _month_after(first: date) -> date:
    return (first + timedelta(days=31)).replace(day=1)


def _stretches(asked: Wanted, months: Iterable[_Month]) -> Iterator[_Stretch]:
    """Yield what to read one after the other; series without any month together."""
    by_series: dict[int, list[_Month]] = {}
    for month in months:
        by_series.setdefault(month.series_id, []).append(month)
    for has_months, names in groupby(asked.series, key=lambda name: asked.series[name] in by_series):
        series = {name: asked.series[name] for name in names}
        if not has_months:
            yield _Stretch(replace(asked, series=series))
            continue
        for name, series_id in series.items():
            yield from _cut(replace(asked, series={name: series_id}), by_series[series_id])


def _cut(one: Wanted, months: Iterable[_Month]) -> Iterator[_Stretch]:
    """Yield the months of a series, ascending, and what lies before, between and behind them."""
    start = one.start
    for month in months:
        first, past = midnight(month.first), midnight(_month_after(month.first))
        if start is None or start < first:
            yield _Stretch(replace(one, start=start, end=first))
        yield _Stretch(replace(one, start=first, end=past), month)
        start = past
    if one.end is None or (start is not None and start < one.end):
        yield _Stretch(replace(one, start=start))


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()[:32]


def _ahead(parts: Iterable[_T]) -> Iterator[_T]:
    """Yield the same while the next one is read: PostgreSQL takes as long for it as we for this one."""
    waiting = iter(parts)
    with ThreadPoolExecutor(1) as reader:
        following = reader.submit(next, waiting, None)
        while (part := following.result()) is not None:
            following = reader.submit(next, waiting, None)
            yield part
