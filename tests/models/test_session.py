"""Connections: one that has died since it was used is replaced, and one in steady use is not asked each time."""

from __future__ import annotations

import time

import pytest
from sqlalchemy import text

from models import open_engine
from models.session import PING_AFTER_S
from tests.conftest import statement
from tests.waiting import until


@pytest.fixture
def engine(database_url):
    made = open_engine(database_url, application_name="test session")
    yield made
    made.dispose()


def used(engine):
    """Use a connection, give it back, and return its server process."""
    with engine.connect() as connection:
        return connection.scalar(text("SELECT pg_backend_pid()"))


def test_a_connection_whose_server_ended_right_after_its_use_is_replaced_unseen(engine, database_url):
    pid = used(engine)
    statement(database_url, f"SELECT pg_terminate_backend({pid})")
    gone = f"SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = {pid}"
    until(lambda: statement(database_url, gone), what="the server's process to end")
    assert used(engine) != pid


def test_a_connection_is_asked_whether_it_lives_only_after_a_pause(engine, database_url):
    pid = used(engine)
    assert last_said_to(engine, database_url, pid) == "ROLLBACK"
    ended = time.monotonic()
    until(lambda: time.monotonic() - ended > PING_AFTER_S, what="the pause")
    assert last_said_to(engine, database_url, pid) == "SELECT 1"


def last_said_to(engine, database_url, pid):
    """Take the connection out, and return what its server was told last."""
    with engine.connect():
        return statement(database_url, f"SELECT query FROM pg_stat_activity WHERE pid = {pid}")
