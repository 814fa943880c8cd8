"""Open pages hear of changes: by one stream a tab, from one look at the farm for all tabs."""

from __future__ import annotations

import time
from typing import Any

import httpx
import pytest
from playwright.sync_api import expect

from ingest.pipeline.audit import By, write_down
from tests.waiting import until

#: a look every 1.5 s and a request, on a machine that other tests share
HEARD_WITHIN_MS = 8_000


def act(served, subject: str) -> None:
    """Let somebody do something."""
    with served.context.sessions.begin() as session:
        write_down(session, By("ada", "command"), f"breaker close {subject}", subject)


def test_a_change_reaches_an_open_page_by_itself(page, served, changes):
    page.goto("/audit")
    until(lambda: changes.looks > 0, within_s=15)
    act(served, "kraken")
    expect(page.get_by_text("breaker close kraken")).to_be_visible(timeout=HEARD_WITHIN_MS)
    act(served, "binance")
    expect(page.get_by_text("breaker close binance")).to_be_visible(timeout=HEARD_WITHIN_MS)


@pytest.mark.parametrize("late", ["htmx", "hx-sse"])
def test_a_page_is_live_whichever_of_its_scripts_comes_late(page, served, changes, late):
    def hold(route):
        time.sleep(0.5)
        route.continue_()

    page.route(f"**/{late}-*.js", hold)
    page.goto("/audit")
    until(lambda: len(changes.listeners) == 1, within_s=15)


def test_two_tabs_cost_one_look_and_after_the_last_nobody_looks(page, served, changes):
    page.goto("/audit")
    other = page.context.new_page()
    other.goto("/audit")
    until(lambda: len(changes.listeners) == 2, within_s=15)
    before, began = changes.looks, time.monotonic()
    until(lambda: changes.looks >= before + 2, within_s=10)
    assert time.monotonic() - began > 1.5, "two looks came sooner than one poller makes them"
    act(served, "coinbase")
    for tab in (page, other):
        tab.bring_to_front()
        expect(tab.get_by_text("breaker close coinbase")).to_be_visible(timeout=HEARD_WITHIN_MS)
    other.close()
    until(lambda: len(changes.listeners) == 1, within_s=15)
    assert changes.is_looking
    page.goto("about:blank")
    until(lambda: not changes.is_looking, within_s=15)


def test_who_comes_back_is_told_of_all_it_may_have_missed(served):
    asked = {"topics": ["data", "audit"]}
    with httpx.stream("GET", f"{served.url}/events", params=asked, headers={"Last-Event-ID": "1"}) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        lines = stream.iter_lines()
        events = [line for line in (next(lines) for _ in range(12)) if line.startswith("event:")]
    assert events == ["event: here", "event: audit", "event: data"]


@pytest.mark.parametrize("query", ["", "topics=", "topics=nothing", "topics=data%0aevent:+x", "topics=data'--"])
def test_a_topic_that_is_none_is_refused(client, query):
    assert client.get(f"/events?{query}").status_code == 422


@pytest.fixture
def changes(served) -> Any:
    """Return the module's look at the farm, at rest."""
    found = served.changes
    until(lambda: not found.is_looking, within_s=15)
    found.looks = 0
    return found
