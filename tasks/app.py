"""The Celery application. Its settings are celeryconfig.py; lifecycle.py connects itself to its signals.

Invariant: no `celery -A tasks ..` starts with settings that can't be: it says in one line what is wrong, and ends.
"""

from __future__ import annotations

import sys

import click
from celery import Celery

from ingest.pipeline.terms import check_settings
from ingest.settings import BadSetting, settings
from tasks import lifecycle
from tasks.broker import FarmAMQP
from tasks.farm_task import FarmTask

__all__ = ["app", "lifecycle"]

USAGE = 2


def _refuse_bad_settings() -> None:
    """End a `celery` command line that loads us with settings that can't be; a program that imports us goes on.

    Celery prints the whole traceback of an error in its application's import, and of one in its configuration; an exit
    it lets through. A program (the Python client, `tickfarm`) gets the error where it opens its context.
    """
    if click.get_current_context(silent=True) is None:
        return
    try:
        check_settings(settings())
    except BadSetting as error:
        print(f"Error: {error}", file=sys.stderr)  # noqa: T201 - there is no log yet
        sys.exit(USAGE)


_refuse_bad_settings()
app = Celery("tickfarm", amqp=FarmAMQP, task_cls=FarmTask)
app.config_from_object("celeryconfig")
