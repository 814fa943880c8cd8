"""The broker connection after Redis was away: what came over it can still be acknowledged."""

from __future__ import annotations

from contextlib import closing

import pytest
import redis
from celery import Celery

from local.state import make_home
from local.valkey import Valkey
from tasks.broker import FarmAMQP
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
