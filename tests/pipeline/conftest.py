"""Fixtures of the pipeline's tests: one sandbox process, a database a module shares, an empty farm for each test.

Invariant: each test starts with empty tables, an empty Redis, an archive of its own, and a sandbox without faults.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.orm import Session, sessionmaker

from ingest.pipeline import jobs
from ingest.pipeline.context import Context
from ingest.settings import Settings
from models import open_engine
from tests.emptying import EVERY_ROW
from tests.pipeline.farm import Farm, new_job, opened
from tests.sandbox.conftest import SandboxClient, fresh_client, running_sandbox

#: Far above what a test sends; the pace and the limits have tests of their own.
NO_LIMITS = {
    "binance": {"weight_per_minute": 1_000_000},
    "nasdaq_data_link": {"keyed_per_10_s": 1_000_000, "keyed_per_10_minutes": 1_000_000},
}


@pytest.fixture(scope="session")
def sandbox_process() -> Iterator[str]:
    """Run the pipeline tests' own sandbox and return its address."""
    with running_sandbox() as url:
        yield url


@pytest.fixture
def sandbox(sandbox_process: str) -> Iterator[SandboxClient]:
    """Return a client of the sandbox, which has no faults and limits nobody."""
    with fresh_client(sandbox_process, NO_LIMITS) as client:
        yield client


@pytest.fixture(scope="module")
def module_sessions(module_database_url: str) -> Iterator[sessionmaker[Session]]:
    """Return the sessions of a module's farms: with an engine each, each would compile all its statements anew."""
    engine = open_engine(module_database_url, application_name="test pipeline")
    yield sessionmaker(engine, expire_on_commit=False)
    engine.dispose()


@pytest.fixture
def settings_of(
    module_database_url: str, redis_url: str, sandbox: SandboxClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Settings]:
    """Return what makes settings that point at this test's servers."""
    monkeypatch.setenv("NASDAQ_DATA_LINK_API_KEY", "sandbox-key")

    def make(**changes: Any) -> Settings:
        return Settings(
            **{
                "database_url": module_database_url,
                "redis_url": redis_url,
                "tickfarm_sandbox_url": sandbox.url,
                "tickfarm_archive_dir": tmp_path / "archive",
                "tickfarm_pace": False,
                "tickfarm_connections": 8,
                "tickfarm_fetch_deadline_s": 10,
            }
            | changes
        )

    return make


def context_on(sessions: sessionmaker[Session], settings: Settings) -> Context:
    """Return a context that works with these sessions, of whose database every table is emptied."""
    with sessions.begin() as session:
        session.connection().exec_driver_sql(EVERY_ROW)
    context = Context(settings, name="test pipeline")
    vars(context)["sessions"] = sessions  # what it would open itself, opened already
    return context


@pytest.fixture
def farm(
    settings_of: Callable[..., Settings], module_sessions: sessionmaker[Session], sandbox: SandboxClient
) -> Iterator[Farm]:
    """Return an empty farm."""
    with opened(context_on(module_sessions, settings_of()), sandbox) as farm:
        yield farm


@pytest.fixture(params=["curl", "requests"])
def farm_on_each_transport(
    request: pytest.FixtureRequest,
    settings_of: Callable[..., Settings],
    module_sessions: sessionmaker[Session],
    sandbox: SandboxClient,
) -> Iterator[Farm]:
    """Return an empty farm, once on each transport."""
    settings = settings_of(tickfarm_transport=request.param)
    with opened(context_on(module_sessions, settings), sandbox) as farm:
        yield farm


@pytest.fixture
def step(farm: Farm) -> Callable[..., Any]:
    """Return what runs one transition in a transaction of its own."""

    def run(transition: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        with farm.context.sessions.begin() as session:
            return transition(session, *args, **kwargs)

    return run


@pytest.fixture
def owe(farm: Farm, step: Callable[..., Any]) -> Callable[..., int]:
    """Return what owes a job that does nothing and returns its id."""

    def insert(**changes: Any) -> int:
        job = new_job(**changes)
        step(jobs.insert_jobs, [job])
        return int(farm.value("SELECT id FROM jobs WHERE key = :key", key=job.key))

    return insert
