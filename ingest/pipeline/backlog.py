"""The backlog at a glance: what is in flight in each lane, where something is due, when the next job falls due.

One query, because the leader asks it at every slot and at every job's end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import DateTime, Text, bindparam, cast, exists, func, literal, null, select, union_all
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session

from models import IN_FLIGHT, Job


@dataclass(slots=True)
class Backlog:
    """What waits and what runs. `due`: lanes with something due; `next_due_at` is None when nothing is owed later."""

    in_flight: Counter[str] = field(default_factory=Counter)
    payload_bytes: int = 0
    due: set[str] = field(default_factory=set)
    next_due_at: datetime | None = None


_lane = func.unnest(bindparam("lanes", type_=ARRAY(Text))).table_valued("lane").render_derived()
_NOW = bindparam("now", type_=DateTime(timezone=True))
_NEVER = cast(null(), DateTime(timezone=True))
_IS_DUE = exists().where(Job.state == "due", Job.lane == _lane.c.lane, Job.due_at <= _NOW)
#: Each part goes over an index of its own, however long the backlog.
_QUERY = union_all(
    select(literal("in flight").label("what"), Job.lane, func.count(), func.sum(Job.payload_bytes), _NEVER)
    .where(Job.state.in_(IN_FLIGHT))
    .group_by(Job.lane),
    select(literal("due"), _lane.c.lane, literal(0), literal(0), _NEVER).where(_IS_DUE),
    select(literal("next"), cast(null(), Text), literal(0), literal(0), func.min(Job.due_at)).where(
        Job.state == "due", Job.due_at > _NOW
    ),
)


def look_at(session: Session, lanes: Sequence[str], now: datetime) -> Backlog:
    """Return the backlog of these lanes at `now`."""
    backlog = Backlog()
    for what, lane, count, size, moment in session.execute(_QUERY, {"lanes": list(lanes), "now": now}):
        match what:
            case "in flight":
                backlog.in_flight[lane] = count
                backlog.payload_bytes += int(size or 0)
            case "due":
                backlog.due.add(lane)
            case _:
                backlog.next_due_at = moment
    return backlog
