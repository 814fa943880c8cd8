"""How many messages wait in each queue. Deliberately not here: the jobs they wake (ingest/pipeline/backlog.py)."""

from __future__ import annotations

from typing import cast

from redis import Redis

from celeryconfig import broker_transport_options, task_queues

_PREFIX = str(broker_transport_options["global_keyprefix"])


def depths(redis: Redis) -> dict[str, int]:
    """Return the number of messages that no worker has taken yet, by queue. One round trip."""
    names = [queue.name for queue in task_queues]
    with redis.pipeline(transaction=False) as pipe:
        for name in names:
            pipe.llen(f"{_PREFIX}{name}")
        return dict(zip(names, cast(list[int], pipe.execute()), strict=True))
