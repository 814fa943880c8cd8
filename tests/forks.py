"""Forks itself for each process it is told to be: importing the libraries takes most of a second.

Deliberately not here: who tells it (forked.py), and any module of ours that reads the environment: settings are read
while those are imported, so each fork imports them itself. Invariant: it has one thread and does nothing but fork and
say how forks ended; when its input ends, it ends.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import io
import json
import os
import select
import signal
import sys
import warnings
from typing import Any

#: What commands and `celery` import; a module that is missing here costs time and nothing else. Not those that read the
#: environment when they are imported, as celery.worker.autoscale does.
LIBRARIES = (
    "alembic.config",
    "celery.app.amqp",
    "celery.app.autoretry",
    "celery.app.task",
    "celery.app.trace",
    "celery.apps.beat",
    "celery.apps.worker",
    "celery.backends.redis",
    "celery.beat",
    "celery.bin.celery",
    "celery.concurrency.prefork",
    "celery.fixups.django",
    "celery.loaders.app",
    "celery.worker.consumer",
    "celery.worker.worker",
    "cronsim",
    "dateutil.easter",
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
#: Of ours, what reads no environment.
OURS = (
    "commands.orders",
    "ingest.payloads",
    "ingest.pipeline.leader",
    "ingest.pipeline.schedule_edits",
    "ingest.pipeline.status",
    "ingest.pipeline.workers",
    "ingest.telemetry",
    "ingest.transport.connections",
    "models.migrate",
    "models.upsert",
)
READS_THE_ENVIRONMENT = "ingest.settings"
PR_SET_PDEATHSIG = 1  # linux/prctl.h


def serve() -> dict[str, Any] | None:
    """Fork for each line and say its pid, and how each fork ended. Returns the order in a fork, None at the end."""
    woken, wakes = os.pipe()
    os.set_blocking(wakes, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)
    buffer = b""
    while True:
        ready, _, _ = select.select([0, woken], [], [])
        if woken in ready:
            os.read(woken, 4096)
            _say_who_ended()
        if 0 in ready:
            read = os.read(0, 65536)
            if not read:
                return None
            *lines, buffer = (buffer + read).split(b"\n")
            for line in lines:
                if (pid := os.fork()) == 0:
                    signal.set_wakeup_fd(-1)
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    os.close(woken)
                    os.close(wakes)
                    order: dict[str, Any] = json.loads(line)
                    return order
                _say("started", pid)


def _say_who_ended() -> None:
    with contextlib.suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            _say("ended", ended[0], os.waitstatus_to_exitcode(ended[1]))


def _say(*what: object) -> None:
    os.write(1, json.dumps(what).encode() + b"\n")


def become(order: dict[str, Any]) -> None:
    """Be the process that was ordered: in a session of its own, with its environment and its output."""
    parent = os.getppid()
    os.setsid()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:  # it died between fork and prctl
        os._exit(1)
    os.umask(0o077)
    for number, place in enumerate((os.devnull, order["stdout"], order["stderr"])):
        opened = os.open(place, os.O_RDWR | os.O_CREAT | os.O_APPEND)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
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


def run(order: dict[str, Any]) -> None:
    """Run what was ordered, as the process that it is for."""
    if "celery" in order:
        from celery.__main__ import main  # noqa: PLC0415 - it is for these alone

        sys.argv[:] = ["celery", *order["celery"]]
        main()
        return
    warnings.simplefilter("error")
    if "lines" in order:
        run_each(order["lines"])
    else:
        import cli  # noqa: PLC0415 - it reads settings

        sys.argv[1:] = order["arguments"]
        cli.main()


if __name__ == "__main__":
    for module in (*LIBRARIES, *OURS):
        importlib.import_module(module)
    if READS_THE_ENVIRONMENT in sys.modules:
        sys.exit(f"{READS_THE_ENVIRONMENT} is imported before a fork has its environment: see OURS")
    gc.collect()
    gc.freeze()  # or each fork's first collection would copy all of it
    told = serve()
    if told is not None:
        become(told)
        run(told)  # and then comes the end of a process like any other: sockets left open are told
