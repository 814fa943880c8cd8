"""The leader's look: owe what the schedule says, lease what is due, take back lost leases, say what to publish.

One leader works at a time (a PostgreSQL advisory lock); a second one stands by. Everything a look decides is one
transaction, and messages go out after its commit: if they are lost, their leases run out and the next look repairs it.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import Connection, Engine, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session, sessionmaker

from ingest.pipeline import dead_letters, jobs
from ingest.pipeline.jobs import Leased
from ingest.pipeline.schedule import Entry, jobs_of, latest_slot
from models import IN_FLIGHT, Job, ScheduleEntry
from models.partitions import ensure_partitions

#: Messages a child process may have waiting or in work: enough to keep it busy, few enough to stay in the table.
MESSAGES_PER_PROCESS = 3
#: The farm's number for "I am the leader".
_LEADER_LOCK = 7_461_000
#: Lost leases, expiry and changes by hand are looked for this often; completions wake the leader sooner.
LOOK_EVERY_S = 1.0

_FAR = datetime.max.replace(tzinfo=UTC)

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Message:
    """A wake-up call to publish: run the job's task, or (`is_load`) load what it fetched."""

    job: Leased
    is_load: bool


@dataclass(slots=True)
class Look:
    """What one look decided: what to publish, and when to look again at the latest."""

    messages: list[Message] = field(default_factory=list)
    next_at: datetime = _FAR


class Leadership:
    """The advisory lock that makes one beat the leader. Held by a connection of its own; lost with it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._connection: Connection | None = None

    def held(self) -> bool:
        """Say whether we lead, trying to if we don't. Raises the database's errors; then we lead no longer."""
        try:
            if self._connection is None:
                self._take()
            else:
                self._connection.execute(text("SELECT 1"))
        except Exception:
            self.release()
            raise
        return self._connection is not None

    def release(self) -> None:
        """Stop leading."""
        if self._connection is not None:
            self._connection.invalidate()
            self._connection.close()
            self._connection = None

    def _take(self) -> None:
        connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        if connection.scalar(text("SELECT pg_try_advisory_lock(:lock)"), {"lock": _LEADER_LOCK}):
            self._connection = connection
            log.info("leading")
        else:
            connection.close()


class Leader:
    """Looks at the job table and the schedule. `max_in_flight_bytes` bounds the payloads that wait to be loaded."""

    def __init__(
        self,
        sessions: sessionmaker[Session],
        entries: Sequence[Entry],
        *,
        lanes: Sequence[str],
        max_in_flight_bytes: int,
    ) -> None:
        self._sessions = sessions
        self._entries = {entry.name: entry for entry in entries}
        self._lanes = lanes
        self._max_in_flight_bytes = max_in_flight_bytes
        self._last_slots: dict[str, datetime] | None = None
        self._partitions_ready_until = datetime.min.replace(tzinfo=UTC)
        self._swept_at = 0.0

    def forget(self) -> None:
        """Read the schedule's state from the table again: somebody else may have led meanwhile."""
        self._last_slots = None

    def look(self, now: datetime, processes: Mapping[str, int]) -> Look:
        """Owe and lease everything that is due at `now`, with this many child processes per queue, and commit it.

        The way from a slot to its message leads through here, so it holds no query that can wait: see `sweep`.
        """
        look = Look()
        with self._sessions.begin() as session:
            jobs.relax_commit(session)
            ready_until = self._prepare_partitions(session, now)
            slots = self._owe(session, now, look)
            self._feed(session, now, processes, look)
        self._partitions_ready_until = ready_until
        if slots is not None:
            self._last_slots = slots
        return look

    def sweep(self, now: datetime) -> Look:
        """Expire what nobody needs any more, take back lost leases, and say when the next job falls due."""
        look = Look(next_at=now + timedelta(seconds=LOOK_EVERY_S))
        with self._sessions.begin() as session:
            jobs.relax_commit(session)
            if time.monotonic() - self._swept_at >= LOOK_EVERY_S:
                self._take_back(session, look)
                self._swept_at = time.monotonic()
            soonest = session.scalar(select(func.min(Job.due_at)).where(Job.state == "due", Job.due_at > now))
        if soonest is not None:
            look.next_at = min(look.next_at, soonest)
        return look

    def _prepare_partitions(self, session: Session, now: datetime) -> datetime:
        """Create what rows of today and tomorrow need before anything is leased; return how long, once committed."""
        if now < self._partitions_ready_until:
            return self._partitions_ready_until
        ahead = now + timedelta(days=2)
        for table in ("bars", "quotes", "fetch_log"):
            ensure_partitions(session, table, now - timedelta(days=1), ahead)
        return now + timedelta(hours=6)

    def _owe(self, session: Session, now: datetime, look: Look) -> dict[str, datetime] | None:
        """Insert the jobs of every slot that came due; return the new last slots, None if nothing did."""
        known = self._last_slots
        if known is None:
            known = self._load_schedule(session, now)
        slots = dict(known)
        for name, entry in self._entries.items():
            slot = latest_slot(entry, slots[name], now)
            if slot is not None:
                jobs.insert_jobs(session, jobs_of(session, entry, slot))
                slots[name] = slot
            look.next_at = min(look.next_at, entry.next_slot(slots[name]))
        moved = sorted(name for name in slots if slots[name] != known[name])
        for name in moved:
            session.execute(update(ScheduleEntry).where(ScheduleEntry.name == name).values(last_slot=slots[name]))
        return slots if moved or self._last_slots is None else None

    def _load_schedule(self, session: Session, now: datetime) -> dict[str, datetime]:
        """Bring the schedule table in line with the entries. A new entry owes its first slot after now."""
        for entry in self._entries.values():
            row = insert(ScheduleEntry).values(name=entry.name, task=entry.task, cadence=entry.cadence, last_slot=now)
            session.execute(
                row.on_conflict_do_update(
                    index_elements=["name"], set_={"task": row.excluded.task, "cadence": row.excluded.cadence}
                )
            )
        rows = session.execute(select(ScheduleEntry.name, ScheduleEntry.last_slot))
        return {name: last_slot for name, last_slot in rows if name in self._entries}

    def _take_back(self, session: Session, look: Look) -> None:
        expired = jobs.expire(session)
        lost = jobs.return_lost(session)
        look.messages.extend(Message(job, is_load=True) for job in lost.reload)
        for job in lost.dead:
            error = f"its worker died {jobs.MAX_LOST_LEASES + 1} times while running it"
            letter = dead_letters.Letter(
                job.task, error, job.kwargs, task_id=f"job:{job.id}:{job.attempt}", queue=job.lane, job_id=job.id
            )
            dead_letters.write_letter(session, letter)
        if expired:
            log.warning("jobs_expired", count=expired)
        if lost.returned or lost.reload or lost.dead:
            log.warning(
                "leases_lost",
                returned=len(lost.returned),
                reloaded=len(lost.reload),
                dead=len(lost.dead),
            )

    def _feed(self, session: Session, now: datetime, processes: Mapping[str, int], look: Look) -> None:
        """Lease what is due to the lanes that have room."""
        in_flight: Counter[str] = Counter()
        waiting_bytes = 0
        query = (
            select(Job.lane, func.count(), func.sum(Job.payload_bytes))
            .where(Job.state.in_(IN_FLIGHT))
            .group_by(Job.lane)
        )
        for lane, count, size in session.execute(query):
            in_flight[lane] = count
            waiting_bytes += int(size or 0)
        room = {lane: MESSAGES_PER_PROCESS * processes.get(lane, 0) - in_flight[lane] for lane in self._lanes}
        # Live work is small and must not wait for the loading of history.
        open_lanes = [
            lane
            for lane in self._lanes
            if room[lane] > 0 and (waiting_bytes <= self._max_in_flight_bytes or lane == "live")
        ]
        for lane in jobs.lanes_due(session, open_lanes, now):
            leased = jobs.lease_due(session, lane, limit=room[lane], now=now)
            look.messages.extend(Message(job, is_load=False) for job in leased)


def message_kwargs(message: Message) -> dict[str, Any]:
    """Return what a wake-up call carries: the job's id and attempt, and for people what it is about."""
    ids = {"job_id": message.job.id, "attempt": message.job.attempt}
    if message.is_load:
        return ids
    return {name: value for name, value in message.job.kwargs.items() if name != "requests"} | ids
