"""A dashboard that really listens, over an own database; a client of it, and a real browser.

Invariant: a module's pages share one server and one database, which the module fills itself.
"""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import redis
import uvicorn
from playwright.sync_api import Browser, Page, sync_playwright

from dashboard.app import create_app
from dashboard.live import Changes
from ingest.pipeline.context import Context
from ingest.settings import Settings
from local.servers import Urls
from tests.dashboard.filled import filled, value  # noqa: F401 (fixtures)

TOKEN = "a-token-of-the-tests"
CHROMIUM = shutil.which("chromium")
#: without these it looks for hosts that are not ours
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@dataclass(frozen=True, slots=True)
class Served:
    """A dashboard at `url`, the context it works with, and what it tells open pages from."""

    url: str
    context: Context
    changes: Changes


@contextmanager
def serving(config: Settings) -> Iterator[Served]:
    """Run a dashboard in a thread while the block runs."""
    app = create_app(config)
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None, timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive(), "the dashboard did not start"
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield Served(f"http://127.0.0.1:{port}", app.state.context, app.state.changes)
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def config(module_database_url: str, servers: Urls) -> Iterator[Settings]:
    """Return the settings of a module's dashboard, which takes writes; its Redis is emptied first."""
    url = f"{servers.redis_url.rpartition('/')[0]}/63"
    with redis.Redis.from_url(url) as client:
        client.flushdb()
    return Settings(database_url=module_database_url, redis_url=url, tickfarm_dashboard_token=TOKEN)


@pytest.fixture(scope="module")
def served(config: Settings) -> Iterator[Served]:
    """Return a module's dashboard."""
    with serving(config) as found:
        yield found


@pytest.fixture(scope="module")
def client(served: Served) -> Iterator[httpx.Client]:
    """Return a client that knows no token."""
    with httpx.Client(base_url=served.url) as found:
        yield found


@pytest.fixture(scope="module")
def writer(served: Served) -> Iterator[httpx.Client]:
    """Return a client that knows the token."""
    with httpx.Client(base_url=served.url, headers={"Authorization": f"Bearer {TOKEN}"}) as found:
        yield found


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Return a real Chromium. A module's only: while playwright runs, no other event loop can in this thread."""
    if CHROMIUM is None:
        assert "CI" not in os.environ, "CI must have a browser: .ci/packages installs it"
        pytest.skip("no chromium here: `.ci/packages` installs it")
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield found
        found.close()


@pytest.fixture
def page(browser: Browser, served: Served) -> Iterator[Page]:
    """Return an empty page of somebody who has not signed in; an error in its scripts fails the test."""
    errors: list[Any] = []
    with browser.new_context(base_url=served.url) as visit:
        found = visit.new_page()
        found.set_default_timeout(10_000)
        found.on("pageerror", lambda error: errors.append(error))  # noqa: PLW0108 (playwright marks what it calls)
        yield found
    assert errors == []


@pytest.fixture
def signed_in(page: Page) -> Page:
    """Return a page of somebody who signed in as `ada`."""
    page.goto("/sign-in")
    page.get_by_label("Your name").fill("ada")
    page.get_by_label("Token").fill(TOKEN)
    page.get_by_role("button", name="Sign in").click()
    return page
