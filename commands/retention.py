"""The command that deletes what is older than the settings allow, or only says what it would delete.

Deliberately not here: the run that the schedule owes (tasks/retention.py). Both do the same, and never together.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer

from commands.terminal import Json, err, fail, open_context, out, print_json
from ingest.pipeline.retention import retain
from ingest.settings import settings
from ingest.telemetry import setup_logs
from local.shown_jobs import retention_table

retention = typer.Typer()


@retention.command("retention")
def run_retention(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="delete nothing, only count")] = False,
    as_json: Json = False,
) -> None:
    """Delete what is older than TICKFARM_KEEP_.. says; never data that is not verified."""
    setup_logs(settings().tickfarm_log_format, level=settings().log_level("warning"))  # stdout is for the table
    report = retain(open_context(), datetime.now(UTC), dry_run=dry_run)
    if report.is_busy:
        fail("another run is at work: try again when it has ended, within a minute")
    if as_json:
        print_json([asdict(one) for one in report.tallies])
        return
    out.print(retention_table(report.tallies))
    err.print("nothing was deleted: this is what would go" if dry_run else "deleted")
