"""Breakers: what opens them, who probes, which address is used meanwhile. On a real Valkey and its clock.

Deliberately not here: what a wait means for a job (tests/pipeline). Invariant under test: one probe at a time.
"""

from __future__ import annotations

import multiprocessing
from contextlib import closing

import pytest
import redis

from ingest.errors import BadData, FixRequest, SlowDown, TryAgain
from ingest.transport.breaker import BreakerPolicy, verdict_of
from ingest.wire import Failure
from tests.providers.payloads import answer
from tests.transport.callers import NO_REQUEST, POLICY, ask, ended, limit, new_gate
from tests.waiting import until


@pytest.fixture
def store(redis_url):
    with closing(redis.Redis.from_url(redis_url)) as client:
        yield client


@pytest.fixture
def gate(store):
    return new_gate(store)


def send(gate, verdicts, *, policy=POLICY, **more):
    """Send a batch whose requests end like this; return the transitions."""
    admission = gate.admit(ask(len(verdicts), **more))
    assert admission.granted, admission
    results = [one for at, verdict in enumerate(verdicts) for one in ended(1, verdict, age_ms=len(verdicts) - at)]
    return admission.transitions + gate.report(admission, results[: admission.granted], policy=policy)


def states(transitions):
    return [(one.scope, one.before, one.after) for one in transitions]


def opened(gate, **more):
    return send(gate, ["failed"] * 5, **more)


def probe(gate, **more):
    """Wait for the time of the next probe; return its admission."""
    return until(lambda: (a := gate.admit(ask(7, **more))).granted and a, within_s=3, what="the time of a probe")


def test_five_failures_in_a_row_open_it_and_four_do_not(gate):
    assert send(gate, ["failed"] * 4 + ["ok"]) == ()
    assert states(send(gate, ["failed"] * 5)) == [("0", "closed", "open"), ("0/bars", "closed", "open")]
    refused = gate.admit(ask(1))
    assert (refused.granted, refused.reason) == (0, "breaker")
    assert 0 < refused.wait_s <= 0.2


def test_a_row_goes_on_over_batches_and_processes(gate, store):
    assert send(gate, ["failed"] * 3) == ()
    assert states(send(new_gate(store), ["failed"] * 2))[0] == ("0", "closed", "open")


def test_more_than_five_percent_of_a_hundred_requests_within_a_minute_open_it(gate):
    batch = (["failed"] + ["ok"] * 19) * 5
    assert send(gate, batch) == (), "five percent are not more than five"
    assert states(send(gate, ["ok"] * 10 + ["failed", "failed"]))[0] == ("0", "closed", "open")


def test_fewer_than_a_hundred_requests_are_no_rate(gate):
    assert send(gate, (["failed"] + ["ok"] * 2) * 33) == ()


@pytest.mark.parametrize("verdict", ["throttled", "refused", "bad", "ok"])
def test_only_an_outage_opens_it(gate, verdict):
    assert send(gate, [verdict] * 150) == ()


def test_a_probe_is_one_request_of_one_caller_and_its_success_closes_it(gate):
    opened(gate)
    admission = probe(gate)
    assert admission.is_probe
    assert admission.granted == 1
    assert states(admission.transitions) == [("0", "open", "half"), ("0/bars", "open", "half")]
    assert gate.admit(ask(1)).granted == 0, "while it is under way"
    assert states(gate.report(admission, ended(1), policy=POLICY)) == [
        ("0", "half", "closed"),
        ("0/bars", "half", "closed"),
    ]
    assert gate.admit(ask(7)).granted == 7


def test_a_probe_that_fails_opens_it_for_twice_as_long_up_to_the_cap(gate):
    policy = BreakerPolicy(open_ms=100, cap_ms=300)
    opened(gate, policy=policy)
    waits = []
    for _ in range(3):
        gate.report(probe(gate), ended(1, "failed"), policy=policy)
        waits.append(gate.admit(ask(1)).wait_s)
    assert waits == [pytest.approx(0.2, abs=0.05), pytest.approx(0.3, abs=0.05), pytest.approx(0.3, abs=0.05)]


def test_a_probe_that_is_throttled_or_refused_shows_that_the_provider_is_back(gate):
    opened(gate)
    assert states(gate.report(probe(gate), ended(1, "throttled"), policy=POLICY))[0] == ("0", "half", "closed")


def test_a_prober_that_dies_holds_nobody_up_for_longer_than_its_lease(gate):
    opened(gate)
    assert probe(gate, deadline_s=-2.6).is_probe  # the lease: deadline, slack and a second, 0.4 s in all
    assert gate.admit(ask(1)).granted == 0
    second = probe(gate)
    assert second.is_probe


def test_a_probe_that_was_never_sent_is_anybodys_at_once(gate):
    opened(gate)
    gate.report(probe(gate), [], policy=POLICY)
    assert gate.admit(ask(1)).is_probe


def test_answers_to_what_was_sent_before_it_opened_are_not_heard(gate):
    early = gate.admit(ask(5))
    opened(gate)
    assert gate.report(early, ended(5), policy=POLICY) == ()
    assert gate.admit(ask(1)).granted == 0, "a late success does not close it"
    admission = probe(gate)
    late = gate.admit(ask(1))
    assert late.granted == 0
    gate.report(admission, ended(1), policy=POLICY)
    fresh_gen = gate.admit(ask(5))
    assert fresh_gen.generations == (1, 1)
    assert gate.report(early, ended(5, "failed"), policy=POLICY) == (), "a late failure does not open it"


def test_only_the_ill_dataset_is_left_alone_where_others_are_served(gate):
    for _ in range(5):
        send(gate, ["failed"], dataset="books")
        send(gate, ["ok"], dataset="bars")
    assert gate.admit(ask(1, dataset="books")).reason == "breaker"
    assert gate.admit(ask(1, dataset="bars")).granted == 1


def test_a_second_address_is_used_while_the_first_is_ill_and_the_first_again_when_its_probe_succeeds(gate):
    opened(gate, bases=2)
    second = gate.admit(ask(3, bases=2))
    assert (second.base, second.granted, second.is_probe) == (1, 3, False)
    gate.report(second, ended(3), policy=POLICY)
    first = until(lambda: (a := gate.admit(ask(3, bases=2))).base == 0 and a, within_s=3, what="a probe of the first")
    assert (first.is_probe, first.granted) == (True, 1)
    assert gate.admit(ask(3, bases=2)).base == 1, "the others do not wait for it"
    gate.report(first, ended(1), policy=POLICY)
    assert gate.admit(ask(3, bases=2)).base == 0


def test_when_every_address_is_ill_the_wait_is_for_the_first_that_may_be_probed(gate):
    opened(gate, bases=2, policy=BreakerPolicy(open_ms=60_000, cap_ms=60_000))
    second = opened(gate, bases=2, policy=BreakerPolicy(open_ms=20_000, cap_ms=20_000))
    assert ("1", "closed", "open") in states(second)
    both = gate.admit(ask(1, bases=2))
    assert (both.granted, both.reason) == (0, "breaker")
    assert both.wait_s == pytest.approx(20, abs=1)


def test_a_breaker_takes_nothing_from_the_budget(gate):
    limits = [limit(10, 60)]
    send(gate, ["failed"] * 5, limits=limits)
    assert gate.admit(ask(1, limits)).reason == "breaker"
    admission = probe(gate, limits=limits)
    gate.report(admission, ended(1), policy=POLICY)
    assert gate.admit(ask(20, limits)).granted == 4


def test_it_is_opened_probed_and_closed_by_hand(gate):
    assert states(gate.switch("test", "open", bases=1, for_s=600)) == [("0", "closed", "open")]
    assert gate.admit(ask(1)).wait_s == pytest.approx(600, abs=1)
    gate.switch("test", "probe", bases=1)
    assert gate.admit(ask(1)).is_probe
    assert states(gate.switch("test", "close", bases=1)) == [("0", "half", "closed")]
    assert gate.admit(ask(9)).granted == 9


def _race(url, start, out):
    with closing(redis.Redis.from_url(url)) as client:
        gate = new_gate(client)
        start.wait(30)
        out.put(sum(gate.admit(ask(1)).is_probe for _ in range(16)))


def test_of_sixty_four_callers_in_four_processes_one_probes(gate, redis_url):
    opened(gate)
    gate.switch("test", "probe", bases=1)
    context = multiprocessing.get_context("spawn")
    start, out = context.Event(), context.Queue()
    crew = [context.Process(target=_race, args=(redis_url, start, out)) for _ in range(4)]
    for one in crew:
        one.start()
    start.set()
    winners = sum(out.get(timeout=30) for _ in crew)
    for one in crew:
        one.join(10)
    assert winners == 1


def failure(kind):
    return Failure(NO_REQUEST, kind, "", *[answer(b"").sent_at] * 2)


def test_what_counts_as_an_outage():
    kinds = ("timeout", "refused", "dns", "reset", "tls", "other")
    assert {verdict_of(failure(kind), None) for kind in kinds} == {"failed"}
    assert verdict_of(failure("too_large"), None) == "refused"
    good = answer(b"")
    assert verdict_of(good, None) == "ok"
    assert verdict_of(answer(b"", status=503), TryAgain("busy", retry_after_s=3)) == "failed"
    assert verdict_of(good, TryAgain("EService:Unavailable")) == "failed"
    assert verdict_of(answer(b"", status=429), SlowDown("slow")) == "throttled"
    assert verdict_of(answer(b"", status=404), FixRequest("unknown")) == "refused"
    assert verdict_of(good, BadData("html", rule="not_json")) == "bad"
