"""An hour of steady work: memory stays flat, no message stays unacknowledged, nothing piles up in Redis.

`SOAK_S` is its length in seconds (3600; 120 already shows something). Deliberately not here: kills (test_kills.py).
"""

from __future__ import annotations

import os
import time
from datetime import timedelta
from statistics import median

import pytest

from tests.tasks.load import PAIRS, START, bars_job, owe
from tests.tasks.memory import resident_mib
from tests.waiting import until

SOAK_S = float(os.environ.get("SOAK_S", "3600"))
SAMPLES = 60
#: What the second half may hold more than the first, once warm: a leak of 1 KiB a job would be 40 MiB after an hour.
BOUND_MIB = 12.0
#: Jobs go round this many stretches, so that the table of bars does not grow for ever.
STRETCHES = 200
BATCH = 40


def steady(farm, number):
    """Owe the next batch once the last one is done, a call by hand and a command with it; return the next number."""
    if farm.value("SELECT count(*) FROM jobs WHERE state IN ('due', 'leased', 'fetched')"):
        return number
    stretch = timedelta(minutes=100)
    owe(
        farm,
        *(
            bars_job(f"soak:{at:07}", PAIRS[at % 4], start=START + at % STRETCHES * stretch, minutes=100)
            for at in range(number, number + BATCH)
        ),
    )
    return number + BATCH


def in_redis(redis):
    """Return what must not grow: bindings, and every key that does not pass by itself.

    Results, payloads and batches pass within an hour of their job, counters of traffic within a quarter of one.
    """
    bindings = sum(redis.scard(key) for key in redis.keys("farm:_kombu.binding.*"))
    passing = (b"farm:celery-task-meta-", b"tickfarm:payload:", b"tickfarm:batch:", b"tickfarm:traffic:")
    return bindings, len([key for key in redis.keys("*") if not key.startswith(passing)])


@pytest.mark.full
@pytest.mark.timeout(int(SOAK_S) + 300)
def test_memory_is_flat_and_nothing_piles_up_in_redis_while_work_goes_on(farm):
    workers = [farm.start_worker(name) for name in ("one", "two")]
    beat = farm.beat()
    for worker in workers:
        worker.says(" ready.")
    redis = farm.context.redis
    seen: dict[str, list[float]] = {running.name: [] for running in (*workers, beat)}
    keys: list[tuple[int, int]] = []
    number, until_s = 0, time.monotonic() + SOAK_S
    with farm.client() as client:
        call = bars_job("by hand", PAIRS[0], minutes=10).kwargs
        while time.monotonic() < until_s:
            next_s = time.monotonic() + SOAK_S / SAMPLES
            result = client.send_task("tasks.fetch.binance", kwargs=call)
            assert result.get(timeout=60)["state"] == "done"
            assert len(client.control.ping(["one@farm", "two@farm"], timeout=10, limit=2)) == 2
            while time.monotonic() < next_s:
                number = steady(farm, number)
                moment = time.monotonic() + 0.1
                until(lambda moment=moment: time.monotonic() > moment, what="a moment")
            for running in (*workers, beat):
                seen[running.name].append(resident_mib(running))
            keys.append(in_redis(redis))
    farm.all_done(within_s=60)
    until(lambda: redis.hlen("farm:unacked") == redis.zcard("farm:unacked_index") == 0, what="every acknowledgement")
    assert [redis.llen(f"farm:{queue}") for queue in ("live", "standard", "backfill", "backfill.load")] == [0] * 4
    assert number > SOAK_S, "there was work all the time"
    assert farm.letters() == []
    check_flat(seen, keys)


def check_flat(seen, keys):
    """Compare the second quarter with the last one; the first is the warm-up."""
    first, last = slice(SAMPLES // 4, SAMPLES // 2), slice(-SAMPLES // 4, None)
    for name, sizes in seen.items():
        before, after = median(sizes[first]), median(sizes[last])
        print(f"{name}: {before:.1f} -> {after:.1f} MiB")  # noqa: T201 - what a long run is looked at for
        assert after - before < BOUND_MIB, [round(size) for size in sizes]
    print(f"bindings and keys: {keys[0]} -> {keys[-1]}")  # noqa: T201
    bindings, others = (max(column) for column in zip(*keys[first], strict=True))
    assert keys[-1][0] <= bindings, keys
    assert keys[-1][1] <= others, keys
