"""PostgreSQL and Redis restarted, emptied, full, read-only or not there yet: the farm waits, says so, and converges.

The servers are the module's own, so that restarting them disturbs nobody.
"""

from __future__ import annotations

import signal
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs

import pytest

from ingest import providers
from ingest.market.times import midnight
from ingest.pipeline import backfill
from ingest.pipeline.backfill_plan import check_ask
from ingest.pipeline.backfill_status import progress_of
from local.lock import hold
from local.servers import Servers
from local.state import make_home
from models import migrate
from tests.conftest import statement, temporary_home
from tests.tasks.conftest import noted
from tests.tasks.farm import running_farm
from tests.tasks.load import PAIRS, START, check_stored, owe_bars
from tests.tester import TESTER

JOBS, MINUTES = 120, 30
#: A step that met the outage several times waits up to a minute for its next try, and its job rests meanwhile.
CONVERGED_S = 150


@pytest.fixture(scope="module")
def own_servers():
    with temporary_home() as folder, hold(make_home(folder)):
        servers = Servers(folder, durable=False)
        servers.start()
        migrate.upgrade(servers.postgres.url)
        yield servers
        servers.stop()


@pytest.fixture(scope="module")
def own_farm(own_servers, farm_sandbox):
    with noted(running_farm(own_servers.postgres.url, own_servers.valkey.url, farm_sandbox)) as farm:
        yield farm


@pytest.fixture
def empty_farm(own_farm, sandbox):
    """The module's farm, whose processes go on from test to test: none of what happens may end them."""
    own_farm.empty("backfill_jobs", "backfills", "jobs", "dead_letters", "bars", "ledger", "revisions", "fetch_log")
    return own_farm


@pytest.fixture
def busy(empty_farm):
    """The farm in the middle of its work; at the end the work must be whole and its processes the same."""
    if not empty_farm.processes:
        empty_farm.beat()
        empty_farm.worker()
    rows = owe_bars(empty_farm, jobs=JOBS, minutes=MINUTES)
    empty_farm.wait_for("SELECT count(*) > 15 FROM jobs WHERE state = 'done'", within_s=60)
    assert "due" in empty_farm.states()
    yield empty_farm
    end_leases(empty_farm)
    empty_farm.all_done(within_s=CONVERGED_S)
    check_stored(empty_farm, rows)
    assert empty_farm.letters() == []
    for process in empty_farm.processes.values():
        assert process.child.exit_code() is None, process.text()[-2000:]


def end_leases(farm):
    """End the leases of messages that may be gone: the tests of kills prove that time does it as well."""
    farm.rows("UPDATE jobs SET lease_until = now() WHERE state IN ('leased', 'fetched') AND started_at IS NULL")


def restart(server, number):
    """End a server in the way of `number` and start it again on its port and data."""
    server._child.send(number)
    assert server._child.wait(30)
    server.start()


def test_the_work_is_whole_after_redis_was_restarted(busy, own_servers):
    restart(own_servers.valkey, signal.SIGTERM)


def test_the_work_is_whole_after_redis_was_killed_and_restarted(busy, own_servers):
    restart(own_servers.valkey, signal.SIGKILL)


def test_the_work_is_whole_after_redis_was_emptied(busy):
    busy.context.redis.flushall()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["fast", "immediate"])
def test_the_work_is_whole_after_postgresql_was_restarted(busy, own_servers, how):
    restart(own_servers.postgres, how)
    busy.wait_for("SELECT 1")


def test_the_work_is_whole_after_redis_was_full(busy):
    redis = busy.context.redis
    room = redis.config_get("maxmemory")["maxmemory"]
    redis.config_set("maxmemory", "1mb")
    try:
        busy.processes["one"].says("maxmemory")
        assert "due" in busy.states()
    finally:
        redis.config_set("maxmemory", room)


def test_the_work_is_whole_after_postgresql_was_read_only(busy):
    statement(busy.database_url, "ALTER SYSTEM SET default_transaction_read_only = on")
    statement(busy.database_url, "SELECT pg_reload_conf()")
    try:
        for process in busy.processes.values():
            process.says("read-only")
    finally:
        statement(busy.database_url, "ALTER SYSTEM RESET ALL")
        statement(busy.database_url, "SELECT pg_reload_conf()")
    busy.wait_for("SELECT current_setting('default_transaction_read_only') = 'off'")


@pytest.fixture
def away(empty_farm, own_servers):
    """Servers that are not there, and a farm without processes that owes some work."""
    empty_farm.stop()
    empty_farm.processes.clear()
    rows = owe_bars(empty_farm, jobs=4)
    own_servers.valkey.stop()
    own_servers.postgres.stop()
    yield own_servers
    empty_farm.processes["one"].says(" ready.")
    empty_farm.all_done(within_s=60)
    check_stored(empty_farm, rows)


def test_a_farm_started_before_both_servers_waits_for_them_and_says_so(empty_farm, away):
    beat, worker = empty_farm.beat(), empty_farm.start_worker()
    worker.says("Cannot connect to redis")
    beat.says("beat_waits")
    away.valkey.start()
    worker.says(" ready.")
    away.postgres.start()


def test_a_farm_started_before_redis_waits_for_it_and_says_so(empty_farm, away):
    away.postgres.start()
    beat, worker = empty_farm.beat(), empty_farm.start_worker()
    worker.says("Cannot connect to redis")
    beat.says("beat_waits")
    away.valkey.start()


@pytest.mark.timeout(400)
def test_a_backfill_goes_on_after_everything_was_killed_and_asks_for_no_proven_day_again(empty_farm, own_servers):
    farm, pairs = empty_farm, PAIRS[:2]
    if not farm.processes:
        farm.beat()
        farm.worker()
    farm.sandbox.arm("binance", "slow", times=None, args={"delay_s": 0.2})
    with farm.context.sessions.begin() as session:
        number, found = backfill.run(
            session, farm.context.settings, twenty_days_of(pairs, farm), by=TESTER, now=farm.now()
        )
    farm.wait_for("SELECT count(*) > 3 FROM jobs WHERE state = 'done'", within_s=60)
    farm.stop()
    assert "due" in farm.states()
    proven = farm.rows("SELECT instrument, day FROM ledger JOIN series ON id = series_id WHERE state = 'verified'")
    restart(own_servers.postgres, signal.SIGQUIT)
    restart(own_servers.valkey, signal.SIGKILL)
    farm.context.redis.flushall()
    farm.sandbox.control("DELETE", "faults")
    farm.sandbox.control("DELETE", "requests")

    # What was being sent when all was killed fills every window until its deadline and for a window more, six minutes
    # with this provider (tests/transport/test_budget.py); here it is taken back at once.
    farm.rows("UPDATE jobs SET lease_until = now(), started_at = NULL WHERE state = 'leased'")
    farm.processes.clear()
    farm.beat()
    farm.worker()
    end_leases(farm)
    farm.all_done(within_s=CONVERGED_S)
    assert proven
    asked = [parse_qs(one["query"]) for one in farm.sandbox.control("GET", "requests?log=1")[1]["log"]]
    assert asked
    assert not [one for one in asked for day in proven if touches(one, *day)]
    check_stored(farm, found.rows, pairs=pairs)
    with farm.context.sessions() as session:
        order = backfill.find(session, number)
        assert progress_of(session, farm.context.settings, order, farm.now()).is_proven


def twenty_days_of(pairs, farm):
    window = {"start": START, "end": START + timedelta(days=20), "interval": "1m", "mode": "missing"}
    return check_ask(farm.context.settings, providers.get("binance"), "bars", pairs, now=farm.now(), **window)


def touches(query, instrument, day):
    """Say whether a request for klines asks for any minute of that day."""
    if query.get("symbol") != [instrument.replace("-", "")] or "startTime" not in query:
        return False
    first, last = (datetime.fromtimestamp(int(query[name][0]) / 1000, UTC) for name in ("startTime", "endTime"))
    return first < midnight(day) + timedelta(days=1) and midnight(day) <= last
