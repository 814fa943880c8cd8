"""What figures say of a provider and of the farm, and when a change of that counts. Pure.

Deliberately not here: where figures come from (test_health.py). Invariant under test: worse figures never make a state
better, and who hovers at a bound is called the worse of the two, once.
"""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.pipeline.health import RANK, FarmFigures, JobCounts, Settled, judge, judge_farm, settle
from ingest.transport.gate import LATENCY_STEP
from ingest.transport.traffic import Traffic, together

IDLE = Settled("IDLE", "IDLE")
LANES = {"live": 2, "standard": 1}


def traffic(ok=0, failed=0, *, bad=0, throttled=0, refused=0, latency_ms=100):
    """Return the traffic of requests that all took so long."""
    found = Traffic()
    count = ok + failed + bad + throttled + refused
    step = math.floor(math.log(max(latency_ms, 1), LATENCY_STEP))
    counts = {"n": count, "ok": ok, "failed": failed, "bad": bad, "throttled": throttled, "refused": refused}
    found.add(counts | {"ms": count * latency_ms} | ({f"l{step}": count} if count else {}))
    return found


@pytest.mark.parametrize(
    ("errors", "state"),
    [
        *((0, "HEALTHY"), (9, "HEALTHY"), (10, "DEGRADED"), (19, "DEGRADED"), (20, "CRITICAL"), (50, "CRITICAL")),
        *((51, "OFFLINE"), (100, "OFFLINE")),
    ],
)
@pytest.mark.parametrize("kind", ["failed", "bad"])
def test_so_many_errors_in_a_hundred_are_that_state(errors, state, kind):
    judged = judge(traffic(100 - errors, **{kind: errors}))
    assert judged.state == state
    assert any(f"{errors} of 100" in reason for reason in judged.reasons) == judged.is_ill


@pytest.mark.parametrize(
    ("latency_ms", "state"),
    [(1, "HEALTHY"), (1_800, "HEALTHY"), (2_200, "DEGRADED"), (4_300, "DEGRADED"), (5_800, "CRITICAL")],
)
def test_answers_that_slow_are_that_state(latency_ms, state):
    assert judge(traffic(100, latency_ms=latency_ms)).state == state


def test_five_slow_answers_in_a_hundred_do_not_count_and_six_do():
    assert judge(together([traffic(95), traffic(5, latency_ms=9_000)])).state == "HEALTHY"
    assert judge(together([traffic(94), traffic(6, latency_ms=9_000)])).state == "CRITICAL"


def test_nothing_asked_is_idle_and_shut_breakers_are_offline_with_or_without_traffic():
    assert judge(Traffic()).state == "IDLE"
    assert judge(Traffic(), is_shut=True).state == "OFFLINE"
    judged = judge(traffic(100), is_shut=True)
    assert judged.state == "OFFLINE"
    assert judged.reasons == ("the breaker of every address is open",)


def test_throttling_and_refusals_are_no_errors():
    assert judge(traffic(1, throttled=500, refused=500)).state == "HEALTHY"


counts = st.integers(0, 10_000)
latencies = st.integers(0, 90_000)
traffics = st.builds(lambda ok, failed, ms: traffic(ok, failed, latency_ms=ms), counts, counts, latencies)


@given(counts, counts, counts, latencies)
def test_one_more_error_never_makes_a_state_better(ok, failed, bad, latency_ms):
    before = judge(traffic(ok, failed, bad=bad, latency_ms=latency_ms)).state
    for more in ({"failed": failed + 1, "bad": bad}, {"failed": failed, "bad": bad + 1}):
        assert RANK[judge(traffic(ok, **more, latency_ms=latency_ms)).state] >= RANK[before]


@given(traffics, latencies)
def test_a_slower_request_never_makes_a_state_better(some, latency_ms):
    slower = together([some, traffic(1, latency_ms=latency_ms)])
    faster = together([some, traffic(1, latency_ms=latency_ms // 2)])
    assert RANK[judge(slower).state] >= RANK[judge(faster).state]


@given(st.lists(st.integers(1, 90_000), min_size=1), st.sampled_from([50, 95, 99]))
def test_a_percentile_is_right_to_seven_and_a_half_percent(latencies_ms, percent):
    found = together(traffic(1, latency_ms=one) for one in latencies_ms).percentile_ms(percent)
    exact = sorted(latencies_ms)[math.ceil(len(latencies_ms) * percent / 100) - 1]
    assert exact / 1.075 <= found <= exact * 1.075


@given(st.lists(traffics, max_size=5))
def test_the_whole_counts_what_its_parts_count(parts):
    whole = together(parts)
    assert whole.requests == sum(one.requests for one in parts) == sum(whole.steps.values())
    assert whole.errors == sum(one.errors for one in parts)
    assert (whole.percentile_ms(95) is None) == (whole.requests == 0)


def checked(before, *seen, is_shut=False):
    """Return what is reported after these checks."""
    for one in seen:
        before = settle(before, one, is_shut=is_shut)
    return before.reported


GOOD, WARM, BAD = traffic(100), traffic(85, 15), traffic(70, 30)
HEALTHY = Settled("HEALTHY", "HEALTHY")


def test_a_change_is_reported_when_two_checks_in_a_row_see_it():
    assert checked(HEALTHY, BAD) == "HEALTHY"
    assert checked(HEALTHY, BAD, BAD) == "CRITICAL"
    assert checked(HEALTHY, BAD, GOOD, BAD) == "HEALTHY"
    assert checked(IDLE, GOOD, GOOD) == "HEALTHY"
    assert checked(HEALTHY, Traffic(), Traffic()) == "IDLE"


def test_of_two_checks_that_differ_the_milder_worsening_and_the_lesser_recovery_count():
    assert checked(HEALTHY, BAD, WARM) == "DEGRADED"
    assert checked(HEALTHY, WARM, BAD) == "DEGRADED"
    critical = Settled("CRITICAL", "CRITICAL")
    assert checked(critical, GOOD, traffic(88, 12)) == "DEGRADED"


def test_breakers_that_leave_no_address_are_reported_at_once_and_their_closing_is_not():
    assert checked(HEALTHY, GOOD, is_shut=True) == "OFFLINE"
    offline = Settled("OFFLINE", "OFFLINE")
    assert checked(offline, GOOD) == "OFFLINE"
    assert checked(offline, GOOD, GOOD) == "HEALTHY"


def test_better_counts_where_the_figures_clear_the_bound_by_a_fifth():
    degraded = Settled("DEGRADED", "DEGRADED")
    assert checked(degraded, *[traffic(91, 9)] * 5) == "DEGRADED"
    assert checked(degraded, *[traffic(93, 7)] * 2) == "HEALTHY"
    assert checked(degraded, *[traffic(100, latency_ms=1_750)] * 5) == "DEGRADED"
    assert checked(degraded, *[traffic(100, latency_ms=1_000)] * 2) == "HEALTHY"


@given(st.lists(st.sampled_from([9, 10, 11]), min_size=2, max_size=60))
def test_who_hovers_at_a_bound_changes_once_at_most(errors):
    state, changes = HEALTHY, 0
    for count in errors:
        after = settle(state, traffic(100 - count, count), is_shut=False)
        changes += after.reported != state.reported
        state = after
    assert changes <= 1


@given(st.sampled_from(list(RANK)), traffics, st.booleans())
def test_what_lasts_is_reported_within_two_checks_and_then_nothing_more(reported, lasting, is_shut):
    second = settle(settle(Settled(reported, reported), lasting, is_shut=is_shut), lasting, is_shut=is_shut)
    assert settle(second, lasting, is_shut=is_shut) == second
    seen = judge(lasting, is_shut=is_shut).state
    assert RANK[second.reported] >= RANK[seen], "never called better than it is"
    if RANK[seen] >= RANK[reported]:
        assert second.reported == seen


def farm(**changes):
    return judge_farm(FarmFigures(**{"traffic": GOOD, "providers": {"binance": "HEALTHY"}, "lanes": LANES} | changes))


def test_a_farm_without_fault_is_healthy_and_one_that_asks_nothing_is_idle():
    assert farm() == replace(farm(), state="HEALTHY", reasons=())
    assert farm(traffic=Traffic(), providers={"binance": "IDLE"}) == replace(farm(), state="IDLE", reasons=())


@pytest.mark.parametrize(
    ("changes", "state", "said"),
    [
        ({"has_leader": False}, "OFFLINE", "nobody leads"),
        ({"lanes": dict.fromkeys(LANES, 0)}, "OFFLINE", "no worker is there"),
        ({"lanes": {"live": 2, "backfill": 0}}, "DEGRADED", "nobody serves the backfill lane"),
        ({"lanes": {"live": 0, "backfill": 1}, "waiting": frozenset({"live"})}, "CRITICAL", "its jobs wait"),
        ({"providers": {"binance": "HEALTHY", "kraken": "OFFLINE"}}, "DEGRADED", "kraken is OFFLINE"),
        ({"providers": {"binance": "IDLE", "kraken": "OFFLINE"}}, "OFFLINE", "every provider that is asked is OFFLINE"),
        ({"traffic": traffic(40, 60)}, "CRITICAL", "60 of 100 requests failed"),
        ({"traffic": traffic(100, latency_ms=3_000)}, "DEGRADED", "over all providers p95 is"),
        ({"jobs": JobCounts(90, dead=4, expired=6)}, "DEGRADED", "10 of 100 jobs of the last hour failed (4 dead"),
        ({"jobs": JobCounts(1, dead=9)}, "CRITICAL", "9 of 10 jobs"),
    ],
)
def test_the_verdict_is_the_worst_that_any_part_says_and_gives_the_reason(changes, state, said):
    judged = farm(**changes)
    assert judged.state == state
    assert any(said in reason for reason in judged.reasons), judged.reasons
    assert len(set(judged.reasons)) == len(judged.reasons)


def test_every_reason_is_given_not_only_the_worst():
    judged = farm(has_leader=False, providers={"kraken": "CRITICAL"}, jobs=JobCounts(1, dead=9), traffic=BAD)
    assert len(judged.reasons) == 4


def test_cancelled_jobs_are_no_failures():
    assert farm(jobs=JobCounts(1, cancelled=50)).state == "HEALTHY"
