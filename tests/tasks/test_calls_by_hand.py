"""Calls without a job: `.delay().get()`, `celery call`, the same message twice, stock beat. Each becomes a job."""

from __future__ import annotations

import json
import uuid

import pytest

from tests.tasks.load import START, TWO_STEPS, bars_job, check_stored
from tests.waiting import until

WAIT_S = 60
CALL = bars_job("call", "BTC-USDT").kwargs


@pytest.fixture
def hand(shared_farm):
    """A Celery client of the farm, which has an empty table and no jobs."""
    shared_farm.empty("jobs", "dead_letters", "bars", "quotes", "ledger", "revisions", "fetch_log")
    with shared_farm.client() as app:
        app.loader.import_task_module("tasks.fetch")
        yield app


def test_get_returns_what_store_wrote(shared_farm, hand):
    result = hand.send_task("tasks.fetch.binance", kwargs=CALL).get(timeout=WAIT_S)
    assert (result["state"], result["rows"], result["inserted"]) == ("done", 60, 60)
    check_stored(shared_farm, 60, pairs=["BTC-USDT"])
    assert shared_farm.value("SELECT lane FROM jobs") == "standard"


def test_a_large_answer_goes_through_two_steps_and_returns_store_s_result_all_the_same(shared_farm, hand):
    kwargs = bars_job("large", "BTC-USDT", minutes=TWO_STEPS).kwargs
    result = hand.send_task("tasks.fetch.binance", kwargs=kwargs, queue="backfill").get(timeout=WAIT_S)
    assert (result["state"], result["rows"]) == ("done", TWO_STEPS)
    check_stored(shared_farm, TWO_STEPS, pairs=["BTC-USDT"])


def test_positional_arguments_work_as_well(shared_farm, hand):
    arguments = ["bars", ["BTC-USDT"], "1m", CALL["start"], CALL["end"]]
    assert hand.send_task("tasks.fetch.binance", args=arguments).get(timeout=WAIT_S)["rows"] == 60


def test_celery_call_on_the_command_line_runs_and_stores(shared_farm, hand):
    done = shared_farm.celery("call", "tasks.fetch.binance", f"--kwargs={json.dumps(dict(CALL))}", "--queue=live")
    assert done.returncode == 0, done.stderr
    result = hand.AsyncResult(done.stdout.split()[-1]).get(timeout=WAIT_S)
    assert result["rows"] == 60
    assert shared_farm.value("SELECT lane FROM jobs") == "live"


def test_the_same_message_delivered_twice_is_one_job_and_one_fetch(shared_farm, hand):
    task_id = str(uuid.uuid4())
    hand.send_task("tasks.fetch.binance", kwargs=CALL, task_id=task_id).get(timeout=WAIT_S)
    again = hand.send_task("tasks.fetch.binance", kwargs=CALL, task_id=task_id)
    until(lambda: shared_farm.context.redis.hlen("farm:unacked") == 0, what="the second delivery")
    assert again.get(timeout=WAIT_S)["rows"] == 60
    assert shared_farm.value("SELECT count(*) FROM jobs") == shared_farm.value("SELECT count(*) FROM fetch_log") == 1
    check_stored(shared_farm, 60, pairs=["BTC-USDT"])


def test_a_call_the_provider_puts_off_returns_until_when_and_is_done_by_itself_then(shared_farm, hand):
    shared_farm.sandbox.arm("binance", "status", args={"status": 429, "retry_after": 3})
    result = hand.send_task("tasks.fetch.binance", kwargs=CALL).get(timeout=WAIT_S)
    assert result["state"] == "deferred"
    assert result.keys() == {"job_id", "state", "until", "reason"}
    assert result["until"] > START.isoformat()
    shared_farm.all_done(within_s=30)
    check_stored(shared_farm, 60, pairs=["BTC-USDT"])


def test_a_refused_call_returns_the_reason(shared_farm, hand):
    body = '{"code":-1100,"msg":"Illegal characters found in parameter."}'
    shared_farm.sandbox.arm("binance", "status", args={"status": 400, "body": body})
    result = hand.send_task("tasks.fetch.binance", kwargs=CALL).get(timeout=WAIT_S)
    assert result["state"] == "dead"
    assert "-1100" in result["reason"]


def test_stock_beat_loads_the_schedule_page_and_its_messages_are_stored_once_each(shared_farm, hand):
    shared_farm.rows(
        "INSERT INTO series (provider, dataset, instrument, interval, followed) "
        "VALUES ('binance', 'quotes', 'BTC-USDT', '', true) ON CONFLICT DO NOTHING"
    )
    ours = shared_farm.processes["beat"]
    ours.kill()
    folder = shared_farm.folder / "stock"
    folder.mkdir()
    stock = shared_farm.beat(
        "stock-beat", "--scheduler=celery.beat:PersistentScheduler", f"--schedule={folder / 'schedule'}"
    )
    try:
        polls = (
            "key LIKE 'call:%' AND task = 'tasks.fetch.binance' AND kwargs->>'dataset' = 'quotes' AND state = 'done'"
        )
        shared_farm.wait_for(f"SELECT count(*) >= 3 FROM jobs WHERE {polls}", within_s=60)
        assert shared_farm.value("SELECT count(*) FROM quotes") >= 3
    finally:
        stock.kill()
        shared_farm.rows("UPDATE series SET followed = false")
        shared_farm.restart(ours, wait=False)
    shared_farm.all_done(within_s=60)
    assert shared_farm.value("SELECT max(n) FROM (SELECT count(*) n FROM fetch_log GROUP BY job_id) x") == 1


def test_a_worker_says_once_how_it_sends_and_its_children_lease_their_connections(shared_farm, hand):
    assert hand.send_task("tasks.fetch.binance", kwargs=CALL).get(timeout=WAIT_S)["rows"] == 60
    worker = shared_farm.processes["one"]
    events = [json.loads(line) for line in worker.text().splitlines() if '"transport"' in line]
    assert [(event["name"], event["lacks"]) for event in events] == [("curl", [])]
    leases = shared_farm.context.redis.hgetall("tickfarm:connections")
    holders = {int(name.split(b":")[1]) for name in leases if name != b"whole"}
    assert holders
    assert holders <= set(worker.children())
