"""A provider that can't be asked up to now is asked as near as it can be, wherever a window has no end of its own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ingest.pipeline.context import Context
from tests.emptying import empty
from tests.pipeline.farm import opened


@pytest.fixture
def farm(settings_of, module_database_url, sandbox, monkeypatch):
    monkeypatch.setenv("X_BEARER_TOKEN", "sandbox-key")
    empty(module_database_url)
    settings = settings_of(tickfarm_providers={"x": {"limits": "450/15m, 100000 weight/30d"}})
    with opened(Context(settings, name="test pipeline"), sandbox) as farm:
        yield farm


def test_a_window_without_an_end_is_answered_at_once_by_a_provider_that_refuses_the_last_seconds(farm):
    start = datetime.now(UTC) - timedelta(hours=2)
    farm.owe("x", {"dataset": "posts", "instruments": ["BTC"], "start": start.isoformat()})
    [outcome] = farm.run()
    assert (outcome.state, outcome.failed, farm.states(), farm.findings()) == ("fetched", 0, ["done"], [])
    assert farm.value("SELECT count(*) FROM posts") > 50
    assert farm.value("SELECT bool_and(instruments = '{BTC,ETH}') FROM posts") is True
