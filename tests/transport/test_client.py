"""What both clients promise (ingest/transport/client.py) of a provider that behaves. Not here: keys, forks, trouble."""

from __future__ import annotations

import json

import pytest

from ingest.settings import MOST_PER_HOST
from ingest.transport import pooled
from ingest.wire import Answer, Endpoint, Request
from tests.transport.conftest import OpenClient
from tests.transport.sending import CAP, answer, send, until
from tests.transport.server import LocalServer, serving


def test_an_answer_has_status_lower_case_headers_body_and_times(connect: OpenClient, server: LocalServer) -> None:
    got = answer(send(connect(), server, "/ok/1")[0])
    assert (got.status, got.body, got.request) == (200, b"ok 1", Request("/ok/1"))
    assert got.headers["content-type"] == "text/plain"
    assert got.headers["x-two"] == "a, b"
    assert all(name == name.lower() for name in got.headers)
    assert got.sent_at.tzinfo is not None
    assert got.sent_at <= got.received_at


def test_a_request_goes_out_as_it_was_written(connect: OpenClient, server: LocalServer) -> None:
    request = Request("/echo", (("z", 'a b&c/é["x"]'), ("a", "1,2"), ("z", "2")), headers=(("x-of", "our own"),))
    got = answer(connect().send([request], Endpoint(server.url), deadline_s=5, max_bytes=CAP)[0])
    seen = json.loads(got.body)
    assert seen["query"] == [["z", 'a b&c/é["x"]'], ["a", "1,2"], ["z", "2"]]
    assert seen["headers"]["user-agent"] == "tickfarm/0.1"
    assert seen["headers"]["accept-encoding"] == "gzip, deflate"
    assert seen["headers"]["x-of"] == "our own"


def test_a_requests_own_user_agent_is_the_only_one_that_is_sent(connect: OpenClient, server: LocalServer) -> None:
    request = Request("/echo", headers=(("user-agent", "Mozilla/5.0 (compatible; tickfarm)"),))
    got = answer(connect().send([request], Endpoint(server.url), deadline_s=5, max_bytes=CAP)[0])
    seen = json.loads(got.body)
    assert seen["headers"]["user-agent"] == "Mozilla/5.0 (compatible; tickfarm)"
    assert seen["names"].count("user-agent") == 1


def test_headers_of_one_request_are_not_sent_with_the_next(connect: OpenClient, server: LocalServer) -> None:
    client = connect(1)
    requests = [Request("/echo", headers=(("x-first", "1"),)), Request("/echo")]
    got = client.send(requests, Endpoint(server.url), deadline_s=5, max_bytes=CAP)
    seen = [json.loads(answer(outcome).body)["headers"] for outcome in got]
    assert "x-first" in seen[0]
    assert "x-first" not in seen[1]
    assert "cookie" not in seen[1]  # /echo sets one


def test_an_empty_batch_has_no_outcomes(connect: OpenClient, server: LocalServer) -> None:
    assert send(connect(), server) == []


def test_200_answers_keep_the_order_of_their_requests(connect: OpenClient, server: LocalServer) -> None:
    got = send(connect(), server, *(f"/ok/{i}" for i in range(200)))
    assert [answer(outcome).body for outcome in got] == [f"ok {i}".encode() for i in range(200)]


@pytest.mark.parametrize(
    ("kind", "at_once"), [("curl", MOST_PER_HOST), ("requests", pooled.MOST_THREADS)], indirect=["kind"]
)
def test_requests_are_in_flight_at_the_same_time(connect: OpenClient, server: LocalServer, at_once: int) -> None:
    got = send(connect(200), server, *[f"/gather/{at_once}"] * at_once)
    assert {answer(outcome).body for outcome in got} == {b"together"}


def test_connections_are_reused_and_never_more_than_allowed(connect: OpenClient, server: LocalServer) -> None:
    client = connect(8)
    for _ in range(3):
        got = send(client, server, *[f"/ok/{i}" for i in range(100)])
        assert all(isinstance(outcome, Answer) for outcome in got)
    assert server.opened <= 8


def test_connections_to_several_hosts_stay_open_as_far_as_the_limit_allows(connect: OpenClient) -> None:
    client = connect(4)
    with serving() as first, serving() as second, serving() as third:
        for _ in range(3):
            for server in (first, second):
                assert {answer(outcome).body for outcome in send(client, server, "/gather/2", "/gather/2")} == {
                    b"together"
                }
        assert (first.opened, second.opened) == (2, 2)
        send(client, third, "/gather/2", "/gather/2")
        until(lambda: first.open_now + second.open_now + third.open_now <= 4)
        assert third.opened == 2


def test_a_proxy_of_the_environment_is_not_asked_for_loopback(
    connect: OpenClient, server: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    assert answer(send(connect(), server, "/ok/1")[0]).body == b"ok 1"


def test_other_hosts_are_asked_through_the_proxy_of_the_environment(
    connect: OpenClient, server: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", server.url)
    monkeypatch.delenv("no_proxy", raising=False)
    got = connect().send([Request("/ok/1")], Endpoint("http://no-such-host.invalid"), deadline_s=5, max_bytes=CAP)
    assert answer(got[0]).body == b"ok 1"
    assert server.paths == ["http://no-such-host.invalid/ok/1"]


@pytest.mark.parametrize("status", [200, 204, 304, 400, 403, 404, 418, 429, 500, 503])
def test_every_status_is_an_answer(connect: OpenClient, server: LocalServer, status: int) -> None:
    got = answer(send(connect(), server, f"/status/{status}")[0])
    assert got.status == status
    assert got.headers["retry-after"] == "7"


def test_an_interim_answer_is_not_the_answer(connect: OpenClient, server: LocalServer) -> None:
    client = connect(1)
    first, second = send(client, server, "/early", "/ok/2")
    if isinstance(first, Answer):  # libcurl reads past it; http.client can't, and must not keep the connection
        assert (first.status, first.body) == (200, b"late")
        assert "link" not in first.headers
    assert answer(second).body == b"ok 2"


def test_a_redirect_is_returned_and_not_followed(connect: OpenClient, server: LocalServer) -> None:
    got = answer(send(connect(), server, "/redirect")[0])
    assert (got.status, got.body) == (302, b"moved")
    assert server.paths == ["/redirect"]


def test_a_compressed_body_arrives_decompressed(connect: OpenClient, server: LocalServer) -> None:
    assert answer(send(connect(), server, "/gzip/5000")[0]).body == b"0" * 5000
