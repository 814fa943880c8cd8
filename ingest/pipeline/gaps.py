"""Gaps: one bounded run that turns what is owed minus the ledger into jobs, and settles the days that are whole.

    gaps_owed      which days are owed            gaps_grid      what is missing of bars
    gaps_windows   windows to ask for             gaps_trades    .. of trades
    gaps_polls     what nobody can ask back       gaps_releases  .. of observations

Here are the jobs, their waits, and the ledger's states.

Invariant: what a job is still to bring is not owed again; a day gets its next job after the wait of its attempts.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import text
from sqlalchemy.orm import Session

from ingest.market.intervals import seconds_of
from ingest.pipeline.context import Context
from ingest.pipeline.entries import FETCH_PREFIX
from ingest.pipeline.follow import JOB_ROWS, JOB_SPAN
from ingest.pipeline.gaps_days import DOUBTED, DayGaps
from ingest.pipeline.gaps_grid import grid_gaps
from ingest.pipeline.gaps_owed import DAY, Owed, plan_days
from ingest.pipeline.gaps_polls import settle_without_jobs
from ingest.pipeline.gaps_releases import release_gaps
from ingest.pipeline.gaps_trades import trade_gaps
from ingest.pipeline.gaps_windows import Ranges, Window, key_of, merged
from ingest.pipeline.jobs import GAP_PREFIX, NewJob, insert_jobs
from ingest.pipeline.terms import disabled
from models.evidence import CONFIRM_AFTER
from models.ledger_months import roll

#: Below the task's soft limit of 75 s by more than the longest statement takes.
BUDGET_S = 45.0
#: After the first, second .. job for a day, the next one waits this long. A second answer proves nothing before
#: CONFIRM_AFTER; what two don't bring is an outage of minutes, then of hours; what a day doesn't is looked at weekly.
WAITS = (CONFIRM_AFTER, timedelta(minutes=15), timedelta(hours=1), timedelta(hours=6), DAY, timedelta(days=7))
#: Today and yesterday are asked for at least this often: their gaps are new ones, whatever the number of attempts.
_YOUNG_WAIT = timedelta(hours=1)
#: Jobs for gaps that wait at most; the next run owes more. An hour's work of one provider, and soon inserted.
MOST_JOBS = 2_000
#: The farm's number for "I look for gaps".
_LOCK = 7_461_009
_HOUR, _MICROSECOND = timedelta(hours=1), timedelta(microseconds=1)

#: What jobs that are not over will bring, by what they ask for. A window without an end reaches to the end of time.
_PENDING = text("""
    SELECT task, kwargs->>'dataset' AS dataset, names.instrument, coalesce(kwargs->>'interval', '') AS interval,
        range_agg(tstzrange((kwargs->>'start')::timestamptz, coalesce((kwargs->>'end')::timestamptz, '9999-01-01Z')))
            ::text AS windows, count(*) FILTER (WHERE key LIKE :gaps) AS gaps
    FROM jobs, jsonb_array_elements_text(CASE WHEN jsonb_typeof(kwargs->'instruments') = 'array'
        THEN kwargs->'instruments' ELSE '[]' END) AS names (instrument)
    WHERE lane = 'backfill' AND state IN ('due', 'leased', 'fetched')
        AND kwargs->>'start' ~ :moment AND coalesce(kwargs->>'end', '9999-01-01T') ~ :moment
        AND kwargs->>'start' < coalesce(kwargs->>'end', '9')
    GROUP BY 1, 2, 3, 4
""")
_ASKED = text("""
    UPDATE ledger SET attempts = asked.attempts, next_at = asked.next_at,
        note = CASE WHEN asked.attempts >= :last THEN 'missing after ' || asked.attempts || ' jobs' ELSE note END
    FROM unnest(CAST(:days AS date[]), CAST(:attempts AS integer[]), CAST(:next_at AS timestamptz[]))
        AS asked (day, attempts, next_at)
    WHERE ledger.series_id = :series AND ledger.day = asked.day
""")
#: Only a day that nothing was written to since it was looked at.
_JUDGED = text("""
    UPDATE ledger SET confirmed = judged.confirmed, attempts = judged.attempts, next_at = NULL, updated_at = :now,
        state = CASE
            WHEN NOT judged.is_whole OR ledger.stored <> final OR final + judged.confirmed < coalesce(expected, 0)
            THEN state WHEN ledger.stored = 0 THEN 'empty_confirmed' ELSE 'verified' END
    FROM unnest(CAST(:days AS date[]), CAST(:confirmed AS integer[]), CAST(:attempts AS integer[]),
        CAST(:whole AS boolean[]), CAST(:stored AS integer[])) AS judged (day, confirmed, attempts, is_whole, stored)
    WHERE ledger.series_id = :series AND ledger.day = judged.day AND state IN ('planned', 'fetched')
        AND ledger.stored = judged.stored
""")

#: What can be asked back, by how it is looked at.
LOOKS = {"bars": grid_gaps, "trades": trade_gaps, "observations": release_gaps}
#: Those of which every day is proven; of observations only dates that have a value, or must have one by now.
PROVEN_BY_DAY = ("bars", "trades")

log = structlog.get_logger(__name__)

Pending = Mapping[tuple[str, str, str, str], Ranges]


@dataclass(slots=True)
class Report:
    """What a run did: days planned and settled, jobs owed. `is_busy`: another one was at work, so nothing."""

    planned: int = 0
    settled: int = 0
    jobs: int = 0
    rows: int = 0
    is_complete: bool = True
    is_busy: bool = False

    def summary(self) -> dict[str, Any]:
        """Return the result of the run's job."""
        if self.is_busy:
            return {"rows": 0, "reason": "another run is at work"}
        return {
            "rows": 0,
            "planned_days": self.planned,
            "settled_days": self.settled,
            "jobs": self.jobs,
            "missing_rows": self.rows,
            "complete": self.is_complete,
        }


def check(context: Context, now: datetime, *, budget_s: float = BUDGET_S) -> Report:
    """Plan the days that are owed, settle those that are whole, owe jobs for what is missing.

    Safe to repeat, to cut off, and to start twice: each series is a transaction, and the second run ends at once.
    """
    report, ends = Report(), time.monotonic() + budget_s
    with _alone(context) as is_alone:
        if not is_alone:
            return Report(is_busy=True)
        with context.sessions.begin() as session:
            followed, report.planned = plan_days(session, context.settings, now)
            pending, waiting = _pending(session)
            report.settled += settle_without_jobs(session, now)
        off, room = disabled(context.settings), MOST_JOBS - waiting
        asked = [one for one in followed if one.dataset in LOOKS and one.facts.name not in off]
        for left, owed in zip(range(len(asked), 0, -1), asked, strict=True):
            if time.monotonic() > ends or room <= 0:
                report.is_complete = False
                break
            share = -(-room // left)  # so that each gets its newest days before anybody's old ones
            with context.sessions.begin() as session:
                room -= _check_series(session, owed, now, pending=pending, room=share, report=report)
        with context.sessions.begin() as session:
            roll(session)
    log.info("gaps_checked", **report.summary())
    return report


def _check_series(session: Session, owed: Owed, now: datetime, *, pending: Pending, room: int, report: Report) -> int:
    """Settle what is whole of a series and owe what is missing; return how many jobs that was."""
    days = LOOKS[owed.dataset](session, owed, now)
    report.settled += settle(session, owed, days, now)
    ask = f"{FETCH_PREFIX}{owed.facts.name}", owed.dataset, owed.instrument, owed.interval
    promised = pending.get(ask, Ranges(""))
    single = [one for day in reversed(days) for one in day.windows if not promised.touch(one.start, one.end)]
    longest, bridge = _spans(owed)
    every = merged(single, longest=longest, bridge=bridge)
    windows = every[-room:]
    report.is_complete &= len(windows) == len(every)
    report.rows += sum(one.rows for one in windows)
    made = insert_jobs(session, [_job(owed, one, now) for one in windows])
    asked = [day for day in days if any(_is_in(one, windows, promised) for one in day.windows)]
    _note_asked(session, owed, asked, now)
    report.jobs += made
    return made


def _spans(owed: Owed) -> tuple[timedelta, timedelta]:
    """Return how long a job's window may be, and what lies between two gaps that are asked for together: a request."""
    if owed.dataset == "observations":  # dates lie apart, and what lies between them costs nothing
        return JOB_SPAN[owed.dataset], JOB_SPAN[owed.dataset]
    if not owed.interval:
        return JOB_SPAN[owed.dataset], timedelta(0)
    width = timedelta(seconds=seconds_of(owed.interval))
    return JOB_ROWS * width, owed.facts.page_rows * width


def _is_in(one: Window, windows: Sequence[Window], promised: Ranges) -> bool:
    if promised.touch(one.start, one.end):
        return False
    return any(window.start <= one.start and one.end <= window.end for window in windows)


def _job(owed: Owed, window: Window, now: datetime) -> NewJob:
    start, end = window.start.isoformat(), window.end.isoformat()
    is_young = window.end > now - 2 * DAY
    return NewJob(
        key=key_of(owed.id, window),
        task=f"{FETCH_PREFIX}{owed.facts.name}",
        lane="backfill",
        kwargs={
            "dataset": owed.dataset,
            "instruments": [owed.instrument],
            "interval": owed.interval or None,
            "start": start,
            "end": end,
        },
        due_at=now + (now - window.end) // _HOUR * _MICROSECOND,  # the newest first, of all series
        priority=3 if is_young else 4,
    )


def _note_asked(session: Session, owed: Owed, days: Sequence[DayGaps], now: datetime) -> None:
    if not days:
        return
    asked = {
        "series": owed.id,
        "days": [one.day for one in days],
        "attempts": [one.attempts + 1 for one in days],
        "next_at": [now + _wait(one, now) for one in days],
        "last": len(WAITS),
    }
    session.execute(_ASKED, asked)


def _wait(day: DayGaps, now: datetime) -> timedelta:
    wait = WAITS[min(day.attempts, len(WAITS) - 1)]
    return min(wait, _YOUNG_WAIT) if day.day >= now.date() - DAY else wait


def settle(session: Session, owed: Owed, days: Sequence[DayGaps], now: datetime) -> int:
    """Say of days what has been confirmed, and that they are whole; return how many are over with that."""
    judged = [
        one
        for one in days
        if one.state not in DOUBTED
        and (one.confirmed != one.known_confirmed or (one.is_whole and (one.is_over or one.attempts)))
    ]
    if judged:
        session.execute(
            _JUDGED,
            {
                "series": owed.id,
                "days": [one.day for one in judged],
                "confirmed": [one.confirmed for one in judged],
                "attempts": [0 if one.is_whole else one.attempts for one in judged],
                "whole": [one.is_whole and one.is_over for one in judged],
                "stored": [one.stored for one in judged],
                "now": now,
            },
        )
    return sum(one.is_whole and one.is_over for one in judged)


def _pending(session: Session) -> tuple[Pending, int]:
    """Return which windows jobs are still to bring, by what they ask for, and how many jobs for gaps wait."""
    rows = session.execute(_PENDING, {"gaps": f"{GAP_PREFIX}%", "moment": r"^\d{4}-\d\d-\d\dT"}).all()
    return {tuple(row[:4]): Ranges(row.windows) for row in rows}, sum(row.gaps for row in rows)


@contextmanager
def _alone(context: Context) -> Iterator[bool]:
    """Say whether no other run is at work, and keep it so. PostgreSQL ends it with our connection if we die."""
    with context.sessions.begin() as session:
        yield bool(session.scalar(text("SELECT pg_try_advisory_xact_lock(:lock)"), {"lock": _LOCK}))
