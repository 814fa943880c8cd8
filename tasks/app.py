"""The Celery application. Its settings are celeryconfig.py; lifecycle.py connects itself to its signals."""

from __future__ import annotations

from celery import Celery

from tasks import lifecycle
from tasks.broker import FarmAMQP
from tasks.farm_task import FarmTask

__all__ = ["app", "lifecycle"]

app = Celery("tickfarm", amqp=FarmAMQP, task_cls=FarmTask)
app.config_from_object("celeryconfig")
