"""Import: rows of a file into the tables, by the way of fetched ones, and into the ledger as `imported`.

    imports_files   CSV and Parquet, chunk by chunk       imports_rows   columns, values, quality rules
    imports_times   moments as files write them           this file      chunks into the database, what came of it

Invariant: a chunk is one transaction, and what a file says is written once however often it is imported; what a
provider has answered is never overwritten. No answer has proven these rows: gaps asks for them, of followed series.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import polars as pl
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from ingest import providers
from ingest.errors import FixRequest
from ingest.market.quality import Finding
from ingest.market.records import DEFAULT_SINCE, Dataset
from ingest.pipeline import reconcile
from ingest.pipeline.calls import FetchCall, check_dataset, check_interval
from ingest.pipeline.context import Context
from ingest.pipeline.imports_files import Table, open_table
from ingest.pipeline.imports_rows import IMPORTED, Form, complain, layout, rows_of
from ingest.pipeline.read import CHUNK_ROWS
from ingest.pipeline.reconcile import Arrival
from ingest.pipeline.store import Source, arrival_of, note_findings, odd_rows, prepare, rows_csv
from models import Series
from models.imported import not_taken
from models.partitions import is_partition_missing
from models.upsert import FROM_FILE, Written, stage

__all__ = ["Form", "Imported", "import_file", "unasked"]


@dataclass(slots=True)
class Broken:
    """A rule that rows broke, how many, and the first of them: `line 7: ..`."""

    severity: str
    rows: int
    first: str


@dataclass(slots=True)
class Span:
    """An instrument's good rows: how many, the first one's time, the last one's."""

    rows: int
    first: datetime
    last: datetime


@dataclass(slots=True)
class Imported:
    """What came of a file. Of its `rows`, some were `inserted`, some changed ones of other files (`updated`).

    `ignored` columns were not read, of those in `floats` the shortest text was taken that is the same float.
    """

    file: Path
    provider: str
    dataset: Dataset
    interval: str | None
    rows: int = 0
    refused: int = 0
    inserted: int = 0
    updated: int = 0
    ignored: Sequence[str] = ()
    floats: Sequence[str] = ()
    broken: dict[str, Broken] = field(default_factory=dict)
    series: dict[str, Span] = field(default_factory=dict)

    @property
    def present(self) -> int:
        """Return how many good rows changed nothing."""
        return sum(one.rows for one in self.series.values()) - self.inserted - self.updated

    def note(self, findings: Sequence[Finding]) -> None:
        """Count findings."""
        for one in findings:
            known = self.broken.setdefault(one.rule, Broken(one.severity, 0, one.sample.partition("\n")[0]))
            known.rows += one.rows

    def add(self, good: pl.DataFrame) -> None:
        """Count good rows."""
        for name, rows, first, last in _spans(good, "instrument").iter_rows():
            known = self.series.setdefault(name, Span(0, first, last))
            known.rows += rows
            known.first, known.last = min(known.first, first), max(known.last, last)


def import_file(
    context: Context,
    file: Path,
    provider: str,
    dataset: str,
    *,
    interval: str | None = None,
    form: Form | None = None,
    dry_run: bool = False,
) -> Imported:
    """Bring a CSV or Parquet file's rows into the tables and say what came of it; `dry_run` only reads and checks it.

    Safe to repeat and to cut off: repeated, it goes on where it was. Raises FixRequest before anything is written where
    the file is not what it is said to be, later only where it can't be read to its end.
    """
    facts = providers.get(provider).facts
    checked = check_dataset(facts, dataset)
    if checked not in IMPORTED:
        raise FixRequest(f"{dataset} can't be imported; {', '.join(IMPORTED)} can")
    call = FetchCall(checked, (), check_interval(facts, checked, interval), None, None)
    table = open_table(file)
    plan = layout(table, checked, call.interval, form or Form())
    source = _source_of(table, facts.name, checked)
    found = Imported(file, facts.name, checked, call.interval, ignored=plan.ignored, floats=plan.floats)
    now = datetime.now(UTC)
    for number, chunk in enumerate(table.chunks(CHUNK_ROWS[checked])):
        if not number:
            complain(plan, chunk)
        good, findings = rows_of(plan, chunk, number, now, settle_s=facts.settle_s)
        found.rows += chunk.frame.height + len(chunk.rejects)
        found.refused += chunk.frame.height + len(chunk.rejects) - good.height
        found.add(good)
        if not dry_run:
            written, odd = _write(context, source, call, good, findings)
            found.inserted += written.inserted
            found.updated += written.updated
            findings += odd
        found.note(findings)
    return found


def unasked(context: Context, found: Imported) -> list[str]:
    """Return the instruments of whose imported rows nobody asks the provider: not followed, or from later on only."""
    query = select(Series).where(
        Series.provider == found.provider,
        Series.dataset == found.dataset,
        Series.interval == (found.interval or ""),
        Series.instrument.in_(found.series),
        Series.followed,
    )
    with context.sessions() as session:
        asked = {one.instrument: _since(one) for one in session.scalars(query)}
    return sorted(name for name, span in found.series.items() if name not in asked or asked[name] > span.first)


def _since(series: Series) -> datetime:
    back = DEFAULT_SINCE[series.dataset]  # type: ignore[index]
    if series.since is not None:
        return series.since
    return series.created_at - back if back is not None else datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class _Part:
    """A chunk that only a transaction is missing."""

    source: Source
    csv: bytes
    rows: int
    findings: Sequence[Finding]
    arrival: Arrival | None

    def write(self, session: Session) -> tuple[Written, list[Finding]]:
        """Write it; return what was written, and the findings about rows that were not because others stay."""
        dataset = self.source.dataset
        rivals = reconcile.meet(session, self.arrival)
        stage(session, dataset, BytesIO(self.csv))
        written = reconcile.write(session, dataset, rivals) if self.rows else Written(0, 0, 0)
        are_all_new = self.rows == written.inserted + written.updated
        odd = [] if are_all_new else odd_rows("not_taken", not_taken(session, dataset))
        if self.findings or odd:
            note_findings(session, self.source, [*self.findings, *odd])
        return written, odd


def _write(
    context: Context, source: Source, call: FetchCall, good: pl.DataFrame, findings: Sequence[Finding]
) -> tuple[Written, list[Finding]]:
    ids = prepare(context, source.provider, call, good.clear(), also=good["instrument"].unique().to_list())
    arrival = arrival_of(context, source.provider, call, good, ids) if call.dataset == "bars" and good.height else None
    part = _Part(source, rows_csv(call.dataset, FROM_FILE, good, ids), good.height, findings, arrival)
    _make_room(context, call.dataset, good)
    try:
        with context.sessions.begin() as session:
            return part.write(session)
    except IntegrityError as error:
        if not is_partition_missing(error):
            raise
    context.forget_partitions()
    _make_room(context, call.dataset, good)
    with context.sessions.begin() as session:
        return part.write(session)


def _make_room(context: Context, dataset: Dataset, good: pl.DataFrame) -> None:
    """Make the partitions of the months that have rows: a file may leave out decades in between."""
    months = _spans(good, pl.col("ts").dt.truncate("1mo").alias("month")).sort("month")
    for _, _, first, last in months.iter_rows():
        context.make_room(dataset, first, last)


def _spans(good: pl.DataFrame, by: str | pl.Expr) -> pl.DataFrame:
    ts = pl.col("ts")
    return good.group_by(by).agg(pl.len(), ts.min().alias("first"), ts.max().alias("last"))


def _source_of(table: Table, provider: str, dataset: Dataset) -> Source:
    """Return what a file's findings are said to be of: the file as it is now, because it may be changed."""
    name = f"file:{table.file.resolve()}:{table.size_bytes}:{table.written_at.isoformat()}"
    return Source(provider, dataset, 0, name)
