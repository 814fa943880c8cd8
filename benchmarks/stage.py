"""Where a benchmark plays: a temporary state folder, its own embedded servers (durable, as in production), a farm.

Deliberately not here: what is measured. Invariant: nothing of the developer's own farm is seen or touched: addresses
and folders of the processes are set, not looked up, and all of it is deleted at the end.
"""

from __future__ import annotations

import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psycopg2
import requests
from psycopg2.extensions import connection as Connection  # noqa: N812 (a class with a lower-case name)
from pydantic import SecretStr
from sqlalchemy.engine import make_url

from celeryconfig import LANES
from ingest.pipeline.context import Context, open_redis
from ingest.pipeline.workers import processes_by_lane
from ingest.settings import CHECKOUT, Settings
from local import account
from local.child import Child, spawn
from local.farm_processes import CONCURRENCY, farm_processes
from local.lock import hold
from local.port import LOOPBACK, free_port
from local.processes import Process, Supervisor
from local.servers import Servers, Urls
from local.state import make_home
from models import Base, migrate

#: Workers, beat and Flower start at once on two cores: 6 to 10 s when nothing else runs.
READY_WITHIN_S = 90.0
FLOWER = "flower"


@dataclass(frozen=True, slots=True)
class Stage:
    """Servers that run, a migrated database, and the folder of it all."""

    home: Path
    servers: Servers
    urls: Urls

    def settings(self) -> Settings:
        """Return settings that point here, whatever environment and `.env` say."""
        return Settings(
            database_url=SecretStr(self.urls.database_url),
            redis_url=SecretStr(self.urls.redis_url),
            tickfarm_archive_dir=self.home / "archive",
        )

    def database(self) -> Connection:
        """Return a connection in autocommit. Close it."""
        address = make_url(self.urls.database_url).set(drivername="postgresql")
        connection = psycopg2.connect(address.render_as_string(hide_password=False))
        connection.autocommit = True
        return connection

    def number(self, query: str) -> int:
        """Return the one number that a query finds."""
        with closing(self.database()) as connection, connection.cursor() as cursor:
            return number(cursor, query)

    def clear(self) -> None:
        """Empty every table and Redis, and write a checkpoint, so that each measurement begins alike."""
        tables = ", ".join(Base.metadata.tables)
        with closing(self.database()) as connection, connection.cursor() as cursor:
            cursor.execute(f"TRUNCATE {tables} RESTART IDENTITY")
            cursor.execute("CHECKPOINT")
        with closing(open_redis(self.urls.redis_url)) as redis:
            redis.flushall()
        shutil.rmtree(self.home / "archive", ignore_errors=True)


@contextmanager
def stage() -> Iterator[Stage]:
    """Run both servers in a new folder while the block runs, and delete the folder."""
    above = Path(tempfile.mkdtemp(prefix="tickfarm-benchmark-"))
    above.chmod(0o711)  # root's farm runs PostgreSQL as another account, which must pass
    home = above / "home"
    try:
        with hold(make_home(home)):
            servers = Servers(home)
            servers.start()
            try:
                assert servers.postgres is not None
                assert servers.valkey is not None
                urls = Urls(servers.postgres.url, servers.valkey.url)
                migrate.upgrade(urls.database_url)
                yield Stage(home, servers, urls)
            finally:
                servers.stop()
    finally:
        account.discard(home)
        shutil.rmtree(above, ignore_errors=True)


@contextmanager
def running_farm(
    where: Stage,
    settings: Mapping[str, str],
    *,
    sandbox_port: int | None = None,
    children: Mapping[str, int] = CONCURRENCY,
    is_quiet: bool = False,
) -> Iterator[Supervisor]:
    """Run the farm as `tickfarm up` does: a worker per lane, beat, Flower. Yields when all of them work.

    `children`: how many each lane's worker has, where that is not the usual. `is_quiet`: no Flower, and no events.
    """
    ours = {
        "DATABASE_URL": where.urls.database_url,
        "REDIS_URL": where.urls.redis_url,
        "TICKFARM_ARCHIVE_DIR": str(where.home / "archive"),
        **settings,
    }
    flower_port = free_port()
    children = {**CONCURRENCY, **children}
    planned = farm_processes(where.home, LANES, flower_port=flower_port, sandbox_port=sandbox_port)
    processes = [
        replace(one, env={**one.env, **ours}, argv=_argv(one, children, is_quiet=is_quiet))
        for one in planned
        if not (is_quiet and one.name == FLOWER)
    ]
    supervisor = Supervisor(where.home, processes)
    supervisor.start()
    try:
        port = None if is_quiet else flower_port
        started = f"the farm to start (logs: {where.home / 'logs'})"
        until(lambda: _works(where, children, flower_port=port), READY_WITHIN_S, started)
        yield supervisor
    finally:
        supervisor.stop()


def _argv(process: Process, children: Mapping[str, int], *, is_quiet: bool) -> tuple[str, ...]:
    """Return a farm process's command, with another number of children or the quiet application where asked for."""
    argv = list(process.argv)
    lane = process.name.removeprefix("worker-")
    if lane in children:
        argv[argv.index("-c") + 1] = str(children[lane])
    if is_quiet:
        argv[argv.index("-A") + 1] = "benchmarks.quiet"
    return tuple(argv)


@contextmanager
def running(where: Stage, name: str, *argv: str, env: Mapping[str, str]) -> Iterator[Child]:
    """Run one process of a benchmark's own while the block runs; its log lies beside the farm's."""
    child = spawn(argv, log=where.home / "logs" / f"{name}.log", env=env, cwd=CHECKOUT)
    try:
        yield child
    finally:
        child.kill_group()


@contextmanager
def context_of(where: Stage) -> Iterator[Context]:
    """Open what the use cases work with, as the command line does."""
    context = Context(where.settings(), name="tickfarm benchmark")
    try:
        yield context
    finally:
        context.close()


def number(cursor: Any, query: str) -> int:
    """Return the one number that a query finds, over a cursor that is open already."""
    cursor.execute(query)
    return int(cursor.fetchone()[0])


def until(condition: Callable[[], bool], within_s: float, what: str, *, every_s: float = 0.02) -> None:
    """Wait for a condition. Raises TimeoutError that says what was waited for."""
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {within_s:g} s in vain for {what}")
        time.sleep(every_s)


def listens(port: int) -> bool:
    """Say whether somebody listens on a port of this machine."""
    with socket.socket() as probe:
        return probe.connect_ex((LOOPBACK, port)) == 0


def _works(where: Stage, children: Mapping[str, int], *, flower_port: int | None) -> bool:
    with closing(open_redis(where.urls.redis_url)) as redis:
        serving = processes_by_lane(redis)
    if any(serving[lane] < children[lane] for lane in LANES):
        return False
    if where.number("SELECT count(*) FROM schedule") == 0:  # beat writes its entries in its first look
        return False
    if flower_port is None:
        return True
    try:
        requests.get(f"http://{LOOPBACK}:{flower_port}/", timeout=5)
    except requests.RequestException:
        return False
    return True
