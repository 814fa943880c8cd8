"""The commands about providers: what each offers and how it is; breakers, holds and limits by hand.

Deliberately not here: how the gate keeps to them (ingest/transport). Invariant: a hold or limit is in PostgreSQL before
it is in Redis, and everything done here is an event with `by hand` in its reason.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

import typer
from redis.exceptions import RedisError
from sqlalchemy.exc import DBAPIError

from commands.terminal import Json, Provider, by, err, open_context, out, print_json, wake
from ingest import providers as provider_files
from ingest.errors import FixRequest
from ingest.pipeline import by_hand
from ingest.pipeline.credentials import keys_of
from ingest.pipeline.entries import duration_s
from ingest.pipeline.health_figures import ProviderReport, provider_reports
from local.shown import one_line
from local.shown_health import provider_row, providers_table

providers = typer.Typer()
breaker = typer.Typer(no_args_is_help=True, help="A provider's breakers by hand: open, close, probe.")

For = Annotated[str | None, typer.Option("--for", help="how long: 30s, 10m, 2h, 3d")]


@providers.command("providers")
def list_providers(
    action: Annotated[
        Literal["enable", "disable"] | None, typer.Argument(help="with a name: use it, or do not")
    ] = None,
    provider: Annotated[str | None, typer.Argument(help="a provider's name")] = None,
    as_json: Json = False,
) -> None:
    """List the providers: state, breaker, datasets, intervals, limits and what is used of them, key, lifecycle.

    `tickfarm providers disable NAME` asks one nothing any more until `enable`; its jobs wait.
    """
    if action is not None:
        _enable(provider, is_enabled=action == "enable")
        return
    context = open_context()
    reports: dict[str, ProviderReport] = {}
    try:
        reports = {one.provider: one for one in provider_reports(context, datetime.now(UTC))}
    except (FixRequest, RedisError, DBAPIError) as error:  # what they offer can be told without any server
        said = one_line(error)
        err.print(f"how they are is not known: {said[0] if said else error}", soft_wrap=True)
    rows = []
    for name in provider_files.names():
        has_key = bool(keys_of(context.settings, provider_files.get(name).facts))
        rows.append(provider_row(name, reports.get(name), has_key=has_key))
    if as_json:
        print_json(rows)
    else:
        out.print(providers_table(rows))


def _enable(text: str | None, *, is_enabled: bool) -> None:
    if text is None:
        raise FixRequest("name the provider: tickfarm providers enable NAME")
    context, name = open_context(), provider_files.name_of(text)
    if not is_enabled:
        by_hand.disable(context, name, datetime.now(UTC), by=by())
        out.print(f"{name} is disabled: it is asked nothing until `tickfarm providers enable {name}`", soft_wrap=True)
        return
    was_held = by_hand.enable(context, name, datetime.now(UTC), by=by())
    out.print(f"{name} is enabled" if was_held else f"{name} was not disabled")
    wake(context)


@providers.command("hold")
def hold_provider(
    provider: Provider,
    reason: Annotated[str, typer.Option(help="why: whoever wonders reads it")],
    for_: For = None,
) -> None:
    """Ask a provider nothing, for so long or until it is lifted. Its jobs wait."""
    context = open_context()
    for_s = None if for_ is None else _seconds(for_)
    event = by_hand.hold(context, provider, for_s, reason, datetime.now(UTC), by=by())
    until = "until `tickfarm lift` ends it" if event.until is None else f"until {event.until:%Y-%m-%d %H:%M:%S} UTC"
    out.print(f"{provider} is asked nothing {until}", soft_wrap=True)


@providers.command("lift")
def lift_provider(
    provider: Provider,
    all_: Annotated[bool, typer.Option("--all", help="also what the provider asked for: a ban, Retry-After")] = False,
) -> None:
    """Ask a provider again: end what holds it by hand."""
    context = open_context()
    lifted, left = by_hand.lift(context, provider, everything=all_, now=datetime.now(UTC), by=by())
    for hold in left:
        until = "for ever" if hold.until is None else f"until {hold.until:%Y-%m-%d %H:%M:%S} UTC"
        err.print(f"{provider} still asks to be left alone {until}: {hold.reason} (--all)", soft_wrap=True)
    out.print(f"{provider} is no longer held" if lifted else f"nothing was held of {provider}")
    if lifted:
        wake(context)


@providers.command("limit")
def limit_provider(
    provider: Provider,
    percent: Annotated[int, typer.Argument(help="of what it allows per second, minute and hour; 100 ends the limit")],
    reason: Annotated[str, typer.Option(help="why: whoever wonders reads it")] = "",
    for_: For = None,
) -> None:
    """Use only a part of what a provider allows, for so long or until `limit NAME 100`."""
    context, now = open_context(), datetime.now(UTC)
    if percent == 100:
        was_limited = by_hand.unlimit(context, provider, now, by=by())
        out.print(f"{provider} is used as far as it allows" if was_limited else f"{provider} had no limit by hand")
        wake(context)
        return
    event = by_hand.limit(context, provider, percent, None if for_ is None else _seconds(for_), reason, now, by=by())
    until = f"`tickfarm limit {provider} 100`" if event.until is None else f"{event.until:%Y-%m-%d %H:%M:%S} UTC"
    out.print(f"{provider} is used to {percent} % of what it allows until {until}", soft_wrap=True)


@breaker.command("open")
def open_breaker(provider: Provider, for_: For = "10m") -> None:
    """Leave a provider alone; then it is probed, and used again if it answers."""
    _switch(provider, "open", _seconds(for_ or "10m"))


@breaker.command("close")
def close_breaker(provider: Provider) -> None:
    """Use a provider at once, whatever its breakers say. If it is still ill, they open again."""
    _switch(provider, "close")


@breaker.command("probe")
def probe_breaker(provider: Provider) -> None:
    """Let the next request be a probe, without waiting for its time."""
    _switch(provider, "probe")


def _switch(provider: str, action: Literal["open", "close", "probe"], for_s: float = 0.0) -> None:
    context = open_context()
    done = by_hand.switch(context, provider, action, for_s, by=by())
    for line in done:
        out.print(line, soft_wrap=True)
    if not done:
        err.print(f"no breaker of {provider} is open")
    elif action != "open":
        wake(context)


def _seconds(text: str) -> float:
    """Return the seconds of a span. Raises FixRequest saying what is accepted."""
    try:
        found = duration_s(text)
    except ValueError as error:
        raise FixRequest(f"--for: {error}") from None
    if found <= 0:
        raise FixRequest(f"--for: expected a time over 0, given: {text!r}")
    return found
