"""Celery beat on PostgreSQL: the shell of the leader. It turns Celery's schedules into slots and looks into messages.

`celery -A tasks beat` runs it. Two of them: one leads, the other stands by and takes over. Nothing is sent that the
job table does not hold; if the database or Redis is away it waits, says so, and goes on by itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from celery.beat import Scheduler
from celery.schedules import BaseSchedule, crontab, maybe_schedule, schedule
from kombu.exceptions import BatchPublishError

from celeryconfig import LANES, LOAD_SUFFIX
from ingest.pipeline import workers
from ingest.pipeline.context import Context
from ingest.pipeline.leader import LOOK_EVERY_S, Leader, Leadership, Message, message_kwargs
from ingest.pipeline.schedule import Entry, every
from ingest.settings import settings
from tasks.farm_task import INFRASTRUCTURE
from tasks.fetch import load_steps

#: How long one wait for Redis' wake-up lasts at most; a signal to stop is heard between waits.
MAX_WAIT_S = LOOK_EVERY_S
_MAX_BACKOFF_S = 10.0

log = structlog.get_logger(__name__)


class PgScheduler(Scheduler):
    """The leader as a Celery beat scheduler."""

    def setup_schedule(self) -> None:
        """Read beat_schedule.py and open the database and Redis."""
        self._context = Context(settings(), name="tickfarm beat")
        entries = [entry_of(name, spec) for name, spec in self.app.conf.beat_schedule.items()]
        self._leader = Leader(
            self._context.sessions,
            entries,
            lanes=LANES,
            max_in_flight_bytes=self._context.settings.tickfarm_max_inflight_bytes,
        )
        self._leadership = Leadership(self._context.sessions.kw["bind"])
        self._calls = workers.WakeCalls(self._context.redis)
        self._processes: Mapping[str, int] = {}
        self._looked_around_at = 0.0
        self._is_leading = False
        self._failures = 0

    def tick(self, *_: Any, **__: Any) -> float:
        """Look, publish, and wait for the next slot or a wake-up; return how long beat shall still sleep."""
        try:
            pause: float = self._turn()
        except INFRASTRUCTURE as error:
            self._is_leading = False
            self._failures += 1
            pause = min(0.5 * 2 ** min(self._failures, 10), _MAX_BACKOFF_S)
            log.warning("beat_waits", error=str(error).splitlines()[0], retry_in_s=pause, failures=self._failures)
            return pause
        self._failures = 0
        return pause

    def close(self) -> None:
        """Give the lead away, so that a stand-by takes over at once."""
        self._leadership.release()
        self._calls.close()
        self._context.close()

    def _turn(self) -> float:
        """Do one turn as leader, or try to become it.

        Whether we still lead, and who works, is looked up after the slot's messages are out. A turn too many does no
        harm: slots and leases are unique in the table, whoever asks.
        """
        if not self._is_leading:
            self._leader.forget()
            self._is_leading = self._look_around()
            if not self._is_leading:
                return LOOK_EVERY_S
        look = self._leader.look(datetime.now(UTC), self._processes)
        self._publish(look.messages)
        sweep = self._leader.sweep(datetime.now(UTC))
        self._publish(sweep.messages)
        if time.monotonic() - self._looked_around_at >= LOOK_EVERY_S:
            self._is_leading = self._look_around()
        wait_s = (min(look.next_at, sweep.next_at) - datetime.now(UTC)).total_seconds()
        if wait_s > 0:
            self._calls.wait(min(wait_s, MAX_WAIT_S))
        return 0.0

    def _look_around(self) -> bool:
        self._processes = workers.processes_by_lane(self._context.redis)
        self._looked_around_at = time.monotonic()
        return self._leadership.held()

    def _publish(self, messages: list[Message]) -> None:
        """Send the wake-up calls, pipelined. What is lost here, its lease brings back."""
        if not messages:
            return
        try:
            with self.app.producer_or_acquire() as producer, producer.batch():
                for message in messages:
                    self._send(message, producer)
        except BatchPublishError as error:
            log.warning("messages_not_published", messages=len(messages), error=str(error))

    def _send(self, message: Message, producer: Any) -> None:
        job = message.job
        task_id = f"{job.id}-{job.attempt}"
        if message.is_load:
            steps = load_steps(job, size_bytes=0, ignore_result=True)
            steps.apply_async(task_id=task_id, producer=producer)
            return
        self.app.send_task(
            job.task,
            kwargs=message_kwargs(message),
            task_id=task_id,
            queue=job.lane,
            ignore_result=True,
            producer=producer,
            # The worker's own limits hold, so that `celery control time_limit` reaches what is sent from here.
            time_limit=None,
            soft_time_limit=None,
        )


def entry_of(name: str, spec: Mapping[str, Any]) -> Entry:
    """Return a beat entry as the leader needs it. Raises ValueError naming the entry when it is malformed."""
    options = spec.get("options") or {}
    ours = (options.get("headers") or {}).get("tickfarm") or {}
    lane = str(options.get("queue") or "standard")
    if lane.removesuffix(LOAD_SUFFIX) not in LANES:
        raise ValueError(f"schedule entry {name!r}: queue {lane!r} is no lane; accepted: {', '.join(LANES)}")
    cadence = maybe_schedule(spec["schedule"])
    expires = options.get("expires")
    return Entry(
        name=name,
        task=str(spec["task"]),
        cadence=repr(cadence),
        kwargs=dict(spec.get("kwargs") or {}),
        lane=lane,
        priority=int(ours.get("priority", 3)),
        expires_s=None if expires is None else float(expires),
        next_slot=_slots(name, cadence),
    )


def _slots(name: str, cadence: BaseSchedule) -> Callable[[datetime], datetime]:
    match cadence:
        case crontab():

            def next_cron_slot(after: datetime) -> datetime:
                start, delta, _ = cadence.remaining_delta(after)
                slot: datetime = start + delta
                return slot.astimezone(UTC)

            return next_cron_slot
        case schedule():
            period: timedelta = cadence.run_every
            if period <= timedelta(0):
                raise ValueError(f"schedule entry {name!r}: a period must be longer than nothing, given: {period}")
            return every(period.total_seconds())
        case _:
            raise ValueError(
                f"schedule entry {name!r}: {type(cadence).__name__} is not supported; use seconds or crontab"
            )
