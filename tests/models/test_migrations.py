"""Migrations: they make what the models describe, can be taken back, and may race."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.orm import Session

import models
from models import Base, migrate, open_engine
from models.partitions import PARTITIONED, ensure_partitions
from tests.conftest import statement

REPOSITORY = Path(__file__).parents[2]
SCHEMA = {
    "columns": "SELECT table_name, column_name, data_type, is_nullable, column_default, is_identity"
    " FROM information_schema.columns JOIN information_schema.tables USING (table_schema, table_name)"
    " WHERE table_schema = 'public' AND table_type = 'BASE TABLE'",
    "constraints": "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint"
    " WHERE connamespace = 'public'::regnamespace AND contype <> 'n'",
    "indexes": "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'",
    "storage": "SELECT relname, relkind, reloptions::text, pg_get_partkeydef(oid) FROM pg_class"
    " WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')",
}


@pytest.fixture
def empty_database(servers):
    """Return the address of a database without any table."""
    with database(servers, "empty") as url:
        yield url


@contextmanager
def database(servers, name):
    statement(servers.database_url, f"CREATE DATABASE {name}")
    try:
        yield make_url(servers.database_url).set(database=name).render_as_string(hide_password=False)
    finally:
        statement(servers.database_url, f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def connected(url):
    engine = open_engine(url, application_name="test migrations", pooled=False)
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


def schema(url):
    with connected(url) as connection:
        return {
            what: sorted(str(tuple(row)) for row in connection.execute(text(sql)) if "alembic_version" not in str(row))
            for what, sql in SCHEMA.items()
        }


def alembic_config(url):
    config = Config()
    config.set_main_option("script_location", str(Path(models.__file__).parent / "migrations"))
    config.attributes["url"] = url
    return config


def test_alembic_finds_nothing_to_add_to_a_migrated_database(database_url):
    with connected(database_url) as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []


def test_the_migrations_and_the_models_make_the_same_schema(servers, database_url):
    with database(servers, "made_by_models") as url:
        with connected(url) as connection, connection.begin():
            Base.metadata.create_all(connection)
        made = schema(url)
    migrated = schema(database_url)
    for what in SCHEMA:
        assert migrated[what] == made[what], what


def test_upgrading_again_changes_nothing(database_url):
    before = schema(database_url)
    migrate.upgrade(database_url)
    assert schema(database_url) == before


def test_downgrading_leaves_nothing_behind_partitions_included(empty_database):
    migrate.upgrade(empty_database)
    day = datetime(2024, 3, 5, tzinfo=UTC)
    with connected(empty_database) as connection, Session(connection) as session, session.begin():
        for table in PARTITIONED:
            ensure_partitions(session, table, day, day)
    command.downgrade(alembic_config(empty_database), "base")
    assert schema(empty_database) == {what: [] for what in SCHEMA}
    migrate.upgrade(empty_database)
    assert len(schema(empty_database)["storage"]) == len(Base.metadata.tables)


def test_what_was_corrected_before_is_known_since_its_correction_and_all_else_since_it_was_last_seen(empty_database):
    command.upgrade(alembic_config(empty_database), "0009")
    noon = datetime(2024, 3, 5, 12, tzinfo=UTC)
    bar = "INSERT INTO bars (series_id, ts, open, high, low, close, is_final, observed_at, job_id)"
    old = "INSERT INTO revisions (series_id, ts, old_row, observed_at, superseded_at, job_id)"
    with connected(empty_database) as connection, Session(connection) as session, session.begin():
        ensure_partitions(session, "bars", noon, noon)
        values = {"noon": noon, "hour": timedelta(hours=1)}
        session.execute(
            text("INSERT INTO series (provider, dataset, instrument, interval) VALUES ('p', 'bars', 'A', '1m')")
        )
        for minute in (0, 1):
            ts = f":noon + interval '{minute} minutes'"
            session.execute(text(f"{bar} VALUES (1, {ts}, 1, 1, 1, 1, true, :noon + 9 * :hour, 1)"), values)
        for seen, superseded in ((1, 3), (4, 5)):
            times = f":noon + {seen} * :hour, :noon + {superseded} * :hour"
            session.execute(text(f"{old} VALUES (1, :noon, '{{}}', {times}, 1)"), values)
    migrate.upgrade(empty_database)
    with connected(empty_database) as connection:
        bars = connection.execute(text("SELECT known_since - ts FROM bars ORDER BY ts")).scalars().all()
        assert bars == [timedelta(hours=5), None]
        revised = connection.execute(text("SELECT known_since - ts FROM revisions ORDER BY id")).scalars().all()
        assert revised == [timedelta(hours=1), timedelta(hours=3)]


def test_racing_upgrades_of_an_empty_database_all_succeed(empty_database):
    code = "import os; from models.migrate import upgrade; upgrade(os.environ['TARGET'])"
    command_line = [sys.executable, "-c", code]
    environment = os.environ | {"TARGET": empty_database}
    racers = [
        subprocess.Popen(command_line, cwd=REPOSITORY, env=environment, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    endings = [(racer.communicate(timeout=60)[1], racer.returncode) for racer in racers]
    assert [code for _, code in endings] == [0, 0, 0], endings
    with connected(empty_database) as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
        assert connection.execute(text("SELECT count(*) FROM alembic_version")).scalar() == 1
