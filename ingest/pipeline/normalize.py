"""Normalize: turn a fetched payload into one columnar batch, with findings for what is wrong with it.

Pure but for reading the payload and keeping the batch. Nothing is dropped silently: a row that is not in the batch is
counted in a finding, and a page that could not be read is owed again.
"""

from __future__ import annotations

import json
import struct
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from ingest import providers
from ingest.archive import Place
from ingest.errors import BadData, TryAgain
from ingest.market.holes import Hole, came, closed_window, finding_of, holes
from ingest.market.intervals import SECONDS, seconds_of
from ingest.market.quality import Finding, check, findings_of
from ingest.market.records import Parsed
from ingest.market.times import epoch_us
from ingest.payloads import StoredAnswer, batch_key, request_from, request_to, unpack
from ingest.pipeline import frames, jobs
from ingest.pipeline.calls import FetchCall, check_call
from ingest.pipeline.context import Context
from ingest.pipeline.covered import Covered, covered
from ingest.pipeline.gaps_windows import attempt_of
from ingest.pipeline.jobs import Leased
from ingest.providers.contract import Facts, Provider
from ingest.telemetry import correlate
from ingest.wire import Answer, Request
from models import FetchLog

log = structlog.get_logger(__name__)

_LENGTH = struct.Struct(">I")
#: A row that was refused stands for one that its window must hold, unless it comes twice or belongs to another time.
#: Its time may be what is broken: one in the future lies outside the window as well, and counts again.
_STAND_FOR = {"duplicate_row": -1, "outside_window": -1, "timestamp_in_future": 1}

#: A provider that has every bar has none of the hours in which it was down. When a gap is asked for this often, an hour
#: and more after the first answer left it out, what an answer leaves out again counts as said: two such confirm it.
BELIEVED_ATTEMPT = 4


@dataclass(frozen=True, slots=True)
class Batch:
    """The good rows of a payload, what was found in it, and the requests whose pages could not be read.

    `short` are those whose pages had fewer bars than they must, `covered` the stretches of which everything came.
    """

    frame: pl.DataFrame
    findings: Sequence[Finding] = field(default=())
    unread: Sequence[Request] = field(default=())
    short: Sequence[Request] = field(default=())
    covered: Sequence[Covered] = field(default=())


class PayloadGone(TryAgain):
    """Neither Redis nor the archive has the payload: it must be fetched again."""


def normalize(context: Context, job_id: int, attempt: int) -> dict[str, Any]:
    """Make the batch of a fetched job and keep it for store; return what it holds.

    Raises LeaseLost when the job is somebody else's by now. A payload that is gone leaves no batch: store sees to it.
    """
    with context.sessions.begin() as session:
        jobs.relax_commit(session)
        job = jobs.touch(session, job_id, attempt)
        correlate(job.correlation)
        place = payload_place(session, job)
    with context.leases.hold(job_id, attempt):
        try:
            batch = make_batch(context, job, place)
        except PayloadGone:
            return {"job_id": job_id, "rows": 0}
        context.payloads.put_batch(batch_key(job_id, str(job.payload_key)), encode(batch))
    found = {"job_id": job_id, "rows": batch.frame.height, "findings": len(batch.findings)}
    log.info("normalized", **found)
    return found


def payload_place(session: Session, job: Leased) -> Place | None:
    """Return where the archive holds the job's payload.

    It was nearly always logged a moment ago: three partitions are a fifth of the time of thirty-one (1 against 5 ms).
    """
    query = select(FetchLog.segment, FetchLog.position, FetchLog.size_bytes).where(
        FetchLog.payload_key == job.payload_key, FetchLog.segment.is_not(None)
    )
    now, day = datetime.now(UTC), timedelta(days=1)
    row = session.execute(query.where(FetchLog.at.between(now - day, now + day))).first()
    row = session.execute(query).first() if row is None else row
    return None if row is None else Place(str(row.segment), int(row.position or 0), row.size_bytes)


def make_batch(context: Context, job: Leased, place: Place | None) -> Batch:
    """Return the batch of a job's payload, from wherever that still is. Raises PayloadGone."""
    key = str(job.payload_key)
    blob = context.payloads.get(key, place)
    if blob is None:
        raise PayloadGone(f"payload {key} is neither in Redis nor in the archive")
    provider = providers.get(job.task.rpartition(".")[2])
    return batch_of(provider, check_call(provider.facts, job.kwargs), unpack(blob), attempt=attempt_of(job.key))


def batch_of(provider: Provider, call: FetchCall, answers: Sequence[StoredAnswer], *, attempt: int = 0) -> Batch:
    """Return the batch of these answers. Pure: the same answers always make the same batch.

    `attempt`: how often a gap has been asked for with these; see BELIEVED_ATTEMPT.
    """
    parts: list[tuple[int, Parsed, datetime, datetime]] = []
    findings: list[Finding] = []
    unread: list[Request] = []
    query = call.query()
    for place, kept in enumerate(answers):
        if kept.rule is not None:
            continue
        answer = kept.answer
        try:
            parsed = provider.parse(query, answer)
        except BadData as error:
            sample = answer.body[:300].decode(errors="replace").replace("\0", "\\0")
            only = answer.request.instruments[0] if len(answer.request.instruments) == 1 else None
            findings.append(Finding(error.rule, "reject", only, None, 0, sample, str(error), place))
            unread.append(answer.request)
            continue
        if parsed.rejects:
            findings += findings_of(parsed.rejects, answer=place)
        parts.append((place, parsed, answer.sent_at, answer.received_at))
    frame = frames.batch(parts, call.dataset)
    good, found = _checked(frame, call, answers)
    facts = provider.facts
    pages = [(place, answers[place].answer) for place, *_ in parts]
    refused = _refused(frame, good, unreadable=findings, broken=found)
    missing, short = _missing(facts, call, pages, good, refused)
    if attempt >= BELIEVED_ATTEMPT:
        short = []
    spoilt = {place for place, answer in pages if refused[place] > 0 or answer.request in short}
    spoilt |= {place for place, kept in enumerate(answers) if kept.answer.request in unread}
    whole = covered(facts, call, answers, good, spoilt)
    return Batch(good.hstack([_final(facts, call, answers, good)]), [*findings, *found, *missing], unread, short, whole)


def _final(facts: Facts, call: FetchCall, answers: Sequence[StoredAnswer], good: pl.DataFrame) -> pl.Series:
    """Return which rows will stay as they are."""
    first = answers[0].answer
    settle_s = facts.settle_s + max((one.answer.sent_at - one.answer.said_at).total_seconds() for one in answers)
    final = frames.is_final(good, interval=call.interval, settle_s=settle_s, observed_at=first.sent_at)
    if facts.has_every_bar and call.interval is not None and call.start is None:
        # The newest bar of such a poll still forms; where it is over by the clock, the page is one that was kept.
        final &= good["ts"] < good.select(pl.col("ts").max().over("instrument")).to_series()
    return final


def _checked(
    frame: pl.DataFrame, call: FetchCall, answers: Sequence[StoredAnswer]
) -> tuple[pl.DataFrame, list[Finding]]:
    # A provider answers a window that begins inside a bar with the bars that open in it: only the asked bounds count.
    return check(
        frame,
        dataset=call.dataset,
        interval=call.interval if call.interval in SECONDS else None,
        start=call.start,
        end=call.end,
        observed_at=answers[0].answer.sent_at,
    )


def _refused(
    frame: pl.DataFrame, good: pl.DataFrame, *, unreadable: Sequence[Finding], broken: Sequence[Finding]
) -> Counter[int]:
    """Return per answer how many rows came and were refused: those are reported already, and not missing.

    `unreadable` are the rows that never were in the frame, `broken` is what the quality rules said of the others.
    """
    refused = Counter[int]()
    for one in unreadable:
        refused[one.answer] += one.rows
    if any(one.severity == "reject" for one in broken):
        refused.update(frame["answer"].to_list())
        refused.subtract(good["answer"].to_list())
        for one in broken:
            refused[one.answer] += _STAND_FOR.get(one.rule, 0) * one.rows
    return refused


def _missing(
    facts: Facts, call: FetchCall, pages: Sequence[tuple[int, Answer]], good: pl.DataFrame, refused: Counter[int]
) -> tuple[list[Finding], list[Request]]:
    """Return what is missing in the pages of bars, a finding an instrument, and the requests that must be repeated."""
    if call.dataset != "bars" or call.interval is None or not facts.has_every_bar:
        return [], []
    step_us = seconds_of(call.interval) * 1_000_000
    times: dict[str, list[int]] = {}
    found: dict[str, list[Hole]] = {}
    first: dict[str, int] = {}
    short = []
    for place, answer in pages:
        request = answer.request
        if request.start is None or request.end is None:
            continue
        [instrument] = request.instruments
        if instrument not in times:
            ours = good.filter(pl.col("instrument") == instrument)["ts"]
            times[instrument] = ours.to_physical().unique().sort().to_list()
        closed_before_us = epoch_us(answer.said_at) - int(facts.settle_s * 1_000_000)
        bounds = (epoch_us(request.start), epoch_us(request.end))
        window = closed_window(*bounds, step_us=step_us, closed_before_us=closed_before_us)
        if came(times[instrument], window) + refused[place] < window.rows:
            found.setdefault(instrument, []).extend(holes(times[instrument], window))
            first.setdefault(instrument, place)
            short.append(request)
    return [finding_of(one, found[one], answer=first[one]) for one in found], short


def encode(batch: Batch) -> bytes:
    """Return the batch as bytes: a JSON head with findings and unread requests, then the frame as Arrow IPC."""
    head = json.dumps(
        {
            "findings": [asdict(one) | {"ts": one.ts.isoformat() if one.ts else None} for one in batch.findings],
            "unread": [request_to(request) for request in batch.unread],
            "short": [request_to(request) for request in batch.short],
            "covered": [
                [one.instrument, *(moment.isoformat() for moment in (one.start, one.end, one.observed_at))]
                for one in batch.covered
            ],
        }
    ).encode()
    return b"".join((_LENGTH.pack(len(head)), head, frames.encode(batch.frame)))


def decode(blob: bytes) -> Batch:
    """Return the batch that `encode` was given."""
    (length,) = _LENGTH.unpack_from(blob)
    at = _LENGTH.size + length
    head = json.loads(blob[_LENGTH.size : at])
    findings = [
        Finding(**one | {"ts": datetime.fromisoformat(one["ts"]) if one["ts"] else None}) for one in head["findings"]
    ]
    unread, short = ([request_from(one) for one in head[name]] for name in ("unread", "short"))
    whole = [Covered(name, *map(datetime.fromisoformat, moments)) for name, *moments in head["covered"]]
    return Batch(frames.decode(blob[at:]), findings, unread, short, whole)


def warm_up() -> None:
    """Make polars build its thread pool and compile what every batch uses, before the first task waits for it."""
    frames.to_csv(pl.DataFrame({"a": ["1"]}).with_columns(pl.col("a").cast(pl.Float64)), ["a"])
