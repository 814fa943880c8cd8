"""Fixtures of the fault matrix: a sandbox of its own behind a forwarder, a database of the module's, contexts on it.

Invariant: each test starts with a sandbox that is well and limits nobody, and with no job of the ill provider owed;
every scenario has days of its own, so that what another one stored is not seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis

from benchmarks.fault_sandbox import SandboxControl
from benchmarks.fault_table import HEALTHY, ILL, MAX_ANSWER_BYTES, SHORT_WAITS
from benchmarks.forwarder import Forwarder, forwarding
from ingest.pipeline.context import Context
from ingest.settings import Settings
from local.servers import Urls
from tests.faults.in_process import InProcess
from tests.sandbox.conftest import running_sandbox

NOWHERE = "http://ill-provider.invalid"
#: The last of them: tests that take one in turn (tests/conftest.py) come there last.
REDIS_DATABASE = 63

OpenContext = Callable[..., AbstractContextManager[Context]]


@pytest.fixture(scope="module")
def control() -> Iterator[SandboxControl]:
    """Run a sandbox that limits nobody."""
    with running_sandbox() as url, closing(SandboxControl(url)) as sandbox:
        sandbox.no_limits(ILL, weight_per_minute=1_000_000)
        sandbox.no_limits(HEALTHY, requests_per_s=1_000_000, burst=1_000_000)
        yield sandbox


@pytest.fixture(scope="module")
def forwarder(control: SandboxControl) -> Iterator[Forwarder]:
    """Put a forwarder before it, which the ill provider's requests go through."""
    with forwarding(int(control.url.rpartition(":")[2])) as forwarder:
        yield forwarder


@pytest.fixture(scope="module")
def context_at(
    servers: Urls, module_database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OpenContext]:
    """Return what opens a context whose providers are at an address."""
    redis_url = f"{servers.redis_url.rpartition('/')[0]}/{REDIS_DATABASE}"
    archive: Path = tmp_path_factory.mktemp("faults") / "archive"

    @contextmanager
    def open_at(url: str, **changes: Any) -> Iterator[Context]:
        settings = Settings(
            **{
                "database_url": module_database_url,
                "redis_url": redis_url,
                "tickfarm_sandbox_url": url,
                "tickfarm_archive_dir": archive,
                "tickfarm_pace": False,
                "tickfarm_max_answer_bytes": MAX_ANSWER_BYTES,
                "tickfarm_providers": {ILL: SHORT_WAITS},
            }
            | changes
        )
        with closing(Context(settings, name="test faults")) as context:
            yield context

    with closing(redis.Redis.from_url(redis_url)) as client:
        client.flushdb()
        yield open_at
        client.flushdb()


@pytest.fixture(params=["auto"])
def ground(
    request: pytest.FixtureRequest, context_at: OpenContext, control: SandboxControl, forwarder: Forwarder
) -> Iterator[InProcess]:
    """Return where a scenario is played."""
    control.clear()
    by = {"tickfarm_transport": request.param}
    at = f"http://127.0.0.1:{forwarder.port}"
    with context_at(at, **by) as ill, context_at(NOWHERE, **by) as nameless:
        made = InProcess(ill, nameless, forwarder, control)
        yield made
        made.leave_nothing_owed()
