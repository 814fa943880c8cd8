"""The command that lists what is missing now, and can have it looked for.

Deliberately not here: the run that the schedule owes (tasks/gaps.py). Both do the same, and never together.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer

from commands.terminal import FINDINGS, OK, Json, err, fail, open_context, out, print_json, wake
from ingest.pipeline.gaps import check
from ingest.pipeline.gaps_listed import missing_now
from ingest.settings import settings
from ingest.telemetry import setup_logs
from local.shown_gaps import gaps_table

gaps = typer.Typer()


@gaps.command("gaps")
def show_gaps(
    check_now: Annotated[bool, typer.Option("--check", help="look for gaps first, and owe jobs for them")] = False,
    as_json: Json = False,
) -> None:
    """List what is missing of the followed series; exit 3 if anything is."""
    setup_logs(settings().tickfarm_log_format, level=settings().log_level("warning"))  # stdout is for the table
    context, now = open_context(), datetime.now(UTC)
    if check_now:
        report = check(context, now)
        if report.is_busy:
            fail("another check is at work: try again when it has ended, within a minute")
        err.print(f"{report.jobs} jobs owed for {report.rows:,} rows; {report.settled} days settled")
        if report.jobs:
            wake(context)
    with context.sessions() as session:
        found = missing_now(session, context.settings, now)
    if as_json:
        print_json([asdict(one) for one in found])
    elif found:
        out.print(gaps_table(found, now))
    else:
        err.print("nothing is missing of what is followed")
    raise typer.Exit(FINDINGS if found else OK)
