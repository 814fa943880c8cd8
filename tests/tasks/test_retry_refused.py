"""A retry that the broker refuses to take: the message stays where it is. (Celery's own answer is to drop it.)"""

from __future__ import annotations

import pytest
from celery import Celery
from celery.exceptions import Reject

from tasks.farm_task import FarmTask
from tests.tasks.farm import close_client


def again(self):
    """Do nothing: only its retry matters."""


@pytest.fixture
def task(farm):
    """A task whose retry is published to a Redis that has no room."""
    app = Celery("tests", task_cls=FarmTask, set_as_current=False)
    app.config_from_object("celeryconfig")
    app.conf.update(broker_url=farm.redis_url, result_backend=farm.redis_url)
    app.conf.task_publish_retry_policy = {"max_retries": 0}
    redis = farm.context.redis
    room = redis.config_get("maxmemory")["maxmemory"]
    redis.config_set("maxmemory", "1mb")
    yield app.task(bind=True, name="tests.again", shared=False)(again)
    redis.config_set("maxmemory", room)
    close_client(app)


def test_a_message_whose_retry_is_refused_goes_back_to_its_queue(task):
    task.push_request(id="one", called_directly=False, is_eager=False, retries=0, delivery_info={"routing_key": "live"})
    with pytest.raises(Reject) as rejected:
        task.retry(exc=OSError("Redis is full"), countdown=1, max_retries=3)
    assert rejected.value.requeue is True
