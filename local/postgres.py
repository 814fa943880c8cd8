"""The embedded PostgreSQL 18: one data folder, one server on a loopback port, one database.

Deliberately not here: where its folder and programs are (account.py). The wheel's own server class is not used: it
widens permissions of parent folders and gives up after 10 s of crash recovery. Invariant: data that can't be opened
is never overwritten; a half-made cluster is never taken for a whole one.
"""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg2
from psycopg2.extensions import connection as Connection  # noqa: N812 (a class with a lower-case name)

from local.account import Place, place
from local.child import Child, rotate, spawn
from local.orphan import end_orphan
from local.port import free_port
from local.state import Refused, secret

DATABASE = USER = "tickfarm"
MAJOR = "18"
#: replaying 2 GB of log after a power cut takes a minute or two on a slow disk
RECOVERY_S = 300.0
STOP_S = 60.0
#: what a server says when the last one's remains are still going away, or the port was taken meanwhile
PASSING = ("pre-existing shared memory", "Address already in use", "could not create any TCP/IP sockets")

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",  # its path limit (107 bytes) would depend on where the checkout lies
    "max_connections": "100",  # four lanes of two children, beat, dashboard and CLI use about 30
    "shared_buffers": "256MB",
    "work_mem": "16MB",
    "maintenance_work_mem": "128MB",
    "max_wal_size": "2GB",  # bulk COPY fills the default 1 GB within a minute: fewer checkpoints
    "checkpoint_timeout": "15min",
    "wal_compression": "on",
    "max_locks_per_transaction": "256",  # a query over years of partitions locks each of them
    "random_page_cost": "1.1",  # solid-state disks
    "jit": "off",  # compiling costs more than our short queries take
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %a ",
    "log_checkpoints": "off",
}
#: for tests: a crash of the machine may lose the data, a crash of the server may not; they may ask when a row came
FAST_AND_LOOSE = {"fsync": "off", "full_page_writes": "off", "track_commit_timestamp": "on"}


class Postgres:
    """One server. `start` returns when it answers queries; `url` is what SQLAlchemy takes."""

    name = "PostgreSQL"

    def __init__(self, home: Path, *, durable: bool = True) -> None:
        self._home = home
        self._durable = durable
        self._log = home / "logs" / "postgresql.log"
        self._password = secret(home, "postgres_password")
        self._child: Child | None = None
        self.port = 0

    @property
    def url(self) -> str:
        """Return the database's address, with its password."""
        return f"postgresql+psycopg2://{USER}:{self._password}@127.0.0.1:{self.port}/{DATABASE}"

    @property
    def pid(self) -> int:
        """Return the server's process id (0: not started)."""
        return self._child.pid if self._child else 0

    def start(self) -> None:
        """Start it, on the port it had before if it had one, and wait through crash recovery."""
        where = place(self._home)
        data = where.folder / "data"
        end_orphan(data / "postmaster.pid", program="postgres", folder=data, with_signal=signal.SIGINT)
        if not data.exists():
            self._create(where, data)
        _require_version(data)
        rotate(self._log)
        deadline = time.monotonic() + RECOVERY_S
        while not self._launch(where, data, deadline):
            time.sleep(0.2)
        with self._session("postgres") as session, session.cursor() as cursor:
            cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,))
            if cursor.fetchone() is None:
                cursor.execute(f"CREATE DATABASE {DATABASE}")

    def exit_code(self) -> int | None:
        """Return None while it runs."""
        return self._child.exit_code() if self._child else 0

    def stop(self) -> None:
        """Stop it the fast way (SIGINT, as `pg_ctl stop -m fast` does): open transactions roll back."""
        if self._child is None:
            return
        self._child.send(signal.SIGINT)
        if not self._child.wait(STOP_S):
            self._child.send(signal.SIGQUIT)  # immediate: it recovers at the next start
            self._child.wait(5)
        self._child.kill_group()
        self._child = None

    def housekeep(self) -> None:
        """Keep the log within its size."""
        rotate(self._log)

    def _create(self, where: Place, data: Path) -> None:
        """Run initdb beside the final name and rename: an interrupted one is started over."""
        draft, password = data.with_name("data.new"), where.folder / "password"
        shutil.rmtree(draft, ignore_errors=True)
        password.unlink(missing_ok=True)
        descriptor = os.open(password, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        if where.account:
            os.fchown(descriptor, where.account.uid, where.account.gid)
        os.write(descriptor, self._password.encode())
        os.close(descriptor)
        argv: list[str | Path] = [
            where.programs / "initdb",
            "-D",
            draft,
            "-U",
            USER,
            f"--pwfile={password}",
            "--auth=scram-sha-256",
            # The usual 4,096 slow down who guesses words; nobody guesses 24 random bytes, and each connection of each
            # process paid 3 ms of CPU for them.
            "--set=scram_iterations=1",
        ]
        argv += ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        argv += [] if self._durable else ["--no-sync"]
        child = spawn(argv, log=self._log, account=where.account, env=_environment())
        done = child.wait(120) and child.exit_code() == 0
        child.kill_group()
        password.unlink()
        if not done:
            raise Refused(f"PostgreSQL's initdb failed: {child.last_words()}; its log: {self._log}")
        draft.rename(data)

    def _launch(self, where: Place, data: Path, deadline: float) -> bool:
        """Start the server and wait until it answers. False: something passing was in the way, try again."""
        self.port = self.port or free_port()
        settings = {**SETTINGS, "port": str(self.port), **({} if self._durable else FAST_AND_LOOSE)}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        argv: list[str | Path] = [where.programs / "postgres", "-D", data, *options]
        self._child = spawn(argv, log=self._log, account=where.account, env=_environment(), death_signal=signal.SIGINT)
        while self._child.exit_code() is None:
            if self._answers():
                return True
            if time.monotonic() > deadline:
                self.stop()
                raise Refused(f"PostgreSQL did not finish its recovery in {RECOVERY_S:.0f} s; its log: {self._log}")
            time.sleep(0.02)
        said = _tail(self._log)
        if not any(phrase in said for phrase in PASSING) or time.monotonic() > deadline:
            raise Refused(f"PostgreSQL did not start: {self._child.last_words()}; its log: {self._log}")
        self.port = 0 if "Address already in use" in said else self.port
        return False

    def _answers(self) -> bool:
        try:
            with self._session("postgres"):
                return True
        except psycopg2.OperationalError as error:
            if "password authentication failed" not in str(error):
                return False
            self.stop()
            raise Refused(
                f"the password in {self._home / 'secrets' / 'postgres_password'} is not this database's: restore the "
                "file, or delete the state folder to start over"
            ) from error

    @contextmanager
    def _session(self, database: str) -> Iterator[Connection]:
        with closing(
            psycopg2.connect(
                host="127.0.0.1",
                port=self.port,
                user=USER,
                password=self._password,
                dbname=database,
                connect_timeout=10,
            )
        ) as session:
            session.autocommit = True
            yield session


def _environment() -> dict[str, str]:
    """Return a bare environment: a developer's PGDATA or PGPORT must not leak in, nor our keys."""
    return {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}


def _require_version(data: Path) -> None:
    found = (data / "PG_VERSION").read_text().strip() if (data / "PG_VERSION").exists() else "nothing readable"
    if found != MAJOR:
        raise Refused(f"{data} holds PostgreSQL {found}, and this farm runs {MAJOR}: move it away, or dump and restore")


def _tail(log: Path) -> str:
    return log.read_bytes()[-4096:].decode("utf-8", "replace")
