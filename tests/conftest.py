"""What every test may ask for: real PostgreSQL and Valkey (one pair per session), a fresh database, an empty Redis.

Deliberately not here: fixtures of one folder (its own conftest has them). Invariant: nothing of the developer's own
farm is seen or touched: its environment is dropped before a test module is imported, the state folder is a new one.
"""

from __future__ import annotations

import itertools
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import hypothesis
import psycopg2
import pytest
import redis
from sqlalchemy.engine import make_url

from ingest.settings import Settings
from local import account
from local.servers import Urls, running
from models import migrate
from tests.loopback_only import _loopback_only  # noqa: F401 (autouse)

KEYS = r".*_(API_KEY|API_SECRET|API_TOKEN|BEARER_TOKEN)S?(_FILE)?$"
OURS = re.compile(rf"TICKFARM_|DATABASE_URL$|REDIS_URL$|CELERY_|FLOWER_|PG[A-Z]+$|{KEYS}")
REDIS_DATABASES = 64
#: Files that take longest, the longest first: one of them begun last is what the other processes would wait for.
LONGEST_FIRST = (
    "tests/test_demo.py",
    "tests/local/test_up.py",
    "tests/tasks/test_scaling.py",
    "tests/tasks/test_servers_away.py",
    "tests/tasks/test_kills.py",
    "tests/tasks/test_schedule_live.py",
    "tests/benchmarks/test_benchmarks.py",
    "tests/conformance/test_grid.py",
    "tests/tasks/test_stop.py",
    "tests/tasks/test_lanes_apart.py",
    "tests/tasks/test_lost_steps.py",
    "tests/tasks/test_deferred_backlog.py",
    "tests/tasks",
    "tests/test_cli_data.py",
    "tests/test_settings.py",
    "tests/local",
    "tests/faults",
)


def pytest_configure() -> None:
    """Drop the developer's settings, from the environment and from `.env`, before any test module is imported."""
    for name in [name for name in os.environ if OURS.match(name)]:
        del os.environ[name]
    Settings.model_config["env_file"] = None
    # A pause of a busy machine is no fault of an example.
    hypothesis.settings.register_profile("ours", deadline=None)
    hypothesis.settings.load_profile("ours")
    os.environ["TICKFARM_ENV_FILE"] = os.devnull  # for the processes that tests start
    os.environ["TICKFARM_HOME"] = str(Path(tempfile.gettempdir()) / "tickfarm-tests-have-no-home")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first; within a file nothing moves."""
    items.sort(key=lambda item: _rank(item.nodeid))


def _rank(nodeid: str) -> int:
    return next((at for at, path in enumerate(LONGEST_FIRST) if nodeid.startswith(path)), len(LONGEST_FIRST))


@contextmanager
def temporary_home(name: str = "home") -> Iterator[Path]:
    """Yield the path of a state folder that PostgreSQL's account can reach, and delete what became of it."""
    above = Path(tempfile.mkdtemp(prefix="tickfarm-test-"))
    above.chmod(0o711)  # root's farm runs PostgreSQL as another account
    try:
        yield above / name
    finally:
        account.discard(above / name)
        shutil.rmtree(above, ignore_errors=True)


@pytest.fixture
def home() -> Iterator[Path]:
    """Return a state folder of the test's own, not created yet."""
    with temporary_home() as folder:
        yield folder


@pytest.fixture(scope="session")
def servers() -> Iterator[Urls]:
    """Run one PostgreSQL and one Valkey for the whole session, without fsync. Tests that kill them start their own."""
    with temporary_home() as folder, running(folder, durable=False) as urls:
        yield urls


@pytest.fixture(scope="session")
def template_database(servers: Urls) -> str:
    """Return the name of a migrated, empty database that others are copied from."""
    name = "template_tickfarm"
    statement(servers.database_url, f"CREATE DATABASE {name}")
    migrate.upgrade(_renamed(servers.database_url, name))
    return name


_numbers = itertools.count(1)


@pytest.fixture
def database_url(servers: Urls, template_database: str) -> Iterator[str]:
    """Return the address of a migrated, empty database of the test's own."""
    with copy_of(servers, template_database) as url:
        yield url


@pytest.fixture(scope="module")
def module_database_url(servers: Urls, template_database: str) -> Iterator[str]:
    """Return the address of a migrated database that the tests of one module share."""
    with copy_of(servers, template_database) as url:
        yield url


@pytest.fixture
def redis_url(servers: Urls) -> Iterator[str]:
    """Return the address of an empty Redis database (one of 63 in turn, emptied before and after)."""
    url = f"{servers.redis_url.rpartition('/')[0]}/{1 + next(_numbers) % (REDIS_DATABASES - 1)}"
    with closing(redis.Redis.from_url(url)) as client:
        client.flushdb()
        yield url
        client.flushdb()


@contextmanager
def copy_of(servers: Urls, template: str) -> Iterator[str]:
    name = f"test_{next(_numbers)}"
    statement(servers.database_url, f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
    try:
        yield _renamed(servers.database_url, name)
    finally:
        statement(servers.database_url, f"DROP DATABASE {name} WITH (FORCE)")


def statement(url: str, sql: str) -> Any:
    """Run one statement outside a transaction; return its first value if it has one."""
    address = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    with closing(psycopg2.connect(address)) as session:
        session.autocommit = True
        with session.cursor() as cursor:
            cursor.execute(sql)
            row = cursor.fetchone() if cursor.description else None
    return row[0] if row else None


def _renamed(url: str, database: str) -> str:
    return make_url(url).set(database=database).render_as_string(hide_password=False)
