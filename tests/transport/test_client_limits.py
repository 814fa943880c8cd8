"""What both clients keep to by themselves: connections to a host, how long a request may take, how long one is kept.

Deliberately not here: the farm's connections (test_connections.py), answers that break (test_client_trouble.py).
"""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.settings import LONGEST_REQUEST_S, MOST_PER_HOST, PRESETS
from ingest.transport import pooled
from ingest.transport.client import client_class
from ingest.transport.outgoing import REQUEST_TIMEOUT_S, Outgoing
from ingest.wire import Answer, Endpoint, Request
from tests.transport.conftest import OpenClient
from tests.transport.sending import CAP, LATE_S, answer, failure, send, until
from tests.transport.server import LocalServer, serving

SOON_S = 0.3


def test_a_host_gets_100_connections_and_no_more(connect: OpenClient, server: LocalServer, kind: str) -> None:
    most = MOST_PER_HOST if kind == "curl" else pooled.MOST_THREADS
    client = connect(800)
    got = send(client, server, *["/slow/0.1"] * 300, connections=500)
    assert all(isinstance(outcome, Answer) for outcome in got)
    assert server.most_open == most


@pytest.mark.parametrize("most", [1, 3])
def test_a_provider_gets_as_many_connections_as_are_set_for_it(
    connect: OpenClient, server: LocalServer, most: int
) -> None:
    client = connect(64)
    for _ in range(3):
        got = send(client, server, *["/slow/0.02"] * 12, connections=most)
        assert all(isinstance(outcome, Answer) for outcome in got)
    assert server.opened == server.most_open == most


def test_hosts_at_the_same_time_share_what_the_process_may_open(connect: OpenClient) -> None:
    client = connect(10)
    with serving() as first, serving() as second, serving() as third:
        for server in (first, second, third, second):
            send(client, server, *["/slow/0.02"] * 8)
            until(lambda: first.open_now + second.open_now + third.open_now <= 10)


def test_a_request_ends_at_its_timeout_and_its_place_goes_to_the_next(connect: OpenClient, server: LocalServer) -> None:
    began = time.monotonic()
    paths = ["/hang", "/drip", "/ok/1", "/ok/2", "/dripheaders", "/ok/3"]
    got = send(connect(1), server, *paths, request_timeout_s=SOON_S)
    assert 3 * SOON_S <= time.monotonic() - began < 3 * SOON_S + LATE_S
    assert [failure(got[place]).kind for place in (0, 1, 4)] == ["timeout"] * 3
    assert [answer(got[place]).body for place in (2, 3, 5)] == [b"ok 1", b"ok 2", b"ok 3"]
    assert not {failure(got[place]).detail for place in (0, 1, 4)} & {
        "",
        "no complete answer before the batch's deadline",
    }


def test_a_request_may_say_itself_how_long_it_takes(connect: OpenClient, server: LocalServer) -> None:
    hurried, patient, other = (
        Request("/hang", timeout_s=SOON_S),
        Request("/slow/0.8", timeout_s=5),
        Request("/slow/0.8"),
    )
    began = time.monotonic()
    got = connect().send(
        [hurried, patient, other], Endpoint(server.url), deadline_s=5, max_bytes=CAP, request_timeout_s=2 * SOON_S
    )
    assert time.monotonic() - began < 0.8 + LATE_S
    assert failure(got[0]).kind == failure(got[2]).kind == "timeout"
    assert answer(got[1]).body == b"slow"
    took_s = [(outcome.received_at - outcome.sent_at).total_seconds() for outcome in got]
    assert took_s[2] < 0.8


def test_the_deadline_of_the_batch_is_above_every_timeout(connect: OpenClient, server: LocalServer) -> None:
    began = time.monotonic()
    got = connect().send([Request("/hang", timeout_s=20)], Endpoint(server.url), deadline_s=SOON_S, max_bytes=CAP)
    assert time.monotonic() - began < SOON_S + LATE_S
    assert failure(got[0]).detail == "no complete answer before the batch's deadline"


@given(st.none() | st.floats(-5, 1e9, allow_nan=False), st.floats(0.001, 1e9))
def test_a_request_is_never_given_more_than_30_s_nor_no_time_at_all(own_s: float | None, otherwise_s: float) -> None:
    given_s = Outgoing.timeout_s(Request("/", timeout_s=own_s), otherwise_s)
    assert 0 < given_s <= LONGEST_REQUEST_S == 30
    wanted_s = otherwise_s if own_s is None else own_s
    assert given_s == wanted_s or not 0.001 <= wanted_s <= 30


def test_without_a_word_about_it_a_request_is_given_10_s() -> None:
    assert PRESETS["standard"].request_timeout_s == REQUEST_TIMEOUT_S == 10
    assert (PRESETS["conservative"].request_timeout_s, PRESETS["aggressive"].request_timeout_s) == (30, 5)


def test_a_cut_request_spoils_no_other_on_the_same_connections(connect: OpenClient, server: LocalServer) -> None:
    client = connect(2)
    requests = [replace(Request(f"/slow/{0.02 + 0.002 * (i % 10)}"), timeout_s=0.03) for i in range(60)]
    got = client.send(requests, Endpoint(server.url), deadline_s=5, max_bytes=CAP)
    assert {outcome.body for outcome in got if isinstance(outcome, Answer)} == {b"slow"}
    assert {outcome.kind for outcome in got if not isinstance(outcome, Answer)} <= {"timeout"}
    assert answer(send(client, server, "/ok/after")[0]).body == b"ok after"


def test_a_connection_unused_for_the_keep_alive_time_is_closed_while_others_work(connect: OpenClient) -> None:
    client = connect(8, keep_alive_s=1.0)
    with serving() as idle, serving() as busy:
        send(client, idle, "/gather/2", "/gather/2")
        send(client, busy, "/gather/2", "/gather/2")

        def idle_is_closed() -> bool:
            send(client, busy, "/slow/0.02")
            return idle.open_now == 0

        until(idle_is_closed)
        assert busy.open_now >= 1


def test_connections_of_the_same_host_that_are_not_needed_any_more_are_closed(
    connect: OpenClient, server: LocalServer
) -> None:
    client = connect(8, keep_alive_s=1.0)
    send(client, server, *["/gather/8"] * 8)

    def one_is_left() -> bool:
        send(client, server, "/slow/0.02")
        return server.open_now == 1

    until(one_is_left)
    assert server.opened == 8


def test_connections_the_server_has_closed_are_cleaned_and_fail_nothing(
    connect: OpenClient, server: LocalServer
) -> None:
    client = connect(4)
    send(client, server, *["/gather/4"] * 4)
    server.close_connections()
    until(lambda: server.open_now == 0)
    assert [answer(outcome).body for outcome in send(client, server, *["/gather/4"] * 4)] == [b"together"] * 4
    assert server.opened == 8


def test_a_client_says_what_its_transport_lacks(connect: OpenClient, kind: str) -> None:
    expected = {"curl": (), "requests": ("HTTP/2", "a DNS cache")}[kind]
    assert connect().lacks == expected
    assert client_class(kind).name == kind  # type: ignore[arg-type]
