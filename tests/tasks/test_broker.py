"""The broker connection after Redis was away: what came over it can still be acknowledged."""

from __future__ import annotations

import random
import time
from contextlib import closing, suppress
from threading import Event, Thread

import pytest
import redis
from celery import Celery
from kombu.exceptions import BatchPublishError

from local.state import make_home
from local.valkey import Valkey
from tasks.broker import FarmAMQP
from tasks.farm_task import INFRASTRUCTURE
from tests.tasks.farm import close_client


@pytest.fixture
def valkey(home):
    server = Valkey(make_home(home), durable=False)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def kept(valkey):
    """A look at the server past Celery's connection."""
    with closing(redis.Redis.from_url(valkey.url)) as client:
        yield client


@pytest.fixture
def lost(valkey, kept):
    """A connection that was given up while Redis was away, as a worker does, and a message that was taken over it."""
    app = Celery("tests", amqp=FarmAMQP, set_as_current=False)
    app.config_from_object("celeryconfig")
    app.conf.update(broker_url=valkey.url, result_backend=valkey.url)
    app.send_task("tasks.nothing", queue="live")
    messages = []
    with app.connection_for_read() as connection:
        consumer = connection.Consumer([app.amqp.queues["live"]], on_message=messages.append)
        consumer.consume()
        connection.drain_events(timeout=5)
        with pytest.raises(TimeoutError):
            connection.drain_events(timeout=0.1)  # it waits for the next message when Redis goes
        assert kept.hlen("farm:unacked") == 1
        valkey.stop()
        connection.collect()
        messages[0].channel._disconnect_pools()  # in a worker's event loop this comes last, one time in five
        valkey.start()
        yield connection, messages[0]
    close_client(app)


def test_a_message_is_acknowledged_after_its_connection_was_given_up(lost, kept):
    _, message = lost
    message.ack()
    assert kept.hlen("farm:unacked") == 0


def test_a_publish_whose_channel_was_closed_by_a_reconnection_says_only_what_beat_expects(valkey, kept):
    """Redis is full and not, and cuts connections, at any moment of a publish: some 2 a second met a closed channel."""
    app = Celery("tests", amqp=FarmAMQP, set_as_current=False)
    app.config_from_object("celeryconfig")
    app.conf.update(broker_url=valkey.url, result_backend=valkey.url)
    over, dice, sent = Event(), random.Random(1), 0

    def trouble():
        room = kept.config_get("maxmemory")["maxmemory"]
        while not over.wait(dice.uniform(0, 0.2)):
            kept.config_set("maxmemory", "1mb")
            over.wait(dice.uniform(0, 0.2))
            kept.config_set("maxmemory", room)
            if dice.random() < 0.3:
                kept.client_kill_filter(_type="normal", skipme=True)

    troubling, ends = Thread(target=trouble), time.monotonic() + 3.0
    troubling.start()
    try:
        while time.monotonic() < ends:
            with suppress(*INFRASTRUCTURE, BatchPublishError), app.producer_or_acquire() as producer:
                with producer.batch():
                    for _ in range(5):
                        app.send_task("tasks.nothing", queue="live", producer=producer)
                sent += 1
    finally:
        over.set()
        troubling.join()
        close_client(app)
    assert sent > 0
