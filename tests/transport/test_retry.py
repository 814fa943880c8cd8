"""The retry table, row by row, and the properties of its waits."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.errors import BadData, FixRequest, LeaseLost, SlowDown, TickfarmError, TryAgain, UnknownName
from ingest.settings import PRESETS, Preset
from ingest.transport.retry import (
    DEFAULT,
    DEFER_SPREAD_S,
    LONGEST_RETRY_AFTER_S,
    POLICIES,
    Defer,
    GiveUp,
    Policy,
    RetryLater,
    RetryNow,
    countdown_s,
    decide,
    failure_to_error,
    retry_after_s,
)
from ingest.wire import Failure, FailureKind, Request

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
KINDS = get_args(FailureKind)
TRANSIENT = [kind for kind in KINDS if kind != "too_large"]
policies = st.builds(
    Policy,
    base_s=st.floats(0.01, 10),
    cap_s=st.floats(10, 600),
    jitter=st.floats(0, 0.5),
    retries=st.integers(0, 1000),
)
seeds = st.integers(0, 2**32)


def dice(seed: int = 1) -> random.Random:
    return random.Random(seed)


@given(st.sampled_from(TRANSIENT), st.integers(1, 2000), seeds, policies)
def test_our_own_wait_doubles_up_to_the_cap_less_at_most_the_jitter(
    kind: FailureKind, failures: int, seed: int, policy: Policy
) -> None:
    decision = decide(kind, failures, dice(seed), policy)
    if kind == "reset" and failures == 1:
        assert decision == RetryNow()
    elif failures > policy.retries:
        assert isinstance(decision, GiveUp)
    else:
        assert isinstance(decision, RetryLater)
        whole = min(policy.cap_s, policy.base_s * 2 ** min(failures - 1, 32))
        assert whole * (1 - policy.jitter) - 1e-9 <= decision.delay_s <= whole


def test_by_default_three_failures_wait_1_2_and_4_seconds_and_the_fourth_is_the_last() -> None:
    decisions = [decide("timeout", failures, dice()) for failures in (1, 2, 3, 4)]
    waits = [decision.delay_s for decision in decisions[:3] if isinstance(decision, RetryLater)]
    assert waits == [pytest.approx(1, rel=0.1), pytest.approx(2, rel=0.1), pytest.approx(4, rel=0.1)]
    assert isinstance(decisions[3], GiveUp)


@given(st.floats(0, LONGEST_RETRY_AFTER_S), st.integers(1, 100), seeds)
def test_a_wait_the_provider_asked_for_is_never_undercut_and_never_a_failure(
    told_s: float, failures: int, seed: int
) -> None:
    decision = decide(SlowDown("slow", retry_after_s=told_s), failures, dice(seed))
    assert isinstance(decision, Defer)
    assert told_s <= decision.delay_s <= told_s + DEFER_SPREAD_S


@given(st.floats(0, LONGEST_RETRY_AFTER_S), st.integers(1, 3), seeds)
def test_a_5xx_with_retry_after_counts_as_a_failure_and_is_not_undercut(
    told_s: float, failures: int, seed: int
) -> None:
    decision = decide(TryAgain("503", retry_after_s=told_s), failures, dice(seed))
    assert isinstance(decision, RetryLater)
    assert decision.delay_s >= told_s


def test_a_429_without_retry_after_backs_off_and_never_kills_the_job() -> None:
    assert isinstance(decide(SlowDown("slow"), 3, dice()), RetryLater)
    patient = decide(SlowDown("slow"), 50, dice())
    assert isinstance(patient, Defer)
    assert patient.delay_s == pytest.approx(DEFAULT.cap_s, rel=0.1)


def test_a_page_that_is_none_is_asked_for_again_until_the_retries_are_used_up() -> None:
    page = BadData("an HTML page", rule="not_json")
    assert isinstance(decide(page, 1, dice()), RetryLater)
    assert isinstance(decide(page, DEFAULT.retries + 1, dice()), GiveUp)


@pytest.mark.parametrize(
    "cause",
    [
        FixRequest("no"),
        UnknownName("instrument", "X", ["A"]),
        LeaseLost("gone"),
        "too_large",
    ],
)
def test_what_can_not_work_is_given_up_at_once_with_a_reason(cause: TickfarmError | FailureKind) -> None:
    decision = decide(cause, 1, dice())
    assert isinstance(decision, GiveUp)
    assert decision.reason


@given(st.integers(0, 10_000), seeds)
def test_the_countdown_for_infrastructure_is_at_most_a_minute_and_about_a_second_at_first(
    retries: int, seed: int
) -> None:
    assert 0.9 <= countdown_s(retries, dice(seed)) <= 60
    assert countdown_s(0, dice(seed)) <= 1


@given(st.integers(0, 10**12))
def test_retry_after_in_seconds_is_read_and_clamped(seconds: int) -> None:
    assert retry_after_s({"retry-after": str(seconds)}, NOW) == min(seconds, LONGEST_RETRY_AFTER_S)


@given(st.integers(-(10**6), 10**7))
def test_retry_after_as_a_date_is_read_and_clamped(seconds: int) -> None:
    text = format_datetime(NOW + timedelta(seconds=seconds), usegmt=True)
    assert retry_after_s({"retry-after": text}, NOW) == min(max(seconds, 0), LONGEST_RETRY_AFTER_S)


@given(st.integers(0, 10_000), st.integers(-100_000, 100_000))
def test_retry_after_as_a_date_is_measured_by_the_clock_that_wrote_it(seconds: int, skew_s: int) -> None:
    theirs = NOW + timedelta(seconds=skew_s)
    told = format_datetime(theirs + timedelta(seconds=seconds), usegmt=True)
    assert retry_after_s({"retry-after": told, "date": format_datetime(theirs, usegmt=True)}, NOW) == seconds
    assert retry_after_s({"retry-after": told, "date": "some day"}, NOW) == max(seconds + skew_s, 0)


@given(st.text(max_size=60))
def test_any_retry_after_is_a_wait_within_three_days_or_nothing(text: str) -> None:
    wait_s = retry_after_s({"retry-after": text}, NOW)
    assert wait_s is None or 0 <= wait_s <= LONGEST_RETRY_AFTER_S


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", None),
        ("soon", None),
        ("²", None),
        ("nan", None),
        ("1.5", 1.5),
        (" 7 ", 7.0),
        ("-3", 0.0),
        ("9" * 400, None),
    ],
)
def test_odd_spellings_of_retry_after(text: str, expected: float | None) -> None:
    if len(text) > 100:
        expected = LONGEST_RETRY_AFTER_S
    assert retry_after_s({"retry-after": text}, NOW) == expected


def test_no_retry_after_asks_for_nothing() -> None:
    assert retry_after_s({}, NOW) is None


def test_every_preset_has_a_policy_and_the_standard_one_is_the_default() -> None:
    assert set(POLICIES) == set(get_args(Preset)) == set(PRESETS)
    assert POLICIES["standard"] == DEFAULT
    patience = {preset: sum(waits(policy)) for preset, policy in POLICIES.items()}
    assert patience["conservative"] > patience["standard"]
    assert waits(POLICIES["aggressive"])[0] < waits(DEFAULT)[0]


def waits(policy: Policy) -> list[float]:
    """Return the waits between the tries of a request that always fails, without their jitter."""
    steady = replace(policy, jitter=0.0)
    decisions = [decide("timeout", failures, dice(), steady) for failures in range(1, policy.retries + 1)]
    return [decision.delay_s for decision in decisions if isinstance(decision, RetryLater)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_failure_becomes_an_error_that_is_decided_alike(kind: FailureKind) -> None:
    error = failure_to_error(Failure(Request("/x"), kind, "detail", NOW, NOW), "kraken")
    assert error.provider == "kraken"
    assert "kraken" in str(error)
    assert "detail" in str(error)
    assert type(decide(error, 2, dice())) is type(decide(kind, 2, dice()))
