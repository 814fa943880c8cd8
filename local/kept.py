"""A farm in a process's care: started from Python, watched by a thread, stopped with the process at the latest.

Deliberately not here: what a farm is and the order of its start and end (start.py). Invariant: whoever asked for the
start gets its error, and no child outlives the process that keeps them.
"""

from __future__ import annotations

import atexit
from pathlib import Path
from threading import Event, Thread

from redis import Redis
from redis.exceptions import RedisError

from ingest.errors import TryAgain
from ingest.pipeline.context import open_redis
from ingest.pipeline.workers import processes_by_lane
from local.start import Farm, farm

#: A first start makes a database and loads four workers on a slow machine; it takes 10 s on a fast one.
START_S = 180.0
_LOOK_EVERY_S = 0.5


class KeptFarm:
    """One farm of this machine. It is started in a thread of its own, because it must be looked after all the time."""

    def __init__(self, home: Path, *, sandbox: bool) -> None:
        self._home, self._sandbox = home, sandbox
        self._ready, self._stopping = Event(), Event()
        self._error: BaseException | None = None
        self._thread = Thread(target=self._run, name="farm-keeper", daemon=True)

    def start(self, timeout_s: float = START_S) -> None:
        """Start it, and return once every lane is served. Raises `Refused` where it can't start here."""
        atexit.register(self.stop)
        self._thread.start()
        self._ready.wait(timeout_s)
        if self._error is not None:
            self.stop()
            raise self._error
        if not self._ready.is_set():
            self.stop()
            raise TryAgain(f"the farm was not ready within {timeout_s:g} s; its logs are in {self._home / 'logs'}")

    def stop(self) -> None:
        """Stop it, and wait until everything has ended: workers finish what they do. Stopping twice does nothing."""
        atexit.unregister(self.stop)
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    @property
    def is_running(self) -> bool:
        """Say whether it is there."""
        return self._thread.is_alive() and not self._stopping.is_set()

    def _run(self) -> None:
        try:
            with farm(self._home, sandbox=self._sandbox) as running:
                self._stay(running)
        except BaseException as error:  # noqa: BLE001 - it is raised where the farm was asked for
            self._error = error
        finally:
            self._ready.set()

    def _stay(self, running: Farm) -> None:
        redis = open_redis(running.urls.redis_url)
        try:
            while not self._stopping.is_set():
                running.poll()
                if not self._ready.is_set() and _is_served(running, redis):
                    self._ready.set()
                self._stopping.wait(_LOOK_EVERY_S)
        finally:
            redis.close()


def _is_served(running: Farm, redis: Redis) -> bool:
    """Say whether each lane has a worker. A server that is still starting has none."""
    try:
        served = processes_by_lane(redis)
    except RedisError:
        return False
    return all(served[lane] for lane in running.lanes)
