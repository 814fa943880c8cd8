"""Runs of the schedule: which are at work, how each ended, and the record of the last ones.

Deliberately not here: how a run begins (schedule). Invariant: a run's end is read from its jobs, never reported by
them, so that a worker that dies can't leave a run that looks at work for ever.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import CTE, Integer, and_, case, cast, exists, func, literal, null, or_, select, update
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session

from models import DeadLetter, Job, ScheduleRun

#: What is kept of each entry.
KEPT_RUNS = 1_000
_AT_WORK = ("due", "leased", "fetched")
#: A run whose jobs are not there (deleted by hand) is ended when it is older than this.
_ORPHAN_AFTER = timedelta(minutes=1)


def at_work(session: Session, entries: Sequence[str]) -> dict[str, datetime]:
    """Return those of the entries of which a run is at work, with that run's slot."""
    if not entries:
        return {}
    query = (
        select(ScheduleRun.entry, func.min(ScheduleRun.slot))
        .join(Job, Job.run_id == ScheduleRun.id)
        .where(ScheduleRun.outcome.is_(None), ScheduleRun.entry.in_(entries), Job.state.in_(_AT_WORK))
        .group_by(ScheduleRun.entry)
    )
    return {row[0]: row[1] for row in session.execute(query)}


def settle(session: Session, entries: Sequence[str] | None = None) -> int:
    """End the runs whose jobs are all over; return how many that were. One statement, over what is open."""
    over = _over(entries)
    reason = case((over.c.jobs == 0, "its jobs are gone"), (over.c.outcome != "ok", over.c.reason), else_=null())
    ended = (
        update(ScheduleRun)
        .where(ScheduleRun.id == over.c.id, ScheduleRun.outcome.is_(None))
        .values(
            jobs=over.c.jobs,
            rows=over.c.rows,
            finished_at=func.coalesce(over.c.finished_at, func.now()),
            outcome=over.c.outcome,
            reason=reason,
        )
        .returning(ScheduleRun.id)
    )
    return len(session.connection().execute(ended).all())


def _over(entries: Sequence[str] | None) -> CTE:
    """Return the open runs whose jobs are all over, or gone, with what these say together."""
    count, states = func.count(Job.id), func.array_agg(Job.state)
    has_letter = and_(Job.id.is_not(None), exists().where(DeadLetter.job_id == Job.id))
    went_wrong = or_(Job.state.in_(("dead", "expired", "cancelled")), has_letter)
    outcome = case(
        (count == 0, "cancelled"),
        (func.bool_or(or_(Job.state == "dead", has_letter)), "failed"),
        (literal("expired") == func.any(states), "expired"),
        (literal("cancelled") == func.any(states), "cancelled"),
        else_="ok",
    )
    is_orphan = and_(count == 0, func.min(ScheduleRun.owed_at) < func.now() - _ORPHAN_AFTER)
    query = (
        select(
            ScheduleRun.id,
            count.label("jobs"),
            func.coalesce(func.sum(cast(Job.result["rows"].astext, Integer)), 0).label("rows"),
            func.max(Job.finished_at).label("finished_at"),
            outcome.label("outcome"),
            func.min(func.coalesce(Job.error, "one of its jobs was not done")).filter(went_wrong).label("reason"),
        )
        .outerjoin(Job, Job.run_id == ScheduleRun.id)
        .where(ScheduleRun.outcome.is_(None))
        .group_by(ScheduleRun.id)
        .having(or_(is_orphan, and_(count > 0, ~func.bool_or(Job.state.in_(_AT_WORK)))))
    )
    return (query if entries is None else query.where(ScheduleRun.entry.in_(entries))).cte("over")


def history(session: Session, entry: str, *, limit: int = KEPT_RUNS) -> Sequence[ScheduleRun]:
    """Return the entry's newest runs, newest first."""
    query = select(ScheduleRun).where(ScheduleRun.entry == entry).order_by(ScheduleRun.slot.desc()).limit(limit)
    return session.scalars(query).all()


def newest(session: Session, entries: Sequence[str], *, until: datetime | None = None) -> Mapping[str, ScheduleRun]:
    """Return each entry's newest run, of a slot not later than `until` if that is given."""
    query = (
        select(ScheduleRun)
        .where(ScheduleRun.entry.in_(entries))
        .where(literal(True) if until is None else ScheduleRun.slot <= until)
        .ext(distinct_on(ScheduleRun.entry))
        .order_by(ScheduleRun.entry, ScheduleRun.slot.desc())
        .execution_options(populate_existing=True)
    )
    return {run.entry: run for run in session.scalars(query)}
