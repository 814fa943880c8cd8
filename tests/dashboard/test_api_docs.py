"""The commands of docs/api.md are run, as they stand there, against a dashboard with rows."""

from __future__ import annotations

import subprocess

import pytest

from ingest.settings import CHECKOUT
from tests.documents import command_lines, words
from tests.stored_rows import add_series, keep, rows_of

PAGE = CHECKOUT / "docs" / "api.md"
CALLS = [line for line in command_lines(PAGE) if words(line)[0] == "curl"]


@pytest.fixture(scope="module", autouse=True)
def stored(served):
    """An hour's bars and some trades."""
    sessions = served.context.sessions
    keep(sessions, "bars", add_series(sessions, interval="1h"), rows_of("bars", 4))
    keep(sessions, "trades", add_series(sessions, dataset="trades"), rows_of("trades", 4))


@pytest.mark.parametrize("line", CALLS)
def test_a_call_on_the_page_is_answered(served, line):
    asked = [word.replace("http://127.0.0.1:8000", served.url) for word in words(line)]
    done = subprocess.run(asked, capture_output=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout


def test_every_resource_stands_on_the_page(client):
    said = PAGE.read_text()
    for path in client.get("/v1/openapi.json", timeout=60).json()["paths"]:
        assert path.removeprefix("/v1/").replace("{job_id}", "1") in said, path
