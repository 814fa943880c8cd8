"""X-Request-ID: given back, kept out of trouble, and in every line that a request makes.

Deliberately not here: the id's way through a job (tests/tasks/test_observed.py).
"""

from __future__ import annotations

import asyncio
import json
import logging

import httpx
import pytest
import structlog

from dashboard.app import create_app
from ingest.telemetry import REQUEST_HEADER, setup_logs


def test_a_callers_id_is_given_back_and_one_without_gets_its_own(client):
    assert client.get("/livez", headers={REQUEST_HEADER: "my-request.7"}).headers[REQUEST_HEADER] == "my-request.7"
    first, second = (client.get("/livez").headers[REQUEST_HEADER] for _ in range(2))
    assert first != second
    assert len(first) == 32


@pytest.mark.parametrize("given", ["two words", "x" * 101, "<script>", "", "-begins-badly", '{"a": 1}'])
def test_an_id_that_is_no_plain_word_is_replaced(client, given):
    assert client.get("/livez", headers={REQUEST_HEADER: given}).headers[REQUEST_HEADER] != given


def test_errors_have_it_too(client):
    for path in ("/nowhere", "/v1/nowhere"):
        assert client.get(path, headers={REQUEST_HEADER: "lost"}).headers[REQUEST_HEADER] == "lost"


def test_every_line_of_a_request_has_it_and_so_has_what_nobody_foresaw(config, capfd):
    app = create_app(config)
    app.add_api_route("/v1/fails", _fails)
    before, handlers = structlog.get_config(), logging.getLogger().handlers[:]
    setup_logs("json")
    try:
        answer = asyncio.run(_get(app, "/v1/fails", {REQUEST_HEADER: "doomed"}))
    finally:
        structlog.configure(**before)
        logging.getLogger().handlers[:] = handlers
    assert (answer.status_code, answer.headers[REQUEST_HEADER]) == (500, "doomed")
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines() if line.startswith("{")]
    ours = [one for one in lines if one["event"] in ("it_begins", "request_failed")]
    assert [one["correlation_id"] for one in ours] == ["doomed", "doomed"]


async def _get(app, path, headers):
    without_a_server = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=without_a_server, base_url="http://farm") as visitor:
        return await visitor.get(path, headers=headers)


def _fails() -> None:
    structlog.get_logger("a.route").info("it_begins")
    raise ZeroDivisionError
