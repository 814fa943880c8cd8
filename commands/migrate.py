"""The command that brings a database to this version's tables: for containers, and for who upgrades by hand."""

from __future__ import annotations

import typer

from commands.terminal import open_context, out
from ingest.pipeline.context import required
from models import migrate as migrations

migrate = typer.Typer()


@migrate.command("migrate")
def migrate_database() -> None:
    """Bring the database to this version's tables, as `up` does by itself. Repeating it changes nothing."""
    migrations.upgrade(required(open_context().settings.database_url, "DATABASE_URL"))
    out.print(f"the database is at migration {migrations.head()}")
