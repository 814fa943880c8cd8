"""Two thousand jobs of a provider that is away come back at the same moment: what goes out then, and who waits for it.

They are not spread over time, because the leader's room is what bounds them; this is the evidence. Deliberately not
here: how long a breaker stays open (tests/transport/test_breaker.py).
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest

from ingest.pipeline import jobs
from ingest.pipeline.context import Context
from ingest.pipeline.jobs import NewJob
from ingest.pipeline.leader import MESSAGES_PER_PROCESS, Leader, Look
from tests.pipeline.farm import DAY, LANES, Farm, bars_call, new_job, opened
from tests.waiting import until

MANY = 2_000
CHILDREN = 2
ROOM = MESSAGES_PER_PROCESS * CHILDREN
#: Measured: 15 to 25 ms, with seven other suites on the same two cores.
LOOK_S = 0.5
#: five failures open a breaker
FIVE = ("BTC-USDT", "ETH-USDT", "SOL-USDT", "BNB-USDT", "XRP-USDT")


@pytest.fixture
def ill(settings_of, sandbox, farm):  # `farm` has emptied the tables
    """Return a farm whose breaker for binance stays open for a second, with many of its jobs owed."""
    own = {"binance": {"breaker_open_s": 1.0, "breaker_open_cap_s": 1.0}}
    with opened(Context(settings_of(tickfarm_providers=own)), sandbox) as ill:
        sandbox.arm("binance", "status", times=None, args={"status": 500})
        owed = [history(hour) for hour in range(MANY)]
        with ill.context.sessions.begin() as session:
            jobs.insert_jobs(session, owed)
        yield ill


def history(hour: int) -> NewJob:
    call = bars_call(*FIVE, start=DAY - timedelta(hours=hour))
    return new_job(lane="backfill", kwargs=call)


def work(farm: Farm, look: Look) -> list[str]:
    """Do what a look published, as the lane's workers would."""
    states = []
    for message in look.messages:
        with farm.context.sessions.begin() as session:
            job = jobs.start(session, message.job.id, message.job.attempt)
        states.append(farm.fetch(job).state)
    return states


def test_when_many_deferred_jobs_come_back_at_once_one_request_goes_and_a_poll_of_another_waits_for_none(ill):
    leader = Leader(ill.context.sessions, lanes=LANES, max_in_flight_bytes=2**30)
    processes = dict.fromkeys(LANES, CHILDREN)
    assert work(ill, leader.look(datetime.now(UTC), processes)) == ["deferred"] * ROOM
    assert ill.requests("binance") == len(FIVE), "the others met an open breaker"

    ill.change("UPDATE jobs SET due_at = now() + interval '1.2 s' WHERE state = 'due'")  # as each would be, in its turn
    began = time.monotonic()
    away = leader.look(datetime.now(UTC), processes)
    assert away.messages == []
    assert time.monotonic() - began < LOOK_S

    back = away.next_at
    ill.owe("coinbase", {"dataset": "quotes", "instruments": ["BTC-USD"]}, lane="live", due_at=back)
    until(lambda: datetime.now(UTC) >= back, what="their moment")
    began = time.monotonic()
    look = leader.look(datetime.now(UTC), processes)
    assert time.monotonic() - began < LOOK_S
    assert [message.job.lane for message in look.messages] == ["live"] + ["backfill"] * ROOM
    assert work(ill, look) == ["fetched"] + ["deferred"] * ROOM
    assert ill.requests("binance") == len(FIVE) + 1, "one probe, however many came back"
