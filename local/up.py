"""`tickfarm up` and `down`: the farm against the real providers, in a terminal or beside it, and its end.

Deliberately not here: how a farm starts and stops (start.py). Invariant: `up.json` (0600) stands in the state folder
only while a farm that became ready runs; the lock, not this file, says whether one runs at all.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from queue import SimpleQueue

import requests
from redis.exceptions import RedisError
from rich.console import Console
from sqlalchemy import select

from ingest.pipeline.context import Context
from ingest.pipeline.workers import processes_by_lane
from ingest.settings import CHECKOUT, env_file, settings
from local.child import last_line, rotate
from local.farm_processes import FLOWER_USER
from local.lock import holder, taken
from local.reach import ask_each
from local.start import Farm, farm
from local.state import PRIVATE_FILE, Refused, make_folder, make_home, write_private
from models import Series

OK, FAILED, INTERRUPTED = 0, 1, 130
FILE, LOG = "up.json", "farm.log"
#: A first start makes a database and loads four workers on a slow machine; it takes 10 s on a fast one.
START_S = 180.0
#: Workers have 40 s to finish what runs, then beat, Flower and the sandbox 10 s each, then the servers.
STOP_S = 180.0
_LOOK_EVERY_S = 0.5
_PROBE_S = 2.0

Tell = Callable[[str], None]


def run_up(home: Path, *, sandbox: bool, out: Console, in_background: bool = False) -> int:
    """Run the farm until Ctrl-C or SIGTERM; return the exit code: 0 once it was ready, however it was told to stop."""

    def tell(sentence: str) -> None:
        stamp = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} " if in_background else ""
        out.print(stamp + sentence, soft_wrap=True)

    code = INTERRUPTED
    try:
        tell(
            "starting the farm: servers, workers, beat, Flower, dashboard" + (", the sandbox .." if sandbox else " ..")
        )
        with (
            farm(home, sandbox=sandbox, until_exit=True) as running,
            closing(Context(settings(), name="tickfarm up")) as context,
        ):
            try:
                _introduce(running, context, tell)
                _wait_until_ready(running, context, tell)
                code = OK
                write_private(home / FILE, json.dumps(_facts(running)) + "\n")
                tell("ready; " + ("`tickfarm down` stops it" if in_background else "Ctrl-C stops everything"))
                _stay(running, ask_each(context.settings), tell, log=home / "logs" / LOG)
            except KeyboardInterrupt:
                tell("stopping: workers finish what they do ..")
            finally:
                (home / FILE).unlink(missing_ok=True)
    except KeyboardInterrupt:  # while it was starting
        pass
    tell("stopped")
    return code


def _introduce(running: Farm, context: Context, tell: Tell) -> None:
    """Say where everything is, what is only for trying out, and what to do next."""
    embedded = [server.name for server in (running.servers.postgres, running.servers.valkey) if server is not None]
    if embedded:
        tell(
            f"{' and '.join(embedded)}: embedded, in {running.home}. They are for trying out; to move to servers of "
            "your own set DATABASE_URL and REDIS_URL in .env (`tickfarm config init`) and copy what is stored with "
            "pg_dump (docs/operations.md)"
        )
    password = running.flower_password_file
    tell(f"Flower: {running.flower_url}, user {FLOWER_USER}, password in {password}")
    tell(f"dashboard: {running.dashboard_url}{_token_in(running.dashboard_token_file)}")
    if context.settings.tickfarm_sandbox_url:
        tell(f"providers: the simulator at {context.settings.tickfarm_sandbox_url}, no real one is asked")
    tell(f"logs: {running.home / 'logs'}")
    with context.sessions() as session:
        if session.scalar(select(Series.id).where(Series.followed).limit(1)) is None:
            tell("nothing is followed yet: `tickfarm follow binance quotes BTC-USDT`, then `tickfarm status`")


def _token_in(file: object) -> str:
    return "" if file is None else f", the token for changes in {file}"


def _wait_until_ready(running: Farm, context: Context, tell: Tell) -> None:
    """Wait until every process runs, every lane is served and both pages answer, however long; say what happens."""
    while not _is_ready(running, context):
        for sentence in running.poll():
            tell(sentence)
        time.sleep(_LOOK_EVERY_S)


def _is_ready(running: Farm, context: Context) -> bool:
    if len(running.supervisor.pids()) < running.supervisor.count:
        return False
    try:
        served = processes_by_lane(context.redis)
        if any(not served[lane] for lane in running.lanes):
            return False
        probes = (f"{running.flower_url}/healthcheck", f"{running.dashboard_url}/livez")
        return all(requests.get(probe, timeout=_PROBE_S).ok for probe in probes)
    except (RedisError, requests.RequestException):
        return False


def _stay(running: Farm, answers: SimpleQueue[str], tell: Tell, *, log: Path) -> None:
    while True:
        for sentence in running.poll():
            tell(sentence)
        while not answers.empty():
            tell(answers.get())
        rotate(log)  # ours, where we run in the background
        time.sleep(_LOOK_EVERY_S)


def _facts(running: Farm) -> dict[str, object]:
    return {
        "pid": os.getpid(),
        "flower_url": running.flower_url,
        "flower_password_file": str(running.flower_password_file),
        "dashboard_url": running.dashboard_url,
        "dashboard_token_file": running.dashboard_token_file and str(running.dashboard_token_file),
        "sandbox_url": running.sandbox_url,
    }


def run_detached(home: Path, *, sandbox: bool, out: Console) -> int:
    """Start the farm beside this terminal, wait until it is ready, and say how to find and stop it."""
    other = holder(make_home(home))
    if other is not None:
        raise taken(home, other)
    log = make_folder(home / "logs") / LOG
    rotate(log)
    child = _start(home, log, sandbox=sandbox)
    deadline = time.monotonic() + START_S
    try:
        while (facts := _ready_facts(home, child.pid)) is None:
            if child.poll() is not None:
                raise Refused(f"the farm did not start: {last_line(log) or 'it said nothing'} (log: {log})")
            if time.monotonic() > deadline:
                raise Refused(
                    f"the farm (pid {child.pid}) is not ready after {START_S:g} s and goes on trying: see {log}; "
                    "`tickfarm down` stops it"
                )
            time.sleep(_LOOK_EVERY_S / 5)
    except KeyboardInterrupt:
        child.send_signal(signal.SIGTERM)
        child.wait(STOP_S)
        out.print("stopped")
        return INTERRUPTED
    out.print(f"the farm runs (pid {child.pid})", soft_wrap=True)
    password = facts["flower_password_file"]
    out.print(f"Flower: {facts['flower_url']}, user {FLOWER_USER}, password in {password}", soft_wrap=True)
    out.print(f"dashboard: {facts['dashboard_url']}{_token_in(facts['dashboard_token_file'])}", soft_wrap=True)
    if facts["sandbox_url"]:
        out.print(f"sandbox: {facts['sandbox_url']}/sandbox/health", soft_wrap=True)
    out.print(f"log: {log}", soft_wrap=True)
    out.print("`tickfarm status` shows what it does, `tickfarm down` stops it")
    return OK


def _start(home: Path, log: Path, *, sandbox: bool) -> subprocess.Popen[bytes]:
    """Start `tickfarm up` again in a session of its own, so that it outlives this terminal; its output is the log."""
    argv = [sys.executable, "-m", "cli", "up", "--in-background", *(["--sandbox"] if sandbox else [])]
    env = {**os.environ, "TICKFARM_HOME": str(home), "PYTHONUNBUFFERED": "1"}
    if os.environ.get("TICKFARM_ENV_FILE"):
        env["TICKFARM_ENV_FILE"] = str((env_file() or Path(os.devnull)).resolve())
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, PRIVATE_FILE)
    try:
        return subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=descriptor,
            stderr=subprocess.STDOUT,
            env=env,
            cwd=CHECKOUT,
            start_new_session=True,
        )
    finally:
        os.close(descriptor)


def _ready_facts(home: Path, pid: int) -> dict[str, object] | None:
    try:
        facts: dict[str, object] = json.loads((home / FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return facts if facts["pid"] == pid else None


def run_down(home: Path, *, out: Console) -> int:
    """Stop the farm of this state folder in order and wait for its end. None running is no failure."""
    pid = holder(home)
    if pid is None:
        out.print(f"no farm runs with the state folder {home}", soft_wrap=True)
        return OK
    out.print(f"stopping the farm (pid {pid}): workers finish what they do ..", soft_wrap=True)
    try:
        os.kill(pid, signal.SIGTERM)
    except PermissionError as error:
        raise Refused(f"the farm (pid {pid}) belongs to another account: stop it from there") from error
    except ProcessLookupError:
        pass
    deadline = time.monotonic() + STOP_S
    while holder(home) == pid:
        if time.monotonic() > deadline:
            raise Refused(
                f"the farm (pid {pid}) still stops after {STOP_S:g} s: see {home / 'logs'}, or `kill -9 {pid}`"
            )
        time.sleep(_LOOK_EVERY_S / 5)
    out.print("stopped")
    return OK
