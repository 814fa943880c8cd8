"""What the leader leases of a provider whose budget is used up: what it can serve, and not what would be sent back.

Deliberately not here: the budget itself (tests/transport/test_budget.py, test_exchange.py).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ingest.pipeline import jobs
from ingest.pipeline.bulkheads import FULL_FOR
from ingest.pipeline.context import Context
from ingest.pipeline.leader import MESSAGES_PER_PROCESS, Leader
from ingest.pipeline.workers import News
from tests.pipeline.farm import DAY, LANES, bars_call, new_job, opened
from tests.pipeline.transitions import lease_all

ROOM = 2 * MESSAGES_PER_PROCESS
DUE = 60
#: of 10 requests in a window, a fifth stays free for live work
LIMITED, FOR_HISTORY = {"limits": "10/60s"}, 8
BINANCE, BITFINEX, COINBASE = "tasks.fetch.binance", "tasks.fetch.bitfinex", "tasks.fetch.coinbase"


class Player:
    """Leases as the leader does and runs what it leased, as workers do, until a look brings nothing."""

    def __init__(self, farm):
        self.farm = farm
        self.leader = Leader(farm.context.sessions, lanes=LANES, max_in_flight_bytes=2**30)
        self.told = []

    def play(self, now=None, *, is_heard=True):
        """Return how many messages there were."""
        now, count = now or datetime.now(UTC), 0
        while messages := self.leader.look(now, dict.fromkeys(LANES, 2)).messages:
            count += len(messages)
            for message in messages:
                self._run(message.job)
            now = max(now, datetime.now(UTC))
            if is_heard:
                self.leader.hear(self.told, now)
        return count

    def _run(self, leased):
        with self.farm.context.sessions.begin() as session:
            job = jobs.start(session, leased.id, leased.attempt)
        outcome = self.farm.fetch(job)
        if outcome.state == "fetched":
            self.farm.load(job, in_two_steps=False)
        until = None if outcome.full_until is None else outcome.full_until.timestamp()
        self.told.append(News(job.lane, job.task, outcome.store_s, until))


@pytest.fixture
def farm_with(settings_of, sandbox, farm):
    """Return what opens an empty farm that keeps to limits, with settings of its own for providers."""

    def open_(**providers):
        config = settings_of(tickfarm_pace=True, tickfarm_providers=providers)
        return opened(Context(config, name="test budget"), sandbox)

    return open_


def owe_history(farm, count=DUE, *, task=BINANCE, instrument="BTC-USDT"):
    calls = [bars_call(instrument, start=DAY + timedelta(hours=at)) for at in range(count)]
    owed = [new_job(task=task, lane="backfill", priority=4, kwargs=call) for call in calls]
    with farm.context.sessions.begin() as session:
        jobs.insert_jobs(session, owed)


def test_of_many_due_jobs_only_what_the_budget_serves_is_sent_and_a_few_are_told_until_when(farm_with):
    with farm_with(binance=LIMITED) as farm:
        owe_history(farm)
        messages = Player(farm).play()
        assert farm.states().count("done") == FOR_HISTORY
        assert messages <= FOR_HISTORY + ROOM
        assert farm.value("SELECT count(*) FROM jobs WHERE state = 'due' AND attempt = 0") >= DUE - messages


def test_a_leader_that_is_told_nothing_sends_all_of_them_to_be_sent_back(farm_with):
    with farm_with(binance=LIMITED) as farm:
        owe_history(farm)
        assert Player(farm).play(is_heard=False) == DUE
        assert farm.states().count("done") == FOR_HISTORY


def test_when_the_window_serves_again_the_jobs_that_wait_for_it_are_leased(farm_with):
    with farm_with(binance=LIMITED) as farm:
        owe_history(farm)
        player = Player(farm)
        player.play()
        told = farm.value("SELECT min(due_at) FROM jobs WHERE state = 'due' AND attempt > 0")
        before = player.leader.look(told - timedelta(milliseconds=1), dict.fromkeys(LANES, 2))
        assert before.messages == []
        assert before.next_at <= told
        last_told = datetime.fromtimestamp(player.told[-1].full_until, UTC)
        assert len(player.leader.look(last_told, dict.fromkeys(LANES, 2)).messages) == ROOM


def test_a_budget_of_a_day_that_is_used_up_is_asked_for_again_each_minute(farm_with):
    with farm_with(binance={"limits": "8 requests/1d"}) as farm:
        owe_history(farm)
        player = Player(farm)
        player.play()
        assert player.told[-1].full_until > (datetime.now(UTC) + timedelta(hours=1)).timestamp()
        assert 1 <= player.play(datetime.now(UTC) + FULL_FOR) <= ROOM


def test_of_a_provider_that_is_switched_off_a_few_jobs_are_asked_for_and_the_others_stay(farm_with):
    with farm_with(binance={"enabled": False}) as farm:
        owe_history(farm)
        assert Player(farm).play() == ROOM
        assert farm.states() == ["due"] * DUE


def test_a_used_up_budget_holds_back_neither_other_providers_nor_live_work_of_this_one(farm_with):
    with farm_with(binance=LIMITED) as farm:
        owe_history(farm)
        player = Player(farm)
        player.play()
        owe_history(farm, 3, task=COINBASE, instrument="BTC-USD")
        farm.owe("binance", {"dataset": "quotes", "instruments": ["BTC-USDT"]}, lane="live")
        assert player.play() == 4
        done = farm.select("SELECT task, lane FROM jobs WHERE state = 'done' ORDER BY id DESC LIMIT 4")
        assert done == [(BINANCE, "live"), *[(COINBASE, "backfill")] * 3]


def test_a_limit_of_one_dataset_holds_back_nothing_else_of_the_provider(farm_with):
    with farm_with() as farm:
        owe_history(farm, 40, task=BITFINEX, instrument="BTC-USD")
        player = Player(farm)
        player.play()
        assert farm.value("SELECT count(*) FROM jobs WHERE state = 'due' AND attempt > 0") > 0, "its 24 are not used up"
        assert all(one.full_until is None for one in player.told)
        with farm.context.sessions.begin() as session:
            assert lease_all(session, "backfill", limit=1, now=datetime.now(UTC)) == []
