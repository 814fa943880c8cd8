"""The leases on the farm's connections, against a real Valkey and its clock, and what both clients make of them.

Deliberately not here: thousands of connections over many processes (test_connections_farm.py).
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from ingest.errors import SlowDown
from ingest.transport.connections import LEASE_S, ConnectionLeases, connections_key
from ingest.transport.leased import FULL_WAIT_S
from ingest.wire import Answer
from tests.transport.conftest import OpenClient
from tests.transport.sending import answer, send, until
from tests.transport.server import LocalServer
from tests.transport.test_client_fork import forked

SHORT_S = 0.5


@pytest.fixture
def store(redis_url: str) -> Iterator[redis.Redis]:
    with closing(redis.Redis.from_url(redis_url)) as client:
        yield client


def test_what_is_granted_is_never_more_than_the_most_and_nobody_gets_more_than_wanted(store: redis.Redis) -> None:
    leases = ConnectionLeases(store, most=100)
    assert [leases.take(process, 64) for process in ("a", "b", "c")] == [64, 36, 0]
    assert leases.leased() == 100
    assert leases.take("b", 64) == 36
    leases.give_back("a")
    assert [leases.take("b", 64), leases.take("c", 64)] == [64, 36]


def test_processes_at_the_same_time_never_lease_more_than_the_most(redis_url: str) -> None:
    def work(number: int) -> int:
        dice = random.Random(number)
        with closing(redis.Redis.from_url(redis_url)) as own:
            leases = ConnectionLeases(own, most=500)
            for _ in range(40):
                leases.take(str(number), dice.randint(1, 200))
                if dice.random() < 0.3:
                    leases.give_back(str(number))
                assert leases.leased() <= 500
            return leases.take(str(number), 100)

    with ThreadPoolExecutor(16) as pool:
        held = list(pool.map(work, range(16)))
    with closing(redis.Redis.from_url(redis_url)) as client:
        assert 0 < sum(held) == ConnectionLeases(client, most=500).leased() <= 500


def test_a_lease_that_is_not_renewed_runs_out_by_the_servers_clock(store: redis.Redis) -> None:
    short, other = ConnectionLeases(store, most=10, lease_s=0.3), ConnectionLeases(store, most=10)
    assert short.take("killed", 10) == 10
    began = time.monotonic()
    assert other.take("living", 10) == 0
    until(lambda: other.take("living", 10) == 10)
    assert 0.2 < time.monotonic() - began < 1.5
    assert set(store.hkeys(connections_key("tickfarm"))) == {b"whole", b"living"}


def test_the_key_carries_the_farms_prefix_and_outlives_the_last_lease_by_another(store: redis.Redis) -> None:
    leases = ConnectionLeases(store, most=10, prefix="other")
    leases.take("a", 4)
    leases.give_back("a")
    assert store.keys() == [b"other:connections"]
    assert LEASE_S * 1900 < int(store.pttl("other:connections")) <= LEASE_S * 2000


def test_after_redis_forgot_everything_nobody_gets_more_than_it_holds_until_all_have_said_what_that_is(
    store: redis.Redis,
) -> None:
    was_lost = threading.Event()
    leases = ConnectionLeases(store, most=100, lease_s=3.0, may_be_held=was_lost.is_set)
    assert [leases.take("a", 64), leases.take("b", 64)] == [64, 36]
    was_lost.set()
    store.flushdb()
    began = time.monotonic()
    assert [leases.take("c", 64), leases.take("d", 1)] == [0, 0]
    assert leases.take("b", 64, held=36) == 36  # nor more than it had, though `a` has not spoken yet
    assert leases.take("a", 64, held=64) == 64
    assert leases.take("b", 20, held=36) == 20
    until(lambda: leases.take("c", 64) == 16)
    assert leases.count_s * 0.9 < time.monotonic() - began < leases.count_s + 2
    assert leases.leased() == 100


def test_who_holds_connections_that_the_books_do_not_know_keeps_all_others_out_at_once(store: redis.Redis) -> None:
    leases = ConnectionLeases(store, most=10)  # as if nobody could have told
    leases.take("old", 10)
    store.flushdb()
    assert leases.take("old", 10, held=10, in_use=10) == 10
    assert leases.take("new", 6) == 0
    leases.give_back("old")
    assert leases.take("new", 6) == 0


def test_a_first_start_waits_for_nothing(store: redis.Redis) -> None:
    leases = ConnectionLeases(store, most=100, may_be_held=lambda: False)
    assert [leases.take(process, 64) for process in ("a", "b")] == [64, 36]


def test_books_that_are_there_are_believed_though_nobody_holds_anything(store: redis.Redis) -> None:
    leases = ConnectionLeases(store, most=10, may_be_held=lambda: False)
    leases.take("a", 4)
    leases.give_back("a")
    assert ConnectionLeases(store, most=10, may_be_held=lambda: True).take("b", 10) == 10


def test_a_process_that_gets_less_works_with_less(connect: OpenClient, server: LocalServer, store: redis.Redis) -> None:
    leases = ConnectionLeases(store, most=10)
    leases.take("another", 7)
    client = connect(64, leases=leases)
    got = send(client, server, *["/slow/0.02"] * 12)
    assert all(isinstance(outcome, Answer) for outcome in got)
    assert (server.opened, leases.leased()) == (3, 10)


def test_a_process_that_gets_none_is_told_to_come_back_and_sends_nothing(
    connect: OpenClient, server: LocalServer, store: redis.Redis
) -> None:
    leases = ConnectionLeases(store, most=10)
    leases.take("another", 10)
    client = connect(64, leases=leases)
    assert client.ready_in_s() == FULL_WAIT_S
    with pytest.raises(SlowDown) as told:
        send(client, server, "/ok/1")
    assert told.value.retry_after_s == FULL_WAIT_S
    assert server.opened == 0
    leases.give_back("another")
    assert client.ready_in_s() == 0.0
    assert answer(send(client, server, "/ok/1")[0]).body == b"ok 1"


def test_a_lease_is_renewed_while_requests_are_under_way(
    connect: OpenClient, server: LocalServer, store: redis.Redis
) -> None:
    leases = ConnectionLeases(store, most=4, lease_s=SHORT_S)
    client = connect(4, leases=leases)
    over, most_others = threading.Event(), [0]

    def wants_too() -> None:
        while not over.wait(0.02):
            most_others.append(leases.take("another", 4))

    other = threading.Thread(target=wants_too)
    client.ready_in_s()
    other.start()
    try:
        got = send(client, server, *[f"/slow/{2 * SHORT_S}"] * 4)
    finally:
        over.set()
        other.join()
    assert all(isinstance(outcome, Answer) for outcome in got)
    assert max(most_others) == 0


def test_an_idle_process_closes_its_connections_and_gives_its_share_back(
    connect: OpenClient, server: LocalServer, store: redis.Redis
) -> None:
    leases = ConnectionLeases(store, most=4, lease_s=SHORT_S)
    client = connect(4, leases=leases, keep_alive_s=0.2)
    send(client, server, *["/gather/4"] * 4)
    until(lambda: leases.leased() == 0)
    until(lambda: server.open_now == 0)
    assert answer(send(client, server, "/ok/1")[0]).body == b"ok 1"
    assert leases.leased() == 4
    client.close()
    assert leases.leased() == 0


def test_holders_at_the_most_keep_what_they_hold_through_a_loss_and_no_newcomer_opens_one_more(
    connect: OpenClient, server: LocalServer, store: redis.Redis
) -> None:
    was_lost = threading.Event()
    leases = ConnectionLeases(store, most=12, lease_s=3.0, may_be_held=was_lost.is_set)
    holders, newcomers = ([connect(4, leases=leases) for _ in range(3)] for _ in range(2))
    for holder in holders:
        send(holder, server, *["/gather/4"] * 4)
    assert server.open_now == 12
    was_lost.set()
    for _ in range(2):  # again, before all is counted
        store.flushdb()
        with ThreadPoolExecutor(3) as pool:
            assert list(pool.map(lambda newcomer: newcomer.ready_in_s(), newcomers)) == [FULL_WAIT_S] * 3
        until(lambda: leases.leased() == 12)
    assert [holder.ready_in_s() for holder in holders] == [0.0] * 3
    whole = time.monotonic() + leases.count_s + 0.2
    until(lambda: time.monotonic() > whole)
    assert newcomers[0].ready_in_s() == FULL_WAIT_S
    holders[0].close()
    send(newcomers[0], server, *["/gather/4"] * 4)
    assert (server.most_open, leases.leased()) == (12, 12)


def test_without_redis_a_process_works_until_its_lease_ends_and_then_has_nothing_open(
    connect: OpenClient, server: LocalServer, store: redis.Redis
) -> None:
    address = store.connection_pool.connection_kwargs
    once = Retry(NoBackoff(), 0)
    store.acl_setuser("guest", enabled=True, passwords=["+guest"], keys=["*"], categories=["+@all"])
    try:
        guest = redis.Redis(
            host=address["host"], port=address["port"], db=address["db"], username="guest", password="guest", retry=once
        )
        with closing(guest):
            client = connect(4, leases=ConnectionLeases(guest, most=4, lease_s=SHORT_S))
            send(client, server, *["/gather/4"] * 4)
            store.acl_deluser("guest")
            until(lambda: server.open_now == 0)
            with pytest.raises(redis.RedisError):
                send(client, server, "/ok/1")
            assert server.paths == ["/gather/4"] * 4
            store.acl_setuser("guest", enabled=True, passwords=["+guest"], keys=["*"], categories=["+@all"])
            assert answer(send(client, server, "/ok/1")[0]).body == b"ok 1"
            client.close()
    finally:
        store.acl_deluser("guest")


def test_a_forked_child_leases_connections_of_its_own(kind: str, server: LocalServer, redis_url: str) -> None:
    got = forked(kind, server.url, redis_url)
    assert got == {"before": [200] * 3, "child": [200] * 3, "after": [200] * 3, "code": 0, "leased": [1, 2, 1]}


def test_a_client_that_is_closed_while_its_keeper_is_at_work_ends_in_peace(
    connect: OpenClient, server: LocalServer, store: redis.Redis
) -> None:
    """What a thread raises fails the test."""
    for at in range(40):
        leases = ConnectionLeases(store, most=4, lease_s=0.05)
        client = connect(4, leases=leases)
        send(client, server, "/ok/1")
        moment = time.monotonic() + at / 4_000  # over the keeper's period, which is 5 ms
        until(lambda moment=moment: time.monotonic() > moment)
        leases.take("another", at % 4 + 1)  # the share changes, and the client is resized
        client.close()
