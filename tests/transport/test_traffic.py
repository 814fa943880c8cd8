"""What the gate has counted, read by whoever looks: the same figures that the gate decides by. On a real Valkey.

Deliberately not here: what the figures mean (tests/pipeline/test_health_rules.py).
"""

from __future__ import annotations

import random
import time
from contextlib import closing
from datetime import UTC, datetime

import pytest
import redis

from ingest.transport.gate import Hold, traffic_key
from ingest.transport.traffic import BUCKET_S, InUse, in_use, look, server_time
from tests.transport.callers import POLICY, ask, ended, limit, new_gate
from tests.waiting import until


@pytest.fixture
def store(redis_url):
    with closing(redis.Redis.from_url(redis_url)) as client:
        yield client


@pytest.fixture
def gate(store):
    return new_gate(store)


def send(gate, results, **more):
    admission = gate.admit(ask(len(results), **more))
    assert admission.granted == len(results), admission
    gate.report(admission, results, policy=POLICY)


def test_what_was_reported_is_counted_by_verdict_with_its_latencies(gate, store):
    verdicts = [("ok", 6, 20), ("bad", 1, 40), ("throttled", 2, 10), ("refused", 1, 10), ("failed", 2, 9_000)]
    results = [one for verdict, count, ms in verdicts for one in ended(count, verdict, latency_ms=ms)]
    send(gate, results)
    traffic = look(store, ["test", "another"])["test"].traffic
    assert (traffic.requests, traffic.errors, traffic.rejected) == (12, 3, 3)
    assert (traffic.ok, traffic.bad, traffic.throttled, traffic.refused, traffic.failed) == (6, 1, 2, 1, 2)
    assert traffic.mean_ms == pytest.approx((6 * 20 + 40 + 30 + 18_000) / 12)
    assert traffic.percentile_ms(50) == pytest.approx(20, rel=0.075)
    assert traffic.percentile_ms(95) == pytest.approx(9_000, rel=0.075)
    assert 290 <= traffic.covered_s <= 300
    assert traffic.per_s == pytest.approx(12 / traffic.covered_s)


def test_a_provider_that_nobody_asked_has_no_traffic(store):
    seen = look(store, ["test"])["test"]
    assert (seen.traffic.requests, seen.failing, seen.breakers, seen.held_by_hand) == (0, 0, (), False)
    assert seen.traffic.percentile_ms(95) is seen.traffic.mean_ms is None
    assert seen.is_shut(1) is False


def test_traffic_older_than_the_window_is_not_counted(store):
    bucket = int(server_time(store)) // BUCKET_S
    for age in (0, 10, 28, 31, 40):
        store.hset(f"{traffic_key('test')}{bucket - age}", mapping={"n": 1, "ok": 1, "ms": 5, "l11": 1})
    assert look(store, ["test"])["test"].traffic.requests == 3
    assert look(store, ["test"], window_s=60)["test"].traffic.requests == 1


def test_failures_in_a_row_go_on_over_batches_and_end_with_a_success(gate, store):
    send(gate, ended(1, "ok", age_ms=9) + ended(2, "failed"))
    send(gate, ended(2, "failed"))
    assert look(store, ["test"])["test"].failing == 4
    send(gate, ended(1, "throttled"))
    assert look(store, ["test"])["test"].failing == 0


def test_breakers_that_are_not_closed_are_seen_with_their_time(gate, store):
    send(gate, ended(5, "failed"), bases=2)
    seen = look(store, ["test"])["test"]
    assert [(one.scope, one.state) for one in seen.breakers] == [("0", "OPEN"), ("0/bars", "OPEN")]
    assert 0 < (seen.breakers[0].until - datetime.now(UTC)).total_seconds() < 1
    assert seen.is_shut(1)
    assert not seen.is_shut(2), "the second address is well"
    until(lambda: gate.admit(ask(1)).is_probe, within_s=3, what="the time of a probe")
    half = look(store, ["test"])["test"]
    assert {(one.state, one.until) for one in half.breakers} == {("HALF_OPEN", None)}
    assert half.is_shut(1)


def test_a_breaker_of_one_dataset_shuts_no_address(gate, store):
    for _ in range(5):
        send(gate, ended(1, "failed"), dataset="books")
        send(gate, ended(1, "ok"), dataset="bars")
    seen = look(store, ["test"])["test"]
    assert [one.scope for one in seen.breakers] == ["0/books"]
    assert not seen.is_shut(1)


def test_a_hold_by_hand_is_seen_until_it_is_lifted_or_over(gate, store):
    gate.hold("test", Hold(float("inf"), "x"))
    assert look(store, ["test"])["test"].held_by_hand
    gate.lift("test")
    assert not look(store, ["test"])["test"].held_by_hand
    gate.hold("test", Hold(0.05, "x"))
    until(lambda: not look(store, ["test"])["test"].held_by_hand, within_s=2, what="the end of the hold")


def test_what_is_in_use_of_a_window_is_what_the_gate_will_find(gate, store):
    """Random traffic over short windows: a look must agree with the gate, which frees shares only when it is asked."""
    dice = random.Random(7)
    limits = [limit(40, 1), limit(1_000, 2, "weight"), limit(60, 1, datasets=("bars",))]
    windows = ask(1, limits, at_once=50).windows
    deadline = time.monotonic() + 1.5
    while time.monotonic() < deadline:
        admission = gate.admit(ask(dice.randint(1, 9), limits, weight=3, at_once=50, deadline_s=-1.9))
        if admission.granted and dice.random() < 0.7:
            gate.report(admission, ended(dice.randint(0, admission.granted), weight=3), policy=POLICY)
        seen = in_use(store, windows)
        # A batch that never fits makes the gate free what is over, and takes nothing.
        gate.admit(ask(1, limits, weight=1_001, at_once=50))
        counted = [int(store.hget(window.key, "u") or 0) for window in windows]
        later = in_use(store, windows)
        for one, exact, after in zip(seen, counted, later, strict=True):
            assert after.used <= exact <= one.used, "shares may have become free between the three looks"
    until(lambda: in_use(store, windows) == [InUse(0, 0)] * 4, within_s=5, what="the end of every window")


def test_batches_that_are_out_are_counted_until_they_report_or_their_deadline(gate, store):
    limits = [limit(100, 60)]
    first, second = (gate.admit(ask(10, limits)) for _ in range(2))
    gate.admit(ask(5, limits, deadline_s=-1.9))
    [window] = first.ask.windows
    until(lambda: in_use(store, [window]) == [InUse(25, 2)], within_s=2, what="the third batch's deadline")
    gate.report(first, ended(7), policy=POLICY)
    gate.report(second, [], policy=POLICY)
    assert in_use(store, [window]) == [InUse(12, 0)]
