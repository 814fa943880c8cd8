"""Store: one transaction that writes a batch and ends its job: rows, revisions, ledger, findings, owed parts, `done`.

Deliberately not here: the transaction of a fetch that brought little, which ends with `Ready.write` (fetch).

Invariant: the job's row is locked and its attempt checked before anything is written, so that a worker that lost its
lease can't write; and the transaction waits for the disk, so that what is done stays done.
"""

from __future__ import annotations

import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from io import BytesIO
from typing import Any, cast

import polars as pl
import structlog
from sqlalchemy import select, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from ingest import providers
from ingest.archive import Place
from ingest.errors import BadData
from ingest.market.quality import RULES
from ingest.market.quality import Finding as Found
from ingest.market.records import DATASETS, Dataset
from ingest.payloads import StoredAnswer, batch_key
from ingest.pipeline import dead_letters, frames, jobs, reconcile
from ingest.pipeline.calls import FetchCall, check_call
from ingest.pipeline.context import Context, SeriesKey
from ingest.pipeline.covered import stretches
from ingest.pipeline.gaps_windows import attempt_of
from ingest.pipeline.jobs import Leased
from ingest.pipeline.normalize import Batch, PayloadGone, batch_of, decode, make_batch, payload_place
from ingest.pipeline.parts import Part, part_job
from ingest.pipeline.reconcile import Arrival
from ingest.pipeline.terms import policy_of
from ingest.providers.contract import adjustment_of, calendar_of
from ingest.telemetry import correlate
from ingest.transport.retry import Policy, RetryLater, decide
from models import Finding, Series, agreement, evidence
from models.evidence import Stretch
from models.imported import Odd, doubtful_days, not_answered
from models.partitions import is_partition_missing
from models.upsert import Written, copy_columns, stage

log = structlog.get_logger(__name__)


def store(context: Context, job_id: int, attempt: int) -> dict[str, Any]:
    """Write what the job fetched and end it; return counts of what was written.

    Makes the batch itself where none is kept (small payloads, a flushed Redis). A payload that is gone sends the job
    back to be fetched again. Raises LeaseLost when the job is somebody else's by now: then nothing was written.
    """
    with context.sessions.begin() as session:
        jobs.relax_commit(session)
        job = jobs.touch(session, job_id, attempt)
        correlate(job.correlation)
        place = payload_place(session, job)
    with context.leases.hold(job_id, attempt):
        batch = _batch(context, job, place)
        if batch is None:
            with context.sessions.begin() as session:
                now = datetime.now(UTC)
                jobs.put_back(session, job_id, attempt, due_at=now, reason="its payload is gone", is_failure=False)
            log.warning("payload_gone", job_id=job_id, payload_key=job.payload_key)
            return {"job_id": job_id, "state": "due", "reason": "its payload is gone: it will be fetched again"}
        began = time.monotonic()
        try:
            result = _write(context, job, batch)
        except IntegrityError as error:
            if not is_partition_missing(error):
                raise
            context.forget_partitions()
            result = _write(context, job, batch)
    context.payloads.drop(str(job.payload_key), batch_key(job_id, str(job.payload_key)))
    log.info("stored", job_id=job_id, **result)
    context.meters.stored(job, result, took_s=time.monotonic() - began, now=datetime.now(UTC))
    return {"job_id": job_id, "state": "done", **result}


def _batch(context: Context, job: Leased, place: Place | None) -> Batch | None:
    kept = context.payloads.get_batch(batch_key(job.id, str(job.payload_key)))
    if kept is not None:
        return decode(kept)
    try:
        return make_batch(context, job, place)
    except PayloadGone:
        return None


def _write(context: Context, job: Leased, batch: Batch) -> dict[str, Any]:
    provider = providers.get(job.task.rpartition(".")[2])
    ready = _ready(context, job, check_call(provider.facts, job.kwargs), batch)
    with context.sessions.begin() as session:
        jobs.lock_for_store(session, job.id, job.attempt)
        return ready.write(session)


@dataclass(frozen=True, slots=True)
class Ready:
    """A batch that only a transaction is missing: its partitions and series are there, its rows are CSV."""

    job: Leased
    call: FetchCall
    provider: str
    policy: Policy
    batch: Batch
    csv: bytes
    stretches: Sequence[Stretch]
    spans: Sequence[evidence.Span]
    #: None where there are no bars that others could have too
    arrival: Arrival | None = None
    #: some of the stretches' days hold other rows than were answered, or rows of files
    is_doubtful: bool = False

    def write(self, session: Session) -> dict[str, Any]:
        """Write the batch and end the job, whose row this transaction has locked; return counts."""
        job, call, batch = self.job, self.call, self.batch
        findings = list(batch.findings)
        written = self._write_rows(session, findings) if self.csv or self.stretches else Written(0, 0, 0)
        if call.dataset == "observations" and self.spans:
            evidence.note_left_out(session, self.spans)
        if findings:
            note_findings(session, Source(self.provider, call.dataset, job.id, str(job.payload_key)), findings)
        _owe_again(session, call, job, batch, self.policy)
        _ask_once_more(session, call, job, batch, self.policy)
        result = {
            "rows": batch.frame.height,
            "inserted": written.inserted,
            "updated": written.updated,
            "revised": written.revised,
            "findings": len(findings),
        }
        jobs.finish(session, job.id, job.attempt, result)
        return result

    def _write_rows(self, session: Session, findings: list[Found]) -> Written:
        dataset, stretches = self.call.dataset, self.stretches
        heals = self.job.key.startswith(jobs.GAP_PREFIX) and bool(stretches)
        rivals = reconcile.meet(session, self.arrival)
        stage(session, dataset, BytesIO(self.csv))
        if self.is_doubtful:
            findings += odd_rows("not_answered", not_answered(session, dataset, stretches))
        # An answer need not hold the older vintages of what it says: those must not go.
        can_mend = heals and dataset != "observations"
        mended = evidence.mend(session, dataset, stretches) if can_mend else 0
        written = reconcile.write(session, dataset, rivals) if self.csv else Written(0, 0, 0)
        if heals:
            evidence.count_anew(session, dataset, stretches)
        if stretches:
            origin = evidence.Origin(self.job.id, str(self.job.payload_key), heals)
            evidence.note(session, dataset, stretches, origin)
        if mended:
            log.warning("rows_mended", job_id=self.job.id, rows=mended)
        return written


def ready(context: Context, job: Leased, call: FetchCall, answers: Sequence[StoredAnswer]) -> Ready:
    """Return what these answers of a job bring, ready to be written. `job.payload_key` names them."""
    provider = providers.get(job.task.rpartition(".")[2])
    return _ready(context, job, call, batch_of(provider, call, answers, attempt=attempt_of(job.key)))


def _ready(context: Context, job: Leased, call: FetchCall, batch: Batch) -> Ready:
    name, frame = job.task.rpartition(".")[2], batch.frame
    ids = prepare(context, name, call, frame, also=[one.instrument for one in batch.covered])
    csv = rows_csv(call.dataset, job.id, frame, ids) if frame.height else b""
    facts = providers.get(name).facts
    calendars = {one.instrument: calendar_of(facts, one.instrument) for one in batch.covered}
    doubtful = _doubtful(context, call, batch, ids)
    days = stretches(batch.covered, call, ids, calendars, frame, doubtful=doubtful)
    is_doubtful = any(one.day in doubtful.get(one.series_id, ()) for one in days)
    spans = [evidence.Span(ids[one.instrument], one.start, one.end, one.observed_at) for one in batch.covered]
    policy = policy_of(context.settings, name, job.send_options)
    arrival = arrival_of(context, name, call, frame, ids, job.id) if call.dataset == "bars" and csv else None
    return Ready(job, call, name, policy, batch, csv, days, spans, arrival, is_doubtful)


def arrival_of(
    context: Context, provider: str, call: FetchCall, frame: pl.DataFrame, ids: Mapping[str, int], job_id: int = 0
) -> Arrival:
    """Return bars as what is compared with other providers' on arrival."""
    first, last = cast(datetime, frame["ts"].min()), cast(datetime, frame["ts"].max())
    tolerances = reconcile.tolerances_of(context.settings)
    return Arrival(provider, call.interval or "", ids, first, last, job_id, tolerances)


def _doubtful(context: Context, call: FetchCall, batch: Batch, ids: Mapping[str, int]) -> dict[int, set[date]]:
    """Return the covered days, by series, whose rows are in doubt. Not of a live poll: that is a round trip less."""
    if call.start is None or not batch.covered:
        return {}
    first, last = min(one.start for one in batch.covered), max(one.end for one in batch.covered)
    series = {ids[one.instrument] for one in batch.covered}
    with context.sessions() as session:
        return doubtful_days(session, series, first.date(), last.date())


def prepare(
    context: Context, provider: str, call: FetchCall, frame: pl.DataFrame, *, also: Sequence[str] = ()
) -> dict[str, int]:
    """Make the partitions and series the rows need, before the transaction that writes; return series ids.

    `also` names instruments without rows.
    """
    if frame.height:
        context.make_room(call.dataset, cast(datetime, frame["ts"].min()), cast(datetime, frame["ts"].max()))
    instruments = {*frame["instrument"].unique().to_list(), *also}
    keys: dict[str, SeriesKey] = {one: (provider, call.dataset, one, call.interval or "") for one in instruments}
    if any(key not in context.series_ids for key in keys.values()):
        with context.sessions.begin() as session:
            made = _make_series(session, list(keys.values()))
        context.series_ids.update(made)
    return {one: context.series_ids[key] for one, key in keys.items()}


def _make_series(session: Session, keys: Sequence[SeriesKey]) -> dict[SeriesKey, int]:
    """Return the ids of these series, making the ones that nobody follows and that were fetched all the same."""
    columns = ("provider", "dataset", "instrument", "interval")
    rows: list[dict[str, Any]] = [dict(zip(columns, key, strict=True)) for key in sorted(keys)]
    for row in rows:
        is_bars = row["dataset"] == "bars"
        facts = providers.get(row["provider"]).facts
        row["adjustment"] = adjustment_of(facts, row["instrument"]) if is_bars else None
    session.execute(insert(Series).on_conflict_do_nothing(), rows)
    names = [getattr(Series, column) for column in columns]
    found = session.execute(select(*names, Series.id).where(tuple_(*names).in_(keys)))
    made = {(row.provider, row.dataset, row.instrument, row.interval): row.id for row in found}
    agreement.wait_for_storers(session, list(made.values()))
    return made


def rows_csv(dataset: Dataset, job_id: int, frame: pl.DataFrame, ids: Mapping[str, int]) -> bytes:
    """Return the frame as COPY's CSV in the staging table's column order."""
    keyed = frame.with_columns(
        pl.col("instrument").replace_strict(ids, return_dtype=pl.Int32).alias("series_id"),
        pl.lit(job_id, dtype=pl.Int64).alias("job_id"),
    )
    return frames.to_csv(keyed, copy_columns(dataset))


@dataclass(frozen=True, slots=True)
class Source:
    """Where rows and findings come from."""

    provider: str
    dataset: Dataset
    job_id: int
    payload_key: str


def odd_rows(rule: str, rows: Sequence[Odd]) -> list[Found]:
    """Return stored or staged rows that break a rule as findings."""
    known = RULES[rule]
    return [Found(rule, known.severity, one.instrument, one.ts, one.rows, one.sample, known.meaning) for one in rows]


def note_findings(session: Session, source: Source, findings: Sequence[Found]) -> None:
    """Keep findings; one that is known already is kept once."""
    rows = [
        {
            "job_id": source.job_id,
            "provider": source.provider,
            "dataset": source.dataset,
            "instrument": one.instrument,
            "ts": one.ts,
            "rule": one.rule,
            "severity": one.severity,
            "rows": one.rows,
            "reason": one.reason,
            "sample": one.sample,
            "payload_key": source.payload_key,
            "answer": one.answer,
        }
        for one in findings
    ]
    session.execute(insert(Finding).on_conflict_do_nothing(), rows)


def _owe_again(session: Session, call: FetchCall, job: Leased, batch: Batch, policy: Policy) -> None:
    """Owe pages that could not be read again, as a job of their own; after the last retry, file a dead letter."""
    if not batch.unread:
        return
    error = BadData(_why_unread(batch), rule="unparsable_page")
    decision = decide(error, job.failures + 1, random.Random(), policy)
    delay_s = decision.delay_s if isinstance(decision, RetryLater) else 0.0
    due_at = datetime.now(UTC) + timedelta(seconds=delay_s)
    [child] = part_job(call, job, Part(tuple(batch.unread), due_at, error, failed=True))
    if isinstance(decision, RetryLater):
        jobs.insert_jobs(session, [child])
    else:
        letter = dead_letters.Letter(job.task, error, child.kwargs, task_id=child.key, job_id=job.id)
        dead_letters.write_letter(session, letter)


def _ask_once_more(session: Session, call: FetchCall, job: Leased, batch: Batch, policy: Policy) -> None:
    """Owe pages with fewer bars than they must have once more, and not again.

    A page cut short is whole the next time. One that stays short is an outage of the exchange, or before its listing:
    the finding says what is missing, and a third request or a dead letter would change nothing.
    """
    if not batch.short or job.failures:
        return
    due_at = datetime.now(UTC) + timedelta(seconds=policy.base_s)
    error = BadData("a page had fewer bars than its window holds", rule="missing_rows")
    jobs.insert_jobs(session, part_job(call, job, Part(tuple(batch.short), due_at, error, failed=True)))


def _why_unread(batch: Batch) -> str:
    """Return why the first unread page could not be read."""
    return next((one.reason for one in batch.findings if one.rule == "unparsable_page"), "a page could not be read")


def warm_up() -> None:
    """Compile the upsert statements, before the first task waits for it."""
    for dataset in DATASETS:
        copy_columns(dataset)
