"""The one way to declare a task, and what every task of the farm does when the ground gives way.

Celery swallows misspelt options; `farm_task` takes explicit ones. Retries by Celery are for infrastructure only
(database, Redis, broker away): every wait that a provider dictates is a due time on the job.
"""

from __future__ import annotations

import functools
import inspect
import random
import traceback
from collections.abc import Callable
from typing import Any

import kombu.exceptions
import redis.exceptions
import sqlalchemy.exc
import structlog
from celery import Task, shared_task
from celery.exceptions import Reject, Retry, TaskPredicate

from ingest.errors import LeaseLost
from ingest.telemetry import redact
from ingest.transport.retry import countdown_s

#: Away, restarting, full, read-only: it comes back, and the work is repeated.
INFRASTRUCTURE: tuple[type[Exception], ...] = (
    sqlalchemy.exc.OperationalError,
    sqlalchemy.exc.InterfaceError,
    sqlalchemy.exc.InternalError,
    sqlalchemy.exc.TimeoutError,
    redis.exceptions.ConnectionError,
    redis.exceptions.TimeoutError,
    redis.exceptions.ResponseError,
    kombu.exceptions.OperationalError,
    OSError,
)
#: A call by hand waits out an hour of a database's absence; a job's lease brings it back before that anyway.
MAX_INFRASTRUCTURE_RETRIES = 60
#: for a retry that names no countdown; Celery's own 180 s come too close to the visibility timeout
DEFAULT_RETRY_DELAY_S = 10

log = structlog.get_logger(__name__)


class Failed(Exception):
    """An error that quoted a secret, told without it: Celery sends errors to Redis and to Flower as they are."""


class FarmTask(Task):
    """Celery's task, minus its way of losing a message when a retry can't be published."""

    def retry(self, *args: Any, **kwargs: Any) -> Any:
        """Retry as Celery does, but keep the message when the broker refuses the new one.

        Celery answers a refused publish with Reject(requeue=False), which on Redis is silent loss.
        """
        try:
            return super().retry(*args, **kwargs)
        except Reject as reject:
            raise Reject(reject.reason, requeue=True) from reject


def farm_task(
    *,
    name: str,
    soft_time_limit_s: int = 75,
    time_limit_s: int = 90,
    ignore_result: bool = False,
) -> Callable[[Callable[..., Any]], Any]:
    """Declare a task. The function's first argument is the bound task. Its queue is celeryconfig's to say.

    An infrastructure error is retried with the waits of transport/retry.py; a lost lease ends the call quietly,
    because somebody else does the work; anything else is a failure, which lifecycle.py files as a dead letter.
    """

    def declare(function: Callable[..., Any]) -> Any:
        @functools.wraps(function)
        def run(self: FarmTask, *args: Any, **kwargs: Any) -> Any:
            try:
                return function(self, *args, **kwargs)
            except LeaseLost as lost:
                log.info("lease_lost", reason=str(lost))
                return {"state": "given to somebody else"}
            except INFRASTRUCTURE as error:
                raise _try_again(self, error) from error
            except Exception as error:
                _refuse_secrets(error)
                raise

        # Celery reads no further than `run`: with this a misspelt argument is refused by `.delay`, not by the worker.
        run.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]
        return shared_task(
            bind=True,
            name=name,
            soft_time_limit=soft_time_limit_s,
            time_limit=time_limit_s,
            ignore_result=ignore_result,
            max_retries=MAX_INFRASTRUCTURE_RETRIES,
            default_retry_delay=DEFAULT_RETRY_DELAY_S,
        )(run)

    return declare


def _refuse_secrets(error: Exception) -> None:
    """Raise Failed in place of an error that quotes a secret, itself or in the errors it came from."""
    if isinstance(error, TaskPredicate):  # a word to Celery (replaced, retried), and no error
        return
    text = "".join(traceback.format_exception(error))
    if redact(text) != text:
        said = redact(f"{type(error).__name__}: {error}")
        raise Failed(said).with_traceback(error.__traceback__) from None


def _try_again(task: FarmTask, error: Exception) -> Retry:
    countdown = countdown_s(task.request.retries, random.Random())
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    log.warning("waits_for_infrastructure", error=reason, retry_in_s=round(countdown, 1), retries=task.request.retries)
    return task.retry(exc=error, countdown=countdown, throw=False)
