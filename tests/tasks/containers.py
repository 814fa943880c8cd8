"""pytest-celery without Docker: our processes in the shape of its containers.

Its nodes ask a container for `status`, `kill(signal=)`, `restart(timeout=)`, `reload`, `logs`, `ready` and `teardown`;
a process group can answer all of that. Deliberately not here: the farm itself (farm.py).
"""

from __future__ import annotations

import signal as signals
from typing import Any

from celery import Celery
from pytest_celery import CeleryTestSetup, CeleryTestWorker

from tests.tasks.farm import LANES, Farm, Running


class ServerContainer:
    """A server that somebody else runs: pytest-celery only wants its address."""

    status = "running"

    def __init__(self, name: str, url: str) -> None:
        self.name = self.id = name
        self.celeryconfig = {"url": url, "host_url": url}

    def ready(self) -> bool:
        return True

    def logs(self) -> str:
        return ""

    def reload(self) -> None:
        """Docker's state is fetched; ours is always at hand."""

    def teardown(self) -> None:
        """Its owner stops it."""


class WorkerContainer:
    """A worker's process group."""

    def __init__(self, farm: Farm, worker: Running) -> None:
        self.farm, self.worker = farm, worker
        self.name, self.id = worker.name, "farm"
        self.celeryconfig: dict[str, Any] = {}

    @property
    def status(self) -> str:
        return "running" if self.worker.child.exit_code() is None else "exited"

    def ready(self) -> bool:
        return " ready." in self.worker.text()

    def logs(self) -> str:
        return self.worker.text()

    def kill(self, signal: str | int = "SIGKILL") -> None:
        number = signals.Signals[signal] if isinstance(signal, str) else signals.Signals(signal)
        if number is signals.SIGKILL:
            self.worker.kill()
        else:
            self.worker.child.send(number)

    def restart(self, timeout: float) -> None:
        """Start it again, without waiting: the farm goes on meanwhile."""
        if self.status == "running":
            self.worker.kill()
        self.farm.restart(self.worker, wait=False)

    def reload(self) -> None:
        """Docker's state is fetched; ours is always at hand."""

    def teardown(self) -> None:
        """The farm ends its processes."""


class FarmWorker(CeleryTestWorker):
    """A worker node over a process."""

    version, log_level = "checkout", "INFO"

    @property
    def worker_name(self) -> str:
        return str(self.container.name)

    @property
    def worker_queue(self) -> str:
        return LANES


class FarmSetup(CeleryTestSetup):
    """pytest-celery's set-up with this project's own Celery settings."""

    @classmethod
    def update_app_config(cls, app: Celery) -> None:
        broker, backend = app.conf.broker_url, app.conf.result_backend
        app.config_from_object("celeryconfig")
        app.conf.update(broker_url=broker, result_backend=backend)
