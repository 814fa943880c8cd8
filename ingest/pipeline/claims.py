"""Claims: which due jobs of a lane are served next, so that whose task holds least comes first; and giving claims up.

Deliberately not here: how much a task may claim (bulkheads), leasing (jobs).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import CTE, Integer, Text, bindparam, func, or_, select, true, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session

from models import Job

#: a claim's fields, as columns of the statement
_COLUMNS = {"task": Text, "most": Integer, "held": Integer}


@dataclass(frozen=True, slots=True)
class Claim:
    """How many jobs of a task may be leased now, and how many it holds already."""

    task: str
    most: int
    held: int = 0


def values_of(lane: str, claims: Sequence[Claim], *, limit: int, now: datetime) -> dict[str, Any]:
    """Return the values of `served_next`'s parameters."""
    columns = {name: [getattr(one, name) for one in claims] for name in _COLUMNS}
    return {
        "its_lane": lane,
        "now": now,
        "most": limit,
        **{f"claim_{name}": values for name, values in columns.items()},
    }


def served_next() -> CTE:
    """Return `id` and `rank` of up to `limit` due jobs, locked: one row each. Rows another leader holds are skipped.

    Each task's jobs are found by an index, whoever waits before them. Among tasks that hold as much the priority
    decides, then the claims' order. Its parameters are those of `values_of`.
    """
    arrays: list[Any] = [bindparam(f"claim_{name}", type_=ARRAY(kind)) for name, kind in _COLUMNS.items()]
    claim = func.unnest(*arrays).table_valued(*_COLUMNS, with_ordinality="turn").render_derived("claim")
    theirs = (
        select(Job.id, Job.priority, Job.due_at)
        .where(
            Job.state == "due",
            Job.lane == bindparam("its_lane"),
            Job.task == claim.c.task,
            Job.due_at <= bindparam("now"),
        )
        # Expired, but not swept yet.
        .where(or_(Job.expires_at.is_(None), Job.expires_at >= func.now()))
        .order_by(Job.priority, Job.due_at)
        .limit(claim.c.most)
        .with_for_update(skip_locked=True)
        .lateral("theirs")
    )
    place = claim.c.held + func.row_number().over(
        partition_by=claim.c.turn, order_by=(theirs.c.priority, theirs.c.due_at)
    )
    ranked = (
        select(theirs.c.id, theirs.c.priority, claim.c.turn, place.label("place"))
        .select_from(claim.join(theirs, true()))
        .subquery("ranked")
    )
    order = (ranked.c.place, ranked.c.priority, ranked.c.turn)
    return (
        select(ranked.c.id, func.row_number().over(order_by=order).label("rank"))
        .order_by(*order)
        .limit(bindparam("most", type_=Integer))
        .cte("picked")
        .prefix_with("MATERIALIZED")
    )


def give_up(session: Session, lane: str, task: str) -> int:
    """Let what a task has leased and not begun be due again; return how much. Its messages find their leases lost."""
    waiting = Job.state == "leased", Job.lane == lane, Job.task == task, Job.started_at.is_(None)
    # One that begins at this moment holds its row, and is left alone.
    locked = select(Job.id).where(*waiting).with_for_update(skip_locked=True)
    unbegun = locked.cte("unbegun").prefix_with("MATERIALIZED")
    due_again = update(Job).where(Job.id == unbegun.c.id).values(state="due", lease_until=None).returning(Job.id)
    return len(session.connection().execute(due_again).all())
