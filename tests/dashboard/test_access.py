"""Who may write: the token, the same origin, and a dashboard that writes at all.

Deliberately not here: each act's own test, beside its page.
"""

from __future__ import annotations

import httpx
import pytest
from fastapi import HTTPException
from playwright.sync_api import expect
from starlette.requests import Request

from dashboard.access import COOKIE, may_write, takes_writes
from ingest.settings import Settings
from tests.dashboard.conftest import TOKEN, serving


def test_what_answers_before_anybody_signs_in(client):
    assert client.get("/livez").text == client.get("/readyz").text == "ok"
    page = client.get("/audit")
    assert page.status_code == 200
    assert "default-src 'self'" in page.headers["content-security-policy"]


def test_an_unknown_page_is_a_page_and_an_unknown_resource_is_json(client):
    assert "<h1>" in client.get("/nowhere").text
    assert client.get("/v1/nowhere").json()["error"] == {
        "status": 404,
        "code": "not_found",
        "message": "Not Found",
        "details": [],
    }


def test_readiness_says_when_a_server_is_away_and_liveness_does_not_care(config):
    away = config.model_copy(update={"redis_url": Settings(redis_url="redis://127.0.0.1:1/0").redis_url})
    with serving(away) as served:
        answer = httpx.get(f"{served.url}/readyz", timeout=30)
        assert (answer.status_code, httpx.get(f"{served.url}/livez").status_code) == (503, 200)
        assert "127.0.0.1:1" not in answer.text


@pytest.mark.parametrize(
    ("host", "asked", "takes"),
    [
        ("127.0.0.1", "auto", True),
        ("::1", "auto", True),
        ("localhost", "auto", True),
        ("0.0.0.0", "auto", False),  # noqa: S104
        ("10.0.0.5", "auto", False),
        ("farm.example.com", "auto", False),
        ("0.0.0.0", "on", True),  # noqa: S104
        ("127.0.0.1", "off", False),
    ],
)
def test_off_loopback_it_is_read_only_unless_it_is_told_otherwise(host, asked, takes):
    assert takes_writes(Settings(tickfarm_dashboard_host=host, tickfarm_dashboard_writes=asked)) is takes


def asking(served, **headers):
    """Return a write's request as a route gets it."""
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    raw.append((b"host", served.url.removeprefix("http://").encode()))
    app = type("App", (), {"state": type("State", (), {"context": served.context})})
    return Request({"type": "http", "method": "POST", "path": "/", "headers": raw, "app": app})


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"authorization": "Bearer wrong-token-of-the-tests"}, 401),
        ({"authorization": f"Basic {TOKEN}"}, 401),
        ({"authorization": f"Bearer {TOKEN}", "sec_fetch_site": "cross-site"}, 403),
        ({"authorization": f"Bearer {TOKEN}", "sec_fetch_site": "same-site"}, 403),
        ({"authorization": f"Bearer {TOKEN}", "origin": "https://evil.example"}, 403),
        ({"authorization": f"Bearer {TOKEN}", "origin": "null"}, 403),
    ],
)
def test_who_may_not_write_is_told_why(served, headers, status):
    with pytest.raises(HTTPException) as refused:
        may_write(asking(served, **headers))
    assert refused.value.status_code == status


def test_who_knows_the_token_writes(served):
    assert may_write(asking(served, authorization=f"Bearer {TOKEN}")) == "api"
    assert may_write(asking(served, authorization=f"Bearer {TOKEN}", sec_fetch_site="same-origin")) == "api"


def test_a_sign_in_is_a_cookie_that_no_script_reads_and_that_cannot_be_made_up(served):
    with httpx.Client(base_url=served.url) as visitor:
        assert visitor.post("/sign-in", data={"token": "wrong", "name": "eve"}).status_code == 403
        answer = visitor.post("/sign-in", data={"token": TOKEN, "name": " ada  lovelace "})
        assert answer.status_code == 303
        assert {"HttpOnly", "SameSite=strict"} <= set(answer.headers["set-cookie"].split("; "))
        cookie = answer.cookies[COOKIE]
        assert may_write(asking(served, cookie=f"{COOKIE}={cookie}", sec_fetch_site="same-origin")) == "ada lovelace"
        assert "ada lovelace" in visitor.get("/audit").text
    for forged in (cookie.replace(cookie[:2], "65", 1), cookie[:-1], "6164612e", "zz.zz", TOKEN):
        with pytest.raises(HTTPException):
            may_write(asking(served, cookie=f"{COOKIE}={forged}"))


def test_signing_in_and_out_in_a_browser(signed_in):
    signed_in.goto("/audit")
    signed_in.get_by_role("button", name="Sign out").click()
    signed_in.goto("/audit")
    expect(signed_in.get_by_role("link", name="Sign in")).to_be_visible()
