"""Rows of a file as a batch: columns by our names, every value as text, moments in UTC, checked by the quality rules.

Deliberately not here: opening files (imports_files), writing (imports). Invariant: a decimal keeps its digits, a float
becomes the shortest text that is that float, and a row that is not good is counted in a finding that names its place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import polars as pl

from ingest.errors import FixRequest, UnknownName
from ingest.market.quality import FUTURE_TOLERANCE_S, RULES, Finding, check, findings_of
from ingest.market.records import (
    DATE_COLUMNS,
    KEY_COLUMNS,
    LEVEL_COLUMNS,
    REQUIRED_COLUMNS,
    VALUE_COLUMNS,
    Dataset,
    Reject,
)
from ingest.market.symbols import is_instrument, validate
from ingest.market.times import epoch_us
from ingest.pipeline import frames
from ingest.pipeline.imports_files import Chunk, Table
from ingest.pipeline.imports_times import Clock

#: Articles and posts are nobody's to prove, and their texts are licensed: they come from their providers only.
IMPORTED: tuple[Dataset, ...] = ("bars", "trades", "quotes", "books", "observations", "actions")
#: An export has it; it follows from the time of the observation here too.
_FOLLOWS = ("is_final",)
_FALSE = ("f", "false", "False")
_UTC_US = pl.Datetime("us", "UTC")


@dataclass(frozen=True, slots=True)
class Form:
    """How a file's rows are written where it is not as `export` writes them: our column -> the file's, and clocks.

    `instrument`: whose rows they are, where no column says so.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    instrument: str | None = None
    clock: Clock = field(default_factory=Clock)


@dataclass(frozen=True, slots=True)
class Layout:
    """Where each of our columns stands in a file, which of its columns nobody reads, and which are floats."""

    table: Table
    dataset: Dataset
    interval: str | None
    form: Form
    names: Mapping[str, str]
    ignored: Sequence[str]
    floats: Sequence[str]


def layout(table: Table, dataset: Dataset, interval: str | None, form: Form) -> Layout:
    """Return how a file is read. Raises FixRequest where a column is missing or named that is not there."""
    ours = ("instrument", "ts", *VALUE_COLUMNS[dataset], "observed_at")
    for name, theirs in form.columns.items():
        if name not in ours:
            raise UnknownName("column", name, ours)
        if theirs not in table.columns:
            raise UnknownName(f"column of {table.file}", theirs, table.columns)
    named = {one: form.columns.get(one, one) for one in ours}
    names = {one: theirs for one, theirs in named.items() if theirs in table.columns}
    if form.instrument is not None and validate(form.instrument) and "instrument" in names:
        raise FixRequest(f"{table.file} says whose rows they are (column {names['instrument']}): leave instrument out")
    required = {"ts", *KEY_COLUMNS[dataset], *(REQUIRED_COLUMNS[dataset] if dataset != "quotes" else ())}
    required |= set() if form.instrument is not None else {"instrument"}
    missing = [one for one in ours if one in required and one not in names]
    if dataset == "quotes" and not set(REQUIRED_COLUMNS[dataset]) & names.keys():
        missing += ["bid, ask or last"]
    if missing:
        has = ", ".join(table.columns)[:300]
        how = " or --instrument NAME" if missing[0] == "instrument" else ""
        raise FixRequest(f"{table.file} has no column {missing[0]}: say which it is with --columns{how}; it has: {has}")
    ignored = [one for one in table.columns if one not in {*names.values(), *_FOLLOWS}]
    values = {one: names[one] for one in VALUE_COLUMNS[dataset] if one in names}
    floats = [theirs for theirs in values.values() if table.columns[theirs].is_float()]
    return Layout(table, dataset, interval, form, names, ignored, floats)


def complain(layout: Layout, chunk: Chunk) -> None:
    """Raise FixRequest where the first rows show that the file is to be read otherwise, or can't be at all."""
    name = layout.names["ts"]
    said = layout.form.clock.complaint(chunk.frame[name])
    if said is not None:
        raise FixRequest(f"{layout.table.file}, column {name}: {said}")
    if layout.form.instrument is None:
        instruments = chunk.frame[layout.names["instrument"]].cast(pl.String).drop_nulls()
        if len(instruments) and not any(map(is_instrument, instruments.unique())):
            validate(instruments[0])


def rows_of(
    layout: Layout, chunk: Chunk, number: int, now: datetime, *, settle_s: float
) -> tuple[pl.DataFrame, list[Finding]]:
    """Return the good rows of a chunk, ready for COPY but for their series, and what was found.

    A row counts as observed when the file says so (`observed_at`), else when the file was written; if it was written
    before its row can have been, now. `number` tells the chunks of a file apart.
    """
    dataset, interval = layout.dataset, layout.interval
    frame = _frame(layout, chunk, number, now)
    named, rejects = _named(frame, chunk.places.name)
    good, found = check(named, dataset=dataset, interval=interval, start=None, end=None, observed_at=now)
    final = frames.is_final(good, interval=interval, settle_s=settle_s, observed_at=now)
    return good.hstack([final]), [*findings_of([*chunk.rejects, *rejects], answer=number), *found]


def _frame(layout: Layout, chunk: Chunk, number: int, now: datetime) -> pl.DataFrame:
    raw, clock = chunk.frame, layout.form.clock
    size = raw.height
    none = pl.Series([None] * size, dtype=pl.String)
    texts = {one: _text(one, raw[theirs]) for one, theirs in layout.names.items() if one not in ("ts", "observed_at")}
    instrument = texts.get("instrument", pl.Series([layout.form.instrument] * size, dtype=pl.String))
    ts = clock.read(raw[layout.names["ts"]])
    claimed = clock.read(raw[layout.names["observed_at"]]) if "observed_at" in layout.names else none.cast(_UTC_US)
    frame = pl.DataFrame(
        [
            chunk.places,
            instrument.alias("instrument"),
            ts.alias("ts"),
            *(texts.get(one, none).alias(one) for one in VALUE_COLUMNS[layout.dataset]),
            pl.Series("answer", [number] * size, dtype=pl.Int32),
            claimed.alias("observed_at"),
        ]
    )
    frame = frame.with_columns(_observed(layout.table.written_at, now))
    return frame.with_columns(*_vintages()) if layout.dataset == "observations" else frame


def _observed(written_at: datetime, now: datetime) -> pl.Expr:
    written, latest = (pl.lit(epoch_us(moment), dtype=pl.Int64) for moment in (written_at, now))
    ts = pl.col("ts").to_physical()
    is_too_early = ts > written + int(FUTURE_TOLERANCE_S * 1_000_000)
    by_itself = pl.when(is_too_early).then(latest).otherwise(written)
    return pl.min_horizontal(pl.coalesce(pl.col("observed_at").to_physical(), by_itself), latest).cast(_UTC_US)


def _vintages() -> tuple[pl.Expr, pl.Expr]:
    """A value without a vintage is known from the day on which it was observed; an export says which others are."""
    is_given = pl.col("vintage").is_not_null()
    said = pl.when(pl.col("vintage_given").is_in(_FALSE)).then(pl.lit("false")).otherwise(pl.lit("true"))
    return (
        pl.when(is_given).then(said).otherwise(pl.lit("false")).alias("vintage_given"),
        pl.coalesce("vintage", pl.col("observed_at").dt.strftime("%Y-%m-%d")).alias("vintage"),
    )


def _named(frame: pl.DataFrame, place: str) -> tuple[pl.DataFrame, list[Reject]]:
    """Take the rows out whose instrument breaks the grammar."""
    odd = [one for one in frame["instrument"].unique() if one is None or not is_instrument(one)]
    if not odd:
        return frame, []
    is_odd = pl.col("instrument").is_in(odd, nulls_equal=True)
    rule = "not_an_instrument"
    rows = frame.filter(is_odd).select(place, "instrument").iter_rows()
    rejects = [Reject(None, rule, RULES[rule].meaning, f"{place} {at}: {str(name)[:40]!r}") for at, name in rows]
    return frame.filter(~is_odd), rejects


def _text(name: str, column: pl.Series) -> pl.Series:
    """Return a column's values as text: decimals with their digits, a book's levels joined by commas."""
    kind = column.dtype
    if isinstance(kind, pl.List):
        return column.cast(pl.List(pl.String)).list.join(",", ignore_nulls=False)
    if name in DATE_COLUMNS and isinstance(kind, pl.Datetime):
        return column.dt.strftime("%Y-%m-%d")
    if kind.is_nested() or kind == pl.Binary:
        raise FixRequest(f"a column of {kind} can't be {name}")
    text = column.cast(pl.String)
    if kind.is_float():
        return text.str.strip_suffix(".0")
    return text.str.strip_chars("{}") if name in LEVEL_COLUMNS else text
