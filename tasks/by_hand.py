"""Calls by hand: send one fetch to the farm, wait for what it stored.

Deliberately not here: who calls (`tickfarm fetch`, farm.py) and the task (fetch.py). Invariant: a call that can't work
is refused before anything is sent, and no connection outlives the call.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from celery import Celery
from celery.exceptions import TimeoutError as CeleryTimeoutError
from kombu.exceptions import OperationalError as BrokerError
from redis.exceptions import RedisError

from celeryconfig import task_default_queue
from ingest import providers
from ingest.errors import TryAgain
from ingest.pipeline.calls import check_call
from ingest.pipeline.context import Context, required
from ingest.pipeline.follow import check_names
from ingest.pipeline.terms import refuse_unusable
from ingest.pipeline.workers import processes_by_lane
from tasks.broker import FarmAMQP

LANE = task_default_queue
#: The longest a fetch takes: the time limit of a task. Longer waits are for jobs that the provider put off.
WAIT_S = 90.0


def fetch_by_hand(
    context: Context, provider: str, call: Mapping[str, Any], *, timeout_s: float = WAIT_S
) -> dict[str, Any]:
    """Send a fetch of `call` (the task's arguments), wait for its end and return the task's own result.

    Its `state` is `done` where rows were stored; else (`deferred`, `dead` ..) its `reason` says why not. Raises
    FixRequest for what can't work, and TryAgain where no worker is there, Redis is away or no result came in time:
    then the call goes on, and asking again later does no harm.
    """
    provider = providers.name_of(provider)
    found = providers.get(provider)
    checked = check_call(found.facts, call)
    check_names(found, checked.dataset, checked.instruments, checked.interval)
    refuse_unusable(context.settings, found.facts)
    try:
        if not processes_by_lane(context.redis)[LANE]:
            raise TryAgain(f"no worker serves the {LANE} lane: start the farm first, for example with `tickfarm demo`")
        with (
            _client(required(context.settings.redis_url, "REDIS_URL")) as client,
            client.connection_for_write() as connection,
        ):
            sent = client.send_task(f"tasks.fetch.{provider}", kwargs=dict(call), queue=LANE, connection=connection)
            return _result(client, sent, provider, timeout_s)
    except (RedisError, BrokerError) as error:
        raise TryAgain(f"can't reach Redis (REDIS_URL): {error}") from error


def _result(client: Celery, sent: Any, provider: str, timeout_s: float) -> dict[str, Any]:
    try:
        result: dict[str, Any] = sent.get(timeout=timeout_s)
    except CeleryTimeoutError as late:
        raise TryAgain(f"no result within {timeout_s:g} s; the call goes on as {sent.id}", provider=provider) from late
    finally:
        client.backend.remove_pending_result(sent)  # else it connects once more, to say so, when it is collected
    return result


@contextmanager
def _client(redis_url: str) -> Iterator[Celery]:
    """Yield an application of this call's own, and close its connections: the process's one closes them at its end.

    Its address is the caller's: celeryconfig read one when it was loaded, which may have been before the servers ran.
    """
    with Celery("tickfarm by hand", amqp=FarmAMQP, set_as_current=False) as client:
        client.config_from_object("celeryconfig")
        client.conf.update(broker_url=redis_url, result_backend=redis_url)
        try:
            yield client
        finally:
            client.backend.result_consumer.stop()
            client.backend.client.close()
