"""The commands about settings: what is set and where, what that makes of each provider, a first `.env`.

Deliberately not here: what a setting means (.env.example, ingest/settings). Invariant: no secret is printed, and no
`.env` that is there is changed without --force.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from commands.terminal import Json, out, print_json
from ingest.errors import FixRequest
from ingest.pipeline.terms import check_settings
from ingest.settings import CHECKOUT, env_file, settings
from local.shown_settings import (
    provider_terms,
    setting_rows,
    settings_table,
    terms_table,
    transport_line,
    transport_row,
)
from local.state import write_private

config = typer.Typer()


@config.callback()
def _config() -> None:
    """The commands about settings: what is set, what can be set."""


@config.command()
def show(as_json: Json = False) -> None:
    """Show every setting, where it comes from, and what holds for each provider. Secrets: set or not set."""
    found = settings()
    check_settings(found)
    rows, terms, transport = setting_rows(found), provider_terms(found), transport_row(found)
    if as_json:
        print_json({"settings": rows, "providers": terms, "transport": transport})
        return
    out.print(settings_table(rows), soft_wrap=True)
    out.print()
    out.print(terms_table(terms), soft_wrap=True)
    out.print()
    out.print(transport_line(transport), soft_wrap=True)


@config.command()
def init(force: Annotated[bool, typer.Option("--force", help="replace the one that is there")] = False) -> None:
    """Write a .env with every setting in it, all commented out, that only you can read."""
    file, example = env_file() or CHECKOUT / ".env", CHECKOUT / ".env.example"
    _check_place(file, force=force)
    try:
        write_private(file, example.read_text(encoding="utf-8"))
    except OSError as error:
        raise FixRequest(f"can't write {file}: {error.strerror}; TICKFARM_ENV_FILE names another file") from error
    out.print(f"{file} is written: every setting is in it, commented out with its default", soft_wrap=True)
    out.print("edit next, each only where you want it:")
    out.print("  DATABASE_URL, REDIS_URL   your own servers; without them `tickfarm up` starts embedded ones")
    out.print("  NASDAQ_DATA_LINK_API_KEY  a free key for daily bars of shares; the exchanges need none")
    out.print("  TICKFARM_PRESET           how hard providers are asked: conservative, standard, aggressive")
    out.print("then look at it with `tickfarm config show`, and start with `tickfarm up`", soft_wrap=True)


def _check_place(file: Path, *, force: bool) -> None:
    """Refuse a place where something stands that is not to be replaced."""
    if not os.path.lexists(file):
        return
    if not file.is_file() or file.is_symlink():
        raise FixRequest(f"{file} is there and no plain file: take it away, or name another with TICKFARM_ENV_FILE")
    if not force:
        raise FixRequest(f"{file} is there already: edit it, or replace it with --force")
