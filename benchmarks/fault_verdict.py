"""What became of a day that was fetched from an ill provider: what is stored, what is missing, who says so.

Reads the database only, as a person would. Deliberately not here: playing the fault. Invariant: a missing minute counts
as reported only where a dead letter or a finding names a stretch of time that holds it; a count alone excuses nothing.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import quantiles
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from benchmarks.fault_table import HEALTHY, ILL, INTERVAL
from ingest.market.intervals import bar_opens

#: The healthy provider's p95 over all faults may be this many times what it was; above it, they were noticed.
NOTICED_ABOVE = 1.5
#: On top: what one disk write or time slice of a shared machine adds to a poll, ill provider or not.
NOISE_MS = 25.0
#: A p95 of fewer polls is made of less than five of them.
LEAST_POLLS = 100

_WITHIN = "ts >= :start AND ts < :end"
_SERIES = f"provider = '{ILL}' AND dataset = 'bars' AND interval = '{INTERVAL}'"


@dataclass(frozen=True, slots=True)
class Day:
    """The series and the half-open stretch of time that one scenario is about."""

    instruments: tuple[str, ...]
    start: datetime
    end: datetime

    @property
    def rows(self) -> int:
        """Return how many bars it has."""
        return len(self.instruments) * len(bar_opens(self.start, self.end, INTERVAL))


@dataclass(frozen=True, slots=True)
class Verdict:
    """`missing` rows, of which `unreported` are named nowhere; `duplicates`: see `_duplicates`."""

    stored: int
    missing: int
    unreported: int
    duplicates: int


def judge(session: Session, day: Day) -> Verdict:
    """Compare what is stored with what there is."""
    stored = unreported = missing = 0
    for instrument in day.instruments:
        found = _stored(session, day, instrument)
        absent = set(bar_opens(day.start, day.end, INTERVAL)) - found
        told = [*_letters(session, instrument), *_findings(session, instrument)]
        stored += len(found)
        missing += len(absent)
        unreported += sum(not any(first <= ts < last for first, last in told) for ts in absent)
    return Verdict(stored, missing, unreported, _duplicates(session, day))


def _stored(session: Session, day: Day, instrument: str) -> set[datetime]:
    query = f"SELECT ts FROM bars JOIN series ON id = series_id WHERE {_SERIES} AND instrument = :i AND {_WITHIN}"
    return set(session.scalars(text(query), {"i": instrument, "start": day.start, "end": day.end}))


def _duplicates(session: Session, day: Day) -> int:
    """Count revisions (nothing the sandbox serves ever changes), rows twice, and what the ledger counts that isn't."""
    bounds = {"start": day.start, "end": day.end}
    ours = f"series_id IN (SELECT id FROM series WHERE {_SERIES})"
    queries = (
        f"SELECT count(*) FROM revisions WHERE {ours} AND {_WITHIN}",
        f"SELECT count(*) - count(DISTINCT (series_id, ts)) FROM bars WHERE {ours} AND {_WITHIN}",
        f"SELECT (SELECT coalesce(sum(stored), 0) FROM ledger WHERE {ours})"
        f" - (SELECT count(*) FROM bars WHERE {ours}) WHERE :start < :end",
    )
    return sum(abs(int(session.scalar(text(one), bounds) or 0)) for one in queries)


def _letters(session: Session, instrument: str) -> Iterable[tuple[datetime, datetime]]:
    """Yield the stretches that open dead letters name."""
    query = f"SELECT kwargs FROM dead_letters WHERE state = 'open' AND task LIKE '%.{ILL}'"
    for kwargs in session.scalars(text(query)):
        for one in kwargs.get("requests") or [kwargs]:
            if instrument in one["instruments"] and one["start"] and one["end"]:
                yield datetime.fromisoformat(one["start"]), datetime.fromisoformat(one["end"])


def _findings(session: Session, instrument: str) -> Iterable[tuple[datetime, datetime]]:
    """Yield the stretches that findings about missing rows name: one a line of the sample."""
    query = f"SELECT sample FROM findings WHERE provider = '{ILL}' AND rule = 'missing_rows' AND instrument = :i"
    for sample in session.scalars(text(query), {"i": instrument}):
        for line in sample.splitlines():
            hole = json.loads(line)
            yield datetime.fromisoformat(hole["start"]), datetime.fromisoformat(hole["end"])


def reported(session: Session, since: datetime) -> dict[str, Any]:
    """Return what the farm said about the ill provider since then, by kind."""
    ours = {"since": since}
    fetches = text(f"SELECT outcome, error FROM fetch_log WHERE provider = '{ILL}' AND at >= :since ORDER BY at, id")
    log = session.execute(fetches, ours).all()
    findings = text(f"SELECT rule, sum(rows) FROM findings WHERE provider = '{ILL}' AND at >= :since GROUP BY 1")
    letters = text(f"SELECT error_class FROM dead_letters WHERE task LIKE '%.{ILL}' AND at >= :since")
    return {
        "fetches": dict(Counter(outcome for outcome, _ in log)),
        "first_error": next((error for _, error in log if error), None),
        "findings": {rule: int(rows) for rule, rows in session.execute(findings, ours)},
        "dead_letters": dict(Counter(session.scalars(letters, ours))),
    }


def jobs_by_state(session: Session) -> Mapping[str, int]:
    """Return how many jobs of the ill provider there are in each state."""
    query = text(f"SELECT state, count(*) FROM jobs WHERE task LIKE '%.{ILL}' GROUP BY 1")
    return {row[0]: int(row[1]) for row in session.execute(query)}


def healthy_s(session: Session, since: datetime, until: datetime) -> Sequence[float]:
    """Return the seconds from slot to commit of the healthy provider's live polls that fell due in that time, in order.

    One that still waits counts with what it has waited until now, one that was given up until then. `finished_at` is
    when the transaction began that ended the job. Needs the server's `track_commit_timestamp`.
    """
    query = text(
        "SELECT extract(epoch FROM CASE WHEN state = 'done' THEN pg_xact_commit_timestamp(jobs.xmin)"
        " ELSE coalesce(jobs.finished_at, clock_timestamp()) END - coalesce(slot, due_at))"
        " FROM jobs LEFT JOIN schedule_runs ON schedule_runs.id = run_id"
        f" WHERE task LIKE '%.{HEALTHY}' AND lane = 'live'"
        " AND coalesce(slot, due_at) >= :since AND coalesce(slot, due_at) < :until ORDER BY coalesce(slot, due_at)"
    )
    return [float(one) for one in session.scalars(query, {"since": since, "until": until})]


def healthy_stored(session: Session, since: datetime) -> int:
    """Return how many of its polls that fell due since then are stored."""
    query = f"SELECT count(*) FROM jobs WHERE task LIKE '%.{HEALTHY}' AND state = 'done' AND due_at >= :since"
    return int(session.scalar(text(query), {"since": since}) or 0)


def p95_ms(seconds: Sequence[float]) -> float:
    """Return the 95th percentile in milliseconds; 0.0 of nothing."""
    if len(seconds) < 2:
        return round(1000 * sum(seconds), 1)
    return round(1000 * quantiles(seconds, n=100, method="inclusive")[94], 1)


@dataclass(frozen=True, slots=True)
class Neighbour:
    """Seconds of the healthy provider's polls: beside nothing, beside a provider that is well, beside an ill one."""

    quiet: Sequence[float]
    well: Sequence[float]
    ill: Sequence[float]


def is_noticed(before: Sequence[float], beside: Sequence[float]) -> bool:
    """Say whether the p95 has risen by more than is allowed; never of too few polls."""
    return len(beside) >= LEAST_POLLS and p95_ms(beside) > NOTICED_ABOVE * p95_ms(before) + NOISE_MS


def neighbour(polls: Neighbour, *, is_machine_quiet: bool) -> dict[str, Any]:
    """Return the healthy provider's p95 over all faults against what it was while nobody was ill, and the verdict.

    It may not rise over that beside the same work of a well provider. On a quiet machine it may not rise over that
    beside no work either; on a busy one any work raises it, and as much without an illness.
    """
    ill, noticed = p95_ms(polls.ill), is_noticed(polls.well, polls.ill)
    return {
        "neighbour_p95_ratio": _ratio(ill, p95_ms(polls.quiet)),
        "neighbour_p95_ratio_to_well": _ratio(ill, p95_ms(polls.well)),
        "neighbour_noticed": int(noticed or (is_machine_quiet and is_noticed(polls.quiet, polls.ill))),
        "neighbour_p95_ms": {"quiet": p95_ms(polls.quiet), "well": p95_ms(polls.well), "ill": ill},
        "neighbour_polls": {"quiet": len(polls.quiet), "well": len(polls.well), "ill": len(polls.ill)},
    }


def _ratio(during: float, before: float) -> float:
    return round(during / before, 2) if before else 0.0


def healthy_failed(session: Session) -> int:
    """Return how many of its requests failed, ever, and how many of its jobs found no quote to store."""
    failed = session.scalar(text(f"SELECT coalesce(sum(failed), 0) FROM fetch_log WHERE provider = '{HEALTHY}'"))
    dead = session.scalar(text(f"SELECT count(*) FROM jobs WHERE task LIKE '%.{HEALTHY}' AND state = 'dead'"))
    return int(failed or 0) + int(dead or 0)
