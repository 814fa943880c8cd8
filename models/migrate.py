"""Alembic, driven from Python: bring a database to the newest schema. No alembic.ini is needed."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

_SCRIPTS = Path(__file__).parent / "migrations"


def upgrade(url: str, revision: str = "head") -> None:
    """Migrate the database at `url`. Safe to repeat, and to race: the migration takes an advisory lock."""
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS))
    config.attributes["url"] = url
    command.upgrade(config, revision)


def head() -> str:
    """Return the newest revision of this version's tables."""
    found = ScriptDirectory(str(_SCRIPTS)).get_current_head()
    if found is None:
        raise RuntimeError("there are no migrations")
    return found


def revision_of(connection: Connection) -> str | None:
    """Return the revision that a database is at; None where it has none of our tables."""
    return MigrationContext.configure(connection).get_current_revision()
