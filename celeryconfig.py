"""Queues, routes, delivery guarantees and limits of the farm: constants, each with its reason.

Deliberately not here: what runs when (beat_schedule.py), retry waits (ingest/transport/retry.py), addresses and keys
(environment, .env). Invariant: nothing here is needed for correctness. The job table is the truth, and a lost,
repeated or late message changes nothing but the time it takes.
"""

from __future__ import annotations

from kombu import Exchange, Queue

from beat_schedule import beat_schedule  # noqa: F401 - the one page that says what runs when
from ingest.settings import BadSetting, settings


def _redis_url() -> str | None:
    """Return the broker's address, None where there is none yet: reading this page needs no servers.

    Nor does it need settings that can be read: who starts a process refuses them in one line (tasks/app.py, cli.py),
    which an error raised in the middle of an import can't be.
    """
    try:
        value = settings().redis_url
    except BadSetting:
        return None
    return None if value is None else value.get_secret_value()


# --- Lanes and queues ------------------------------------------------------------------------------------------------
#: A lane is a queue with a worker group of its own, so that history can't starve live data.
LANES = ("live", "standard", "backfill", "maintenance")
#: A lane's parse-and-store steps: the same workers serve them first, so that a lane finishes what it fetched.
LOAD_SUFFIX = ".load"
#: One direct exchange a queue: a queue's name is all that anyone needs to know to send to it.
task_queues = tuple(
    Queue(name, Exchange(name), routing_key=name) for lane in LANES for name in (f"{lane}{LOAD_SUFFIX}", lane)
)
task_default_queue = "standard"  # calls by hand without a queue
#: The leader names a queue in every message; these are for calls by hand. (The task attribute `queue` is deprecated.)
task_routes = {
    "tasks.fetch.*": {"queue": "standard"},
    "tasks.normalize": {"queue": f"standard{LOAD_SUFFIX}"},
    "tasks.store": {"queue": f"standard{LOAD_SUFFIX}"},
    "tasks.retention": {"queue": "maintenance"},
    "tasks.gaps": {"queue": "maintenance"},
    "tasks.scrub": {"queue": "maintenance"},
    "tasks.health": {"queue": "maintenance"},
}
task_create_missing_queues = False  # a misspelt queue is an error at send, not a black hole

# --- Broker ----------------------------------------------------------------------------------------------------------
broker_url = _redis_url()  # None until servers are configured or started
#: Longest task x 3: a message a dead worker held is delivered again after this; the leader has repaired it long before.
VISIBILITY_TIMEOUT_S = 300
broker_transport_options = {
    "visibility_timeout": VISIBILITY_TIMEOUT_S,
    "unacked_restore_interval": 5,  # recovery in VT + 5 s; the default needs VT + 100 s
    "unacked_restore_throttle": 1,
    "queue_order_strategy": "priority",  # serve `-Q live.load,live` in that order; round robin has no priority at all
    "global_keyprefix": "farm:",  # unacked and bindings are global to a database otherwise
    "socket_timeout": 15,  # without it a publish on a dead connection hangs for ever
    "socket_connect_timeout": 5,
    "socket_keepalive": True,
    "health_check_interval": 10,
}
broker_connection_retry_on_startup = True  # Redis may start after us
broker_connection_max_retries = None  # and may be away for long: wait, never give up
broker_channel_error_retry = True  # at maxmemory, or while loading, Redis refuses: the worker must survive that
broker_pool_limit = 10  # connections a process publishes over; it sends one batch at a time
broker_pool_acquire_timeout = 10  # seconds for one of them: an error then, instead of a wait for ever
#: About 6 s, which outlasts a restart of Redis; what is lost after that, the lease brings back.
task_publish_retry = True
task_publish_retry_policy = {"max_retries": 5, "interval_start": 0.1, "interval_step": 0.4, "interval_max": 2}

# --- Delivery --------------------------------------------------------------------------------------------------------
task_acks_late = True  # a message lives until its work is done
worker_prefetch_multiplier = 1  # nothing is hoarded by a busy worker
task_reject_on_worker_lost = False  # a poison task would come back for ever; the job's lease brings it back, counted
task_retry_on_worker_lost = False  # the same, for the same reason
task_acks_on_failure = True  # failures are handled by our code, not by redelivery
task_acks_on_timeout = True  # the same for those that ran out of time
worker_cancel_long_running_tasks_on_connection_loss = False  # measured: 0 against 8 duplicate runs on a Redis restart
worker_deduplicate_successful_tasks = False  # the job row does that
worker_disable_rate_limits = True  # Celery's rate limit is per worker; ours hold for the farm

# --- Limits ----------------------------------------------------------------------------------------------------------
#: Fetch: deadline 30 s (at most 60) and the commit. Load: the largest payload takes seconds.
task_soft_time_limit = 75
task_time_limit = 90
worker_max_tasks_per_child = 10_000  # a leak in a C library stays bounded
worker_max_memory_per_child = 600_000  # kB; a batch of history at its largest needs about 300 MB
worker_eta_task_limit = 500  # a fuse: waits are due times in the job table, not ETAs

# --- Pool ------------------------------------------------------------------------------------------------------------
#: The only pool in which Flower's and `celery control`'s scaling, time limits and terminate work.
worker_pool = "prefork"
worker_proc_alive_timeout = 30.0  # children import polars and open connections before they take work
#: SIGTERM ends consuming and waits for what runs (at most the time limit); soft shutdown was tried and dropped: it
#: sleeps its whole timeout in the signal handler, so a worker with one 50 ms task took 25 s to leave, unacknowledged.
worker_soft_shutdown_timeout = 0
worker_lost_wait = 5.0  # a dead child's last result may still be under way; its lease is ended after that
worker_autoscaler = "tasks.autoscale:FarmAutoscaler"  # shrinks while a little work goes on; Celery's does not
worker_consumer = "tasks.consumer:FarmConsumer"  # files what it can't decode

# --- Results and messages --------------------------------------------------------------------------------------------
result_backend = broker_url  # so that a call by hand returns its result
result_expires = 3600  # a caller by hand looks within the hour; Redis is no archive
result_backend_transport_options = {"global_keyprefix": "farm:"}  # one prefix for all that is Celery's
result_backend_always_retry = True  # Redis away for a moment must not fail a finished task
result_backend_max_retries = 10  # without an end a child would hang as long as Redis is away
task_ignore_result = False  # the leader's own sends ignore theirs, one by one
task_store_errors_even_if_ignored = False  # errors are dead letters, in the database
task_serializer = result_serializer = "json"  # what every client can write and a person can read
accept_content = result_accept_content = ["json"]  # never pickle
task_compression = None  # messages carry ids

# --- Monitoring ------------------------------------------------------------------------------------------------------
worker_send_task_events = True  # Flower shows every task by default; batches make events cheap
task_send_sent_event = True  # so that Flower shows what waits in a queue
task_track_started = True  # and what runs now
task_repr_maxlevels = 2  # a batch's 200 instruments are not for a table cell
worker_hijack_root_logger = False  # logs are structlog's (tasks/lifecycle.py)
worker_redirect_stdouts = False  # a stray print is seen as what it is
beat_enable_remote_control = True  # beat answers `celery inspect ping`

# --- Beat ------------------------------------------------------------------------------------------------------------
beat_scheduler = "tasks.scheduler:PgScheduler"  # the leader: it owes jobs in PostgreSQL instead of sending tasks
beat_max_loop_interval = 1  # a signal to stop is heard within a second
#: Slots are UTC, whatever the machine's zone: a crontab must not run twice, or never, when clocks change.
timezone = "UTC"
enable_utc = True

#: Every module that declares tasks; a worker that lacks one would file its messages as unknown.
imports = (
    "tasks.fetch",
    "tasks.normalize",
    "tasks.store",
    "tasks.retention",
    "tasks.health",
    "tasks.gaps",
    "tasks.scrub",
)
