"""The leader's look: owe what the schedule says, lease what is due, take back lost leases, say what to publish.

One leader works at a time (a PostgreSQL advisory lock); a second one stands by. Everything a look decides is one
transaction, and messages go out after its commit: if they are lost, their leases run out and the next look repairs it.

Bulkheads: a lane's children are shared by the providers that have work in it, so that one that hangs can't hold them
all. What a provider holds are its leased jobs: those that run or whose message waits to. Of a lane with n children

- whoever holds least is served next, so a long history takes only what room the others leave;
- in the live lane a provider holds n/2 at most, rounded up and at least one: with n of 2 or more, one that hangs from
  one moment to the next leaves a child to the others;
- providers that were slow lately (a job ran for over 5 s) hold n-1 together while anybody else works in the lane, and
  n where nobody does, so that the message of who comes next is never behind a queue of theirs.

A provider that has a lane to itself gets all of it. Elsewhere than in the live lane one that begins to hang may hold
every child once, until its deadline: what it holds beyond them is taken back when it is seen to be slow. A lane with
one child can't be shared, nor can lanes that one worker serves.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import Connection, Engine, text
from sqlalchemy.orm import Session, sessionmaker

from ingest.pipeline import dead_letters, jobs
from ingest.pipeline.backlog import Backlog, look_at
from ingest.pipeline.bulkheads import Bulkheads
from ingest.pipeline.claims import Claim, give_up
from ingest.pipeline.gaps_now import Alarm
from ingest.pipeline.jobs import Leased
from ingest.pipeline.pressure import Pressure
from ingest.pipeline.runs import settle
from ingest.pipeline.schedule import Schedule
from ingest.pipeline.workers import News
from models.partitions import PARTITIONED, ensure_partitions

#: Messages a child process may have waiting or in work: enough to keep it busy, few enough to stay in the table.
MESSAGES_PER_PROCESS = 3
#: Where the database's latency decides how much goes at once (pressure): live data don't wait for it.
LIVE_LANE, HISTORY_LANE = "live", "backfill"
#: The farm's number for "I am the leader".
LEADER_LOCK = 7_461_000
#: Changes of the schedule, and work that nobody woke the leader for, are looked for this often.
LOOK_EVERY_S = 1.0
#: Expiry and lost leases can wait this long: a lease lasts ten times as long.
SWEEP_EVERY_S = 2.0

_FAR = datetime.max.replace(tzinfo=UTC)

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Message:
    """A wake-up call to publish: run the job's task, or (`is_load`) load what it fetched."""

    job: Leased
    is_load: bool


@dataclass(slots=True)
class Look:
    """What one look decided: what to publish, and when to look again at the latest.

    `wants_room`: something due could not be leased (its lane is full, or its provider's share), or waits for the end
    of a run.
    """

    messages: list[Message] = field(default_factory=list)
    next_at: datetime = _FAR
    wants_room: bool = False


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
        if connection.scalar(text("SELECT pg_try_advisory_lock(:lock)"), {"lock": LEADER_LOCK}):
            self._connection = connection
            log.info("leading")
        else:
            connection.close()


class Leader:
    """Looks at the job table and the schedule. `max_in_flight_bytes` bounds the payloads that wait to be loaded.

    `off` are providers that are switched off: their entries owe nothing.
    """

    def __init__(
        self,
        sessions: sessionmaker[Session],
        *,
        lanes: Sequence[str],
        max_in_flight_bytes: int,
        off: Collection[str] = (),
    ) -> None:
        self._sessions = sessions
        self._schedule = Schedule(lanes, off=off)
        self._bulkheads = Bulkheads()
        self._pressure = Pressure()
        self._is_held_back = False
        self._alarm = Alarm()
        self._lanes = lanes
        self._max_in_flight_bytes = max_in_flight_bytes
        self._partitions_ready_until = datetime.min.replace(tzinfo=UTC)
        self._swept_at = 0.0

    def forget(self) -> None:
        """Read the schedule's state from the table again: somebody else may have led meanwhile."""
        self._schedule.forget()

    def refresh(self) -> None:
        """Take up what was changed in the schedule since it was read last."""
        with self._sessions() as session:
            self._schedule.refresh(session)

    def hear(self, news: Iterable[News], now: datetime) -> None:
        """Take up what fetches learned: how long live ones stored, and whose budget serves no more history now."""
        for one in news:
            if one.store_s is not None and one.lane == LIVE_LANE:
                self._pressure.note(one.store_s)
            if one.full_until is not None and one.lane == HISTORY_LANE:
                self._bulkheads.full(one.lane, one.task, now, datetime.fromtimestamp(one.full_until, UTC))

    def look(self, now: datetime, processes: Mapping[str, int]) -> Look:
        """Owe and lease everything that is due at `now`, with this many child processes per queue, and commit it.

        The way from a slot to its message leads through here, so it holds no query that can wait: see `sweep`. When
        there is nothing to do it is one query.
        """
        look = Look()
        with self._sessions.begin() as session:
            ready_until = self._prepare_partitions(session, now)
            owed = self._schedule.owe(session, now)
            backlog = look_at(session, now)
            self._bulkheads.note(backlog, now)
            _take_back_unbegun(session, processes, backlog)
            self._feed(session, now, processes, backlog=backlog, look=look)
        self._partitions_ready_until = ready_until
        self._schedule.committed(owed)
        look.next_at = min(self._schedule.next_at, backlog.next_due_at or _FAR)
        look.wants_room |= bool(owed.held_until)
        return look

    def sweep(self) -> list[Message]:
        """Expire what nobody needs any more, take back lost leases, end the runs that are over; every 2 s.

        Return what is to be loaded again.
        """
        if time.monotonic() - self._swept_at < SWEEP_EVERY_S:
            return []
        with self._sessions.begin() as session:
            jobs.relax_commit(session)
            reload = self._take_back(session)
            settle(session)
        self._swept_at = time.monotonic()
        return [Message(job, is_load=True) for job in reload]

    def _prepare_partitions(self, session: Session, now: datetime) -> datetime:
        """Create what rows of today and tomorrow need before anything is leased; return how long, once committed."""
        if now < self._partitions_ready_until:
            return self._partitions_ready_until
        ahead = now + timedelta(days=2)
        for table in PARTITIONED:
            ensure_partitions(session, table, now - timedelta(days=1), ahead)
        return now + timedelta(hours=6)

    def _take_back(self, session: Session) -> list[Leased]:
        """Expire jobs and take back lost leases; return the jobs that are to be loaded again."""
        expired = jobs.expire(session)
        lost = jobs.return_lost(session)
        for job in lost.dead:
            error = f"its worker died {jobs.MAX_LOST_LEASES + 1} times while running it"
            letter = dead_letters.Letter(
                job.task, error, job.kwargs, task_id=f"job:{job.id}:{job.attempt}", queue=job.lane, job_id=job.id
            )
            dead_letters.write_letter(session, letter)
        if expired:
            log.warning("jobs_expired", count=expired)
        self._alarm.look(session, datetime.now(UTC), is_lost=bool(lost.returned or lost.dead))
        if lost.returned or lost.reload or lost.dead:
            log.warning(
                "leases_lost",
                returned=len(lost.returned),
                reloaded=len(lost.reload),
                dead=len(lost.dead),
            )
        return lost.reload

    def _feed(
        self, session: Session, now: datetime, processes: Mapping[str, int], *, backlog: Backlog, look: Look
    ) -> None:
        """Lease what is due to the lanes that have room."""
        is_full = backlog.payload_bytes > self._max_in_flight_bytes
        for lane in self._lanes:
            room = self._most(lane, processes.get(lane, 0), now) - backlog.in_flight[lane]
            # Live work is small and must not wait for the loading of history.
            if lane not in backlog.due:
                continue
            if room <= 0 or (is_full and lane != "live"):
                look.wants_room = True
                continue
            claims = self._bulkheads.claims(lane, processes[lane], backlog, now, room=room)
            leased = self._lease(session, lane, [claim for claim in claims if claim.most], limit=room, now=now)
            look.messages.extend(Message(job, is_load=False) for job in leased)
            got = Counter(job.task for job in leased)
            look.wants_room |= len(leased) == room or any(got[claim.task] == claim.most for claim in claims)

    def _most(self, lane: str, children: int, now: datetime) -> int:
        """Return how many messages a lane may have in flight."""
        full = MESSAGES_PER_PROCESS * children
        if lane != HISTORY_LANE or not full:
            return full
        most = self._pressure.room(full, now)
        if most in (full, 1) and (most < full) is not self._is_held_back:
            self._is_held_back = most < full
            log.info("history_held_back" if self._is_held_back else "history_has_its_room", messages=most, of=full)
        return most

    def _lease(
        self, session: Session, lane: str, claims: Sequence[Claim], *, limit: int, now: datetime
    ) -> list[Leased]:
        if not claims:
            return []
        leased = jobs.lease_due(session, lane, claims, limit=limit, now=now)
        self._bulkheads.served(leased)
        return leased


def _take_back_unbegun(session: Session, processes: Mapping[str, int], backlog: Backlog) -> None:
    """Take back what slow providers hold beyond a lane's children: who comes next would wait behind their messages."""
    for lane, task in backlog.slow:
        if backlog.leased[lane][task] > processes.get(lane, 0):
            taken = give_up(session, lane, task)
            backlog.leased[lane][task] -= taken
            backlog.in_flight[lane] -= taken
            if taken:
                log.info("messages_taken_back", lane=lane, task=task, count=taken)


def message_kwargs(message: Message) -> dict[str, Any]:
    """Return what a wake-up call carries: the job's id and attempt, and for people what it is about."""
    ids = {"job_id": message.job.id, "attempt": message.job.attempt}
    if message.is_load:
        return ids
    return {name: value for name, value in message.job.kwargs.items() if name != "requests"} | ids
