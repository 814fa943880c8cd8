"""Alembic's entry: runs migrations on the URL that models.migrate (or DATABASE_URL) gives."""

from __future__ import annotations

from alembic import context
from sqlalchemy import text

from ingest.settings import settings
from models import Base, open_engine

#: Two farms starting on one database migrate one after the other.
_LOCK = 7_461_001


def _url() -> str:
    given = context.config.attributes.get("url")
    if given is not None:
        return str(given)
    url = settings().database_url
    if url is None:
        raise SystemExit("no database: set DATABASE_URL, or start the embedded servers with `tickfarm demo`")
    return url.get_secret_value()


engine = open_engine(_url(), application_name="tickfarm migrate", pooled=False)
with engine.connect() as connection:
    context.configure(connection=connection, target_metadata=Base.metadata, transactional_ddl=True)
    with context.begin_transaction():
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        context.run_migrations()
