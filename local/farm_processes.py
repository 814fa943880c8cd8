"""The farm's processes on one machine: a worker per lane, beat, Flower, the dashboard and, if asked for, the sandbox.

Deliberately not here: keeping them running (processes.py). docker-compose.yml says the same for containers; a test
holds both against celeryconfig. Invariant: no secret in an argument list; the servers' addresses are found in
`servers.json`, Flower's password and the dashboard's token come by environment.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from dotenv import dotenv_values

from ingest import providers
from ingest.settings import CHECKOUT, Settings
from ingest.settings.sources import PROVIDERS
from local.port import LOOPBACK
from local.processes import Process
from local.state import secret

#: children per worker; a batch sends its requests concurrently, so two keep a lane busy while one stores
CONCURRENCY = {"live": 2, "standard": 2, "backfill": 2, "maintenance": 1}
#: measured: live p95 falls from 120 to 53 ms under a busy backfill, which keeps 83 % of its throughput
NICE = {"backfill": 15}
#: SIGTERM waits for what runs; a batch takes seconds, and one that is cut off is repeated by its lease
WORKER_GRACE_S = 40.0
FLOWER_USER = "tickfarm"
#: what the sandbox takes for a key; real ones stay away from it
SANDBOX_KEY = "sandbox-key"
#: what a month may cost where nothing costs anything
SANDBOX_CAP = "1000000 weight/30d"
WORKERS_STOP, BEAT_STOPS, FLOWER_STOPS, SANDBOX_STOPS = range(4)
#: its secret in the state folder, which `up` makes where no token is set
DASHBOARD_TOKEN = "dashboard_token"  # noqa: S105 (a file's name)


def farm_processes(
    home: Path,
    lanes: Sequence[str],
    *,
    flower_port: int,
    dashboard_port: int | None = None,
    sandbox_port: int | None = None,
) -> list[Process]:
    """Return what to run, in starting order. `sandbox_port` None: no sandbox, the workers ask the real providers."""
    env = _environment(home, sandbox_port)
    farm = [worker(lane, env) for lane in lanes]
    farm.append(_celery("beat", ("beat", "--loglevel=INFO"), env, stop_rank=BEAT_STOPS))
    flower_env = {**env, "FLOWER_BASIC_AUTH": f"{FLOWER_USER}:{secret(home, 'flower_password')}"}
    flower = ("flower", f"--address={LOOPBACK}", f"--port={flower_port}")
    farm.append(_celery("flower", flower, flower_env, stop_rank=FLOWER_STOPS))
    if dashboard_port is not None:
        farm.append(_dashboard(home, env, dashboard_port))
    if sandbox_port is not None:
        argv = (sys.executable, "-m", "sandbox", "--port", str(sandbox_port))
        farm.insert(0, Process("sandbox", argv, env=env, cwd=CHECKOUT, stop_rank=SANDBOX_STOPS))
    return farm


def sandbox_settings() -> dict[str, str]:
    """Return the environment of a farm beside the sandbox: a key for whoever takes one, a cap for whoever charges."""
    env: dict[str, str] = {}
    for facts in (providers.get(name).facts for name in providers.names()):
        if facts.key is not None:
            env |= {part.env: SANDBOX_KEY for part in facts.key.parts}
        if facts.charge is not None:
            stated = [f"{one.amount} {one.unit}/{one.per_s}s" for one in facts.limits]
            env[f"{PROVIDERS}__{facts.name.upper()}__LIMITS"] = ", ".join([*stated, SANDBOX_CAP])
    return env


def worker(lane: str, env: dict[str, str]) -> Process:
    """Return a lane's worker: it finishes what the lane fetched (`<lane>.load`) before it fetches more."""
    arguments = ("worker", "-Q", f"{lane}.load,{lane}", "-n", f"{lane}@%h", "-c", str(CONCURRENCY.get(lane, 2)))
    quiet = ("--without-gossip", "--without-mingle", "--loglevel=INFO")
    return _celery(
        f"worker-{lane}",
        arguments + quiet,
        env,
        stop_rank=WORKERS_STOP,
        nice=NICE.get(lane, 0),
        grace_s=WORKER_GRACE_S,
    )


def _dashboard(home: Path, env: dict[str, str], port: int) -> Process:
    env = {**env, "TICKFARM_DASHBOARD_PORT": str(port)}
    if not (env.get("TICKFARM_DASHBOARD_TOKEN") or env.get("TICKFARM_DASHBOARD_TOKEN_FILE")):
        env["TICKFARM_DASHBOARD_TOKEN"] = secret(home, DASHBOARD_TOKEN)
    return Process("dashboard", (sys.executable, "-m", "dashboard"), env=env, cwd=CHECKOUT, stop_rank=FLOWER_STOPS)


def _celery(
    name: str, arguments: tuple[str, ...], env: dict[str, str], *, stop_rank: int, nice: int = 0, grace_s: float = 10.0
) -> Process:
    argv = (sys.executable, "-m", "celery", "-A", "tasks", *arguments)
    return Process(name, argv, env=env, cwd=CHECKOUT, nice=nice, stop_rank=stop_rank, grace_s=grace_s)


def _environment(home: Path, sandbox_port: int | None) -> dict[str, str]:
    """Return ours, with `.env` below it (providers' keys are read from the environment) and the farm's own on top."""
    file = Settings.model_config.get("env_file")
    written = dotenv_values(file) if isinstance(file, str | Path) else {}
    env = {name: value for name, value in written.items() if value is not None} | dict(os.environ)
    env["TICKFARM_HOME"] = str(home)
    env["PYTHONUNBUFFERED"] = "1"
    if sandbox_port is not None:
        env["TICKFARM_SANDBOX_URL"] = f"http://{LOOPBACK}:{sandbox_port}"
        ours = sandbox_settings()
        env |= ours
        for name in ours:
            env.pop(f"{name}_FILE", None)
    return env
