"""Parts of a job that must be done apart: pages not asked yet, failed requests, pages that could not be read.

Invariant: a part's job has a key made from its parent's and from its requests, so that filing it twice is filing it
once, and a part of a part has a key of its own.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ingest.errors import FixRequest, KeyRefused, TickfarmError
from ingest.payloads import request_to
from ingest.pipeline.calls import FetchCall
from ingest.pipeline.jobs import Leased, NewJob
from ingest.wire import Request

#: Between the key of the job that was owed first and what tells its parts apart.
_MARK = "/part:"


@dataclass(frozen=True, slots=True)
class Part:
    """Requests to be sent again at `due_at`. `failed` counts against the job; `is_dead` ends it."""

    requests: tuple[Request, ...]
    due_at: datetime
    error: TickfarmError | None
    failed: bool
    is_dead: bool = False


def can_be_split(error: TickfarmError | None, request: Request) -> bool:
    """Say whether a part of a request that can't work may: one of its instruments may be what is wrong with it."""
    is_wrong = isinstance(error, FixRequest) and not isinstance(error, KeyRefused)
    return is_wrong and len(request.instruments) > 1


def part_job(call: FetchCall, job: Leased, part: Part) -> list[NewJob]:
    """Return the job (or jobs) that a part is owed as.

    A request for several instruments that can never work as asked is cut in half, until the bad name stands alone.
    """
    if part.is_dead and can_be_split(part.error, part.requests[0]):
        names = part.requests[0].instruments
        halves = (names[: len(names) // 2], names[len(names) // 2 :])
        return [_child(job, part, _call_kwargs(call) | {"instruments": list(half)}) for half in halves]
    return [_child(job, part, _call_kwargs(call) | {"requests": [request_to(one) for one in part.requests]})]


def _call_kwargs(call: FetchCall) -> dict[str, Any]:
    return {
        "dataset": call.dataset,
        "instruments": list(call.instruments),
        "interval": call.interval,
        "start": call.start.isoformat() if call.start else None,
        "end": call.end.isoformat() if call.end else None,
    }


def _child(job: Leased, part: Part, kwargs: dict[str, Any]) -> NewJob:
    # Of the parent's whole key, but not with it: a cursor's thousandth successor must still fit into the index.
    origin = json.dumps([job.key, kwargs], sort_keys=True).encode()
    return NewJob(
        key=f"{job.key.partition(_MARK)[0]}{_MARK}{hashlib.sha256(origin).hexdigest()[:32]}",
        task=job.task,
        lane=job.lane,
        kwargs=kwargs,
        due_at=part.due_at,
        priority=job.priority,
        entry=job.entry,
        run_id=job.run_id,
        options=job.options,
        parent_id=job.id,
        correlation_id=job.correlation,
        failures=job.failures + 1 if part.failed and not part.is_dead else job.failures,
        error=str(part.error) if part.error else None,
    )
