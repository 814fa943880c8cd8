"""The Celery application. Its settings are celeryconfig.py; its life cycle is lifecycle.py."""

from __future__ import annotations

from celery import Celery

from tasks.farm_task import FarmTask

app = Celery("tickfarm", task_cls=FarmTask)
app.config_from_object("celeryconfig")
