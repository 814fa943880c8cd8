"""Replay: read a window's archived answers once more, without asking anybody, and say what would be stored otherwise.

Deliberately not here: how answers are read (normalize), how rows are written (store, models/upsert). Not in workers:
it is a person's tool. Invariant: without `apply` nothing is written; with it, what was observed later stays.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import IO, Any

from sqlalchemy import select, tuple_

from ingest import providers
from ingest.archive import Place
from ingest.errors import FixRequest
from ingest.market.quality import Finding as Found
from ingest.market.records import Dataset
from ingest.payloads import StoredAnswer, call_of, unpack
from ingest.pipeline import frames, reconcile
from ingest.pipeline.calls import FetchCall, check_call
from ingest.pipeline.context import Context
from ingest.pipeline.normalize import Batch, batch_of
from ingest.pipeline.reconcile import Arrival
from ingest.pipeline.store import Source, note_findings, prepare, rows_csv
from ingest.wire import Request
from models import FetchLog, Job, Series
from models.compare import Comparison, compare
from models.upsert import Written, stage

#: Of more differing rows than these only the number is told.
MOST_ROWS = 10_000
#: Nothing is observed before it happens, but clocks differ.
_EARLIEST = timedelta(hours=1)
_PAGE_ROWS = 5_000
#: Rows wait here until all are read: in memory up to so many bytes, then in a temporary file.
_SPOOL_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Window:
    """What to replay: `[start, end)` of these instruments, of all where none is named."""

    provider: str
    dataset: Dataset
    instruments: tuple[str, ...]
    interval: str | None
    start: datetime
    end: datetime

    def holds(self, call: FetchCall, answers: Sequence[StoredAnswer]) -> bool:
        """Say whether a payload may hold rows of it: by what was asked, not by what was answered."""
        return call.interval == self.interval and any(self._meets(kept.answer.request) for kept in answers)

    def _meets(self, request: Request) -> bool:
        names = request.instruments
        if self.instruments and names and not set(self.instruments) & set(names):
            return False
        is_later = request.start is not None and request.start >= self.end
        return not is_later and (request.end is None or request.end > self.start)


@dataclass(slots=True)
class Replay:
    """What came of it. `payloads` were read, of which `used` concern the window.

    `missing` are those that the log names and the archive has no more; `unreadable` those whose call is not known.
    """

    payloads: int = 0
    used: int = 0
    missing: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    findings: int = 0
    comparison: Comparison = field(default_factory=Comparison)
    series: Mapping[int, str] = field(default_factory=dict)
    written: Written | None = None

    @property
    def differs(self) -> bool:
        """Say whether anything would be stored."""
        return bool(self.comparison.new or self.comparison.differing)


@dataclass(slots=True)
class _Read:
    """What was read for the window so far: rows as CSV, and the findings of each payload."""

    csv: IO[bytes]
    ids: dict[str, int]
    findings: list[tuple[Source, Sequence[Found]]] = field(default_factory=list)


def replay(context: Context, window: Window, *, apply: bool = False) -> Replay:
    """Normalize the window's archived payloads anew and compare; with `apply` store what differs.

    Cost: every payload that was fetched of the dataset since the window's start is opened. Raises FixRequest for a
    window that can't be.
    """
    if window.end <= window.start:
        raise FixRequest(f"end must be after start, given: {window.start.isoformat()} .. {window.end.isoformat()}")
    found = Replay()
    with tempfile.SpooledTemporaryFile(_SPOOL_BYTES) as csv:
        read = _Read(csv, _series_ids(context, window))
        for row in _logged(context, window):
            _read(context, window, row, read, found, apply=apply)
        csv.seek(0)
        found.series = {series_id: name for name, series_id in read.ids.items()}
        with context.sessions.begin() as session:
            rivals = reconcile.meet(session, _arrival(context, window, read)) if apply else None
            stage(session, window.dataset, csv)
            found.comparison = compare(
                session,
                window.dataset,
                series=list(found.series),
                start=window.start,
                end=window.end,
                most_rows=MOST_ROWS,
            )
            if apply:
                found.written = reconcile.write(session, window.dataset, rivals, read_anew=True)
                for source, findings in read.findings:
                    note_findings(session, source, findings)
    return found


def _arrival(context: Context, window: Window, read: _Read) -> Arrival | None:
    if window.dataset != "bars" or not read.ids:
        return None
    tolerances = reconcile.tolerances_of(context.settings)
    return Arrival(window.provider, window.interval or "", read.ids, window.start, window.end, 0, tolerances)


def _series_ids(context: Context, window: Window) -> dict[str, int]:
    query = select(Series.instrument, Series.id).where(
        Series.provider == window.provider, Series.dataset == window.dataset, Series.interval == (window.interval or "")
    )
    if window.instruments:
        query = query.where(Series.instrument.in_(window.instruments))
    with context.sessions() as session:
        return {row.instrument: row.id for row in session.execute(query)}


def _logged(context: Context, window: Window) -> Iterator[FetchLog]:
    """Yield the log of what was fetched since the window's start, oldest first."""
    query = (
        select(FetchLog)
        .where(
            FetchLog.provider == window.provider,
            FetchLog.dataset == window.dataset,
            FetchLog.kind == "batch",
            FetchLog.requests > FetchLog.failed,
            FetchLog.payload_key.is_not(None),
        )
        .order_by(FetchLog.at, FetchLog.id)
        .limit(_PAGE_ROWS)
    )
    after = (window.start - _EARLIEST, 0)
    while True:
        # `at` alone prunes partitions, the pair alone goes on where it was.
        behind = query.where(FetchLog.at >= after[0], tuple_(FetchLog.at, FetchLog.id) > after)
        with context.sessions() as session:
            rows = session.scalars(behind).all()
        yield from rows
        if len(rows) < _PAGE_ROWS:
            return
        after = (rows[-1].at, rows[-1].id)


def _read(context: Context, window: Window, row: FetchLog, read: _Read, found: Replay, *, apply: bool) -> None:
    """Read one payload and add its rows of the window."""
    key = str(row.payload_key)
    place = None if row.segment is None else Place(row.segment, int(row.position or 0), row.size_bytes)
    blob = context.payloads.get(key, place)
    if blob is None:
        found.missing.append(key)
        return
    found.payloads += 1
    provider = providers.get(window.provider)
    arguments = call_of(blob) or _job_call(context, row.job_id)
    if arguments is None:
        found.unreadable.append(key)
        return
    call, answers = check_call(provider.facts, arguments), unpack(blob)
    if not window.holds(call, answers):
        return
    batch = batch_of(provider, call, answers)
    found.used += 1
    found.findings += len(batch.findings)
    source = Source(window.provider, window.dataset, int(row.job_id or 0), key)
    if batch.findings:
        read.findings.append((source, batch.findings))
    _add(context, window, call, batch, source, read, apply=apply)


def _add(
    context: Context, window: Window, call: FetchCall, batch: Batch, source: Source, read: _Read, *, apply: bool
) -> None:
    frame = frames.within(batch.frame, window.instruments, window.start, window.end)
    if not frame.height:
        return
    if apply:
        read.ids.update(prepare(context, window.provider, call, frame))
    for name in frame["instrument"].unique().to_list():
        # A series that does not exist has no rows: any number will do that no series has.
        read.ids.setdefault(name, -1 - len(read.ids))
    read.csv.write(rows_csv(window.dataset, source.job_id, frame, read.ids))


def _job_call(context: Context, job_id: int | None) -> Mapping[str, Any] | None:
    """Return the call of a payload that was packed before calls were kept with them, while its job is there."""
    with context.sessions() as session:
        job = session.get(Job, job_id) if job_id is not None else None
        return None if job is None else {name: value for name, value in job.kwargs.items() if name != "requests"}
