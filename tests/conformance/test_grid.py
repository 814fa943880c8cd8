"""The conformance grid: each dataset of each provider copied exactly, each of its documented errors met as it must be.

The cells and what they must come to are benchmarks/conformance_play.py's; the sandbox is a process of its own.
"""

from __future__ import annotations

from contextlib import closing

import pytest

from benchmarks.conformance_play import cells, play
from benchmarks.fault_sandbox import SandboxControl
from ingest import providers
from local.farm_processes import sandbox_settings
from tests.pipeline.conftest import context_on

GRID = cells()


@pytest.mark.parametrize("cell", GRID, ids=[cell.name for cell in GRID])
def test_what_is_copied_is_whole_and_exact_and_each_error_is_met_as_documented(
    cell, settings_of, sandbox, module_sessions, monkeypatch
):
    for variable, value in sandbox_settings().items():
        monkeypatch.setenv(variable, value)
    with closing(context_on(module_sessions, settings_of())) as context:  # which empties the tables
        result = play(cell, context, SandboxControl(sandbox.url), lambda: None)
    assert result.wrong == []


@pytest.mark.parametrize("name", providers.names())
def test_the_grid_has_each_dataset_of_each_provider_and_three_of_its_errors(name):
    mine = [cell for cell in GRID if cell.provider == name]
    assert {cell.example.dataset for cell in mine} >= set(providers.get(name).facts.datasets)
    assert len([cell for cell in mine if cell.case is not None]) >= 3
