"""Messages that can't be run: each ends as a dead letter that says why, and one whose cause is gone can be requeued."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime

import pytest
from kombu import Exchange

from ingest.pipeline import dead_letters
from tests.tasks.load import bars_job, owe
from tests.tester import TESTER
from tests.waiting import until

REFUSAL = {"status": 400, "body": '{"code":-1100,"msg":"Illegal characters found in parameter."}'}


@pytest.fixture
def client(shared_farm):
    shared_farm.empty("jobs", "dead_letters", "bars", "ledger")
    with shared_farm.client() as app:
        yield app


def letter_of(farm, task_id):
    farm.wait_for("SELECT count(*) > 0 FROM dead_letters WHERE task_id = :id", id=task_id)
    [letter] = farm.rows("SELECT * FROM dead_letters WHERE task_id = :id", id=task_id)
    return letter


def requeue(farm, letter):
    with farm.context.sessions.begin() as session:
        return dead_letters.requeue(session, letter.id, lanes=("standard",), now=datetime.now(UTC), by=TESTER)


def test_a_task_nobody_knows_is_filed_with_its_name(shared_farm, client):
    sent = client.send_task("tasks.fetch.nobody", kwargs={"dataset": "bars"}, queue="live")
    letter = letter_of(shared_farm, sent.id)
    assert (letter.task, letter.kwargs, letter.queue) == ("tasks.fetch.nobody", {"dataset": "bars"}, "live")
    assert "no task is registered as 'tasks.fetch.nobody'" in letter.error


def test_a_body_that_is_no_json_is_filed(shared_farm, client):
    task_id = str(uuid.uuid4())
    publish(client, b"{half a mess", task_id)
    letter = letter_of(shared_farm, task_id)
    assert letter.task == "tasks.fetch.binance"
    assert "half a mess" in str(letter.kwargs)
    assert letter.queue == "live"


def test_a_body_of_another_shape_is_filed(shared_farm, client):
    task_id = str(uuid.uuid4())
    publish(client, json.dumps({"not": "args, kwargs, embed"}).encode(), task_id)
    assert letter_of(shared_farm, task_id).task == "tasks.fetch.binance"


def test_a_message_without_a_task_is_filed(shared_farm, client):
    with client.connection_for_write() as connection, connection.Producer() as producer:
        producer.publish({"hello": "world"}, exchange=Exchange("live"), routing_key="live", serializer="json")
    shared_farm.wait_for("SELECT count(*) = 1 FROM dead_letters WHERE task = '(no task)'")
    assert "hello" in str(shared_farm.letters()[0].kwargs)


def publish(client, body, task_id):
    headers = {"lang": "py", "task": "tasks.fetch.binance", "id": task_id, "root_id": task_id, "argsrepr": "()"}
    with client.connection_for_write() as connection, connection.Producer() as producer:
        producer.publish(
            body,
            exchange=Exchange("live"),
            routing_key="live",
            content_type="application/json",
            content_encoding="utf-8",
            headers=headers,
            correlation_id=task_id,
        )


@pytest.mark.parametrize(
    ("kwargs", "reason"),
    [
        ({}, "dataset"),
        ({"dataset": "tea"}, "unknown dataset of binance: 'tea'; accepted: bars, trades, quotes, books"),
        ({"dataset": "bars", "instruments": ["BTC-USDT"]}, "bars need an interval"),
        ({"dataset": "bars", "instruments": "BTC-USDT", "interval": "1m"}, "instruments must be a list"),
        ({"dataset": "bars", "instrument": ["BTC-USDT"], "interval": "1m"}, "instrument"),
        ({"dataset": "bars", "instruments": ["BTC-USDT"], "interval": "1m", "start": "yesterday"}, "yesterday"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_wrong_arguments_are_filed_with_what_is_accepted(shared_farm, client, kwargs, reason):
    sent = client.send_task("tasks.fetch.binance", kwargs=kwargs, queue="live")
    letter = letter_of(shared_farm, sent.id)
    assert reason in letter.error
    assert letter.kwargs == kwargs
    assert shared_farm.states().keys() <= {"dead"}


def test_bytes_that_are_no_message_at_all_end_a_worker_at_worst_and_nothing_else_is_lost(shared_farm, client):
    """kombu reads its envelope before Celery sees it: garbage there ends the worker, and is gone when it restarts."""
    redis, worker = shared_farm.context.redis, shared_farm.processes["one"]
    shared_farm.rows("UPDATE jobs SET lease_until = now()")
    for garbage in (b"not json at all", b"{}", b"[1]", b"\xff\xfe\x00", b'{"body": 1}'):
        redis.lpush("farm:live", garbage)
    owe(shared_farm, *(bars_job(f"after:{at}", "BTC-USDT", lane="live") for at in range(3)))

    def is_over():
        if worker.child.exit_code() is not None:
            worker.kill()
            shared_farm.restart(worker, wait=False)  # as the supervisor does
        return shared_farm.states() == {"done": 3}

    until(is_over, within_s=90, what="the jobs behind the garbage")
    until(
        lambda: redis.llen("farm:live") == redis.hlen("farm:unacked") == 0, what="the last message to be acknowledged"
    )


def test_a_job_for_a_task_that_workers_do_not_know_yet_is_filed_once_and_can_be_requeued(shared_farm, client):
    """A rolling deploy: the leader knows a task before the workers do."""
    owe(shared_farm, bars_job("new", "BTC-USDT", task="tasks.fetch.newcomer", lane="live"))
    shared_farm.wait_for("SELECT count(*) = 1 FROM dead_letters WHERE task = 'tasks.fetch.newcomer'")
    job = shared_farm.job("new")
    assert job.state == "dead"
    [letter] = shared_farm.letters()
    assert letter.job_id == job.id
    # The new workers are there: the same job's task is one they know.
    shared_farm.rows("UPDATE jobs SET task = 'tasks.fetch.binance' WHERE key = 'new'")
    assert requeue(shared_farm, letter) == job.id
    shared_farm.all_done(within_s=30)
    assert shared_farm.value("SELECT count(*) FROM bars") == 60


def test_a_job_the_provider_refused_is_filed_and_works_once_it_is_requeued_without_the_cause(shared_farm, client):
    shared_farm.sandbox.arm("binance", "status", times=None, args=REFUSAL)
    owe(shared_farm, bars_job("refused", "BTC-USDT", lane="live"))
    shared_farm.wait_for("SELECT state = 'dead' FROM jobs WHERE key = 'refused'")
    [letter] = shared_farm.letters()
    assert "-1100" in letter.error
    shared_farm.sandbox.control("DELETE", "faults")
    requeue(shared_farm, letter)
    shared_farm.all_done(within_s=30)
    assert [letter.state for letter in shared_farm.letters()] == ["requeued"]
    assert shared_farm.value("SELECT count(*) FROM bars") == 60


def test_a_call_by_hand_that_was_refused_works_once_it_is_requeued(shared_farm, client):
    shared_farm.sandbox.arm("binance", "status", times=None, args=REFUSAL)
    kwargs = bars_job("call", "BTC-USDT").kwargs
    sent = client.send_task("tasks.fetch.binance", kwargs=kwargs, queue="live")
    shared_farm.wait_for("SELECT state = 'dead' FROM jobs WHERE key = :key", key=f"call:{sent.id}")
    shared_farm.sandbox.control("DELETE", "faults")
    [letter] = shared_farm.letters()
    requeue(shared_farm, letter)
    shared_farm.all_done(within_s=30)
    assert shared_farm.value("SELECT count(*) FROM bars") == 60
