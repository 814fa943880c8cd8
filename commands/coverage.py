"""The command that says how much of what must be there is proven to be, and can read the tables again for it.

Deliberately not here: what is done about the rest (gaps).
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from commands.terminal import FINDINGS, OK, Json, err, open_context, out, print_json
from ingest.pipeline.coverage import coverage as coverage_of
from ingest.pipeline.entries import duration_s
from ingest.settings import settings
from ingest.telemetry import setup_logs
from local.shown_coverage import coverage_table

coverage = typer.Typer()


def _duration(value: str) -> timedelta:
    try:
        return timedelta(seconds=duration_s(value))
    except ValueError as error:
        raise typer.BadParameter(f"{value!r} is no time like 30d or 12h") from error


@coverage.command("coverage")
def show_coverage(
    strict: Annotated[bool, typer.Option("--strict", help="exit 3 if anything is unproven")] = False,
    last: Annotated[timedelta | None, typer.Option(parser=_duration, metavar="30d", help="of that time only")] = None,
    scrub_now: Annotated[bool, typer.Option("--scrub", help="first compare every stored row's hash")] = False,
    as_json: Json = False,
) -> None:
    """Show of each followed series what is proven, what is missing, and how fresh it is."""
    setup_logs(settings().tickfarm_log_format, level=settings().log_level("warning"))  # stdout is for the table
    context, now = open_context(), datetime.now(UTC)
    if scrub_now:
        from ingest.pipeline.scrub import scrub  # noqa: PLC0415 - loads polars

        done = scrub(context, now)
        err.print(
            f"{done.rows:,} rows of {done.days:,} days read; {len(done.altered)} days are not as they were written"
        )
    with context.sessions() as session:
        found = coverage_of(session, context.settings, now, last=last)
    if as_json:
        print_json([asdict(one) | {"percent": round(one.percent, 2), "is_proven": one.is_proven} for one in found])
    elif found:
        out.print(coverage_table(found))
    else:
        err.print("nothing is followed yet: tickfarm follow binance bars BTC-USDT --interval 1m")
    raise typer.Exit(FINDINGS if strict and not all(one.is_proven for one in found) else OK)
