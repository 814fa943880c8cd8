"""Columnar batches: from parsed answers to a frame, to bytes for a message's store, to CSV for COPY.

Deliberately not here: rules about what is good data (market/quality), I/O. Invariant: a value's text is carried from
the provider's answer to the CSV unchanged, and no content of an answer makes a function of this file raise.

A batch has the columns `instrument`, `ts` (UTC, microseconds; null where the provider's time can't be one) and every
value column of its dataset as text; a batch of many answers also `answer` (its place) and `observed_at`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from io import BytesIO
from itertools import chain
from typing import Any

import polars as pl

from ingest.market.intervals import seconds_of
from ingest.market.records import (
    LEVEL_COLUMNS,
    NAME_LISTS,
    TEXT_COLUMNS,
    UNSTORABLE,
    VALUE_COLUMNS,
    Dataset,
    Parsed,
    TimeUnit,
)
from ingest.market.times import epoch_us

_UTC_US = pl.Datetime("us", "UTC")
#: What Python and PostgreSQL can both say: years 1 to 9999. Anything else becomes null, and so a finding.
_FIRST_US, _LAST_US = -62_135_596_800_000_000, 253_402_300_799_999_999
_US_PER: dict[TimeUnit, int] = {"s": 1_000_000, "ms": 1_000, "us": 1}
#: What COPY reads as timestamptz without asking the session's time zone.
_CSV_TIME = "%Y-%m-%dT%H:%M:%S%.6f%:z"


def batch(parts: Sequence[tuple[int, Parsed, datetime, datetime]], dataset: Dataset) -> pl.DataFrame:
    """Return the rows of many answers of one provider in one frame; far cheaper than a frame each.

    A part is (the answer's place in its payload, its rows, sent_at, received_at): `answer` is that place, `observed_at`
    that sent_at, and `received_at` dates the rows of an answer where the provider sends no time.
    """
    timed = [_times(parsed, received_at) for _, parsed, _, received_at in parts]
    sizes = [len(times) for _, times in timed]
    names = {name for _, parsed, _, _ in parts for name in parsed.columns}
    absent = [[None] * size for size in sizes]
    columns = {
        name: list(chain.from_iterable(p[1].columns.get(name, gap) for p, gap in zip(parts, absent, strict=True)))
        for name in names - {"ts"}
    }
    columns.setdefault("instrument", [])
    places = chain.from_iterable([p[0]] * size for p, size in zip(parts, sizes, strict=True))
    sent = chain.from_iterable([epoch_us(p[2])] * size for p, size in zip(parts, sizes, strict=True))
    of_answers = (
        pl.Series("answer", list(places), dtype=pl.Int32),
        pl.Series("observed_at", list(sent), dtype=pl.Int64).cast(_UTC_US),
    )
    units = {unit for (unit, _), size in zip(timed, sizes, strict=True) if size}
    if len(units) <= 1:
        unit: TimeUnit = units.pop() if units else "us"
        moments = _moments(unit, list(chain.from_iterable(times for _, times in timed)))
    else:
        moments = pl.concat([_moments(unit, times) for unit, times in timed])
    frame = _frame(columns, moments, dataset, of_answers)
    return _dated(frame) if dataset == "observations" else frame


def _dated(frame: pl.DataFrame) -> pl.DataFrame:
    """Let a value without a vintage be known from the day on which it was asked for."""
    given, asked = pl.col("vintage").is_not_null(), pl.col("observed_at").dt.strftime("%Y-%m-%d")
    return frame.with_columns(
        pl.when(given).then(pl.lit("true")).otherwise(pl.lit("false")).alias("vintage_given"),
        pl.coalesce("vintage", asked).alias("vintage"),
    )


def is_final(frame: pl.DataFrame, *, interval: str | None, settle_s: float, observed_at: datetime) -> pl.Series:
    """Say per row whether its bar had ended, and settled, when it was observed; quotes (no interval) always are.

    A daily bar ends with its UTC day, of an exchange with sessions too: `settle_s` covers those that close later.
    The frame's own `observed_at` goes before the argument.
    """
    if interval is None:
        return pl.Series("is_final", [True] * frame.height, dtype=pl.Boolean)  # pl.repeat is a query: 60 us
    observed = pl.col("observed_at") if "observed_at" in frame.columns else pl.lit(observed_at, dtype=_UTC_US)
    width = timedelta(seconds=seconds_of(interval) + settle_s)
    return frame.select((pl.col("ts") + width <= observed).alias("is_final")).to_series()


def within(frame: pl.DataFrame, instruments: Sequence[str], start: datetime, end: datetime) -> pl.DataFrame:
    """Return the rows of `[start, end)` of these instruments, of all where none is named."""
    wanted = pl.col("ts").is_between(start, end, closed="left")
    return frame.filter(wanted & pl.col("instrument").is_in(instruments) if instruments else wanted)


def encode(frame: pl.DataFrame) -> bytes:
    """Return the frame as Arrow IPC, uncompressed.

    Measured on 5,000 klines, us a row to encode and decode, bytes a row: none 0.3 and 187, lz4 0.9 and 131, zstd 1.2
    and 58: the bytes live for a second on the way to the next task, so CPU counts for more. The old string layout
    (offsets) is a quarter smaller than the new one (views of 16 bytes).
    """
    buffer = BytesIO()
    frame.write_ipc(buffer, compression="uncompressed", compat_level=pl.CompatLevel.oldest())
    return buffer.getvalue()


def decode(data: bytes) -> pl.DataFrame:
    """Return the frame that `encode` was given."""
    return pl.read_ipc(data)


def to_csv(frame: pl.DataFrame, columns: Sequence[str]) -> bytes:
    """Return the columns in that order as COPY's CSV: no header, null as an unquoted empty field, times with offset.

    A book's levels and lists of names become what PostgreSQL reads as an array; no list of names is an empty one.
    """
    buffer = BytesIO()
    lists = [(pl.lit("{") + pl.col(name) + pl.lit("}")).alias(name) for name in LEVEL_COLUMNS if name in columns]
    lists += [_names(name) for name in NAME_LISTS if name in columns]
    frame.with_columns(lists).select(columns).write_csv(buffer, include_header=False, datetime_format=_CSV_TIME)
    return buffer.getvalue()


def _names(column: str) -> pl.Expr:
    """Quote each name: one of them may be NULL."""
    names = pl.col(column).fill_null("")
    quoted = pl.lit('{"') + names.str.replace_all(",", '","', literal=True) + pl.lit('"}')
    return pl.when(names == "").then(pl.lit("{}")).otherwise(quoted).alias(column)


def _frame(columns: Any, moments: pl.Series, dataset: Dataset, more: Sequence[pl.Series]) -> pl.DataFrame:
    size = len(moments)
    series = [_text("instrument", columns["instrument"]), moments.alias("ts")]
    for name in VALUE_COLUMNS[dataset]:
        values = columns.get(name)
        series.append(pl.Series(name, [None] * size, dtype=pl.String) if values is None else _text(name, values))
    return pl.DataFrame([*series, *more])


def _text(name: str, values: list[Any]) -> pl.Series:
    try:
        return pl.Series(name, values, dtype=pl.String)
    except UnicodeEncodeError:  # half a surrogate pair, which JSON can escape and UTF-8 can't hold
        mark = UNSTORABLE if name in TEXT_COLUMNS else ""  # what is to be a number or a name is none anyway
        safe = [
            v if v is None or _is_utf8(v) else v.encode("utf-8", "backslashreplace").decode() + mark for v in values
        ]
        return pl.Series(name, safe, dtype=pl.String)


def _is_utf8(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _times(parsed: Parsed, received_at: datetime) -> tuple[TimeUnit, list[Any]]:
    times = parsed.columns["ts"]
    if times and times[0] is None and times.count(None) == len(times):
        return "us", [epoch_us(received_at)] * len(times)
    return parsed.time_unit, times


def _moments(unit: TimeUnit, times: list[Any]) -> pl.Series:
    """Return the times as UTC datetimes; null for what is no date or not in the years 1 to 9999."""
    if unit == "date":
        days = _text("ts", times).str.to_date("%Y-%m-%d", strict=False)
        impossible = (days.dt.year() > 9999).fill_null(False)
        days = days.set(impossible, None) if impossible.any() else days
        return days.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    try:
        counts = pl.Series("ts", times, dtype=pl.Int64)
    except (TypeError, OverflowError):  # an integer beyond 64 bits
        counts = pl.Series("ts", [_bounded(t) for t in times], dtype=pl.Int64)
    factor = _US_PER.get(unit)
    low, high = (_FIRST_US // factor, _LAST_US // factor) if factor else (_FIRST_US * 1000, _LAST_US * 1000)
    low, high = max(low, -(2**63)), min(high, 2**63 - 1)
    possible = counts.is_between(low, high)
    if not possible.all():
        counts = counts.set(~possible, None)
    return (counts * factor if factor else counts // 1000).cast(_UTC_US)


def _bounded(count: Any) -> int | None:
    return count if type(count) is int and -(2**63) <= count < 2**63 else None
