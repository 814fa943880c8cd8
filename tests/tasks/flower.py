"""Flower beside a test's farm, and a small client for its API."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import urllib3

from local.port import LOOPBACK, free_port
from tests.tasks.farm import Farm
from tests.waiting import until

USER, PASSWORD = "tickfarm", "flower-password-of-a-test"


class FlowerApi:
    """Asks Flower's API with the password, or without."""

    def __init__(self, port: int) -> None:
        self._url = f"http://{LOOPBACK}:{port}"
        self._headers = urllib3.make_headers(basic_auth=f"{USER}:{PASSWORD}")
        self.pool = urllib3.PoolManager(retries=False, timeout=30)

    def status(self, path: str, *, password: bool = True) -> int:
        """Return the answer's status, 0 where nobody listens."""
        try:
            return self.pool.request("GET", self._url + path, headers=self._headers if password else {}).status
        except urllib3.exceptions.HTTPError:
            return 0

    def read(self, path: str) -> Any:
        """Return the JSON of a 200, an empty object for anything else."""
        answer = self.pool.request("GET", self._url + path, headers=self._headers)
        return json.loads(answer.data) if answer.status == 200 else {}

    def text(self, path: str) -> str:
        """Return a page as it is."""
        return self.pool.request("GET", self._url + path, headers=self._headers).data.decode()

    def press(self, path: str, *, password: bool = True) -> tuple[int, str]:
        """Do what a button does; return the answer's status and text."""
        answer = self.pool.request("POST", self._url + path, headers=self._headers if password else {})
        return answer.status, answer.data.decode()

    def send(self, path: str, body: Any) -> Any:
        """Post a JSON body; return the answer's JSON. Raises AssertionError for anything but a 200."""
        answer = self.pool.request("POST", self._url + path, headers=self._headers, json=body, timeout=90)
        assert answer.status == 200, (answer.status, answer.data[:300])
        return json.loads(answer.data)


@contextmanager
def flower(farm: Farm) -> Iterator[FlowerApi]:
    """Start `celery -A tasks flower` and yield its API; stop it at the end."""
    port = free_port()
    env = {"FLOWER_BASIC_AUTH": f"{USER}:{PASSWORD}"}
    process = farm.start("flower", "flower", f"--address={LOOPBACK}", f"--port={port}", **env)
    api = FlowerApi(port)
    try:
        until(lambda: api.status("/healthcheck") == 200, within_s=60, what="Flower to listen")
        yield api
    finally:
        process.kill()
        api.pool.clear()
