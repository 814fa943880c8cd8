"""How far an order is: worked out from its jobs and from the ledger each time it is asked.

Deliberately not here: giving and cancelling orders (backfill). Invariant: a job that is gone is over, because retention
deletes no other; and what is proven is what the ledger says, whoever brought it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from ingest import providers
from ingest.market.times import first_date
from ingest.pipeline.backfill_plan import cost_now
from ingest.pipeline.gaps import PROVEN_BY_DAY
from ingest.settings import Settings
from models import Backfill

State = Literal["running", "done", "failed", "cancelled"]
#: What ended in this time says how fast it goes.
_LATELY = timedelta(minutes=10)

#: An order's jobs by state, and the parts they left that are not done: those are found from below, as they are few.
_JOBS = text("""
    WITH RECURSIVE part AS (
        SELECT id, state, parent_id AS above FROM jobs
        WHERE lane = 'backfill' AND parent_id IS NOT NULL AND state IN ('due', 'leased', 'fetched', 'dead')
        UNION ALL
        SELECT part.id, part.state, jobs.parent_id FROM part JOIN jobs ON jobs.id = part.above
        WHERE jobs.parent_id IS NOT NULL
    ),
    everything AS (
        SELECT jobs.state, finished_at, false AS is_part FROM backfill_jobs JOIN jobs ON jobs.id = job_id
        WHERE backfill_id = :backfill
        UNION ALL
        SELECT part.state, NULL, true FROM part JOIN backfill_jobs ON job_id = part.above WHERE backfill_id = :backfill
    )
    SELECT count(*) FILTER (WHERE state IN ('due', 'leased', 'fetched')) AS unfinished,
        count(*) FILTER (WHERE state IN ('due', 'leased', 'fetched') AND is_part) AS parts,
        count(*) FILTER (WHERE state IN ('leased', 'fetched')) AS running,
        count(*) FILTER (WHERE state = 'dead') AS dead,
        count(*) FILTER (WHERE state = 'cancelled') AS cancelled,
        count(*) FILTER (WHERE state = 'done' AND finished_at > :lately) AS lately
    FROM everything
""")
_DAYS = text("""
    SELECT count(*) FILTER (WHERE state IN ('verified', 'empty_confirmed')) AS verified,
        coalesce(sum(stored), 0) AS rows
    FROM series JOIN ledger ON series_id = series.id AND day >= :first AND day < :past
    WHERE provider = :provider AND dataset = :dataset AND interval = :interval AND instrument = ANY(:instruments)
""")


@dataclass(frozen=True, slots=True)
class _Counts:
    """How many jobs of an order are `left` (`parts` of them are parts of others), and how many ended `lately`."""

    left: int
    parts: int
    running: int
    dead: int
    cancelled: int
    lately: int


@dataclass(frozen=True, slots=True)
class Progress:
    """An order and how far it is. `jobs` are its own and those it shares; `left` of these and their parts are not over.

    `days` lie in it whole, of which `days_verified` are proven; `rows_stored` are theirs. `takes` is how long the rest
    takes: by what ended lately (`is_measured`), or by the provider's limits; None where nothing is left.
    """

    id: int
    provider: str
    dataset: str
    interval: str
    instruments: Sequence[str]
    start: datetime
    end: datetime
    mode: str
    ordered_by: str
    created_at: datetime
    cancelled_at: datetime | None
    state: State
    jobs: int
    left: int
    running: int
    dead: int
    cancelled: int
    percent: float
    days: int
    days_verified: int
    rows_stored: int
    takes: timedelta | None
    is_measured: bool

    @property
    def is_proven(self) -> bool:
        """Say whether it is over and nothing is missing, as far as anybody can say of its dataset."""
        return self.state == "done" and (self.dataset not in PROVEN_BY_DAY or self.days_verified >= self.days)


def progress_of(session: Session, config: Settings, order: Backfill, now: datetime) -> Progress:
    """Return how far an order is. Cost: its jobs and its days, once each."""
    counts = _Counts(*session.execute(_JOBS, {"backfill": order.id, "lately": now - _LATELY}).one())
    days = session.execute(
        _DAYS,
        {
            "provider": order.provider,
            "dataset": order.dataset,
            "interval": order.interval,
            "instruments": order.instruments,
            "first": first_date(order.start_at),
            "past": order.end_at.astimezone(UTC).date(),
        },
    ).one()
    takes = _takes(session, config, order, counts, now) if counts.left else None
    return Progress(
        id=order.id,
        provider=order.provider,
        dataset=order.dataset,
        interval=order.interval,
        instruments=order.instruments,
        start=order.start_at,
        end=order.end_at,
        mode=order.mode,
        ordered_by=order.ordered_by,
        created_at=order.created_at,
        cancelled_at=order.cancelled_at,
        state=_state(order, counts),
        jobs=order.jobs,
        left=counts.left,
        running=counts.running,
        dead=counts.dead,
        cancelled=counts.cancelled,
        percent=_percent(order, counts),
        days=order.days,
        days_verified=min(days.verified, order.days),
        rows_stored=int(days.rows),
        takes=takes,
        is_measured=counts.lately > 0,
    )


def newest(session: Session, most: int) -> Sequence[Backfill]:
    """Return the newest orders, newest first."""
    return session.scalars(select(Backfill).order_by(Backfill.id.desc()).limit(most)).all()


def _state(order: Backfill, counts: _Counts) -> State:
    if order.cancelled_at is not None:
        return "cancelled"
    if counts.left:
        return "running"
    return "failed" if counts.dead else "done"


def _percent(order: Backfill, counts: _Counts) -> float:
    """Return the share of its jobs and their open parts that is over; never 100 while one is not."""
    if not counts.left:
        return 100.0
    every = order.jobs + counts.parts
    return min(100.0 * (every - counts.left) / every, 99.9)


def _takes(session: Session, config: Settings, order: Backfill, counts: _Counts, now: datetime) -> timedelta:
    """Return how long what is left takes."""
    if counts.lately:
        return min(_LATELY, now - order.created_at) / counts.lately * counts.left
    share = counts.left / max(order.jobs, 1)
    requests, weight = round(order.requests * share), round(order.weight * share)
    facts = providers.get(order.provider).facts
    return cost_now(session, config, facts, order.dataset, requests, weight, now).takes
