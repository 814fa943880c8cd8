"""The page of workers against real ones: a lane is scaled, a worker drained, put back and ended, by the page's buttons.

Deliberately not here: the same by command (test_scaling.py), how the page looks (tests/dashboard). Invariant: every
press sends what the form on the page holds.
"""

from __future__ import annotations

import sys
from html.parser import HTMLParser

import httpx
import pytest

from ingest.pipeline.workers import live_workers
from ingest.settings import CHECKOUT
from local.child import spawn
from local.port import LOOPBACK, free_port
from tests.tasks.load import PAIRS, bars_job, owe
from tests.waiting import until

TOKEN = "a-token-of-the-tests"


class _Forms(HTMLParser):
    """The forms of a page: address, words of its button, fields."""

    def __init__(self):
        super().__init__()
        self.found, self._form, self._in_button = [], None, False

    def handle_starttag(self, tag, attrs):
        said = dict(attrs)
        if tag == "form":
            self._form = [said.get("action"), "", {}]
            self.found.append(self._form)
        elif tag == "input" and self._form is not None and said.get("name"):
            self._form[2][said["name"]] = said.get("value", "")
        self._in_button = tag == "button"

    def handle_data(self, words):
        if self._in_button and self._form is not None:
            self._form[1] += words

    def handle_endtag(self, tag):
        self._in_button = False


@pytest.fixture
def page(farm):
    """Return a client, which knows the token, of a dashboard in a process of its own beside the farm's workers."""
    port = free_port()
    env = {**farm.env, "TICKFARM_DASHBOARD_PORT": str(port), "TICKFARM_DASHBOARD_TOKEN": TOKEN}
    log = farm.folder / "logs" / "dashboard.log"
    child = spawn((sys.executable, "-m", "dashboard"), log=log, env=env, cwd=CHECKOUT)
    known = {"Authorization": f"Bearer {TOKEN}"}
    with httpx.Client(base_url=f"http://{LOOPBACK}:{port}", headers=known, timeout=30) as client:
        try:
            until(lambda: _is_up(client), within_s=60, what="the dashboard to listen")
            yield client
        finally:
            child.kill_group()


def _is_up(client):
    try:
        return client.get("/livez").status_code == 200
    except httpx.TransportError:
        return False


def press(page, words, **changed):
    """Press a button of the page of workers, and the one that asks back, if there is one."""
    answer = page.get("/queues")
    for _ in range(2):
        forms = _Forms()
        forms.feed(answer.text)
        [(action, _, fields)] = [form for form in forms.found if form[1] == words]
        answer = page.post(action, data={**fields, **changed})
        if answer.status_code == 303:
            return
        assert answer.status_code == 200, answer.text
        words = f"{words} one@farm"
    raise AssertionError(f"{words} did nothing: {answer.text}")


def one(farm):
    return next(worker for worker in live_workers(farm.context.redis) if worker.name == "one@farm")


def test_a_lane_is_scaled_drained_put_back_and_its_worker_ended_from_the_page(farm, page):
    worker = farm.worker("one", queues="live.load,live", processes=1)
    farm.beat()
    press(page, "Scale live", children="3")
    until(lambda: len(worker.children()) == 3, within_s=30, what="two more children")
    press(page, "Drain")
    until(lambda: one(farm).draining, within_s=10, what="the worker to drain")
    refused = page.post("/queues/stop", data={"worker": "nobody@farm", "sure": "yes"})
    assert refused.status_code == 400
    owe(farm, bars_job("waits", PAIRS[0], lane="live"))
    owed_at = farm.now()
    farm.wait_for("SELECT clock_timestamp() > :at + interval '3 s'", at=owed_at)
    assert farm.value("SELECT count(*) FROM jobs WHERE started_at IS NOT NULL OR state = 'done'") == 0
    press(page, "Resume")
    farm.wait_for("SELECT count(*) = 1 FROM jobs WHERE key = 'waits' AND state = 'done'")
    until(lambda: not one(farm).draining, within_s=10, what="the worker to say that it serves")
    assert page.post("/queues/stop", data={"worker": "one@farm", "sure": "yes"}).status_code == 409
    press(page, "Drain")
    until(lambda: one(farm).draining and not one(farm).held, within_s=10, what="the worker to be drained")
    press(page, "Stop")
    until(lambda: worker.child.exit_code() == 0, within_s=30, what="the worker to leave")
    assert [row.act for row in farm.rows("SELECT act FROM audit ORDER BY id")] == [
        "workers scale live 3",
        "workers drain one@farm",
        "workers resume one@farm",
        "workers drain one@farm",
        "workers drain one@farm --stop",
    ]
