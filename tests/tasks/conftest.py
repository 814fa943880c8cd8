"""Farms for tests: one of the test's own (`farm`), one a module shares (`module_farm`), and pytest-celery's fixtures.

Deliberately not here: what a farm is (farm.py). Invariant: each farm has an empty database and an empty Redis.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from pytest_celery import (
    CeleryBackendCluster,
    CeleryBrokerCluster,
    CeleryTestBackend,
    CeleryTestBroker,
    CeleryWorkerCluster,
)

from local.state import make_home
from local.valkey import Valkey
from tests.conftest import temporary_home
from tests.sandbox.conftest import STANDARD_LIMITS, SandboxClient, start_sandbox
from tests.tasks.containers import FarmSetup, FarmWorker, ServerContainer, WorkerContainer
from tests.tasks.farm import Farm, close_client, running_farm

#: Restarts forget what was spent, and tests share a sandbox: its own limit must not be what they wait for.
GENEROUS = {"weight_per_minute": 1_000_000}
_farms: list[Farm] = []
#: of the farm that ended last: a module's farm is gone when its last test's clean-up has failed
_last_words = [""]
_databases = itertools.count(1)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Put the ends of the farm's logs under a failure."""
    report = (yield).get_result()
    if report.failed:
        report.sections += [("farm", f"{farm!r}\n{farm.logs()}") for farm in _farms]
        if not _farms:
            report.sections.append(("the farm that ended last", _last_words[0]))


@pytest.fixture(scope="session")
def farm_valkey() -> Iterator[str]:
    """Run a Valkey for the farms of this folder; each takes a database of it. Returns the address without one."""
    with temporary_home() as folder:
        server = Valkey(make_home(folder), durable=False)
        server.start()
        try:
            yield server.url.rpartition("/")[0]
        finally:
            server.stop()


@pytest.fixture(scope="session")
def farm_sandbox() -> Iterator[SandboxClient]:
    process, url = start_sandbox("--port", "0")
    with process:
        client = SandboxClient(url)
        yield client
        client.pool.clear()
        process.terminate()
        assert process.wait(10) == 0


def reset(sandbox: SandboxClient) -> SandboxClient:
    """Clear faults, counters and what was spent."""
    sandbox.control("DELETE", "faults")
    sandbox.control("DELETE", "requests")
    for provider, limits in STANDARD_LIMITS.items():
        generous = {**limits, **GENEROUS} if provider == "binance" else limits
        sandbox.control("POST", "limits", {"provider": provider, "limits": generous})
    return sandbox


@pytest.fixture
def sandbox(farm_sandbox: SandboxClient) -> SandboxClient:
    """Return the sandbox, without faults and with nothing spent."""
    return reset(farm_sandbox)


@contextmanager
def noted(made: Iterator[Farm] | object) -> Iterator[Farm]:
    """Remember a farm while it runs, so that a failure shows its logs."""
    with made as farm:  # type: ignore[attr-defined]
        _farms.append(farm)
        try:
            yield farm
        finally:
            _farms.remove(farm)
            _last_words[0] = farm.logs()


@pytest.fixture
def farm(database_url: str, farm_valkey: str, sandbox: SandboxClient) -> Iterator[Farm]:
    """Return a farm of the test's own, without processes yet."""
    with noted(running_farm(database_url, f"{farm_valkey}/{next(_databases)}", sandbox)) as made:
        yield made


@pytest.fixture(scope="module")
def module_farm(module_database_url: str, farm_valkey: str, farm_sandbox: SandboxClient) -> Iterator[Farm]:
    """Return a farm that the tests of one module share, with one worker and a beat."""
    made = running_farm(module_database_url, f"{farm_valkey}/{next(_databases)}", farm_sandbox)
    with noted(made) as farm:
        farm.beat()
        farm.worker()
        yield farm


@pytest.fixture
def shared_farm(module_farm: Farm, sandbox: SandboxClient) -> Farm:
    """Return the module's farm, with the sandbox as it was at first."""
    return module_farm


@pytest.fixture
def celery_setup_cls() -> type[FarmSetup]:
    return FarmSetup


@pytest.fixture
def celery_broker_cluster(farm: Farm) -> CeleryBrokerCluster:
    return CeleryBrokerCluster(CeleryTestBroker(ServerContainer("broker", farm.redis_url)))


@pytest.fixture
def celery_backend_cluster(farm: Farm) -> CeleryBackendCluster:
    return CeleryBackendCluster(CeleryTestBackend(ServerContainer("backend", farm.redis_url)))


@pytest.fixture
def celery_worker_cluster(farm: Farm) -> CeleryWorkerCluster:
    """Two workers: while one is dead, work goes on."""
    started = [farm.start_worker(name) for name in ("one", "two")]
    for worker in started:
        worker.says(" ready.")
    return CeleryWorkerCluster(*(FarmWorker(WorkerContainer(farm, worker), None) for worker in started))


@pytest.fixture
def celery_setup_app(celery_setup_cls, celery_setup_config, celery_setup_name) -> Iterator[object]:
    app = celery_setup_cls.create_setup_app(celery_setup_config, celery_setup_name)
    yield app
    close_client(app)
