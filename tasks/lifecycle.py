"""What happens around tasks: logs, children that warm up, failures that are filed.

Deliberately not here: what a task does; workers that announce themselves (presence.py). Invariant: a worker's parent
never imports the parse path (polars used before a fork hangs every child) and holds no database connection that a child
could inherit.
"""

from __future__ import annotations

import logging
import os
import time
from importlib import import_module
from typing import Any

import structlog
from billiard.exceptions import TimeLimitExceeded
from celery import signals
from celery.exceptions import SoftTimeLimitExceeded, WorkerLostError
from celery.states import IGNORED
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from celeryconfig import LANES, LOAD_SUFFIX
from ingest.errors import LeaseLost
from ingest.pipeline import jobs
from ingest.pipeline.context import Context
from ingest.pipeline.dead_letters import Letter, write_letter
from ingest.pipeline.meters import TASK_TIME, TASKS
from ingest.settings import settings
from ingest.telemetry import MESSAGE_HEADER, correlate, is_correlation, setup_logs
from ingest.transport.client import client_class
from tasks import heartbeat
from tasks.farm_task import INFRASTRUCTURE

#: The child is gone, or was told to stop: the job goes back, counted, so that one that kills its child is given up.
LOST = (WorkerLostError, TimeLimitExceeded, SoftTimeLimitExceeded)
#: These carry job id and attempt as positional arguments: they follow a fetch in a chain.
LOAD_TASKS = ("tasks.normalize", "tasks.store")
#: What a task's result may say of its job; anything else is counted by Celery's own word for it.
STATES = ("due", "leased", "fetched", "done", "expired", "dead", "cancelled", "deferred", "failed")

log = structlog.get_logger(__name__)

_contexts: dict[int, Context] = {}
#: by task id: when what runs here began
_began_at: dict[str, float] = {}


def context() -> Context:
    """Return this process's context, made on first use. A forked child makes its own."""
    pid = os.getpid()
    if pid not in _contexts:
        _contexts.clear()
        _contexts[pid] = Context(settings())
    return _contexts[pid]


@signals.setup_logging.connect
def _set_up_logs(loglevel: int | None = None, **_: Any) -> None:
    """Log from TICKFARM_LOG_LEVEL on; where it is not set, as Celery's `--loglevel` says."""
    config = settings()
    setup_logs(config.tickfarm_log_format, level=config.log_level(logging.getLevelName(loglevel or logging.INFO)))
    # "Task received" and "Task succeeded" of each message say less than our own `fetched` and `stored`.
    for noisy in ("celery.worker.strategy", "celery.app.trace"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


@signals.worker_init.connect  # before a consumer, and with it presence.py, is loaded
def _begin_to_beat(**_: Any) -> None:
    heartbeat.begin()


@signals.worker_ready.connect  # `worker_init` comes before the logs are set up
def _name_transport(**_: Any) -> None:
    chosen = client_class(settings().tickfarm_transport)
    log.info("transport", name=chosen.name, lacks=list(chosen.lacks))


@signals.worker_process_init.connect
def _warm_up(**_: Any) -> None:
    """Import the parse path and open the connections before the first task: 73 ms instead of 854 for it."""
    for module in ("ingest.pipeline.normalize", "ingest.pipeline.store"):
        import_module(module).warm_up()
    here = context()
    try:
        here.redis.ping()
        with here.sessions() as session:
            session.connection()
    except (SQLAlchemyError, RedisError) as error:
        log.warning("warms_up_without_servers", error=str(error).splitlines()[0])


@signals.worker_process_shutdown.connect
def _close(**_: Any) -> None:
    context().close()


@signals.task_prerun.connect
def _bind_log_context(task_id: str, task: Any, **_: Any) -> None:
    structlog.contextvars.bind_contextvars(task_id=task_id, task=task.name)
    told = task.request.get(MESSAGE_HEADER)
    if is_correlation(told):
        correlate(told)
    _began_at[task_id] = time.monotonic()


@signals.task_postrun.connect
def _clear_log_context(task_id: str, task: Any, state: str | None = None, retval: Any = None, **_: Any) -> None:
    began_at = _began_at.pop(task_id, None)
    if began_at is not None:
        _measure(task, state, retval, time.monotonic() - began_at)
    structlog.contextvars.clear_contextvars()


def _measure(task: Any, state: str | None, retval: Any, took_s: float) -> None:
    """Count the task; `handed_on` is one that replaced itself with the next steps."""
    queue = (task.request.delivery_info or {}).get("routing_key") or ""
    lane = queue.removesuffix(LOAD_SUFFIX)
    if lane not in LANES:
        lane = "other"
    became = retval.get("state") if isinstance(retval, dict) else None
    if became not in STATES:
        became = "handed_on" if state == IGNORED else (state or "unknown").lower()
    meters = context().meters
    meters.observe(TASK_TIME, task.name, lane, took_s=took_s)
    meters.count(TASKS, task.name, lane, became)
    meters.flush_if_due()


@signals.task_failure.connect
def _file_failure(sender: Any, task_id: str, exception: BaseException, args: Any, kwargs: Any, **_: Any) -> None:
    """File what failed for good. Runs in the child, or in the parent when the child is gone."""
    kwargs = dict(kwargs or {})
    job_id, attempt = _job_of(sender.name, args, kwargs)
    try:
        with _shell_context().sessions.begin() as session:
            if job_id is None:
                job_id, attempt = jobs.find_call(session, task_id)
            if job_id is not None and isinstance(exception, LOST + INFRASTRUCTURE):
                jobs.release(session, job_id, attempt, is_lost=isinstance(exception, LOST))
                return
            if job_id is not None and attempt is not None:
                jobs.bury(session, job_id, attempt, str(exception))
            queue = (getattr(sender.request, "delivery_info", None) or {}).get("routing_key")
            letter = Letter(sender.name, exception, kwargs, args or (), task_id=task_id, queue=queue, job_id=job_id)
            write_letter(session, letter)
    except LeaseLost:
        log.info("failure_of_a_lost_attempt", job_id=job_id, attempt=attempt)
    except SQLAlchemyError as error:
        log.error("failure_not_filed", error=str(error).splitlines()[0], failure=str(exception))


@signals.task_retry.connect
def _keep_lease(request: Any, reason: Any, **_: Any) -> None:
    """Let a job rest until its retry is due: nobody died, so its lease must neither run out nor count as lost."""
    job_id, attempt = _job_of(request.task, request.args, request.kwargs)
    if job_id is None or not isinstance(reason.when, int | float):
        return
    try:
        with _shell_context().sessions.begin() as session:
            jobs.rest(session, job_id, attempt, for_s=reason.when)
    except SQLAlchemyError as error:
        log.info("lease_not_kept", job_id=job_id, error=str(error).splitlines()[0])


@signals.task_revoked.connect
def _take_back_revoked(sender: Any, request: Any, **_: Any) -> None:
    """A message ended by hand (`terminate`, `revoke`) is still owed: the leader sends the job again, at once."""
    job_id, attempt = _job_of(sender.name, request.args, request.kwargs)
    try:
        with _shell_context().sessions.begin() as session:
            if job_id is None:
                job_id, attempt = jobs.find_call(session, request.id)
            if job_id is not None:
                jobs.release(session, job_id, attempt, is_lost=False)
    except SQLAlchemyError as error:
        log.info("lease_not_ended", job_id=job_id, error=str(error).splitlines()[0])


def _job_of(task: str, args: Any, kwargs: Any) -> tuple[int | None, int | None]:
    """Return job id and attempt that a message carries, None twice for a call by hand."""
    if task in LOAD_TASKS and len(args or ()) == 2:
        return args[0], args[1]
    return (kwargs or {}).get("job_id"), (kwargs or {}).get("attempt")


@signals.task_unknown.connect
def _file_unknown(message: Any, name: str, id: str, **_: Any) -> None:  # noqa: A002 - Celery's name
    """A task nobody here knows: deploy order, or a typing error. Celery drops it; we keep it."""
    args, kwargs = _arguments(message)
    error = f"no task is registered as {name!r}"
    job_id, attempt = _job_of(name, args, kwargs)
    _file(Letter(name, error, kwargs, args, task_id=id, queue=_queue(message), job_id=job_id), attempt)


@signals.task_rejected.connect
def _file_rejected(message: Any, exc: BaseException | None, **_: Any) -> None:
    """A message that is no task message at all, or one whose arguments Celery can't read."""
    headers = message.headers or {}
    name = str(headers.get("task") or "(no task)")
    args, kwargs = _arguments(message)
    _file(Letter(name, exc or "not a task message", kwargs, args, task_id=headers.get("id"), queue=_queue(message)))


def file_undecodable(message: Any, error: BaseException) -> None:
    """File a message whose body can't be decoded."""
    headers = message.headers or {}
    body = {"body": repr(message.body)}
    _file(
        Letter(
            str(headers.get("task") or "(undecodable)"), error, body, task_id=headers.get("id"), queue=_queue(message)
        )
    )


def _file(letter: Letter, attempt: int | None = None) -> None:
    """File a letter; with `attempt`, its job ends with it, or the leader would send it for ever."""
    try:
        with _shell_context().sessions.begin() as session:
            if letter.job_id is not None and attempt is not None:
                jobs.bury(session, letter.job_id, attempt, str(letter.error))
            write_letter(session, letter)
    except LeaseLost:
        log.info("letter_of_a_lost_attempt", job_id=letter.job_id, attempt=attempt)
    except SQLAlchemyError as error:
        log.error("dead_letter_not_filed", task=letter.task, error=str(error).splitlines()[0])


def _shell_context() -> Context:
    """The context for a process that may fork: its connections are opened per use and closed at once."""
    pid = os.getpid()
    return _contexts[pid] if pid in _contexts else Context(settings(), pooled=False)


def _queue(message: Any) -> str | None:
    return (message.delivery_info or {}).get("routing_key")


def _arguments(message: Any) -> tuple[list[Any], dict[str, Any]]:
    try:
        payload = message.payload
        args, kwargs = payload[0], payload[1]
        return list(args), dict(kwargs)
    except Exception:  # noqa: BLE001 - whatever it is, it is kept as text
        return [], {"body": repr(message.body)}
