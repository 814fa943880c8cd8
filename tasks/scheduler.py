"""Celery beat on PostgreSQL: the shell of the leader. It reads beat_schedule.py and turns looks into messages.

`celery -A tasks beat` runs it. Two of them: one leads, the other stands by and takes over. Nothing is sent that the
job table does not hold; if the database or Redis is away it waits, says so, and goes on by itself.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import structlog
from celery.beat import Scheduler
from kombu.exceptions import BatchPublishError

from celeryconfig import LANES
from ingest.errors import FixRequest
from ingest.pipeline import schedule_edits, workers
from ingest.pipeline.context import Context
from ingest.pipeline.leader import LOOK_EVERY_S, Leader, Leadership, Message, message_kwargs
from ingest.pipeline.terms import disabled
from ingest.settings import settings
from ingest.telemetry import MESSAGE_HEADER
from tasks import heartbeat
from tasks.farm_task import INFRASTRUCTURE
from tasks.fetch import load_steps
from tasks.schedule_file import ScheduleFile

_MAX_BACKOFF_S = 10.0

log = structlog.get_logger(__name__)


class PgScheduler(Scheduler):
    """The leader as a Celery beat scheduler."""

    def setup_schedule(self) -> None:
        """Read beat_schedule.py and open the database and Redis. Raises FixRequest for a file that can't be read."""
        heartbeat.begin()
        self._context = Context(settings(), name="tickfarm beat")
        self._file = ScheduleFile(self._context.settings)
        self._specs = self._file.read(self.app.tasks) if self._file.changed() else {}
        self._is_synced = False
        self._leader = Leader(
            self._context.sessions,
            lanes=LANES,
            off=disabled(self._context.settings),
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
        heartbeat.beat()
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
            self._is_synced = False
            self._is_leading = self._look_around()
            if not self._is_leading:
                return LOOK_EVERY_S
        now = datetime.now(UTC)
        self._leader.hear(self._calls.take_news(), now)
        look = self._leader.look(now, self._processes)
        self._publish(look.messages)
        self._publish(self._leader.sweep())
        if time.monotonic() - self._looked_around_at >= LOOK_EVERY_S:
            self._is_leading = self._look_around()
        next_look_s = (look.next_at - datetime.now(UTC)).total_seconds()
        # A signal to stop is heard between waits, and what changed in the schedule is looked for each second.
        wait_s = min(next_look_s, self._looked_around_at + LOOK_EVERY_S - time.monotonic())
        if wait_s > 0:
            self._calls.wait(wait_s, wants_room=look.wants_room)
        return 0.0

    def _look_around(self) -> bool:
        """See who works and what changed in the schedule; return whether we lead."""
        self._processes = workers.processes_by_lane(self._context.redis)
        self._looked_around_at = time.monotonic()
        if not self._leadership.held():
            return False
        workers.note_look(self._context.redis)
        self._read_file()
        self._leader.refresh()
        return True

    def _read_file(self) -> None:
        """Take the file into the table when it was saved; one that can't be read changes nothing."""
        if self._file.changed():
            try:
                self._specs = self._file.read(self.app.tasks)
                self._is_synced = False
            except FixRequest as error:
                log.error("schedule_file_refused", error=str(error))
        if self._is_synced:
            return
        with self._context.sessions.begin() as session:
            changed = schedule_edits.sync_file(session, self._specs, datetime.now(UTC))
        self._is_synced = True
        if changed:
            log.info("schedule_file_read", changed=changed)

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
        log.debug("published", job_id=job.id, attempt=job.attempt, task=job.task, correlation_id=job.correlation)
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
            headers={MESSAGE_HEADER: job.correlation},
            # The worker's own limits hold, so that `celery control time_limit` reaches what is sent from here.
            time_limit=None,
            soft_time_limit=None,
        )
