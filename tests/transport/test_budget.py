"""Budgets: exact windows, weights, the reserve for live work, leases that expire, loss of Redis. On a real Valkey.

Deliberately not here: windows of days (tests/pipeline/test_quota.py). Invariant under test: no window, wherever the
provider counts between sending and answering, ever holds more than its amount.
"""

from __future__ import annotations

import multiprocessing
import random
import time
from contextlib import closing
from dataclasses import replace

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from ingest.transport.gate import Admission, Gate, Hold, Seed, TemporaryLimit
from ingest.wire import Request
from tests.transport.callers import POLICY, Strict, ask, ended, limit, new_gate
from tests.waiting import until


@pytest.fixture
def store(redis_url):
    with closing(redis.Redis.from_url(redis_url)) as client:
        yield client


@pytest.fixture
def gate(store):
    return new_gate(store)


def spend(gate, one, *, verdict="ok", **more):
    """Ask, and report what was granted as ended; return the admission."""
    admission = gate.admit(one)
    sent = list(one.requests[: admission.granted])
    gate.report(admission, ended(len(sent), verdict, weight=one.requests[0].weight), policy=POLICY, **more)
    return admission


def used(gate, limits, **more):
    """Return how much of a budget of requests is in use: what a huge batch is not granted."""
    amount = limits[0].amount
    return amount - gate.admit(ask(amount * 2, limits, **more)).granted


def test_a_batch_gets_what_the_window_has_and_the_rest_is_told_when(gate):
    limits = [limit(10, 1)]
    first = gate.admit(ask(25, limits))
    assert (first.granted, first.wait_s) == (10, 0.0)
    second = gate.admit(ask(15, limits))
    assert second.granted == 0
    assert second.reason == "budget"
    assert 0 < second.wait_s <= 1.1


def test_a_share_is_free_again_a_window_after_its_request_ended_and_not_after_it_was_granted(gate):
    limits = [limit(5, 1)]
    admission = gate.admit(ask(5, limits))
    began = time.monotonic()
    until(lambda: time.monotonic() - began > 0.4, what="a slow answer")
    gate.report(admission, ended(5), policy=POLICY)
    reported = time.monotonic()
    until(lambda: gate.admit(ask(5, limits)).granted == 5, within_s=3, what="the window to be free")
    assert 1.0 <= time.monotonic() - reported < 1.3


def test_what_was_granted_and_not_sent_is_free_at_once(gate):
    limits = [limit(10, 60)]
    admission = gate.admit(ask(10, limits))
    gate.report(admission, ended(3), policy=POLICY)
    assert gate.admit(ask(20, limits)).granted == 7


def test_every_window_must_have_room_and_weights_count_where_weight_is_counted(gate):
    limits = [limit(100, 60, "weight"), limit(6, 60)]
    assert gate.admit(ask(10, limits, weight=30)).granted == 3
    assert gate.admit(ask(3, limits, weight=1)).granted == 3
    assert gate.admit(ask(1, limits, weight=1)).reason == "budget"


def test_requests_of_different_weight_are_granted_in_their_order(gate):
    limits = [limit(10, 60, "weight")]
    one = ask(4, limits)
    mixed = [Request("/", weight=weight) for weight in (4, 5, 3, 1)]
    assert gate.admit(replace(one, requests=mixed)).granted == 2


def test_a_grant_that_is_never_reported_is_free_a_window_after_its_deadline(gate, store):
    limits = [limit(4, 1)]
    one = ask(4, limits, deadline_s=-1.5)  # with the slack of 2 s, half a second from now
    assert gate.admit(one).granted == 4
    began = time.monotonic()
    until(lambda: gate.admit(ask(4, limits)).granted == 4, within_s=5, what="the lost grant to be over")
    assert 1.4 <= time.monotonic() - began < 1.9


def test_a_cap_on_what_is_out_frees_with_the_answer(gate):
    first = gate.admit(ask(8, at_once=5))
    assert first.granted == 5
    assert gate.admit(ask(1, at_once=5)).granted == 0
    gate.report(first, ended(5, age_ms=1), policy=POLICY)
    assert gate.admit(ask(8, at_once=5)).granted == 5


def test_history_never_touches_the_reserve_of_live_work(gate):
    limits = [limit(10, 60)]
    assert gate.admit(ask(20, limits, reserve=0.2)).granted == 8
    assert gate.admit(ask(1, limits, reserve=0.2)).granted == 0
    assert gate.admit(ask(2, limits, is_live=True)).granted == 2


def test_where_one_request_is_all_there_is_a_waiting_live_poll_goes_first(gate):
    limits = [limit(1, 1)]
    spend(gate, ask(1, limits, reserve=0.2))
    assert gate.admit(ask(1, limits, is_live=True)).granted == 0
    granted = []

    def who():
        if gate.admit(ask(1, limits, reserve=0.2)).granted:
            granted.append("history")
        if gate.admit(ask(1, limits, is_live=True)).granted:
            granted.append("live")
        return granted

    assert until(who, within_s=4, what="somebody's turn") == ["live"]


def test_two_credentials_have_windows_of_their_own_and_two_datasets_those_that_name_them(gate):
    limits = [limit(3, 60)]
    assert gate.admit(ask(9, limits, pool="a")).granted == 3
    assert gate.admit(ask(9, limits, pool="b")).granted == 3
    scoped = [limit(2, 60, datasets=("bars",)), limit(5, 60, datasets=("quotes",))]
    assert gate.admit(ask(9, scoped, provider="other", dataset="bars")).granted == 2
    assert gate.admit(ask(9, scoped, provider="other", dataset="quotes")).granted == 5


def test_what_the_provider_says_is_used_counts_for_everybody(gate):
    limits = [limit(100, 60, "weight")]
    one = ask(1, limits, weight=2)
    spend(gate, one, used={one.windows[0].key: 90})
    assert gate.admit(ask(20, limits, weight=1)).granted == 10
    spend(gate, ask(1, limits, weight=1), used={one.windows[0].key: 5})
    assert used(gate, limits) == 100, "less than we count is no reason to send more"


def test_a_wait_that_the_provider_asks_for_holds_everybody_on_that_credential_and_no_other(gate):
    one = ask(1, pool="a")
    gate.report(gate.admit(one), ended(1, "throttled"), policy=POLICY, hold=Hold(0.5, "429, Retry-After"))
    held = gate.admit(ask(1, pool="a"))
    assert (held.granted, held.reason) == (0, "429, Retry-After")
    assert 0.3 < held.wait_s <= 0.5
    assert gate.admit(ask(1, pool="b")).granted == 1
    until(lambda: gate.admit(ask(1, pool="a")).granted, within_s=2, what="the end of the wait")


def test_a_hold_by_hand_does_not_end_a_longer_wait_and_only_a_person_lifts_one_without_end(gate):
    one = ask(1)
    gate.report(gate.admit(one), [], policy=POLICY, hold=Hold(60, "banned"))
    gate.hold("test", Hold(float("inf"), "by hand"))
    assert gate.admit(ask(1)).wait_s == float("inf")
    gate.lift("test")
    assert gate.admit(ask(1)).wait_s == pytest.approx(60, abs=1), "a ban is not lifted with it"
    gate.lift("test", [""])
    assert gate.admit(ask(1)).granted == 1


def test_a_hold_by_hand_is_for_every_credential_those_that_are_not_known_yet_too(gate):
    assert gate.admit(ask(1, pool="a")).granted == 1
    gate.hold("test", Hold(60, "moving house"))
    for pool in ("a", "b", ""):
        held = gate.admit(ask(1, pool=pool))
        assert (held.granted, held.reason) == (0, "moving house")
        assert held.wait_s == pytest.approx(60, abs=1)
    assert gate.admit(ask(1, provider="another")).granted == 1


def test_a_hold_by_hand_survives_the_loss_of_redis(store):
    gate = new_gate(store, Seed(by_hand=Hold(float("inf"), "moving house")))
    for _ in range(2):
        assert gate.admit(ask(1, pool="a")).wait_s == float("inf")
        store.flushall()


def test_a_limit_by_hand_is_a_share_of_every_window_whatever_the_credential_and_the_lane(gate):
    limits = [limit(100, 60)]
    gate.limit("test", TemporaryLimit(60, 30))
    assert spend(gate, ask(100, limits, pool="a")).granted == 30
    assert gate.admit(ask(100, limits, pool="a")).reason == "budget"
    assert spend(gate, ask(100, limits, pool="b", reserve=0.5)).granted == 15
    assert spend(gate, ask(100, limits, provider="another")).granted == 100
    gate.limit("test", None)
    assert spend(gate, ask(100, limits, pool="a")).granted == 70


def test_a_limit_by_hand_ends_by_itself_and_lets_one_request_through_however_small_it_is(gate):
    limits = [limit(10, 60)]
    gate.limit("test", TemporaryLimit(0.3, 1))
    assert spend(gate, ask(10, limits)).granted == 1
    assert gate.admit(ask(10, limits)).granted == 0
    until(lambda: gate.admit(ask(10, limits)).granted == 9, within_s=2, what="the limit's end")


def test_a_limit_by_hand_does_not_cap_what_is_out_at_once(gate):
    gate.limit("test", TemporaryLimit(60, 10))
    assert gate.admit(ask(20, [limit(1000, 60)], at_once=8)).granted == 8


def test_a_limit_by_hand_survives_the_loss_of_redis(store):
    gate = new_gate(store, Seed(limit=TemporaryLimit(float("inf"), 20)))
    for _ in range(2):
        assert gate.admit(ask(10, [limit(10, 60)])).granted == 2
        store.flushall()


def test_a_first_start_waits_for_nothing_and_a_loss_of_redis_forgets_nothing(store):
    limits = [limit(10, 60)]
    assert new_gate(store).admit(ask(10, limits)).granted == 10
    store.flushall()
    known = Seed(ended=[(5.0, "bars", 4, 4), (70.0, "bars", 90, 90)])
    assert new_gate(store, known).admit(ask(20, limits)).granted == 6


def test_jobs_that_may_have_sent_something_hold_the_windows_until_they_report_or_their_deadline(store):
    limits = [limit(10, 1)]
    gate = new_gate(store, Seed(out=[("7:1", 30.0)]))
    other = gate.admit(ask(5, limits, job="8:1"))
    assert other.granted == 0
    assert other.wait_s <= 1.0, "it may report at any moment"
    mine = ask(3, limits, job="7:1", grant="granted before the loss")
    lost = Admission(mine, granted=3, generations=(0, 0))
    assert gate.report(lost, ended(3), policy=POLICY, since_begin=ended(2)) == ()
    assert gate.admit(ask(9, limits, job="8:1")).granted == 5


def test_a_job_that_reports_no_more_holds_the_window_until_the_log_says_what_it_has_sent(store):
    limits, over = [limit(10, 60)], {}
    seed = Seed(out=[("7:1", 75.0), ("8:1", 75.0)])
    gate = Gate(store, lambda _: seed, lambda _, jobs: {job: over[job] for job in jobs if job in over})
    assert gate.admit(ask(1, limits, job="9:1")).granted == 0
    over["7:1"] = [(0.5, "bars", 3, 3)]
    assert gate.admit(ask(1, limits, job="9:1")).granted == 0, "the other may still have sent anything"
    over["8:1"] = [(0.2, "bars", 4, 4)]
    assert gate.admit(ask(10, limits, job="9:1")).granted == 3


def test_what_two_processes_say_of_a_job_at_once_is_counted_once(store):
    limits = [limit(10, 60)]
    other = Gate(store, lambda _: Seed())

    def sent_by(asked, jobs):
        sent = {job: [(0.5, "bars", 3, 3)] for job in jobs}
        if asked.job == "9:1":  # the other one looks, and tells, between our look and our word
            Gate(store, lambda _: Seed(), sent_by).admit(ask(1, limits, job="10:1"))
        return sent

    Gate(store, lambda _: Seed(out=[("7:1", 75.0)])).admit(ask(1, limits, job="9:1"))
    assert Gate(store, lambda _: Seed(), sent_by).admit(ask(1, limits, job="9:1")).granted == 1
    assert other.admit(ask(10, limits, job="11:1")).granted == 10 - 3 - 1 - 1


def test_a_server_that_restarted_is_told_from_one_that_did_not(store):
    """Its data may be a second old (appendfsync everysec); that it has forgotten the scripts gives it away."""
    limits = [limit(10, 60)]
    told = []

    def seed_of(_):
        told.append(1)
        return Seed(ended=[(1.0, "bars", 6, 6)])

    gate = Gate(store, seed_of)
    gate.admit(ask(1, limits))
    gate.admit(ask(1, limits))
    assert len(told) == 1
    store.script_flush()
    assert gate.admit(ask(20, limits)).granted == 4
    assert len(told) == 2


def test_while_redis_is_away_nothing_is_granted():
    away = redis.Redis(port=1, retry=Retry(NoBackoff(), 0), socket_connect_timeout=1)
    with closing(away), pytest.raises(redis.ConnectionError):
        new_gate(away).admit(ask(1, [limit(1, 1)]))


def test_no_key_stays_for_ever(gate, store):
    spend(gate, ask(3, [limit(10, 60), limit(100, 3600, "weight")], at_once=9))
    gate.report(gate.admit(ask(1)), ended(1, "failed"), policy=POLICY, hold=Hold(1, "x"))
    keys = store.keys("tickfarm:*")
    assert len(keys) >= 5
    assert {key: store.ttl(key) for key in keys if store.ttl(key) < 0} == {}


LATENCY_S, WINDOW = 0.04, limit(400, 1, "weight")


def _hammer(url, seed, seconds, sent):
    """Ask for random batches as fast as can be; tell when each request would have arrived, and its weight."""
    rng, arrived = random.Random(seed), []
    with closing(redis.Redis.from_url(url)) as client:
        gate, until_s = new_gate(client), time.monotonic() + seconds
        while time.monotonic() < until_s:
            weight = rng.choice((1, 2, 5))
            one = ask(rng.randint(1, 40), [WINDOW], weight=weight)
            admission = gate.admit(one)
            if not admission.granted:
                time.sleep(min(admission.wait_s, 0.5))
                continue
            began = time.time()
            time.sleep(LATENCY_S)
            # Anywhere between sending and answering the provider may have counted it.
            arrived += [(rng.uniform(began, time.time()), weight) for _ in range(admission.granted)]
            gate.report(admission, ended(admission.granted, weight=weight), policy=POLICY)
    sent.put(arrived)


def test_four_processes_never_exceed_a_window_and_use_what_it_allows(redis_url):
    """A second with 25 latencies in it: a share rests for a window and a latency, so 25/26 of it is all there is."""
    context = multiprocessing.get_context("spawn")
    sent, seconds = context.Queue(), 4
    crew = [context.Process(target=_hammer, args=(redis_url, seed, seconds, sent)) for seed in range(4)]
    for one in crew:
        one.start()
    arrivals = sorted(one for _ in crew for one in sent.get(timeout=60))
    for one in crew:
        one.join(10)
    strict = Strict(WINDOW.amount, WINDOW.per_s)
    for now, weight in arrivals:
        strict.arrive(now, weight)
    assert strict.violations == 0
    whole = [at for at, _ in arrivals]
    span = whole[-1] - whole[0]
    steady = sum(weight for at, weight in arrivals if whole[0] + 1 <= at < whole[0] + 3) / 2
    assert span > 3
    assert steady >= 0.90 * WINDOW.amount
