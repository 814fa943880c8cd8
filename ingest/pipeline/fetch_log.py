"""The fetch log's rows: what is noted of a batch of requests, and of each request that failed.

Deliberately not here: sending, and the transaction that commits them (fetch, instruments). Invariant: every request
that was sent is counted in exactly one row, and no row holds a key.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode

from ingest.archive import Place
from ingest.errors import BadData, FixRequest, SlowDown, TickfarmError
from ingest.telemetry import redact
from ingest.wire import Answer, Failure, Request
from models import FetchLog

#: A cursor can be of any length; what tells requests apart stands before this. Web servers take 8,000 at most.
URL_LETTERS = 2000
_BRANCHES = ((SlowDown, "slow_down"), (FixRequest, "fix_request"), (BadData, "bad_data"))


@dataclass(frozen=True, slots=True)
class Trace:
    """One request as it went: its outcome, which base URL served it, and the error if it was no good answer.

    `answer` is its place among the payload's answers, where it brought one.
    """

    outcome: Answer | Failure
    base_url: str
    error: TickfarmError | None = None
    answer: int | None = None


@dataclass(frozen=True, slots=True)
class Asker:
    """On whose behalf requests were sent: a job's attempt, or nobody's that has a job (`lane` is '' then).

    `pool` is the credential they count for, '' without a key.
    """

    provider: str
    dataset: str
    lane: str = ""
    job_id: int | None = None
    attempt: int = 0
    pool: str = ""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a batch ended, and when; `payload_key` and `place` say where its answers are, if any are kept."""

    at: datetime
    duration_ms: int
    outcome: str
    reason: str | None = None
    payload_key: str | None = None
    place: Place | None = None


def log_rows(asker: Asker, traces: Sequence[Trace], ending: Ending) -> list[FetchLog]:
    """Return the batch's row, then a row for each failure in the order they came."""
    good = [one for one in traces if one.error is None]
    failures = [_failure(asker, one, ending) for one in traces if one.error is not None]
    batch = _row(asker, ending, kind="batch", outcome=ending.outcome, error=ending.reason)
    batch.requests = len(traces)
    batch.weight = sum(one.outcome.request.weight for one in traces)
    batch.failed = len(failures)
    batch.duration_ms = ending.duration_ms
    batch.base_url = ",".join(dict.fromkeys(one.base_url for one in good or traces))
    batch.latency_ms = [_latency_ms(one.outcome) for one in good]
    batch.body_bytes = sum(_size_bytes(one.outcome) for one in good)
    if ending.place is not None:
        batch.segment, batch.position = ending.place.segment, ending.place.position
        batch.size_bytes = ending.place.size_bytes
    return [batch, *failures]


def _failure(asker: Asker, trace: Trace, ending: Ending) -> FetchLog:
    outcome, latency_ms = trace.outcome, _latency_ms(trace.outcome)
    row = _row(asker, ending, kind="failure", outcome="failed", error=str(trace.error))
    row.requests = row.weight = row.failed = 0  # the batch's row counts it
    row.duration_ms, row.latency_ms = latency_ms, [latency_ms]
    row.base_url, row.url = trace.base_url, url_of(outcome.request)
    row.status = outcome.status if isinstance(outcome, Answer) else None
    row.cause = outcome.kind if isinstance(outcome, Failure) else _branch(trace.error)
    row.answer, row.body_bytes = trace.answer, _size_bytes(outcome)
    return row


def _row(asker: Asker, ending: Ending, *, kind: str, outcome: str, error: str | None) -> FetchLog:
    return FetchLog(
        at=ending.at,
        kind=kind,
        job_id=asker.job_id,
        attempt=asker.attempt,
        provider=asker.provider,
        dataset=asker.dataset,
        lane=asker.lane,
        pool=asker.pool,
        outcome=outcome,
        error=None if error is None else _text(error),
        payload_key=ending.payload_key,
    )


def url_of(request: Request) -> str:
    """Return a request's path and parameters as they went out, but for the key, which is added after that."""
    query = urlencode(request.params)
    return _text(f"{request.path}?{query}" if query else request.path)[:URL_LETTERS]


def _text(text: str) -> str:
    """Return the text without secrets, and without the one character that PostgreSQL's text can't hold."""
    return redact(text).replace("\0", "\\0")


def _branch(error: TickfarmError | None) -> str:
    return next((name for branch, name in _BRANCHES if isinstance(error, branch)), "try_again")


def _latency_ms(outcome: Answer | Failure) -> int:
    # By the wall clock, which may be set back meanwhile.
    return max(0, round((outcome.received_at - outcome.sent_at).total_seconds() * 1000))


def _size_bytes(outcome: Answer | Failure) -> int:
    return len(outcome.body) if isinstance(outcome, Answer) else 0
