"""Start a farm on this machine in order, and stop it in order: servers, schema, processes.

Deliberately not here: what is shown meanwhile (cli.py). Invariant: whatever happens in between (Ctrl-C, SIGTERM, a
failed migration), everything that was started is stopped, workers first, databases last.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from ingest.pipeline.gaps_lookback import check_lookback
from ingest.pipeline.terms import check_settings
from ingest.settings import Settings, read_settings, settings
from local.farm_processes import DASHBOARD_TOKEN, farm_processes
from local.lock import hold
from local.port import LOOPBACK, free_port, require_free
from local.processes import Supervisor
from local.servers import FILE, Servers, Urls, Which
from local.state import make_home
from models import migrate

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, slots=True)
class Farm:
    """A running farm. Its owner calls `poll` about twice a second, and shows what that returns."""

    home: Path
    urls: Urls
    flower_url: str
    flower_password_file: Path
    dashboard_url: str
    #: None: the settings have a token of their own
    dashboard_token_file: Path | None
    sandbox_url: str | None
    servers: Servers
    supervisor: Supervisor
    lanes: tuple[str, ...]

    def poll(self) -> list[str]:
        """Start again what has died; return a sentence for each thing that happened."""
        return self.servers.revive() + self.supervisor.poll()


@contextmanager
def farm(home: Path, *, sandbox: bool = False, until_exit: bool = False) -> Iterator[Farm]:
    """Run the farm while the block runs. Raises `Refused` (one line for the user, exit 1) if it can't start here.

    Embedded servers are started unless DATABASE_URL or REDIS_URL is set. Ctrl-C, SIGTERM and SIGHUP end the block with
    KeyboardInterrupt, at once the second time. `until_exit`: the folder is held until this process ends (lock.py).
    """
    with ExitStack() as stack:
        stop = stack.enter_context(_stop_signals())
        stack.enter_context(hold(make_home(home), until_exit=until_exit))
        (home / FILE).unlink(missing_ok=True)  # left by a farm that was killed: its addresses are dead
        config = read_settings()
        check_settings(config)
        flower_port, dashboard_port, sandbox_port = _ports(config, sandbox=sandbox)
        servers = _servers(home, config, sandbox_port)
        stack.callback(servers.stop)
        stack.callback(stop.begin)
        servers.start()
        settings.cache_clear()
        urls = _urls(config, servers)
        migrate.upgrade(urls.database_url)
        check_lookback(config, urls.database_url)
        from celeryconfig import LANES  # noqa: PLC0415 (it reads the addresses, which are known only now)

        ports = {"flower_port": flower_port, "dashboard_port": dashboard_port}
        supervisor = Supervisor(home, farm_processes(home, LANES, **ports, sandbox_port=sandbox_port))
        stack.callback(supervisor.stop, hurry=lambda: stop.asked > 1)
        supervisor.start()
        stack.callback(stop.begin)
        yield Farm(
            home=home,
            urls=urls,
            flower_url=f"http://{LOOPBACK}:{flower_port}",
            flower_password_file=home / "secrets" / "flower_password",
            dashboard_url=f"http://{LOOPBACK}:{dashboard_port}",
            dashboard_token_file=_token_file(home, config),
            sandbox_url=None if sandbox_port is None else f"http://{LOOPBACK}:{sandbox_port}",
            servers=servers,
            supervisor=supervisor,
            lanes=LANES,
        )


class _Stop:
    """Counts the requests to stop. Only the first interrupts: a second must not cut the stopping short half-way."""

    def __init__(self) -> None:
        self.asked = 0

    def begin(self) -> None:
        """Stopping has begun, by itself or because it was asked for."""
        self.asked = max(self.asked, 1)

    def __call__(self, _number: int, _frame: FrameType | None) -> None:
        self.asked += 1
        if self.asked == 1:
            raise KeyboardInterrupt


@contextmanager
def _stop_signals() -> Iterator[_Stop]:
    stop = _Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.signal(number, stop) for number in STOP_SIGNALS}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _ports(config: Settings, *, sandbox: bool) -> tuple[int, int, int | None]:
    """Return Flower's, the dashboard's and the sandbox's port, or refuse before anything starts."""
    wanted: Mapping[str, int] = {
        "TICKFARM_FLOWER_PORT": config.tickfarm_flower_port,
        "TICKFARM_DASHBOARD_PORT": config.tickfarm_dashboard_port,
    } | ({"TICKFARM_SANDBOX_PORT": config.tickfarm_sandbox_port} if sandbox else {})
    require_free(wanted)
    chosen = {setting: port or free_port() for setting, port in wanted.items()}
    return (
        chosen["TICKFARM_FLOWER_PORT"],
        chosen["TICKFARM_DASHBOARD_PORT"],
        chosen.get("TICKFARM_SANDBOX_PORT"),
    )


def _token_file(home: Path, config: Settings) -> Path | None:
    return None if config.tickfarm_dashboard_token else home / "secrets" / DASHBOARD_TOKEN


def _servers(home: Path, config: Settings, sandbox_port: int | None) -> Servers:
    sandbox_url = None if sandbox_port is None else f"http://{LOOPBACK}:{sandbox_port}"
    return Servers(home, which=_missing(config), sandbox_url=sandbox_url)


def _missing(config: Settings) -> list[Which]:
    which: list[Which] = []
    if config.database_url is None:
        which.append("postgres")
    if config.redis_url is None:
        which.append("valkey")
    return which


def _urls(config: Settings, servers: Servers) -> Urls:
    database = config.database_url.get_secret_value() if config.database_url is not None else None
    broker = config.redis_url.get_secret_value() if config.redis_url is not None else None
    return Urls(
        database_url=database or (servers.postgres.url if servers.postgres else ""),
        redis_url=broker or (servers.valkey.url if servers.valkey else ""),
    )
