"""Forks itself for each command line of `tickfarm` it is told: importing the libraries takes most of a second.

Deliberately not here: who tells it (tickfarm_command.py), and any module of ours: settings are read while those are
imported, so each fork imports them itself. Invariant: it has one thread and does nothing but fork; when its input ends,
it ends.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import sys
from typing import Any

#: What the command imports; a library that is missing here costs time and nothing else.
LIBRARIES = (
    "alembic.config",
    "celery.app.amqp",
    "celery.app.task",
    "celery.backends.redis",
    "celery.beat",
    "celery.concurrency.prefork",
    "celery.fixups.django",
    "celery.worker.worker",
    "cronsim",
    "kombu.transport.redis",
    "psycopg2",
    "pycurl",
    "pydantic_settings",
    "redis",
    "requests",
    "rich.progress",
    "rich.table",
    "sqlalchemy.dialects.postgresql",
    "sqlalchemy.orm",
    "structlog",
    "typer",
    "zstandard",
)


def serve() -> dict[str, Any] | None:
    """Fork for each line and write how the fork ended. Returns the order in a fork, None at the end of input."""
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            order: dict[str, Any] = json.loads(line)
            return order
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)  # noqa: T201 - the answer
    return None


def become(order: dict[str, Any]) -> None:
    """Be the process that was ordered: its environment, its output."""
    for number, place in enumerate((os.devnull, order["stdout"], order["stderr"])):
        opened = os.open(place, os.O_RDWR | os.O_CREAT, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    os.environ.clear()
    os.environ.update(order["env"])


def run_each(lines: list[list[str]]) -> None:
    """Run these command lines in this process; write for each how it ended."""
    import cli  # noqa: PLC0415 - it reads settings

    for sys.argv[1:] in lines:
        shown, said = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(shown), contextlib.redirect_stderr(said):
            try:
                code: Any = cli.main() or 0
            except SystemExit as end:
                code = end.code
        print(json.dumps([code, shown.getvalue(), said.getvalue()]))  # noqa: T201 - the answer


def run(arguments: list[str]) -> None:
    """Run a command line as the process that it is for."""
    import cli  # noqa: PLC0415 - it reads settings

    sys.argv[1:] = arguments
    cli.main()


if __name__ == "__main__":
    for library in LIBRARIES:
        importlib.import_module(library)
    told = serve()
    if told is not None:
        become(told)
        # and then comes the end of a process like any other: sockets left open are told under -W error
        run(told["arguments"]) if "arguments" in told else run_each(told["lines"])
