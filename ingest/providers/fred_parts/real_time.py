"""FRED's real time: in which steps it is asked for, and what is asked where a series has too much of it or none.

Deliberately not here: pages within a step, and what a vintage is (../fred.py). Invariant: the steps of a series,
joined, are all of real time.

Sources: those of ../fred.py.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

from ingest.providers.fred_parts.errors import NOT_ARCHIVED, TOO_MANY, text_of
from ingest.wire import Answer, Request

#: The whole of real time. Source: docs, `realtime_start`, `realtime_end`.
EARLIEST, LATEST = "1776-07-04", "9999-12-31"
#: "There are 2004 vintage dates in the specified real-time period .. This exceeds the maximum number of vintage dates
#: allowed (2000)" (fredapi, 48). A day is at most one vintage; of those before 2000 no series is known to have as many.
STEP_DAYS = 1_990
FIRST_STEP_ENDS = date(1999, 12, 31)


def with_params(request: Request, **changed: str) -> Request:
    return replace(request, params=tuple((name, changed.get(name, value)) for name, value in request.params))


def next_step(request: Request, answer: Answer) -> Request | None:
    """Return the request for the real time after this one's, or None where it reaches up to now.

    It begins a day early: what was published on a step's first day looks the same as what was known before it. No step
    but the last ends after yesterday, since a `realtime_end` after FRED's today is refused.
    """
    ended = dict(request.params).get("realtime_end", LATEST)
    if ended == LATEST:
        return None
    ends = date.fromisoformat(ended) + timedelta(days=STEP_DAYS)
    is_last = ends >= answer.received_at.date() - timedelta(days=1)
    return with_params(request, realtime_start=ended, realtime_end=LATEST if is_last else ends.isoformat(), offset="0")


def instead(request: Request, answer: Answer) -> Request | None:
    """Return what to ask instead, where the answer says that it has the series but not the real time."""
    params = dict(request.params)
    if answer.status != 400 or "realtime_end" not in params:
        return None
    text, is_open = text_of(answer), params["realtime_end"] == LATEST
    if TOO_MANY.search(text) and is_open and params["realtime_start"] == EARLIEST:
        return with_params(request, realtime_end=FIRST_STEP_ENDS.isoformat(), offset="0")
    if not NOT_ARCHIVED.search(text):
        return None
    if not is_open:
        return next_step(request, answer)  # its archive begins later
    return replace(request, params=tuple(param for param in request.params if not param[0].startswith("realtime_")))
