"""The backlog at a glance: what is in flight in each lane, who has something due, when the next job falls due.

One query, because the leader asks it at every slot and at every job's end.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import (
    DateTime,
    Interval,
    Text,
    bindparam,
    cast,
    false,
    func,
    literal,
    null,
    select,
    true,
    tuple_,
    union_all,
)
from sqlalchemy.orm import Session

from models import IN_FLIGHT, Job

#: A provider one of whose jobs runs for longer is slow: over 5 s it counts as critical for the farm's health too.
SLOW_S = 5.0


@dataclass(slots=True)
class Backlog:
    """What waits and what runs. `next_due_at` is None when nothing is owed later."""

    #: lane -> jobs that are not over yet, the ones that wait to be loaded among them
    in_flight: Counter[str] = field(default_factory=Counter)
    payload_bytes: int = 0
    #: lane -> task -> jobs that run, or whose message waits in the queue
    leased: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    #: lane and task of which a job has been running for more than `SLOW_S`
    slow: set[tuple[str, str]] = field(default_factory=set)
    #: lane -> tasks with something due
    due: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    next_due_at: datetime | None = None


_NOW = bindparam("now", type_=DateTime(timezone=True))
_NEVER = cast(null(), DateTime(timezone=True))
_NO_COUNTS = (literal(0), literal(0), false(), literal(0))

_is_leased = Job.state == "leased"
_runs_long = _is_leased & (Job.started_at < func.now() - literal(timedelta(seconds=SLOW_S), Interval))
_in_flight = (
    select(
        literal("in flight"),
        Job.lane,
        Job.task,
        func.count(),
        func.count().filter(_is_leased),
        func.coalesce(func.bool_or(_runs_long), false()),
        func.sum(Job.payload_bytes),
        _NEVER,
    )
    .where(Job.state.in_(IN_FLIGHT))
    .group_by(Job.lane, Job.task)
)

#: Lane and task of every job that waits, however far off: one step of the index for each pair, not for each job.
_waiting = (
    select(Job.lane, Job.task)
    .where(Job.state == "due")
    .order_by(Job.lane, Job.task)
    .limit(1)
    .cte("waiting", recursive=True)
)
_following = (
    select(Job.lane, Job.task)
    .where(Job.state == "due", tuple_(Job.lane, Job.task) > tuple_(_waiting.c.lane, _waiting.c.task))
    .order_by(Job.lane, Job.task)
    .limit(1)
    .lateral("following")
)
_waiting = _waiting.union_all(
    select(_following.c.lane, _following.c.task).select_from(_waiting.join(_following, true()))
)
#: The index's order, though any one would do: without it PostgreSQL may look for one among all jobs that are over.
_first_due = (
    select(Job.due_at)
    .where(Job.state == "due", Job.lane == _waiting.c.lane, Job.task == _waiting.c.task, Job.due_at <= _NOW)
    .order_by(Job.priority, Job.due_at)
    .limit(1)
    .lateral("first_due")
)
_due = select(literal("due"), _waiting.c.lane, _waiting.c.task, *_NO_COUNTS, _NEVER).select_from(
    _waiting.join(_first_due, true())
)
_next = select(literal("next"), cast(null(), Text), cast(null(), Text), *_NO_COUNTS, func.min(Job.due_at)).where(
    Job.state == "due", Job.due_at > _NOW
)
#: Each part goes over an index of its own, however long the backlog.
_QUERY = union_all(_in_flight, _due, _next)


def look_at(session: Session, now: datetime) -> Backlog:
    """Return the backlog at `now`."""
    backlog = Backlog()
    for what, lane, task, count, leased, is_slow, size, moment in session.execute(_QUERY, {"now": now}):
        match what:
            case "in flight":
                backlog.in_flight[lane] += count
                backlog.payload_bytes += int(size or 0)
                if leased:
                    backlog.leased[lane][task] = leased
                if is_slow:
                    backlog.slow.add((lane, task))
            case "due":
                backlog.due[lane].add(task)
            case _:
                backlog.next_due_at = moment
    return backlog
