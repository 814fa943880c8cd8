"""Every line of beat_schedule.py does what it says: its task exists, its arguments fit, its provider has that.

Deliberately not here: what the leader makes of slots. Invariant: the page stays one that stock Celery beat can run.
"""

from __future__ import annotations

import inspect
import json
import os
import signal
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
import redis
from celery.beat import Scheduler
from celery.schedules import crontab, maybe_schedule, schedule

from beat_schedule import beat_schedule
from celeryconfig import LANES
from ingest import providers
from ingest.pipeline.calls import check_call
from ingest.pipeline.entries import FETCH_PREFIX, EntrySpec, read_entry
from ingest.settings import CHECKOUT
from tasks import app
from tasks.schedule_file import fields_of
from tests.waiting import until

NOW = datetime(2026, 11, 23, 7, 0, 0, 123456, tzinfo=UTC)


def entry_of(name, spec):
    return read_entry(name, fields_of(name, spec), lanes=LANES, tasks=app.tasks)


every_entry = pytest.mark.parametrize(("name", "spec"), beat_schedule.items(), ids=beat_schedule.keys())


@pytest.fixture(scope="module", autouse=True)
def _registered():
    app.loader.import_default_modules()


@every_entry
def test_an_entry_names_a_task_and_its_arguments_fit_it(name, spec):
    assert set(spec) <= {"task", "schedule", "kwargs", "options"}, "positional arguments are not kept by jobs"
    task = app.tasks[spec["task"]]
    inspect.signature(task.run).bind(**spec.get("kwargs", {}), job_id=1, attempt=1)


@every_entry
def test_an_entry_goes_to_a_lane_and_says_when_nobody_needs_it_any_more(name, spec):
    options = spec["options"]
    assert set(options) == {"queue", "expires", "headers"}
    assert options["queue"] in LANES
    assert options["expires"] > 0
    assert set(options["headers"]) == {"tickfarm"}
    ours = options["headers"]["tickfarm"]
    assert set(ours) <= set(EntrySpec.model_fields), "nobody reads the others"
    assert ours["priority"] in range(1, 6)


@every_entry
def test_an_entry_asks_for_what_its_provider_has(name, spec):
    provider = spec["task"].removeprefix(FETCH_PREFIX)
    if provider == spec["task"]:
        return
    call = check_call(providers.get(provider).facts, spec["kwargs"])
    assert call.start is None, "an entry polls for the newest rows; history is owed by `follow --since`"


@every_entry
def test_an_entry_has_slots_on_its_own_grid(name, spec):
    entry = entry_of(name, spec)
    first = entry.next_slot(NOW)
    following = entry.next_slot(first)
    assert NOW < first < following
    assert entry.next_slot(first - timedelta(microseconds=1)) == first
    assert first.microsecond % 500_000 == 0


@every_entry
def test_a_poll_expires_no_later_than_a_few_slots_after_its_own(name, spec):
    entry = entry_of(name, spec)
    first = entry.next_slot(NOW)
    period_s = (entry.next_slot(first) - first).total_seconds()
    assert entry.spec.expires_s <= 5 * period_s, "a backlog of polls would be worked off for nothing"


@every_entry
def test_an_entrys_arguments_travel_as_json(name, spec):
    assert json.loads(json.dumps(spec.get("kwargs", {}))) == spec.get("kwargs", {})
    assert json.loads(json.dumps(spec["options"])) == spec["options"]


def test_stock_celery_beat_loads_the_page():
    stock = Scheduler(app, schedule={}, lazy=True)
    stock.merge_inplace(beat_schedule)
    assert set(stock.schedule) == set(beat_schedule)
    for name, entry in stock.schedule.items():
        assert entry.task == beat_schedule[name]["task"]
        assert isinstance(maybe_schedule(entry.schedule), schedule | crontab)
        is_due, next_s = entry.is_due()
        assert isinstance(is_due, bool)
        assert next_s >= 0


def test_stock_celery_beat_sends_the_quotes_to_their_lane_with_what_is_ours(redis_url, tmp_path):
    env = {**os.environ, "REDIS_URL": redis_url, "TICKFARM_HOME": str(tmp_path)}
    stock = ("-S", "celery.beat:PersistentScheduler", "-s", str(tmp_path / "schedule"), "--pidfile=")
    beat = subprocess.Popen(
        [sys.executable, "-m", "celery", "-A", "tasks", "beat", *stock],
        cwd=CHECKOUT,
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        with closing(redis.Redis.from_url(redis_url)) as client:
            raw = until(lambda: client.lindex("farm:live", -1), within_s=30, what="stock beat's first message")
    finally:
        beat.send_signal(signal.SIGTERM)
        beat.wait(20)
    headers = json.loads(raw)["headers"]
    assert headers["task"] == "tasks.fetch.binance"
    assert headers["tickfarm"] == {"priority": 1}
    assert headers["expires"] is not None
