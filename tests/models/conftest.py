"""Fixtures of the models' tests: sessions on a database that one module shares, emptied before each test.

Invariant: every engine is disposed of before its database is dropped.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy.orm import Session, sessionmaker

from models import open_engine
from models.partitions import ensure_partitions
from tests.emptying import empty
from tests.models.rows import DAY, LATEST


@pytest.fixture(scope="module")
def module_sessions(module_database_url: str) -> Iterator[sessionmaker[Session]]:
    """Return sessions of a database with partitions for the rows of rows.py; for properties, which share it."""
    engine = open_engine(module_database_url, application_name="test models")
    sessions = sessionmaker(engine)
    with sessions.begin() as session:
        for table in ("bars", "trades", "quotes", "books"):
            ensure_partitions(session, table, DAY, LATEST)
    yield sessions
    engine.dispose()


@pytest.fixture
def sessions(module_sessions: sessionmaker[Session], module_database_url: str) -> sessionmaker[Session]:
    """Return the same, emptied."""
    empty(module_database_url)
    return module_sessions
