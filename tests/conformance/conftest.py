"""Fixtures of the grid: the pipeline tests' own settings, and the sandbox with each provider's own limits."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.pipeline.conftest import module_sessions, sandbox_process, settings_of
from tests.sandbox.conftest import SandboxClient, fresh_client

__all__ = ["module_sessions", "sandbox", "sandbox_process", "settings_of"]


@pytest.fixture
def sandbox(sandbox_process: str) -> Iterator[SandboxClient]:
    """Return the sandbox, without faults."""
    with fresh_client(sandbox_process, {}) as client:
        yield client
