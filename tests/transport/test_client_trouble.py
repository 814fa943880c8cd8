"""What both clients promise of a provider that hangs, drips, floods, breaks off or is away, and of an interrupt."""

from __future__ import annotations

import signal
import socket
import time
from contextlib import ExitStack

import pytest

from ingest.transport import curl_handle, pooled
from ingest.wire import Endpoint, Request
from tests.transport.conftest import OpenClient
from tests.transport.sending import CAP, LATE_S, answer, failure, send
from tests.transport.server import LocalServer


class Interrupted(Exception):
    """What Celery's soft time limit is to a task."""


def test_a_client_interrupted_in_a_batch_sends_the_next_one(connect: OpenClient, server: LocalServer) -> None:
    def interrupt(_signal: int, _frame: object) -> None:
        raise Interrupted

    client = connect(2)
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(Interrupted):
            send(client, server, *["/hang"] * 4, deadline_s=20)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert [answer(outcome).body for outcome in send(client, server, "/ok/1", "/ok/2")] == [b"ok 1", b"ok 2"]


@pytest.mark.parametrize("path", ["/hang", "/drip", "/dripheaders", "/redirectdrip"])
def test_what_never_ends_is_a_timeout_at_the_deadline_and_spares_the_rest(
    connect: OpenClient, server: LocalServer, path: str
) -> None:
    client = connect()
    began = time.monotonic()
    got = send(client, server, "/ok/1", path, "/ok/2", path, deadline_s=0.25)
    assert 0.25 <= time.monotonic() - began < 0.25 + LATE_S
    assert [answer(got[0]).body, answer(got[2]).body] == [b"ok 1", b"ok 2"]
    assert {failure(got[1]).kind, failure(got[3]).kind} == {"timeout"}
    assert answer(send(client, server, "/ok/after")[0]).body == b"ok after"


def test_an_endless_answer_ends_at_the_deadline_if_not_at_the_cap(connect: OpenClient, server: LocalServer) -> None:
    began = time.monotonic()
    got = send(connect(), server, "/endless", deadline_s=0.25, max_bytes=10**12)
    assert time.monotonic() - began < 0.25 + LATE_S
    assert failure(got[0]).kind == "timeout"


def test_more_hanging_requests_than_connections_end_together(connect: OpenClient, server: LocalServer) -> None:
    client = connect(4)
    began = time.monotonic()
    got = send(client, server, *["/hang"] * 50, deadline_s=0.25)
    assert time.monotonic() - began < 0.25 + LATE_S
    assert {failure(outcome).kind for outcome in got} == {"timeout"}
    assert len(server.paths) == 4
    assert answer(send(client, server, "/ok/after")[0]).body == b"ok after"


def test_a_deadline_that_has_passed_sends_nothing(connect: OpenClient, server: LocalServer) -> None:
    got = send(connect(), server, "/ok", "/ok", deadline_s=0.0)
    assert [failure(outcome).kind for outcome in got] == ["timeout", "timeout"]
    assert server.paths == []


@pytest.mark.parametrize("path", [f"/big/{CAP + 1}", f"/gzip/{CAP + 1}", "/gzip/10000000", "/endless"])
def test_a_body_over_the_cap_is_too_large_once_decompressed(
    connect: OpenClient, server: LocalServer, path: str
) -> None:
    client = connect(2)
    began = time.monotonic()
    got = send(client, server, path, "/ok/1")
    assert time.monotonic() - began < 2.0
    assert failure(got[0]).kind == "too_large"
    assert answer(got[1]).body == b"ok 1"
    assert answer(send(client, server, "/ok/after")[0]).body == b"ok after"


@pytest.mark.parametrize("path", [f"/big/{CAP}", f"/gzip/{CAP}"])
def test_a_body_of_exactly_the_cap_is_an_answer(connect: OpenClient, server: LocalServer, path: str) -> None:
    assert len(answer(send(connect(), server, path)[0]).body) == CAP


@pytest.mark.parametrize(
    ("path", "kind_of_failure"),
    [("/reset", "reset"), ("/cut", "reset"), ("/cut/chunked", "reset"), ("/garbage", "other")],
)
def test_a_broken_answer_is_a_failure_of_its_own(
    connect: OpenClient, server: LocalServer, path: str, kind_of_failure: str
) -> None:
    got = send(connect(), server, "/ok/1", path, "/ok/2")
    assert failure(got[1]).kind == kind_of_failure
    assert failure(got[1]).detail
    assert [answer(got[0]).body, answer(got[2]).body] == [b"ok 1", b"ok 2"]


def test_a_closed_port_is_refused(connect: OpenClient) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        got = connect().send([Request("/ok")], Endpoint(f"http://127.0.0.1:{port}"), deadline_s=5, max_bytes=CAP)
    assert failure(got[0]).kind == "refused"


def test_an_unknown_host_is_a_dns_failure(connect: OpenClient) -> None:
    got = connect().send([Request("/ok")], Endpoint("http://no-such-host.invalid"), deadline_s=5, max_bytes=CAP)
    assert failure(got[0]).kind == "dns"


@pytest.mark.parametrize("base_url", ["file:///etc", "ftp://127.0.0.1", "http://", "http://127.0.0.1:0x", "nonsense"])
def test_what_is_no_web_address_is_a_failure_and_never_raises(connect: OpenClient, base_url: str) -> None:
    got = connect().send([Request("/passwd")], Endpoint(base_url), deadline_s=2, max_bytes=CAP)
    assert failure(got[0]).kind in {"other", "dns"}


def test_a_host_that_does_not_accept_is_a_timeout_after_the_connect_timeout(
    connect: OpenClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (curl_handle, pooled):
        monkeypatch.setattr(module, "CONNECT_TIMEOUT_S", 0.2)
    with ExitStack() as stack:
        full = stack.enter_context(socket.socket())
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(3):  # fill its queue: the kernel drops what comes after
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        url = f"http://127.0.0.1:{full.getsockname()[1]}"
        began = time.monotonic()
        got = connect().send([Request("/ok")], Endpoint(url), deadline_s=5, max_bytes=CAP)
        assert 0.15 < time.monotonic() - began < 0.2 + LATE_S
    assert failure(got[0]).kind == "timeout"


def test_waiting_for_a_free_connection_does_not_count_as_connecting(
    connect: OpenClient, server: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (curl_handle, pooled):
        monkeypatch.setattr(module, "CONNECT_TIMEOUT_S", 0.2)
    got = send(connect(1), server, *["/slow/0.1"] * 4)
    assert [answer(outcome).body for outcome in got] == [b"slow"] * 4


def test_a_certificate_nobody_vouches_for_is_a_tls_failure(connect: OpenClient, tls_server: LocalServer) -> None:
    assert failure(send(connect(), tls_server, "/ok")[0]).kind == "tls"


def test_plain_http_on_a_tls_port_is_a_tls_failure(connect: OpenClient, server: LocalServer) -> None:
    url = server.url.replace("http:", "https:")
    got = connect().send([Request("/ok")], Endpoint(url), deadline_s=0.5, max_bytes=CAP)
    assert failure(got[0]).kind in {"tls", "timeout"}
