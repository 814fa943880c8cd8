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
from ingest.pipeline import pace
from ingest.pipeline.calls import check_call
from ingest.pipeline.entries import FETCH_PREFIX, EntrySpec, read_entry
from ingest.settings import CHECKOUT
from local.demo import HISTORY, OTHERS, PAIRS
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


def limits_of(name):
    """Return what the provider states for a free key, the least that anybody has."""
    return providers.get(name).facts.limits


def demo_instruments(provider, dataset, interval):
    """Return what the demo follows of a kind, and what its provider's line in beat_schedule.py reckons with."""
    found = [names for who, what, width, names in OTHERS if (who, what, width or "") == (provider, dataset, interval)]
    if provider in PAIRS:
        found.append(PAIRS[provider])
    if (provider, dataset, interval) == (HISTORY[0], "bars", HISTORY[2]):
        found.append(HISTORY[1])
    return [name for names in found for name in names]


def loads(instruments_of, schedule_of=beat_schedule):
    entries = [entry_of(name, spec) for name, spec in schedule_of.items()]
    return entries, pace.loads(entries, instruments_of, limits_of, NOW)


def test_a_day_of_the_schedule_fits_every_stated_limit_of_every_provider():
    entries, found = loads(demo_instruments)
    assert {load.provider for load in found} == {entry.provider for entry in entries} - {None}
    assert [load for load in found if load.share > 1] == []
    assert pace.too_fast(found, entries) == []
    asked = {load.provider: load.asked for load in found if load.limit.per_s == 60 and load.limit.unit == "weight"}
    # By hand, a minute: 120 quotes at weight 4; for each of three pairs 2.2 bars at 2, 6 books at 5, 12 trades at 4.
    assert asked["binance"] == pytest.approx(120 * 4 + 3 * (2.2 * 2 + 6 * 5 + 12 * 4))


def test_a_schedule_that_asks_too_much_says_the_fastest_pace_that_fits():
    def many(provider, dataset, interval):
        return ["AAPL", "MSFT"] if (provider, dataset) == ("alpha_vantage", "quotes") else []

    fast = {"alpha-vantage-quotes": beat_schedule["alpha-vantage-quotes"] | {"schedule": 300.0}}
    entries, found = loads(many, fast)
    [slow] = pace.too_fast(found, entries)
    assert (slow.entry, slow.period_s) == ("alpha-vantage-quotes", 300.0)
    assert slow.fastest_s == pytest.approx(86_400 / 25 * 2)  # 25 a day, two a slot
    slower = {"alpha-vantage-quotes": fast["alpha-vantage-quotes"] | {"schedule": slow.fastest_s}}
    entries, found = loads(many, slower)
    assert pace.too_fast(found, entries) == []
