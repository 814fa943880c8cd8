"""Both embedded servers together, and `servers.json`, by which every other process finds them.

Deliberately not here: how each one runs (postgres.py, valkey.py). Invariant: `servers.json` (0600) is there only
while they answer; who reads addresses in it that are dead reads the remains of a power cut.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from local.lock import hold
from local.postgres import Postgres
from local.state import make_home, write_private
from local.valkey import Valkey

Which = Literal["postgres", "valkey"]
FILE = "servers.json"


@dataclass(frozen=True, slots=True)
class Urls:
    """Where the servers are; both carry passwords, so neither shows in a repr."""

    database_url: str = field(repr=False)
    redis_url: str = field(repr=False)


class Servers:
    """The embedded servers of one state folder. The caller holds its lock; `sandbox_url` is only made known."""

    def __init__(
        self,
        home: Path,
        *,
        which: Sequence[Which] = ("postgres", "valkey"),
        durable: bool = True,
        sandbox_url: str | None = None,
    ) -> None:
        self._file = make_home(home) / FILE
        self._sandbox_url = sandbox_url
        self.postgres = Postgres(home, durable=durable) if "postgres" in which else None
        self.valkey = Valkey(home, durable=durable) if "valkey" in which else None

    def start(self) -> None:
        """Start them, wait for both, and write their addresses. What started is stopped again if one can't."""
        try:
            for server in self._all():
                server.start()
            self._write_addresses()
        except BaseException:
            self.stop()
            raise

    def revive(self) -> list[str]:
        """Start again what has died, on the same port, and say so; keep the logs within their size."""
        said = []
        for server in self._all():
            server.housekeep()
            code = server.exit_code()
            if code is not None:
                server.start()
                said.append(f"{server.name} had ended ({code}) and was started again")
        if said:
            self._write_addresses()
        return said

    def stop(self) -> None:
        """Remove the addresses, then stop both; stopping twice does nothing."""
        self._file.unlink(missing_ok=True)
        for server in reversed(self._all()):
            server.stop()

    def _all(self) -> list[Postgres | Valkey]:
        return [server for server in (self.postgres, self.valkey) if server is not None]

    def _write_addresses(self) -> None:
        addresses = {}
        if self.postgres:
            addresses["database_url"] = self.postgres.url
        if self.valkey:
            addresses["redis_url"] = self.valkey.url
        if self._sandbox_url:  # or a worker started by hand would mix the real market into the simulated one
            addresses["tickfarm_sandbox_url"] = self._sandbox_url
        if addresses:
            write_private(self._file, json.dumps(addresses, indent=1) + "\n")


@contextmanager
def running(home: Path, *, durable: bool = True) -> Iterator[Urls]:
    """Run both servers alone, without a farm: for tests and benchmarks. Refused while a farm holds the folder."""
    with hold(make_home(home)):
        servers = Servers(home, durable=durable)
        servers.start()
        try:
            assert servers.postgres is not None
            assert servers.valkey is not None
            yield Urls(servers.postgres.url, servers.valkey.url)
        finally:
            servers.stop()
