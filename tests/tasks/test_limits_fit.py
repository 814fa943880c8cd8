"""The numbers that must fit together, or messages come twice: visibility timeout, deadlines, countdowns, leases."""

from __future__ import annotations

import random

import celeryconfig
from ingest.pipeline.jobs import LEASE_S
from ingest.pipeline.leases import RENEW_EVERY_S
from ingest.settings import Settings
from ingest.transport.retry import DEFAULT, countdown_s
from tasks.app import app
from tasks.farm_task import MAX_INFRASTRUCTURE_RETRIES


def our_tasks():
    app.loader.import_default_modules()
    return [task for name, task in app.tasks.items() if name.startswith("tasks.")]


def test_no_task_may_run_longer_than_a_third_of_the_visibility_timeout():
    limits = [task.time_limit for task in our_tasks()] + [celeryconfig.task_time_limit]
    assert max(limits) * 3 <= celeryconfig.VISIBILITY_TIMEOUT_S
    assert all(task.soft_time_limit < task.time_limit for task in our_tasks())


def test_no_countdown_is_longer_than_a_third_of_the_visibility_timeout():
    longest = max(countdown_s(retries, random.Random(7)) for retries in range(MAX_INFRASTRUCTURE_RETRIES + 1))
    assert longest <= DEFAULT.cap_s
    assert DEFAULT.cap_s * 3 <= celeryconfig.VISIBILITY_TIMEOUT_S
    assert all(task.default_retry_delay * 3 <= celeryconfig.VISIBILITY_TIMEOUT_S for task in our_tasks())


def test_a_fetch_ends_before_its_task_is_told_to():
    deadline = Settings.model_fields["tickfarm_fetch_deadline_s"]
    longest_s = next(limit.le for limit in deadline.metadata if hasattr(limit, "le"))
    assert longest_s < min(task.soft_time_limit for task in our_tasks())


def test_a_lease_survives_two_renewals_that_fail():
    assert RENEW_EVERY_S * 3 <= LEASE_S


def test_a_lost_message_is_repaired_long_before_redis_would_deliver_it_again():
    assert LEASE_S * 3 < celeryconfig.VISIBILITY_TIMEOUT_S
