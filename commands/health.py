"""The commands about health: how providers and the farm are, and what has changed of that.

Deliberately not here: changing anything (providers.py).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import closing
from datetime import UTC, datetime
from typing import Annotated

import typer

from commands.terminal import FINDINGS, OK, Json, err, open_context, out, print_json
from ingest import providers
from ingest.errors import UnknownName
from ingest.pipeline.events import Event, Listener, newest_events
from ingest.pipeline.health_figures import farm_report
from local.shown import plain
from local.shown_health import event_line, event_row, health_row, health_table, verdict_lines
from tasks.known import lanes

health = typer.Typer()


@health.command("health")
def show_health(as_json: Json = False) -> None:
    """Say how the farm and its providers are, from the last five minutes. Exit code 3: DEGRADED or worse."""
    report = farm_report(open_context(), lanes(), datetime.now(UTC))
    if as_json:
        print_json(health_row(report))
    else:
        for line in verdict_lines(report):
            out.print(line, soft_wrap=True)
        out.print(health_table(report.providers))
    raise typer.Exit(FINDINGS if report.judged.is_ill else OK)


@health.command("events")
def show_events(
    provider: Annotated[str | None, typer.Option(help="of one provider only")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="the newest so many")] = 50,
    follow: Annotated[bool, typer.Option("--follow", help="then wait for more; Ctrl-C ends it")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON; with --follow, an object a line")] = False,
) -> None:
    """Show changes of health, breakers and holds, oldest first."""
    if provider is not None and provider not in providers.names():
        raise UnknownName("provider", provider, providers.names())
    context = open_context()
    if not follow:
        with context.sessions() as session:
            found = newest_events(session, provider=provider, limit=limit)
        if as_json:
            print_json([event_row(event) for event in found])
        elif found:
            _print(found, as_json=False)
        else:
            err.print("nothing has changed yet")
        return
    with closing(Listener(context.redis)) as listener:  # before the history: nothing is missed between the two
        with context.sessions() as session:
            _print(newest_events(session, provider=provider, limit=limit), as_json=as_json)
        try:
            _print(listener.events(provider=provider), as_json=as_json)
        except KeyboardInterrupt:
            return


def _print(found: Iterable[Event], *, as_json: bool) -> None:
    """Print each at once, a line each: who pipes this somewhere waits for it."""
    for event in found:
        line = json.dumps(event_row(event), default=plain) if as_json else event_line(event)
        print(line, flush=True)
