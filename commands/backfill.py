"""The commands about history that is ordered at once: what it would take, have it brought, how far it is, cancel it.

Deliberately not here: resuming. What is owed lies in PostgreSQL, and a farm that runs goes on with it.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.live import Live

from commands.terminal import (
    FINDINGS,
    OK,
    Dataset,
    Instruments,
    Interval,
    Json,
    Provider,
    by,
    check_listed_names,
    err,
    open_context,
    out,
    print_json,
    wake,
)
from ingest import providers
from ingest.market.times import parse_time
from ingest.pipeline import backfill as orders
from ingest.pipeline.backfill_plan import Ask, Plan, check_ask, plan
from ingest.pipeline.backfill_status import Progress, newest, progress_of
from ingest.pipeline.context import Context
from ingest.pipeline.terms import refuse_unusable
from local.shown import plain
from local.shown_backfill import plan_table, progress_lines, progress_table

Start = Annotated[str, typer.Option(help="first moment wanted: 2024-01-01")]
End = Annotated[str | None, typer.Option(help="first moment not wanted any more; now, if it is not given")]
Mode = Annotated[str, typer.Option(help="missing; suspect: also days that are in doubt; all: proven ones again, too")]
OrderId = Annotated[int, typer.Argument(min=1, max=2**63 - 1, help="the number that `run` said")]
#: Orders that the list shows, and seconds between two looks of --watch.
_NEWEST, _EVERY_S = 20, 2.0

backfill = typer.Typer(no_args_is_help=True, help="History at once: plan, run, status, cancel. It resumes by itself.")


@backfill.command("plan")
def show_plan(
    provider: Provider,
    dataset: Dataset,
    instruments: Instruments,
    start: Start,
    end: End = None,
    interval: Interval = None,
    mode: Mode = "missing",
    as_json: Json = False,
) -> None:
    """Say what it would take, and change nothing: days, jobs, requests, quota, rows, disk, time."""
    context, now = open_context(), datetime.now(UTC)
    ask = _ask(context, provider, dataset, instruments, interval, (start, end), mode, now)
    with context.sessions() as session:
        found = plan(session, context.settings, ask, now)
    _print_plan(ask, found, as_json=as_json)


@backfill.command("run")
def run(
    provider: Provider,
    dataset: Dataset,
    instruments: Instruments,
    start: Start,
    end: End = None,
    interval: Interval = None,
    mode: Mode = "missing",
    as_json: Json = False,
) -> None:
    """Order it: its jobs are owed at once, newest first, and run beside the live lane."""
    context, now = open_context(), datetime.now(UTC)
    ask = _ask(context, provider, dataset, instruments, interval, (start, end), mode, now)
    refuse_unusable(context.settings, ask.provider.facts)
    check_listed_names(context, ask.provider, ask.instruments)
    with context.sessions.begin() as session:
        number, found = orders.run(session, context.settings, ask, by=by(), now=now)
    _print_plan(ask, found, as_json=as_json, number=number)
    if number is None:
        err.print("nothing of it is missing: nothing is ordered")
        return
    err.print(f"backfill {number} is ordered: tickfarm backfill status {number} --watch")
    wake(context)


@backfill.command("status")
def show_status(
    number: Annotated[int | None, typer.Argument(min=1, max=2**63 - 1, help="one of them")] = None,
    watch: Annotated[bool, typer.Option("--watch", help="until it is over; with --json, an object a line")] = False,
    as_json: Json = False,
) -> None:
    """Show how far the newest backfills are, or one; exit 3 if one that is over has not proven all of its days."""
    context = open_context()
    if number is None:
        found = _progress(context, None)
        if as_json:
            print_json([_document(one) for one in found])
        elif found:
            out.print(progress_table(found))
        else:
            err.print("nothing is ordered yet: tickfarm backfill plan says what it would take")
        return
    if watch:
        one = _watch(context, number, as_json=as_json)
    else:
        [one] = _progress(context, number)
        if as_json:
            print_json(_document(one))
        else:
            out.print(progress_lines(one))
    raise typer.Exit(FINDINGS if one.state == "failed" or (one.state == "done" and not one.is_proven) else OK)


@backfill.command("cancel")
def cancel(number: OrderId) -> None:
    """Cancel one: what has not begun and nobody else waits for is not fetched; what is stored stays."""
    context = open_context()
    with context.sessions.begin() as session:
        count = orders.cancel(session, number, datetime.now(UTC), by=by())
    out.print(f"backfill {number} is cancelled; {count} jobs had not begun")
    wake(context)


def _ask(
    context: Context,
    provider: str,
    dataset: str,
    instruments: list[str],
    interval: str | None,
    window: tuple[str, str | None],
    mode: str,
    now: datetime,
) -> Ask:
    start, end = (None if one is None else parse_time(one) for one in window)
    assert start is not None
    return check_ask(
        context.settings,
        providers.get(provider),
        dataset,
        instruments,
        interval=interval,
        start=start,
        end=end or now,
        mode=mode,
        now=now,
    )


def _print_plan(ask: Ask, found: Plan, *, as_json: bool, number: int | None = None) -> None:
    if not as_json:
        out.print(plan_table(found))
        return
    limit = found.cost.limit
    figures = asdict(found) | {"disk_bytes": found.disk_bytes, "hours": found.cost.takes.total_seconds() / 3600}
    del figures["cost"]
    asked = {
        "provider": ask.provider.facts.name,
        "dataset": ask.dataset,
        "instruments": ask.instruments,
        "interval": ask.interval,
        "start": ask.start,
        "end": ask.end,
        "mode": ask.mode,
    }
    quota = {"quota_days": found.cost.quota_days, "limited_by": None if limit is None else asdict(limit)}
    print_json({"id": number, **asked, **figures, **quota})


def _progress(context: Context, number: int | None) -> list[Progress]:
    with context.sessions() as session:
        found = newest(session, _NEWEST) if number is None else [orders.find(session, number)]
        return [progress_of(session, context.settings, one, datetime.now(UTC)) for one in found]


def _watch(context: Context, number: int, *, as_json: bool) -> Progress:
    """Show one until it is over, and return how it ended."""
    with Live(console=out, auto_refresh=False) as live:
        while True:
            [one] = _progress(context, number)
            if as_json:
                print(json.dumps(_document(one), default=plain), flush=True)
            else:
                live.update(progress_lines(one), refresh=True)
            if one.state != "running":
                return one
            time.sleep(_EVERY_S)


def _document(one: Progress) -> dict[str, Any]:
    document = asdict(one) | {"is_proven": one.is_proven}
    takes = document.pop("takes")
    return document | {"takes_s": None if takes is None else round(takes.total_seconds())}
