"""What a scrape reads of PostgreSQL: freshness, coverage, open jobs, runs, dead letters, by bounded names.

Reads only. Deliberately not here: providers' figures (health_figures), what processes counted (meters), and how it is
shown (dashboard/metrics.py). Invariant: each function is one query, however many series there are; none reads a table
whose size grows with the farm's age.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import text
from sqlalchemy.orm import Session

from ingest import providers
from ingest.market.calendars import open_seconds
from ingest.market.intervals import seconds_of
from ingest.pipeline.coverage import BEST_EFFORT
from ingest.pipeline.entries import FETCH_PREFIX
from ingest.pipeline.status import LATE_AFTER_INTERVALS, LATE_AFTER_S, Followed, followed_series, is_late
from ingest.providers.contract import calendar_of

#: How far back the longer of the two coverages reaches.
COVERED_DAYS: Final = 30
#: Runs of so long ago are recent; so many of the newest are looked at, at most.
RECENT: Final = timedelta(minutes=5)
_MOST_RUNS: Final = 10_000
_DAY_S: Final = 86_400

OPEN_STATES: Final = ("later", "due", "sent", "running", "fetched")

#: provider, dataset, interval ('' where the dataset has none)
Kind = tuple[str, str, str]


@dataclass(slots=True)
class Freshness:
    """The followed series of one kind. `newest` is of the freshest one; the lag, within market hours, of the worst.

    `target_s` is the lag from which a series is late, where that is a number of seconds; `lag_s` is None where the
    data come when something happens.
    """

    kind: Kind
    series: int = 0
    late: int = 0
    newest: datetime | None = None
    lag_s: float | None = None
    target_s: float | None = None


def freshness(session: Session, now: datetime) -> list[Freshness]:
    """Return how fresh each kind of followed series is. One query; one index look-up in it a series."""
    found: dict[Kind, Freshness] = {}
    for series in followed_series(session):
        kind = (series.provider, series.dataset, series.interval)
        one = found.setdefault(kind, Freshness(kind, target_s=_target_s(series)))
        one.series += 1
        if series.refused is not None or series.newest is None:
            continue
        one.newest = series.newest if one.newest is None else max(one.newest, series.newest)
        one.late += is_late(series, now)
        if series.dataset == "bars" or series.dataset in LATE_AFTER_S:
            one.lag_s = max(one.lag_s or 0.0, _lag_s(series, series.newest, now))
    return list(found.values())


def _target_s(series: Followed) -> float | None:
    if series.dataset != "bars":
        return LATE_AFTER_S.get(series.dataset)
    width_s = seconds_of(series.interval)
    return float(LATE_AFTER_INTERVALS * width_s) if width_s < _DAY_S else None


def _lag_s(series: Followed, newest: datetime, now: datetime) -> float:
    """Return for how many seconds of open market nothing is there: of a bar, since its end."""
    facts = providers.get(series.provider).facts
    until = newest + timedelta(seconds=seconds_of(series.interval)) if series.interval else newest
    due = now - timedelta(seconds=facts.lag_s)
    return open_seconds(calendar_of(facts, series.instrument), until, due) if until < due else 0.0


@dataclass(frozen=True, slots=True)
class Proven:
    """How much of what had to be there is proven, of one kind of followed series: of yesterday and of the last 30 days.

    `gap_days` are days of those 30 that are over and not settled: the farm works on them. Bars are counted in rows,
    other datasets in days.
    """

    kind: Kind
    expected_yesterday: int
    proven_yesterday: int
    expected: int
    proven: int
    gap_days: int


_PROVEN = text("""
    WITH days AS (
        SELECT provider, dataset, interval, day, state,
            CASE WHEN dataset = 'bars' THEN coalesce(expected, stored) ELSE 1 END AS owed,
            CASE WHEN state IN ('verified', 'empty_confirmed')
                    THEN CASE WHEN dataset = 'bars' THEN coalesce(expected, stored) ELSE 1 END
                WHEN state IN ('suspect', 'imported', 'unavailable', 'retired') OR dataset <> 'bars' THEN 0
                ELSE least(final + confirmed, coalesce(expected, stored)) END AS proven
        FROM series JOIN ledger ON ledger.series_id = series.id
        WHERE followed AND day >= :first AND day < :today AND dataset <> ALL(:best_effort)
    )
    SELECT provider, dataset, interval,
        coalesce(sum(owed) FILTER (WHERE day = :yesterday), 0),
        coalesce(sum(proven) FILTER (WHERE day = :yesterday), 0),
        sum(owed), sum(proven),
        count(*) FILTER (WHERE state NOT IN ('verified', 'empty_confirmed', 'unavailable', 'retired'))
    FROM days GROUP BY provider, dataset, interval ORDER BY provider, dataset, interval
""")


def coverage_by_kind(session: Session, now: datetime) -> list[Proven]:
    """Return the coverage of each kind, of the days that the ledger knows: it learns of a new one within 15 minutes."""
    today = now.astimezone(UTC).date()
    first, yesterday = today - timedelta(days=COVERED_DAYS), today - timedelta(days=1)
    values = {"first": first, "yesterday": yesterday, "today": today, "best_effort": list(BEST_EFFORT)}
    return [Proven((row[0], row[1], row[2]), *map(int, row[3:])) for row in session.execute(_PROVEN, values)]


@dataclass(frozen=True, slots=True)
class OpenJobs:
    """Jobs that are not over. States: later (due in the future), due, sent (in a queue), running, fetched.

    `oldest_s`: for how long the oldest of them has been due.
    """

    lane: str
    state: str
    count: int
    oldest_s: float
    payload_bytes: int


_OPEN = text("""
    SELECT lane, CASE WHEN due_at <= :now THEN 'due' ELSE 'later' END, count(*), min(due_at), 0
    FROM jobs WHERE state = 'due' GROUP BY 1, 2
    UNION ALL
    SELECT lane, CASE WHEN state = 'fetched' THEN 'fetched' WHEN started_at IS NULL THEN 'sent' ELSE 'running' END,
        count(*), min(due_at), sum(payload_bytes)
    FROM jobs WHERE state IN ('leased', 'fetched') GROUP BY 1, 2
""")


def open_jobs(session: Session, now: datetime) -> list[OpenJobs]:
    """Return the open jobs by lane and state. Goes over the indexes of what is due and what is in flight."""
    return [
        OpenJobs(lane, state, count, max(0.0, (now - oldest).total_seconds()), int(size))
        for lane, state, count, oldest, size in session.execute(_OPEN, {"now": now})
    ]


@dataclass(frozen=True, slots=True)
class RecentRuns:
    """What became of the slots of the last five minutes, and how late they were owed: 95 % of them so late at most."""

    outcomes: dict[str, int]
    late_s: float | None


_RUNS = text("""
    SELECT coalesce(outcome, 'at_work'), count(*),
        percentile_disc(0.95) WITHIN GROUP (ORDER BY extract(epoch FROM owed_at - slot))
            FILTER (WHERE NOT by_hand AND slot > :since)
    FROM (SELECT * FROM schedule_runs ORDER BY id DESC LIMIT :most) AS newest
    WHERE owed_at > :since GROUP BY 1
""")


def recent_runs(session: Session, now: datetime) -> RecentRuns:
    """Return how the schedule was kept lately."""
    rows = session.execute(_RUNS, {"since": now - RECENT, "most": _MOST_RUNS}).all()
    late = [float(row[2]) for row in rows if row[2] is not None]
    return RecentRuns({row[0]: row[1] for row in rows}, max(late, default=None))


_LETTERS = text("SELECT task, count(*) FROM dead_letters WHERE state = 'open' GROUP BY task")


def open_letters(session: Session) -> dict[str, int]:
    """Return the open dead letters by provider; `other` are those of no provider's, whatever their task is called."""
    found: dict[str, int] = defaultdict(int)
    known = set(providers.names())
    for task, count in session.execute(_LETTERS):
        name = task.removeprefix(FETCH_PREFIX)
        found[name if name in known else "other"] += count
    return dict(found)
