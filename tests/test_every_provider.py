"""What a provider needs outside its own file, held against each file in ingest/providers, and the reverse.

Deliberately not here: its facts, payloads and parser (tests/providers), its key (test_env_example.py).
"""

from __future__ import annotations

import re
from importlib import import_module

import pytest

from ingest import providers
from ingest.market.intervals import INTERVALS
from ingest.settings import CHECKOUT
from local.farm_processes import SANDBOX_KEY, sandbox_settings
from sandbox.contract import Dialect
from tasks import app

TESTS = CHECKOUT / "tests"
each = pytest.mark.parametrize("name", providers.names())


def stems(folder, pattern="*.py"):
    return {path.stem for path in folder.glob(pattern) if not path.name.startswith("_")}


@each
def test_a_provider_has_a_task_of_its_name(name):
    app.loader.import_default_modules()
    assert f"tasks.fetch.{name}" in app.tasks


def test_no_fetch_task_is_left_of_a_provider_that_is_gone():
    app.loader.import_default_modules()
    tasks = {name.removeprefix("tasks.fetch.") for name in app.tasks if name.startswith("tasks.fetch.")}
    assert tasks == {*providers.names(), *providers.aliases()}


def test_a_name_that_people_know_it_by_is_nobody_elses():
    known = [alias for name in providers.names() for alias in providers.get(name).facts.aliases]
    assert len(set(known)) == len(known)
    assert not set(known) & set(providers.names())


@each
def test_a_provider_has_a_dialect_in_the_sandbox_with_tests_and_knows_what_a_whole_copy_holds(name):
    dialect = import_module(f"sandbox.dialects.{name}").open_dialect(7)
    assert isinstance(dialect.truth(), dict)
    assert dialect.limits
    assert all(hasattr(dialect, part) for part in Dialect.__annotations__)
    assert (TESTS / "sandbox" / f"test_{name}.py").exists()


@each
def test_a_provider_has_tests_of_its_own_and_documented_answers_to_hold_its_parser_against(name):
    assert (TESTS / "providers" / f"test_{name}.py").exists()
    folder = TESTS / "payloads" / name
    source = (folder / "SOURCE.md").read_text()
    for payload in folder.glob("*.json"):
        assert payload.name in source, f"SOURCE.md says where {payload.name} comes from"


def test_no_dialect_and_no_payload_is_left_of_a_provider_that_is_gone():
    assert stems(CHECKOUT / "sandbox" / "dialects") == set(providers.names())
    assert {path.name for path in (TESTS / "payloads").iterdir()} == set(providers.names())


@each
def test_a_providers_limits_say_where_they_were_read_and_when(name):
    for limit in providers.get(name).facts.limits:
        assert limit.source.startswith("https://")
        assert re.search(r", (\d{4}-\d\d-\d\d|\w+ 20\d\d)$", limit.source), f"ends with a date: {limit.source}"


@each
def test_a_provider_with_bars_has_intervals_that_exist_and_one_without_has_none(name):
    facts = providers.get(name).facts
    assert set(facts.intervals) <= set(INTERVALS)
    assert bool(facts.intervals) == ("bars" in facts.datasets)


@each
def test_a_provider_that_needs_a_key_says_where_to_get_one_and_the_demo_has_a_stand_in(name):
    from_where = providers.get(name).facts.key
    if from_where is None:
        return
    assert "https://" in from_where.where_to_get
    assert sandbox_settings()[from_where.env] == SANDBOX_KEY
    assert f"#{from_where.env}=" in (CHECKOUT / ".env.example").read_text()


@each
def test_a_provider_is_named_to_people_in_the_changelog(name):
    assert providers.get(name).facts.title in (CHECKOUT / "CHANGELOG.md").read_text()
