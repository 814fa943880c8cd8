"""A small farm for a test: worker and beat subprocesses on the test's own database and Redis, and a look at its rows.

Deliberately not here: which jobs are owed (load.py), pytest-celery's view of the processes (containers.py).
Invariant: every process started here is ended here, with its group; nothing else is.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from celery import Celery
from kombu import pools
from sqlalchemy import text

from ingest.pipeline.context import Context
from ingest.settings import Settings
from local.child import Child
from tests import forked
from tests.conftest import temporary_home
from tests.sandbox.conftest import SandboxClient
from tests.waiting import until

LANES = "live.load,live,standard.load,standard,backfill.load,backfill,maintenance.load,maintenance"
#: a worker takes 2 s to start; with other work on two cores it may take much longer
START_S = 60.0
_LOG_LINES = 40
#: Within a minute after a lease or a fetch was lost the leader owes a check of gaps, at a moment of its own.
_ASKED = "task <> 'tasks.gaps'"
#: The farm's own page without the checks of health and of gaps, whose jobs tests that count jobs would meet.
_PAGE = """
from beat_schedule import beat_schedule as everything

beat_schedule = {name: entry for name, entry in everything.items() if name not in ("health", "gaps", "scrub")}
"""


@dataclass(slots=True)
class Running:
    """A process of the farm. Its log goes on when it is started again; `offset` is where this start's part begins."""

    name: str
    arguments: tuple[str, ...]
    env: Mapping[str, str]
    log: Path
    child: Child
    offset: int = 0

    @property
    def pid(self) -> int:
        return self.child.pid

    def text(self) -> str:
        """Return what it has logged since it was started last."""
        return self.log.read_bytes()[self.offset :].decode(errors="replace")

    def says(self, words: str, *, within_s: float = START_S) -> None:
        """Wait until it logs these words. An end before that fails at once."""
        until(lambda: words in self.text() or self._ended(words), within_s=within_s, what=f"{self.name} to say {words}")

    def _ended(self, words: str) -> bool:
        code = self.child.exit_code()
        if code is not None and words not in self.text():
            raise AssertionError(f"{self.name} ended with {code} before it said {words!r}: {self.text()[-2000:]}")
        return False

    def signal(self, number: signal.Signals) -> None:
        """Signal the process and its children."""
        os.killpg(self.child.pid, number)

    def kill(self) -> None:
        """SIGKILL the whole group and reap it."""
        self.child.kill_group()

    def children(self) -> list[int]:
        """Return the pids of its direct children, oldest first."""
        listed = Path(f"/proc/{self.child.pid}/task/{self.child.pid}/children").read_text()
        return sorted(int(pid) for pid in listed.split())


@dataclass
class Farm:
    """Processes and servers of one test. Made by `running_farm`."""

    folder: Path
    database_url: str
    redis_url: str
    sandbox: SandboxClient
    env: dict[str, str]
    context: Context
    processes: dict[str, Running] = field(default_factory=dict)

    def worker(self, name: str = "one", *options: str, processes: int = 2, queues: str = LANES, **env: str) -> Running:
        """Start a worker and wait until it is ready."""
        started = self.start_worker(name, *options, processes=processes, queues=queues, **env)
        started.says(" ready.")
        return started

    def start_worker(
        self, name: str = "one", *options: str, processes: int = 2, queues: str = LANES, **env: str
    ) -> Running:
        """Start a worker and return at once."""
        quiet = ("--without-gossip", "--without-mingle", "--loglevel=INFO")
        scale = () if any(option.startswith("--autoscale") for option in options) else ("-c", str(processes))
        return self.start(name, "worker", "-Q", queues, "-n", f"{name}@farm", *scale, *quiet, *options, **env)

    def beat(self, name: str = "beat", *options: str, **env: str) -> Running:
        """Start a beat and return at once."""
        return self.start(name, "beat", "--loglevel=INFO", *options, **env)

    def start(self, name: str, *arguments: str, **env: str) -> Running:
        """Start `celery -A tasks <arguments>`."""
        log = self.folder / "logs" / f"{name}.log"
        everything = {**self.env, **env}
        offset = log.stat().st_size if log.exists() else 0
        child = _child(arguments, log=log, env=everything)
        self.processes[name] = Running(name, arguments, everything, log, child, offset)
        return self.processes[name]

    def restart(self, running: Running, *, wait: bool = True) -> None:
        """Start an ended process again."""
        running.offset = running.log.stat().st_size
        running.child = Child(
            forked.start_celery("-A", "tasks", *running.arguments, log=running.log, env=running.env), running.log
        )
        if wait:
            running.says(" ready.")

    def celery(self, *arguments: str, timeout_s: float = 60.0) -> subprocess.CompletedProcess[str]:
        """Run one `celery -A tasks ..` command to its end."""
        order = ("-A", "tasks", *arguments)
        return forked.run(order, self.env, within_s=timeout_s, celery=order)

    @contextmanager
    def client(self) -> Iterator[Celery]:
        """Yield a Celery client of this farm, as a person's own program would make it."""
        app = Celery("client", set_as_current=False)
        app.config_from_object("celeryconfig")
        app.conf.update(broker_url=self.redis_url, result_backend=self.redis_url)
        try:
            yield app
        finally:
            close_client(app)

    def rows(self, sql: str, **values: Any) -> list[Any]:
        """Return a statement's rows, committed."""
        with self.context.sessions.begin() as session:
            result = session.execute(text(sql), values)
            return list(result) if result.returns_rows else []

    def empty(self, *tables: str) -> None:
        """Remove every row of these. Not TRUNCATE: its locks on several tables meet those of a beat's look at them."""
        self.rows("; ".join(f"DELETE FROM {table}" for table in tables))

    def value(self, sql: str, **values: Any) -> Any:
        """Return a statement's first value, or None."""
        rows = self.rows(sql, **values)
        return rows[0][0] if rows else None

    def states(self) -> dict[str, int]:
        """Return how many jobs are in which state, without the check of gaps that a lost lease owes."""
        return dict(tuple(row) for row in self.rows(f"SELECT state, count(*) FROM jobs WHERE {_ASKED} GROUP BY state"))

    def wait_for(self, sql: str, *, within_s: float = 30.0, **values: Any) -> Any:
        """Wait until a statement's first value is true and return it."""
        return until(lambda: self.value(sql, **values), within_s=within_s, what=f"{sql} {values or ''} {self}")

    def all_done(self, *, within_s: float) -> None:
        """Wait until no job is owed or in flight, and see that all of them ended well."""
        open_jobs = f"SELECT count(*) = 0 FROM jobs WHERE state IN ('due', 'leased', 'fetched') AND {_ASKED}"
        self.wait_for(open_jobs, within_s=within_s)
        assert set(self.states()) == {"done"}, self

    def lose_connections(self) -> None:
        """Cut every connection to this farm's Redis database, as a restart of Redis does; whoever lives comes back."""
        redis = self.context.redis
        own, database = redis.client_id(), redis.connection_pool.connection_kwargs["db"]
        for client in redis.client_list():
            if int(client["db"]) == database and int(client["id"]) != own:
                redis.client_kill_filter(_id=client["id"])

    def letters(self) -> list[Any]:
        """Return the dead letters, oldest first."""
        return self.rows("SELECT * FROM dead_letters ORDER BY id")

    def job(self, key: str) -> Any:
        """Return a job's row, or None."""
        rows = self.rows("SELECT * FROM jobs WHERE key = :key", key=key)
        return rows[0] if rows else None

    def now(self) -> datetime:
        """Return the database's clock."""
        moment: datetime = self.value("SELECT clock_timestamp()")
        return moment

    def stop(self) -> None:
        """SIGKILL every process group: nothing of this farm is needed any more, and warm ends have their own tests."""
        for process in self.processes.values():
            process.kill()

    def logs(self) -> str:
        """Return the end of every log, for a failure's report."""
        parts = []
        for log in sorted((self.folder / "logs").glob("*.log")):
            lines = log.read_text(errors="replace").splitlines()[-_LOG_LINES:]
            # A line with a traceback is long, and its end says most.
            parts.append(
                f"--- {log.name}\n"
                + "\n".join(line if len(line) < 2000 else f"{line[:300]} .. {line[-1700:]}" for line in lines)
            )
        return "\n".join(parts)

    def __repr__(self) -> str:
        try:
            jobs = self.rows("SELECT state, error, lost_leases, count(*) FROM jobs GROUP BY 1, 2, 3 LIMIT 20")
        except Exception as error:  # noqa: BLE001 - a failure's report must not fail
            return f"<farm without database: {type(error).__name__}>"
        return f"<farm with jobs {jobs}>"


def _child(arguments: tuple[str, ...], *, log: Path, env: Mapping[str, str]) -> Child:
    return Child(forked.start_celery("-A", "tasks", *arguments, log=log, env=dict(env)), log)


@contextmanager
def running_farm(database_url: str, redis_url: str, sandbox: SandboxClient, **env: str) -> Iterator[Farm]:
    """Yield a farm without processes yet, and end what was started in it."""
    with temporary_home() as folder:
        folder.mkdir()
        page = folder / "schedule.py"
        page.write_text(_PAGE)
        given = {
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            "TICKFARM_HOME": str(folder),
            "TICKFARM_SANDBOX_URL": sandbox.url,
            "TICKFARM_LOG_FORMAT": "json",
            "TICKFARM_SCHEDULE_FILE": str(page),
            "TICKFARM_CONNECTIONS": "8",
            "PYTHONUNBUFFERED": "1",
            **env,
        }
        values = {name.lower(): value for name, value in given.items() if name.endswith("_URL")}
        context = Context(Settings(**values), name="tickfarm tests")
        farm = Farm(folder, database_url, redis_url, sandbox, {**os.environ, **given}, context)
        try:
            yield farm
        finally:
            farm.stop()
            context.close()


def close_client(app: Celery) -> None:
    """Close every connection of a Celery client: the tests treat an unclosed socket as a failure."""
    app.backend.result_consumer.stop()
    app.backend.client.close()
    app.close()
    pools.reset()  # they are kombu's, for all clients of a process
