"""Backfill: an order and the jobs that it owes, in one transaction; and its cancelling.

There is nothing to resume: what is owed lies in PostgreSQL, and whoever works goes on with it. Deliberately not here:
what is owed (backfill_plan) and how far an order is (backfill_status). Invariant: orders of one provider's dataset are
given and cancelled one after the other, so that no two owe the same stretch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from itertools import islice
from shlex import join
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from ingest.errors import FixRequest
from ingest.pipeline.audit import By, write_down
from ingest.pipeline.backfill_chunks import Chunk
from ingest.pipeline.backfill_plan import Ask, Plan, add, complete, each_series
from ingest.pipeline.entries import FETCH_PREFIX
from ingest.pipeline.jobs import GAP_PREFIX, NewJob, insert_jobs
from ingest.settings import Settings
from models import Backfill

#: begins the key of a job that was made for an order
BACKFILL_PREFIX = "backfill:"
#: Jobs that are inserted in one statement: more are no faster, and are held in memory.
_BATCH = 1_000
#: The farm's number for "I order history", with the provider and the dataset.
_LOCK = 7_461_011
_HOUR, _MICROSECOND = timedelta(hours=1), timedelta(microseconds=1)

_LINK_MADE = text("""
    INSERT INTO backfill_jobs (backfill_id, job_id, is_made)
    SELECT :backfill, id, true FROM jobs WHERE key = ANY(:keys) ORDER BY id
""")
_LINK_SHARED = text("""
    INSERT INTO backfill_jobs (backfill_id, job_id, is_made)
    SELECT :backfill, job_id, false FROM unnest(CAST(:jobs AS bigint[])) AS job_id
""")
#: Of what was made for an order, this one or another, what no other order waits for; and the parts that it left.
_CANCEL = text("""
    WITH RECURSIVE unwanted AS (
        SELECT job_id AS id FROM backfill_jobs AS mine WHERE backfill_id = :backfill
            AND EXISTS (SELECT FROM backfill_jobs AS made WHERE made.job_id = mine.job_id AND made.is_made)
            AND NOT EXISTS (SELECT FROM backfill_jobs AS others JOIN backfills ON backfills.id = others.backfill_id
                WHERE others.job_id = mine.job_id AND others.backfill_id <> :backfill AND cancelled_at IS NULL)
        UNION SELECT jobs.id FROM unwanted JOIN jobs ON jobs.parent_id = unwanted.id
    ),
    ended AS (
        UPDATE jobs SET state = 'cancelled', finished_at = now() FROM unwanted
        WHERE jobs.id = unwanted.id AND state = 'due' RETURNING 1
    )
    SELECT count(*) FROM ended
""")


def run(session: Session, config: Settings, ask: Ask, *, by: By, now: datetime) -> tuple[int | None, Plan]:
    """Record the order and owe its jobs on the backfill lane, newest first; return its id, None where nothing is to do.

    What a job that is not over will bring is not owed again: that job belongs to this order as well.
    """
    facts, found = ask.provider.facts, Plan(is_least=ask.dataset != "bars", rows=0 if ask.dataset == "bars" else None)
    _take_turn(session, facts.name, ask.dataset)
    order = Backfill(
        provider=facts.name,
        dataset=ask.dataset,
        instruments=list(ask.instruments),
        interval=ask.interval or "",
        start_at=ask.start,
        end_at=ask.end,
        mode=ask.mode,
        ordered_by=by.actor,
    )
    session.add(order)
    session.flush()
    shared: set[int] = set()
    owed = _owed(session, ask, order.id, now, found, shared)
    while batch := list(islice(owed, _BATCH)):
        insert_jobs(session, batch)
        session.execute(_LINK_MADE, {"backfill": order.id, "keys": [job.key for job in batch]})
    if not found.jobs and not shared:
        session.delete(order)
        return None, found
    session.execute(_LINK_SHARED, {"backfill": order.id, "jobs": sorted(shared)})
    found.shared_jobs = len(shared)
    complete(session, config, ask, found, now)
    order.jobs, order.days = found.jobs + found.shared_jobs, found.days
    order.requests, order.weight, order.rows = found.requests, found.weight, found.rows
    owed_now = {"jobs": order.jobs, "days": order.days, "requests": order.requests}
    write_down(session, by, command_of(ask), f"backfill {order.id}", after=owed_now)
    return order.id, found


def command_of(ask: Ask, verb: str = "run") -> str:
    """Return the command that gives this order (`plan`: that says what it would take)."""
    words = ["backfill", verb, ask.provider.facts.name, ask.dataset, *ask.instruments]
    words += ["--start", f"{ask.start:%Y-%m-%dT%H:%M}", "--end", f"{ask.end:%Y-%m-%dT%H:%M}"]
    words += ["--interval", ask.interval] if ask.interval else []
    return join(words + (["--mode", ask.mode] if ask.mode != "missing" else []))


def cancel(session: Session, backfill_id: int, now: datetime, *, by: By) -> int:
    """Cancel an order and those of its jobs that have not begun and no other order waits for; return how many.

    Jobs that were owed before any order stay, and what runs ends. Raises FixRequest where there is nothing to cancel.
    """
    order = find(session, backfill_id)
    _take_turn(session, order.provider, order.dataset)
    session.refresh(order, with_for_update=True)
    if order.cancelled_at is not None:
        raise FixRequest(f"backfill {backfill_id} is cancelled already")
    order.cancelled_at = now
    session.flush()
    count = int(session.execute(_CANCEL, {"backfill": backfill_id}).scalar_one())
    after = {"cancelled": True, "jobs_not_begun": count}
    write_down(session, by, f"backfill cancel {backfill_id}", f"backfill {backfill_id}", after=after)
    return count


def find(session: Session, backfill_id: int) -> Backfill:
    """Return an order. Raises FixRequest."""
    order = session.scalars(select(Backfill).where(Backfill.id == backfill_id)).first()
    if order is None:
        raise FixRequest(f"backfill {backfill_id} does not exist; `tickfarm backfill status` lists them")
    return order


def _take_turn(session: Session, provider: str, dataset: str) -> None:
    """Wait until no other order of this kind is being given or cancelled, and keep it so until the commit."""
    turn = {"lock": _LOCK, "kind": f"{provider}:{dataset}"}
    session.execute(text("SELECT pg_advisory_xact_lock(:lock, hashtext(:kind))"), turn)


def _owed(session: Session, ask: Ask, order: int, now: datetime, found: Plan, shared: set[int]) -> Iterator[NewJob]:
    """Yield the order's jobs, series by series; add each to the figures, and the jobs that it shares."""
    for one in each_series(session, ask, now, settles=True):
        add(found, one)
        shared |= one.wanted.shared
        name = one.wanted.instrument
        yield from _jobs(ask, f"{BACKFILL_PREFIX}{order}", name, one.chunks, now)
        # As a gap's job: it alone may delete what the answer does not hold.
        yield from _jobs(ask, f"{GAP_PREFIX}{BACKFILL_PREFIX}{order}", name, one.ill, now)


def _jobs(ask: Ask, prefix: str, instrument: str, chunks: Iterable[Chunk], now: datetime) -> Iterator[NewJob]:
    kwargs: dict[str, Any] = {"dataset": ask.dataset, "instruments": [instrument], "interval": ask.interval}
    for chunk in chunks:
        start, end = chunk.start.isoformat(), chunk.end.isoformat()
        yield NewJob(
            key=f"{prefix}:{instrument}:{start}..{end}",
            task=f"{FETCH_PREFIX}{ask.provider.facts.name}",
            lane="backfill",
            kwargs={**kwargs, "start": start, "end": end},
            due_at=now + (now - chunk.end) // _HOUR * _MICROSECOND,  # the newest first, of all series
            priority=4,
        )
