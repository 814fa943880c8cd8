"""Fetch: ask a provider for a batch, keep its raw answers, and settle what becomes of the job.

Deliberately not here: sending (sending), and what the answers mean (normalize).

One transaction at its end commits everything: the fetch log, where the payload lies, jobs for pages not yet asked and
for parts that failed, findings for answers that were errors, and the job's next state. Where little came, the same
transaction stores it; if that fails, what was fetched is committed without it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, Protocol, assert_never

import structlog
from sqlalchemy import update
from sqlalchemy.orm import Session

from ingest import providers
from ingest.archive import Place
from ingest.errors import KeyRefused, LeaseLost, SlowDown, UnknownName
from ingest.payloads import Packed, StoredAnswer, pack, payload_key
from ingest.pipeline import dead_letters, jobs, provider_state
from ingest.pipeline.calls import WITHOUT_HISTORY, FetchCall, check_call, within_reach
from ingest.pipeline.context import Context
from ingest.pipeline.exchange import Sender, endpoint_of
from ingest.pipeline.fetch_log import Asker, Ending, log_rows
from ingest.pipeline.jobs import Leased
from ingest.pipeline.parts import Part, can_be_split, part_job
from ingest.pipeline.schedule import followed_of
from ingest.pipeline.sending import Sent, Trouble, send
from ingest.pipeline.terms import refuse_unusable
from ingest.providers.contract import Provider
from ingest.telemetry import redact, redact_bytes, redact_error
from ingest.transport.retry import Decision, Defer, GiveUp, RetryLater, RetryNow
from ingest.wire import Request
from models import Finding, Series

#: Up to this many bytes of answers (a live poll) the fetch stores them itself: 46 instead of 54 ms from slot to commit,
#: and 9 round trips to PostgreSQL instead of 24.
AT_ONCE_BYTES = 64 * 1024

log = structlog.get_logger(__name__)


class Ready(Protocol):
    """Rows that only a transaction is missing (store.Ready)."""

    def write(self, session: Session, /) -> dict[str, Any]:
        """Write them and end their job; return counts."""


#: Makes a fetch's answers ready to be stored (store.ready, which needs polars: that must not meet a fork).
MakeReady = Callable[[Context, Leased, FetchCall, Sequence[StoredAnswer]], Ready]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a fetch ended. `fetched`: answers wait to be loaded, of `payload_bytes` uncompressed.

    `owes`: it filed jobs for what is left of it. `stored`: counts of what it has stored already, where it has, in a
    transaction that took `store_s`; without the counts, in vain. `full_until`: no job of the provider is served before.
    """

    state: Literal["fetched", "done", "deferred", "failed", "dead"]
    payload_bytes: int = 0
    requests: int = 0
    failed: int = 0
    until: datetime | None = None
    reason: str | None = None
    owes: bool = False
    stored: Mapping[str, Any] | None = None
    store_s: float | None = None
    full_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class _Fetched:
    """A fetch that has been sent, and is to be committed."""

    provider: Provider
    call: FetchCall
    job: Leased
    sent: Sent
    now: datetime
    duration_ms: int

    @property
    def name(self) -> str:
        return payload_key(self.job.id, self.job.attempt)

    @property
    def size_bytes(self) -> int:
        return sum(len(kept.answer.body) for kept in self.sent.answers)


def fetch(context: Context, provider_name: str, job: Leased, *, make_ready: MakeReady | None = None) -> Outcome:
    """Do a leased job's fetch and commit its outcome. With `make_ready`, what brought little is stored with it.

    Raises FixRequest for a call that can't work (the shell buries the job), LeaseLost when the job was given to
    somebody else meanwhile, and the database's or Redis' own errors when they are away: the lease repairs those.
    """
    provider = providers.get(provider_name)
    call = check_call(provider.facts, job.kwargs)
    if job.key.startswith(jobs.CALL_PREFIX):  # somebody waits; others' jobs do (send)
        refuse_unusable(context.settings, provider.facts)
    began = time.monotonic()
    requests = list(call.requests) or _build(context, provider, call)
    if not requests:
        return _nothing_to_do(context, job)
    with context.leases.hold(job.id, job.attempt):
        sender = Sender(f"{job.id}:{job.attempt}", job.lane, job.send_options)
        sent = send(context, provider, requests, failures=job.failures + 1, dataset=call.dataset, sender=sender)
        for trouble in sent.troubles:
            redact_error(trouble.error)
        duration_ms = int((time.monotonic() - began) * 1000)
        return _commit(context, _Fetched(provider, call, job, sent, datetime.now(UTC), duration_ms), make_ready)


def _build(context: Context, provider: Provider, call: FetchCall) -> list[Request]:
    """Return the call's requests. A window without an end reaches up to now, or as near as the provider can be asked.

    Some need an end named, and X refuses one that is too near.
    """
    instruments: Sequence[str] = call.instruments
    if not instruments:
        with context.sessions() as session:
            kind = (provider.facts.name, call.dataset, call.interval or "")
            instruments = followed_of(session, [kind]).get(kind, ())
    now = datetime.now(UTC)
    if call.end is None and (call.start is not None or call.dataset not in ("trades", *WITHOUT_HISTORY)):
        call = replace(call, end=now - timedelta(seconds=provider.facts.lag_s))
    call = within_reach(provider.facts, call, now)
    has_key = endpoint_of(context, provider.facts, "", dataset=call.dataset).key is not None
    return provider.build(call.query(instruments, has_key=has_key)) if instruments else []


def _nothing_to_do(context: Context, job: Leased) -> Outcome:
    with context.sessions.begin() as session:
        jobs.relax_commit(session)
        jobs.finish(session, job.id, job.attempt, {"rows": 0, "reason": "nothing of this kind is followed"})
    return Outcome("done", reason="nothing of this kind is followed")


def _commit(context: Context, done: _Fetched, make_ready: MakeReady | None) -> Outcome:
    """Keep the payload, then commit all that follows from the fetch in one transaction; log it."""
    outcome = _settle(context, done, make_ready)
    log.info(
        "fetched",
        job_id=done.job.id,
        provider=done.provider.facts.name,
        dataset=done.call.dataset,
        state=outcome.state,
        requests=done.sent.requests,
        failed=sum(one.error is not None for one in done.sent.traces),
        duration_ms=done.duration_ms,
        reason=outcome.reason,
    )
    if outcome.stored is not None:
        log.info("stored", job_id=done.job.id, **outcome.stored)
    return outcome


def _settle(context: Context, done: _Fetched, make_ready: MakeReady | None) -> Outcome:
    sent, place, in_vain_s = done.sent, None, None
    context.make_room("fetch_log", done.now, done.now)
    if sent.answers:
        asked = {key: value for key, value in done.job.kwargs.items() if key != "requests"}  # each answer has its own
        packed = pack(sent.answers, asked)
        is_little = sent.good > 0 and done.size_bytes <= AT_ONCE_BYTES
        if make_ready is not None and is_little:
            place = context.payloads.archive(done.name, packed.blob, done.now)
            began = time.monotonic()
            stored = None if place is None else _store_at_once(context, done, packed, place, make_ready)
            if stored is not None:
                return stored
            in_vain_s = time.monotonic() - began
            context.payloads.send_off(done.name, packed.blob, place)
        else:
            place = context.payloads.put(done.name, packed.blob, done.now, in_flight=sent.good > 0)
    with context.sessions.begin() as session:
        jobs.relax_commit(session)
        return replace(_end(session, done, place), store_s=in_vain_s)


def _store_at_once(
    context: Context, done: _Fetched, packed: Packed, place: Place, make_ready: MakeReady
) -> Outcome | None:
    """Commit the fetch together with its rows; None where they can't be stored now, for whatever reason.

    Killed before the commit, the job is fetched again: nothing of it can be seen, and its lease runs out.
    """
    try:
        ready = make_ready(context, replace(done.job, payload_key=done.name), done.call, packed.answers)
        began = time.monotonic()
        with context.sessions.begin() as session:
            outcome = _end(session, done, place)
            counts = ready.write(session)
        took_s = time.monotonic() - began
        context.meters.stored(done.job, counts, took_s=took_s, now=datetime.now(UTC))
        return replace(outcome, stored=counts, store_s=took_s)
    except LeaseLost:
        raise
    except Exception as error:  # noqa: BLE001 - also a parser's bug: the answers are kept, and who stores them files it
        log.warning("not_stored_at_once", job_id=done.job.id, error=redact(str(error).partition("\n")[0]))
        context.forget_partitions()  # retention may have dropped one that this process had seen
        return None


def _end(session: Session, done: _Fetched, place: Place | None) -> Outcome:
    """Write all that follows from the fetch. Raises LeaseLost when another attempt has begun."""
    provider, call, job, sent = done.provider, done.call, done.job, done.sent
    _note_refused(session, provider.facts.name, sent.troubles)
    _note_state(session, provider.facts.name, sent, done.now)
    outcome = _next_state(session, call, job, sent, now=done.now, name=done.name, size_bytes=done.size_bytes)
    if sent.left and sent.is_left_for_all:
        outcome = replace(outcome, full_until=done.now + timedelta(seconds=sent.left_wait_s))
    asker = Asker(provider.facts.name, call.dataset, job.lane, job.id, job.attempt, sent.pool)
    ending = Ending(done.now, done.duration_ms, outcome.state, outcome.reason, done.name, place)
    session.add_all(log_rows(asker, sent.traces, ending))
    session.add_all(_findings(provider, call, job, sent, done.name))
    return outcome


def _note_refused(session: Session, provider: str, troubles: Sequence[Trouble]) -> None:
    """Mark the series of instruments the provider does not know, or each slot would ask for them, in vain, again."""
    for trouble in troubles:
        error = trouble.error
        if isinstance(error, UnknownName) and error.kind == "instrument" and len(trouble.request.instruments) == 1:
            session.execute(
                update(Series)
                .where(Series.provider == provider, Series.instrument == trouble.request.instruments[0])
                .values(refused=str(error))
            )


def _note_state(session: Session, provider: str, sent: Sent, now: datetime) -> None:
    """Remember what the exchange changed for everybody: breakers, and a wait that is longer than Redis may forget."""
    provider_state.record(session, provider, sent.transitions)
    if sent.hold is None or sent.hold.for_s < provider_state.WORTH_KEEPING_S:
        return
    is_refused = any(isinstance(trouble.error, KeyRefused) for trouble in sent.troubles)
    kind, until = "entitlement" if is_refused else "throttled", now + timedelta(seconds=sent.hold.for_s)
    provider_state.keep_hold(session, provider, sent.pool, kind, until, sent.hold.reason)


def _next_state(
    session: Session, call: FetchCall, job: Leased, sent: Sent, *, now: datetime, name: str, size_bytes: int
) -> Outcome:
    """Decide and write the job's next state and the jobs for what is left of it."""
    reason = str(sent.troubles[0].error) if sent.troubles else None
    is_partial = sent.good > 0 or len({type(trouble.decision) for trouble in sent.troubles}) > 1
    if not is_partial:
        whole = _whole(session, job, sent, now, reason)
        if whole is not None:
            return whole
    parts = _parts(sent, now)
    for part in parts:
        _file_part(session, call, job, part)
    counts = Outcome("fetched", size_bytes, sent.requests, len(sent.troubles), reason=reason, owes=bool(parts))
    if sent.good:
        jobs.mark_fetched(session, job.id, job.attempt, payload_key=name, payload_bytes=size_bytes)
        return counts
    jobs.finish(session, job.id, job.attempt, {"rows": 0, "failed": len(sent.troubles), "reason": reason})
    return Outcome("failed", requests=sent.requests, failed=len(sent.troubles), reason=reason)


def _whole(session: Session, job: Leased, sent: Sent, now: datetime, reason: str | None) -> Outcome | None:
    """Settle a fetch that brought nothing at all: the job itself waits or dies. None if its parts must differ."""
    if not sent.troubles:
        until = now + timedelta(seconds=sent.left_wait_s)
        why = sent.left_reason or "waits for its turn"
        jobs.put_back(session, job.id, job.attempt, due_at=until, reason=why, is_failure=False)
        return Outcome("deferred", until=until, reason=why)
    decision = max((trouble.decision for trouble in sent.troubles), key=_delay_s)
    until = now + timedelta(seconds=_delay_s(decision))
    match decision:
        case GiveUp():
            if _can_be_split(sent.troubles):
                return None
            jobs.bury(session, job.id, job.attempt, str(reason))
            error = sent.troubles[0].error
            letter = dead_letters.Letter(
                job.task, error, job.kwargs, task_id=f"job:{job.id}:{job.attempt}", job_id=job.id
            )
            dead_letters.write_letter(session, letter)
            return Outcome("dead", requests=sent.requests, failed=len(sent.troubles), reason=reason)
        case Defer() | RetryLater() | RetryNow():
            is_failure = not isinstance(decision, Defer)
            jobs.put_back(session, job.id, job.attempt, due_at=until, reason=str(reason), is_failure=is_failure)
            state: Literal["failed", "deferred"] = "failed" if is_failure else "deferred"
            return Outcome(state, requests=sent.requests, failed=len(sent.troubles), until=until, reason=reason)
        case _:
            assert_never(decision)


def _can_be_split(troubles: Sequence[Trouble]) -> bool:
    return any(can_be_split(one.error, one.request) for one in troubles)


def _delay_s(decision: Decision) -> float:
    return decision.delay_s if isinstance(decision, RetryLater | Defer) else 0.0


def _parts(sent: Sent, now: datetime) -> list[Part]:
    """Cut what is left into parts: pages not asked yet, and failed requests by what is to be done about them."""
    parts = []
    if sent.left:
        parts.append(Part(tuple(sent.left), now + timedelta(seconds=sent.left_wait_s), error=None, failed=False))
    later = [trouble for trouble in sent.troubles if not isinstance(trouble.decision, GiveUp)]
    for failed in (True, False):
        group = [one for one in later if isinstance(one.decision, Defer) is not failed]
        if group:
            due_at = now + timedelta(seconds=max(_delay_s(one.decision) for one in group))
            parts.append(Part(tuple(one.request for one in group), due_at, error=group[0].error, failed=failed))
    for one in sent.troubles:
        if isinstance(one.decision, GiveUp):
            parts.append(Part((one.request,), now, error=one.error, failed=True, is_dead=True))
    return parts


def _file_part(session: Session, call: FetchCall, job: Leased, part: Part) -> None:
    """Owe a part as a job of its own, or file a dead letter for it."""
    children = part_job(call, job, part)
    if not part.is_dead:
        jobs.insert_jobs(session, children)
        return
    [request] = part.requests
    if can_be_split(part.error, request):
        # One bad name must not cost the others: each half is asked for again by itself.
        jobs.insert_jobs(session, children)
        return
    letter = dead_letters.Letter(
        job.task, part.error or "given up", children[0].kwargs, task_id=children[0].key, job_id=job.id
    )
    dead_letters.write_letter(session, letter)


def _findings(provider: Provider, call: FetchCall, job: Leased, sent: Sent, name: str) -> list[Finding]:
    """Answers that came as a success and were none: evidence a person will want to see."""
    found = []
    for trouble in sent.troubles:
        if trouble.answer_index is None or isinstance(trouble.error, SlowDown):
            continue
        answer = sent.answers[trouble.answer_index]
        if answer.answer.status != 200:
            continue
        found.append(
            Finding(
                job_id=job.id,
                provider=provider.facts.name,
                dataset=call.dataset,
                instrument=trouble.request.instruments[0] if len(trouble.request.instruments) == 1 else None,
                rule=answer.rule or "provider_error",
                severity="reject",
                rows=0,
                reason=str(trouble.error),
                sample=redact_bytes(answer.answer.body)[:300].decode(errors="replace").replace("\0", "\\0"),
                payload_key=name,
                answer=trouble.answer_index,
            )
        )
    return found
