"""Read: stored rows of one or many series, as columns of text.

Deliberately not here: numbers made of those texts (exact), formats (export), who asks (commands/data.py, farm.py,
dashboard/api; only they import this file, because it loads polars, which must not meet a fork). Invariant: a number is
the text that PostgreSQL writes, with all its digits.

A frame has the columns `instrument`, `ts` and `VALUE_COLUMNS` of its dataset, then `is_final` (bars only) and
`observed_at`; series stand in the order they were asked for, each from its oldest row to its newest. All rows are
read, bars that had not ended when they were observed too, unless `final_only` is asked for; as of a moment, what was
known then (known).

Rows come by COPY: 500,000 bars are a frame of decimals in an eighth of the time that it takes through SQLAlchemy's rows
(1.2 against 9.6 s, in one run).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from difflib import get_close_matches
from io import BytesIO
from typing import Any, NoReturn

import polars as pl
import psycopg2
from sqlalchemy import BigInteger, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session, sessionmaker

from ingest.errors import FixRequest, UnknownName
from ingest.market.records import DATASETS, KEY_COLUMNS, VALUE_COLUMNS, Dataset
from ingest.market.symbols import validate
from ingest.pipeline.known import Cut, check_as_of, known
from models import Series
from models.upsert import table_of

#: Rows a statement brings at most, so that memory stays bounded: some 10 MB of text. A book has 400 numbers, an article
#: a summary of up to some KB.
CHUNK_ROWS: Mapping[Dataset, int] = dict.fromkeys(DATASETS, 50_000) | {
    "books": 1_000,
    "news": 5_000,
    "posts": 10_000,
}
_NEAR = 5
_UTC_US = pl.Datetime("us", "UTC")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a read went so far: a row of an instrument by its key, `ts` first."""

    instrument: str
    key: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to read: series ids by instrument, rows of `[start, end)`, of these the newest `last` of each series.

    With `as_of`, what was known then: bars that were final, and of a date's observations the newest vintage. `behind`:
    of that place's instrument, which is the first, only the rows behind it, however many these are by now.
    """

    dataset: Dataset
    series: Mapping[str, int]
    start: datetime | None = None
    end: datetime | None = None
    last: int | None = None
    final_only: bool = False
    as_of: datetime | None = None
    behind: Place | None = None
    #: rows a statement brings at most, where these are fewer than `CHUNK_ROWS`
    most_rows: int | None = None

    @property
    def chunk_rows(self) -> int:
        """Return how many rows a statement brings at most."""
        usual = CHUNK_ROWS[self.dataset]
        return usual if self.most_rows is None else min(self.most_rows, usual)


def find(session: Session, provider: str, dataset: str, instruments: Sequence[str], *, interval: str | None) -> Wanted:
    """Return what to read of these series, with no window yet (`within` adds it). One round trip.

    Raises FixRequest where the names can't be read, and UnknownName, with what is near, where nothing is stored under
    them. A series that is followed and has no rows yet is no error.
    """
    if dataset not in DATASETS:
        raise UnknownName("dataset", dataset, DATASETS)
    names = list(dict.fromkeys(validate(one) for one in instruments))
    if not names:
        raise FixRequest("no instrument is given", provider=provider)
    if interval is not None and dataset != "bars":
        raise FixRequest(f"{dataset} have no interval, given: {interval!r}", provider=provider)
    query = select(Series.interval, Series.instrument, Series.id).where(
        Series.provider == provider, Series.dataset == dataset
    )
    rows = session.execute(query).all()
    if not rows:
        _nothing_stored(session, provider, dataset)
    intervals = sorted({row[0] for row in rows})
    if dataset == "bars" and interval is None:
        raise FixRequest(f"bars need an interval; stored: {', '.join(intervals)}", provider=provider)
    wanted_interval = interval or ""
    if wanted_interval not in intervals:
        raise UnknownName("stored interval", wanted_interval, intervals, provider=provider)
    ids = {instrument: series_id for one, instrument, series_id in rows if one == wanted_interval}
    for name in names:
        if name not in ids:
            near = get_close_matches(name, sorted(ids), n=_NEAR, cutoff=0.5) or sorted(ids)[:_NEAR]
            raise UnknownName("stored instrument", name, near, provider=provider)
    return Wanted(dataset, {name: ids[name] for name in names})


def within(
    wanted: Wanted,
    *,
    start: datetime | None,
    end: datetime | None,
    last: int | None = None,
    final_only: bool = False,
    as_of: datetime | None = None,
) -> Wanted:
    """Return the same, cut to a window, to what was known, to its newest rows. Raises FixRequest for what can't be."""
    if start is not None and end is not None and end <= start:
        raise FixRequest(f"end must be after start, given: {start.isoformat()} .. {end.isoformat()}")
    if last is not None and last < 1:
        raise FixRequest(f"last is the number of the newest rows and at least 1, given: {last}")
    if final_only and wanted.dataset != "bars":
        raise FixRequest(f"only bars can be not final yet: {wanted.dataset} always are")
    if as_of is not None:
        check_as_of(wanted.dataset)
    return replace(wanted, start=start, end=end, last=last, final_only=final_only, as_of=as_of)


def stored(sessions: sessionmaker[Session], wanted: Wanted) -> pl.DataFrame:
    """Return all the rows, numbers as text (a book's levels as PostgreSQL writes an array: `{1.5,2}`)."""
    return pl.concat([no_rows(wanted.dataset), *chunks(sessions, wanted)])


def no_rows(dataset: Dataset) -> pl.DataFrame:
    """Return a frame of the dataset's columns without rows."""
    return _frame(dataset, "", b"")


def chunks(sessions: sessionmaker[Session], wanted: Wanted) -> Iterator[pl.DataFrame]:
    """Yield the same rows in frames of `chunk_rows` to twice that; the last may be less, and no rows are no frame."""
    return (one.frame() for one in texts(sessions, wanted))


@dataclass(frozen=True, slots=True)
class Texts:
    """Rows as PostgreSQL has sent them: CSV, by instrument. So who reads on need not wait for `frame`."""

    dataset: Dataset
    parts: Sequence[tuple[str, bytes]]

    def frame(self) -> pl.DataFrame:
        """Return the rows."""
        return pl.concat([_frame(self.dataset, instrument, csv) for instrument, csv in self.parts])


def texts(sessions: sessionmaker[Session], wanted: Wanted) -> Iterator[Texts]:
    """Yield what `chunks` makes frames of.

    Each statement goes on behind the last row of the one before and is a transaction of its own, so a reader may take
    as long as it likes between two chunks. No row comes twice, and none that stays as it is is left out.
    """
    waiting, count = list[tuple[str, bytes]](), 0
    for instrument, series_id in wanted.series.items():
        for csv, rows in _series_texts(sessions, wanted, instrument, series_id):
            waiting.append((instrument, csv))
            count += rows
            if count >= wanted.chunk_rows:
                yield Texts(wanted.dataset, waiting)
                waiting, count = [], 0
    if waiting:
        yield Texts(wanted.dataset, waiting)


def _series_texts(
    sessions: sessionmaker[Session], wanted: Wanted, instrument: str, series_id: int
) -> Iterator[tuple[bytes, int]]:
    key = ("ts", *KEY_COLUMNS[wanted.dataset])
    bounds, values = _bounds(wanted, series_id)
    after, left, behind = None, wanted.last, ""
    if wanted.behind is not None and wanted.behind.instrument == instrument:
        after, left, behind = wanted.behind.key, None, ">"
    if left is not None:
        with sessions() as session:
            after = _newest_from(session, wanted, bounds, values)
        behind = ">="
    while left is None or left > 0:
        size = wanted.chunk_rows if left is None else min(left, wanted.chunk_rows)
        where, condition = bounds, ""
        if after is not None:
            # Rows are compared for the order, `ts` alone for the partitions: PostgreSQL prunes by nothing else.
            where = f"{bounds} AND ts >= %(after_ts)s"
            condition = f" AND ({', '.join(key)}) {behind} ({', '.join(f'%(after_{name})s' for name in key)})"
            values |= {f"after_{name}": value for name, value in zip(key, after, strict=True)}
        with sessions() as session:
            source = _source(wanted, Cut(where, condition, "ASC", size))
            sql = f"SELECT {_selected(wanted.dataset)} FROM {source} ORDER BY {', '.join(key)} LIMIT {size}"
            csv, rows = _copy(session, sql, values)
        if rows:
            yield csv, rows
        if rows < size:
            return
        after, behind = _frame(wanted.dataset, instrument, _last_of(csv)).select(key).row(-1), ">"
        left = None if left is None else left - rows


def _last_of(csv: bytes) -> bytes:
    """Return at least the last row: where nothing is quoted, a line is one."""
    return csv if b'"' in csv else csv[csv.rfind(b"\n", 0, -1) + 1 :]


def _newest_from(session: Session, wanted: Wanted, bounds: str, values: Mapping[str, Any]) -> tuple[Any, ...] | None:
    """Return the key of the oldest of the newest `last` rows; None where there are no more than that."""
    key = ("ts", *KEY_COLUMNS[wanted.dataset])
    last = wanted.last or 1
    newest_first = ", ".join(f"{name} DESC" for name in key)
    source = _source(wanted, Cut(bounds, "", "DESC", last))
    sql = f"SELECT {', '.join(key)} FROM {source} ORDER BY {newest_first} OFFSET {last - 1} LIMIT 1"
    row = session.connection().exec_driver_sql(sql, dict(values)).first()
    return None if row is None else tuple(row)


def _source(wanted: Wanted, cut: Cut) -> str:
    """Return what to select from: the table's rows as they are, or as they were known."""
    if wanted.as_of is not None:
        return f"({known(wanted.dataset, cut)}) AS known"
    is_final = " AND is_final" if wanted.final_only else ""
    return f"{wanted.dataset} WHERE {cut.bounds}{cut.behind}{is_final}"


def _bounds(wanted: Wanted, series_id: int) -> tuple[str, dict[str, Any]]:
    """Return the condition on `series_id` and `ts`, and the values of a read."""
    bounds = "series_id = %(series)s"
    if wanted.start is not None:
        bounds += " AND ts >= %(start)s"
    if wanted.end is not None:
        bounds += " AND ts < %(end)s"
    return bounds, {"series": series_id, "start": wanted.start, "end": wanted.end, "as_of": wanted.as_of}


def _copy(session: Session, sql: str, values: Mapping[str, Any]) -> tuple[bytes, int]:
    """Return the statement's rows as CSV, and how many they are.

    COPY takes no parameters, so the driver writes the values in, quoted.
    """
    connection = session.connection()
    driver: Any = connection.connection.driver_connection
    buffer = BytesIO()
    try:
        with driver.cursor() as cursor:
            statement = cursor.mogrify(f"COPY ({sql}) TO STDOUT (FORMAT csv)", dict(values))
            cursor.copy_expert(statement, buffer)
            return buffer.getvalue(), cursor.rowcount
    except psycopg2.Error as error:  # past SQLAlchemy, but failing as SQLAlchemy does
        raise DBAPIError.instance(sql, None, error, psycopg2.Error, hide_parameters=True) from error


def _stored_columns(dataset: Dataset) -> tuple[str, ...]:
    return ("ts", *VALUE_COLUMNS[dataset], *(("is_final",) if dataset == "bars" else ()), "observed_at")


def _selected(dataset: Dataset) -> str:
    """Return the columns for COPY: moments as whole microseconds, which no DateStyle can change.

    As a float it takes a quarter of the time, and is off by less than half a microsecond within 2**51 of them.
    """
    moment = (
        "CASE WHEN {0} BETWEEN '1900-01-01Z' AND '2041-01-01Z' THEN (date_part('epoch', {0}) * 1000000)::bigint"
        " ELSE (extract(epoch FROM {0}) * 1000000)::bigint END"
    )
    forms = {"ts": moment, "observed_at": moment, "is_final": "{0}::int"}
    return ", ".join(forms.get(name, "{0}").format(name) for name in _stored_columns(dataset))


def _frame(dataset: Dataset, instrument: str, csv: bytes) -> pl.DataFrame:
    moments = {"ts": pl.Int64, "observed_at": pl.Int64, "is_final": pl.Int8}
    whole = {name for name, column in columns_of(dataset).items() if isinstance(column.type, BigInteger)}
    schema = {name: moments.get(name, pl.Int64 if name in whole else pl.String) for name in _stored_columns(dataset)}
    frame = pl.read_csv(BytesIO(csv), has_header=False, schema=schema, raise_if_empty=False)
    return frame.select(
        pl.lit(instrument).alias("instrument"),
        *(
            pl.col(name).cast(_UTC_US if name in ("ts", "observed_at") else pl.Boolean) if name in moments else name
            for name in schema
        ),
    )


def columns_of(dataset: Dataset) -> Mapping[str, Any]:
    """Return the table's columns by name."""
    return {column.name: column for column in table_of(dataset).columns}


def _nothing_stored(session: Session, provider: str, dataset: str) -> NoReturn:
    found = session.execute(select(Series.provider, Series.dataset).distinct()).all()
    of_provider = sorted(one for name, one in found if name == provider)
    if of_provider:
        raise UnknownName("stored dataset", dataset, of_provider, provider=provider)
    if found:
        raise UnknownName("stored provider", provider, sorted({name for name, _ in found}))
    raise FixRequest("nothing is stored yet: tickfarm follow binance quotes BTC-USDT")
