"""Retention: what is kept how long, and one run that deletes what is older, within its time.

Deliberately not here: how each kind goes (retention_days, _log, _order, _providers, _segments).
Invariant: nothing is deleted that is unverified, not over, or referred to by something that is kept; and a run that is
cut off at any point leaves nothing half done: the next one goes on.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import text

from ingest.market.records import DATASETS
from ingest.pipeline.context import Context
from ingest.pipeline.retention_days import delete_days
from ingest.pipeline.retention_log import delete_log
from ingest.pipeline.retention_order import delete_in_order, delete_runs
from ingest.pipeline.retention_providers import KEPT_DAYS, delete_old
from ingest.pipeline.retention_segments import delete_segments
from ingest.pipeline.retention_tally import Span, Tally
from ingest.settings import Settings

#: Below the task's soft limit of 75 s by more than the longest statement takes.
BUDGET_S = 45.0
#: The farm's number for "I delete what is old".
_LOCK = 7_461_003

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Report:
    """What a run did, kind by kind. `is_busy`: another run was at work, this one did nothing."""

    tallies: list[Tally] = field(default_factory=list)
    is_busy: bool = False

    def summary(self) -> dict[str, Any]:
        """Return the result of the run's job: what went, what stayed because it is unverified, in few words."""
        if self.is_busy:
            return {"rows": 0, "reason": "another run is at work"}
        return {
            "rows": sum(one.rows for one in self.tallies),
            "segments": sum(one.segments for one in self.tallies),
            "partitions": sum(one.partitions for one in self.tallies),
            "deleted": {one.what: one.rows for one in self.tallies if one.rows},
            "unverified_days": {one.what: one.held for one in self.tallies if one.what in DATASETS and one.held},
            "complete": all(one.is_complete for one in self.tallies),
        }


def kept_days(settings: Settings) -> dict[str, int]:
    """Return how many days each kind is kept, 0 for ever, in the order in which a run looks at them.

    Findings go before what they hold back; jobs and the fetch log, by far the most, come last and get all the time that
    the others left.
    """
    order = ("findings", "dead_letters", "provider_events", "revisions", *DATASETS, "archive", "jobs", "fetch_log")
    return {what: int(getattr(settings, f"tickfarm_keep_{what}_days")) for what in order}


def retain(context: Context, now: datetime, *, budget_s: float = BUDGET_S, dry_run: bool = False) -> Report:
    """Delete what is older than the settings allow, for `budget_s` at most. With `dry_run`, only count it.

    Safe to repeat, to cut off, and to start twice: the second run ends at once. Where nothing is old it costs some
    twenty quick queries.
    """
    with nullcontext(True) if dry_run else _alone(context) as is_alone:
        if not is_alone:
            return Report(is_busy=True)
        end = time.monotonic() + budget_s
        tallies = []
        kept = kept_days(context.settings)
        steps: list[tuple[str, int]] = [("schedule_runs", 0), *KEPT_DAYS.items(), *kept.items()]
        for left, (what, days) in zip(range(len(steps), 0, -1), steps, strict=True):
            until = time.monotonic() + (end - time.monotonic()) / left
            tallies.append(_step(context, what, days, Span(days, now - timedelta(days=days), until, dry_run)))
    report = Report(tallies)
    log.info("retained", dry_run=dry_run, **report.summary())
    return report


def _step(context: Context, what: str, days: int, span: Span) -> Tally:
    if what == "schedule_runs":
        return delete_runs(context, span)
    if what in KEPT_DAYS:
        return delete_old(context, what, span)
    if not days:
        return Tally(what, 0)
    if what in DATASETS:
        return delete_days(context, what, span)
    own = {"archive": delete_segments, "fetch_log": delete_log}.get(what)
    return own(context, span) if own is not None else delete_in_order(context, what, span)


@contextmanager
def _alone(context: Context) -> Iterator[bool]:
    """Say whether no other run is at work, and keep it so. PostgreSQL ends it with our connection if we die."""
    engine = context.sessions.kw["bind"]
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        is_alone = bool(connection.scalar(text("SELECT pg_try_advisory_lock(:lock)"), {"lock": _LOCK}))
        try:
            yield is_alone
        finally:
            if is_alone:
                connection.scalar(text("SELECT pg_advisory_unlock(:lock)"), {"lock": _LOCK})
