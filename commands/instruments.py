"""The commands about instruments: what a provider lists, and names that end there."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from commands.terminal import Json, Provider, open_context, out, print_json, wake
from ingest import providers
from ingest.errors import FixRequest
from ingest.market.symbols import validate
from ingest.market.times import parse_time
from ingest.pipeline.instruments import end_instrument, search

instruments = typer.Typer()

Instrument = Annotated[str, typer.Argument(help="BTC-USDT, AAPL, BRK.B ..")]
On = Annotated[str, typer.Option("--on", help="the first day on which the name is no longer used: 2022-06-09")]


@instruments.command("instruments")
def list_instruments(
    provider: Provider,
    text: Annotated[str, typer.Option("--search", help="a part of the name, or what the provider searches by")] = "",
    as_json: Json = False,
) -> None:
    """List what a provider has, or those of it that a text finds; costs one request."""
    context = open_context()
    found = providers.get(provider)
    names = search(context, found, text)
    if as_json:
        print_json([{"instrument": name, "native": found.native_symbol(name)} for name in names])
        return
    for name in names:
        out.print(name, highlight=False, markup=False)
    if not names:
        raise FixRequest(f"{provider} lists nothing like {text!r}")


@instruments.command("delist")
def delist_instrument(provider: Provider, instrument: Instrument, on: On) -> None:
    """Note that an instrument is no longer traded: what is stored stays, nothing is expected after that day."""
    _end(provider, instrument, on, None)


@instruments.command("rename")
def rename_instrument(provider: Provider, instrument: Instrument, new_name: Instrument, on: On) -> None:
    """Note that an instrument has another name since that day; what was followed of it goes on under the new one."""
    _end(provider, instrument, on, validate(new_name))


def _end(provider: str, instrument: str, on: str, renamed_to: str | None) -> None:
    name, day = validate(instrument), parse_time(on)
    providers.get(provider).native_symbol(renamed_to or name)
    if renamed_to == name:
        raise FixRequest(f"{name} is the name it has: give the new one")
    if day > datetime.now(UTC):
        raise FixRequest(f"--on must not lie in the future, given: {on}")
    context = open_context()
    with context.sessions.begin() as session:
        count = end_instrument(session, provider, name, on=day, renamed_to=renamed_to)
    then = f"; {renamed_to} goes on" if renamed_to else ""
    out.print(f"{count} series of {provider} {name} end on {day:%Y-%m-%d}{then}")
    wake(context)
