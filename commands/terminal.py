"""What every command shares: its arguments' types, where it prints, exit codes, the context, the wake-up call.

Deliberately not here: what is printed (local/shown.py) and what any command does.
"""

from __future__ import annotations

import getpass
import json
import os
import sys
from collections.abc import Collection, Sequence
from typing import Annotated, Any, NoReturn

import typer
from redis.exceptions import RedisError

from ingest import providers
from ingest.errors import BadData, FixRequest, SlowDown, TryAgain, UnknownName
from ingest.pipeline import workers
from ingest.pipeline.audit import By
from ingest.pipeline.context import Context
from ingest.pipeline.instruments import check_listed
from ingest.pipeline.terms import check_settings
from ingest.providers.contract import Provider as ProviderFile
from ingest.settings import settings
from local.shown import console, plain
from models import Base

OK, FAILED, USAGE, FINDINGS, CREDENTIALS = 0, 1, 2, 3, 4
#: Calls by hand are served by this lane.
LANE = "standard"
out, err = console(), console(stderr=True)


def named_here(text: str) -> str:
    """Return a provider's name here; say it where another was given. What is no name at all is refused later."""
    known = text if text in providers.names() else providers.aliases().get(text, text)
    if known != text:
        err.print(f"{text} is called {known} here")
    return known


Provider = Annotated[
    str, typer.Argument(help="a provider's name: `tickfarm providers` lists them", callback=named_here)
]
Dataset = Annotated[str, typer.Argument(help="bars, trades, quotes, books, news, observations, posts or actions")]
Instruments = Annotated[list[str], typer.Argument(help="BTC-USDT, AAPL, BRK.B ..")]
Interval = Annotated[str | None, typer.Option(help="a bar's width: 1m .. 1d")]
Json = Annotated[bool, typer.Option("--json", help="print JSON")]


def by() -> By:
    """Return who acts: an account's name, or its number where it has none (a container)."""
    try:
        return By(getpass.getuser(), "command")
    except (KeyError, OSError):
        return By(str(os.getuid()), "command")


def open_context() -> Context:
    """Return a context for one command."""
    config = settings()
    check_settings(config)
    return Context(config, name="tickfarm cli")


def print_json(document: object) -> None:
    """Print JSON: moments in ISO 8601, exact decimals as strings."""
    print(json.dumps(document, default=plain, indent=2))


def row_of(row: Base) -> dict[str, Any]:
    """Return a table's row whole, columns in the table's order."""
    return {name: getattr(row, name) for name in row.__table__.columns.keys()}  # noqa: SIM118


def one_of(what: str, given: str | None, known: Collection[str]) -> str | None:
    """Return what was given. Raises UnknownName for what is not known; nothing given is fine."""
    if given is not None and given not in known:
        raise UnknownName(what, given, known)
    return given


def fail(message: str, code: int = FAILED) -> NoReturn:
    """Say what went wrong in one line and leave."""
    err.print(message, soft_wrap=True)
    sys.exit(code)


def wake(context: Context) -> None:
    """Wake the leader. It looks by itself every second, so without Redis the work is only later, not lost."""
    try:
        workers.wake_leader(context.redis)
    except (RedisError, FixRequest) as error:
        err.print(f"it begins when Redis can be reached: {error}", soft_wrap=True)


def check_listed_names(context: Context, provider: ProviderFile, names: Sequence[str]) -> None:
    """Refuse a name that the provider does not list. If it can't be asked now, the farm will find out."""
    try:
        check_listed(context, provider, names)
    except (TryAgain, SlowDown, BadData, RedisError) as error:
        err.print(f"the names are not checked: {error}", soft_wrap=True)
