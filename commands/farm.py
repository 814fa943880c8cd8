"""The commands that run a farm on this machine."""

from __future__ import annotations

from typing import Annotated

import typer

from commands.terminal import out
from ingest.settings import home
from local.demo import run_demo
from local.up import run_detached, run_down, run_up

farm = typer.Typer()


@farm.command()
def demo(
    exit_: Annotated[bool, typer.Option("--exit", help="leave when the five histories are loaded")] = False,
) -> None:
    """Show the whole farm at work on this machine: no keys, no network. Ctrl-C stops it."""
    raise typer.Exit(run_demo(home(), leave=exit_, out=out))


@farm.command()
def up(
    sandbox: Annotated[bool, typer.Option("--sandbox", help="ask the simulator in place of the providers")] = False,
    detach: Annotated[bool, typer.Option("--detach", help="return when the farm is ready; it goes on")] = False,
    in_background: Annotated[bool, typer.Option("--in-background", hidden=True)] = False,
) -> None:
    """Run the farm on this machine: servers unless yours are set, workers, beat, Flower. Ctrl-C stops it."""
    if detach:
        raise typer.Exit(run_detached(home(), sandbox=sandbox, out=out))
    raise typer.Exit(run_up(home(), sandbox=sandbox, out=out, in_background=in_background))


@farm.command()
def down() -> None:
    """Stop the farm of this state folder, in order, and wait for its end."""
    raise typer.Exit(run_down(home(), out=out))
