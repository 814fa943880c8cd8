"""The command that looks for what keeps a farm from working. Read-only; works with nothing configured."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime

import typer

from commands.terminal import FAILED, FINDINGS, OK, Json, out, print_json
from ingest.pipeline import doctor as examination
from ingest.pipeline.doctor_check import Check
from ingest.pipeline.terms import check_settings
from ingest.settings import BadSetting, settings
from local.shown_doctor import check_lines, summary
from tasks import app as celery_app

doctor = typer.Typer()
_CODES = {"fail": FAILED, "warn": FINDINGS}


@doctor.command("doctor")
def show_doctor(as_json: Json = False) -> None:
    """Look at servers, schema, workers, keys and machine; failures first, each with what mends it.

    Changes nothing. Exit codes: 0 nothing found, 3 warnings, 1 something fails.
    """
    checks = _examine()
    if as_json:
        print_json({"verdict": examination.verdict(checks), "checks": [asdict(one) for one in checks]})
    else:
        for line in check_lines(checks):
            out.print(line, soft_wrap=True)
        out.print(summary(checks), soft_wrap=True)
    raise typer.Exit(_CODES.get(examination.verdict(checks), OK))


def _examine() -> list[Check]:
    try:
        config = settings()
        check_settings(config)
        queues = [queue.name for queue in celery_app.conf.task_queues]
        return examination.examine(config, queues, lambda: datetime.now(UTC))
    except BadSetting as error:
        return examination.refused(error)
