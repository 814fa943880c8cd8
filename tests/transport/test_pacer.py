"""The farm-wide pace, against a real Valkey and its clock."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st
from redis.backoff import NoBackoff
from redis.retry import Retry

from ingest.errors import FixRequest
from ingest.transport.pacer import Pacer, burst, pace_key
from ingest.wire import Limit

MINUTE = Limit(1200, 60, "test")
#: what the server's clock may have moved between two calls of a test, seconds of pace
CLOCK_S = 0.5


@pytest.fixture
def store(redis_url: str) -> Iterator[redis.Redis]:
    with closing(redis.Redis.from_url(redis_url)) as client:
        yield client


@given(st.integers(1, 10_000), st.integers(1, 86400 * 31))
def test_burst_and_pace_together_stay_within_every_window(amount: int, per_s: int) -> None:
    limit = Limit(amount, per_s, "test")
    assert 1 <= burst(limit) <= max(1, amount // 2)
    if per_s <= 60:
        assert burst(limit) <= max(1, amount / per_s)


def test_a_burst_goes_at_once_and_what_follows_is_paced(store: redis.Redis) -> None:
    pacer = Pacer(store)
    assert [pacer.take("binance", [MINUTE], 1, 1) for _ in range(burst(MINUTE))] == [0.0] * burst(MINUTE)
    waits = [pacer.take("binance", [MINUTE], 1, 1) for _ in range(100)]
    assert waits == sorted(waits)
    assert waits[-1] == pytest.approx(100 * 60 / 1181, abs=CLOCK_S)


def test_no_window_holds_more_than_the_limit_allows(store: redis.Redis) -> None:
    pacer, limit = Pacer(store), Limit(50, 5, "test")
    goes_at = sorted(pacer.take("kraken", [limit], 1, 1) for _ in range(300))
    busiest = max(sum(1 for t in goes_at if start <= t < start + 5) for start in goes_at)
    # The waits are seen from the calls, which the clock spreads by a few milliseconds each.
    assert busiest <= 50 * 1.1
    paced = 300 - burst(limit)
    assert paced / goes_at[-1] == pytest.approx((50 - burst(limit) + 1) / 5, rel=0.05)


def test_a_batch_over_the_burst_goes_when_nothing_is_owed_and_the_next_waits_for_it(store: redis.Redis) -> None:
    pacer = Pacer(store)
    assert pacer.take("binance", [MINUTE], 200, 200) == 0.0
    assert pacer.take("binance", [MINUTE], 200, 200) == pytest.approx(200 * 60 / 1181, abs=CLOCK_S)


def test_the_strictest_limit_decides_and_weight_counts_apart(store: redis.Redis) -> None:
    pacer = Pacer(store)
    limits = [Limit(6000, 60, "test"), Limit(60, 60, "test", unit="weight")]
    assert pacer.take("binance", limits, 1, 30) == 0.0
    assert pacer.take("binance", limits, 1, 1) == pytest.approx(30, abs=CLOCK_S)
    # The other limit counts from that place too, less the second it may run ahead.
    assert pacer.take("binance", limits[:1], 1, 0) == pytest.approx(29, abs=CLOCK_S)


def test_a_small_daily_quota_lets_half_of_it_go_at_once(store: redis.Redis) -> None:
    pacer, quota = Pacer(store), Limit(50, 86400, "test")
    waits = [pacer.take("fred", [quota], 1, 1) for _ in range(26)]
    assert waits[:25] == [0.0] * 25
    assert waits[25] == pytest.approx(86400 / 26, rel=0.01)


@pytest.mark.parametrize("limit", [Limit(1, 1, "test"), Limit(1, 60, "test"), Limit(1, 86400, "test")])
def test_one_per_window_is_one_per_window(store: redis.Redis, limit: Limit) -> None:
    pacer = Pacer(store)
    assert pacer.take("x", [limit], 1, 1) == 0.0
    assert pacer.take("x", [limit], 1, 1) == pytest.approx(limit.per_s, abs=CLOCK_S)


def test_providers_do_not_pace_each_other_and_no_limit_is_no_wait(store: redis.Redis) -> None:
    pacer = Pacer(store)
    pacer.take("binance", [MINUTE], 1200, 1)
    assert pacer.take("kraken", [MINUTE], 1, 1) == 0.0
    assert pacer.take("binance", [], 1, 1) == 0.0


def test_a_batch_no_window_can_hold_is_a_request_to_fix(store: redis.Redis) -> None:
    with pytest.raises(FixRequest, match="split it"):
        Pacer(store).take("binance", [MINUTE], 1201, 1)
    assert store.keys() == []


def test_callers_at_the_same_time_get_places_of_their_own(redis_url: str) -> None:
    limit = Limit(60, 60, "test")

    def takes(_worker: int) -> list[float]:
        with closing(redis.Redis.from_url(redis_url)) as own:
            return [Pacer(own).take("binance", [limit], 1, 1) for _ in range(10)]

    with ThreadPoolExecutor(8) as pool:
        waits = sorted(wait for mine in pool.map(takes, range(8)) for wait in mine)
    assert waits.count(0.0) <= 2  # the burst of one, and one more if a second passed
    assert waits[-1] == pytest.approx(79, abs=2)


def test_the_key_expires_with_its_last_reservation_and_carries_the_farms_prefix(store: redis.Redis) -> None:
    Pacer(store, prefix="other").take("binance", [MINUTE], 200, 1)
    assert store.keys() == [pace_key("other", "binance").encode()]
    lives_ms = store.pttl(pace_key("other", "binance"))
    assert 10_000 < int(lives_ms) < 12_000


def test_a_restarted_or_flushed_server_is_no_error(store: redis.Redis) -> None:
    pacer = Pacer(store)
    pacer.take("binance", [MINUTE], 1, 1)
    store.script_flush()
    store.flushdb()
    assert pacer.take("binance", [MINUTE], 1, 1) == 0.0


def test_redis_away_is_said_as_it_is(tmp_path: object) -> None:
    once = Retry(NoBackoff(), 0)
    with (
        closing(redis.Redis(unix_socket_path=f"{tmp_path}/none", retry=once)) as nobody,
        pytest.raises(redis.ConnectionError),
    ):
        Pacer(nobody).take("binance", [MINUTE], 1, 1)


def test_a_place_too_far_ahead_is_not_reserved(store: redis.Redis) -> None:
    pacer, limit = Pacer(store), Limit(60, 60, "test")
    assert pacer.take("fred", [limit], 60, 60) == 0.0

    waits = [pacer.take("fred", [limit], 1, 1, max_wait_s=1.0) for _ in range(5)]

    assert max(waits) - min(waits) < 1.0, "each refused call would have pushed the next one a second further"
    assert min(waits) > 50
