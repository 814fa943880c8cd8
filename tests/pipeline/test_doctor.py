"""The doctor sees each thing that can be broken, on real servers that are broken for it, and what it says mends it.

Deliberately not here: the command (test_cli_doctor.py), a whole farm in good health (tests/tasks/test_secured.py).
"""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime, timedelta

import psycopg2
import pytest
import redis
from sqlalchemy.engine import make_url
from sqlalchemy.orm import sessionmaker

import celeryconfig
from ingest.pipeline.dead_letters import Letter, write_letter
from ingest.pipeline.doctor import examine, verdict
from ingest.pipeline.doctor_check import fullness
from ingest.pipeline.doctor_machine import _memory
from ingest.pipeline.leader import Leadership
from ingest.pipeline.workers import Worker, announce
from ingest.settings import Settings
from ingest.transport.connections import ConnectionLeases
from models import Job, Series, open_engine
from models.migrate import head
from models.partitions import PARTITIONED, ensure_partitions
from tests.conftest import statement
from tests.tickfarm_command import NO_POSTGRESQL, NO_REDIS

QUEUES = [queue.name for queue in celeryconfig.task_queues]


def now():
    return datetime.now(UTC)


class Patient:
    """A farm's two servers, and what the doctor says of them."""

    def __init__(self, database_url, redis_url):
        self.urls = {"database_url": database_url, "redis_url": redis_url}
        self.engine = open_engine(database_url, application_name="test", pooled=False)
        self.sessions = sessionmaker(self.engine)
        self.redis = redis.Redis.from_url(redis_url)

    def checks(self, clock=now, **settings):
        found = examine(Settings(**{**self.urls, **settings}), QUEUES, clock)
        return {check.name: check for check in found}

    def states(self):
        return {name: check.state for name, check in self.checks().items()}

    @contextmanager
    def configured(self, name, value):
        [before] = self.redis.config_get(name).values()
        self.redis.config_set(name, value)
        try:
            yield
        finally:
            self.redis.config_set(name, before)


@pytest.fixture
def patient(module_database_url, redis_url):
    made = Patient(module_database_url, redis_url)
    yield made
    made.redis.close()
    made.engine.dispose()


def test_two_dead_servers_are_two_failures_and_everything_they_would_say_is_skipped():
    found = examine(Settings(database_url=NO_POSTGRESQL, redis_url=NO_REDIS), QUEUES, now)
    assert [check.name for check in found if check.state == "fail"] == ["PostgreSQL", "Redis"]
    assert [check.state for check in found][:3] == ["fail", "fail", "skip"], "failures come first"
    assert {check.state for check in found[2:]} == {"skip", "pass"}
    assert not [check for check in found if "planted-password" in f"{check.seen}{check.mend}"]


def test_servers_that_take_connections_and_say_nothing_cost_less_than_three_seconds():
    with ExitStack() as stack:
        silent = [stack.enter_context(closing(socket.create_server(("127.0.0.1", 0)))) for _ in range(2)]
        ports = [one.getsockname()[1] for one in silent]
        urls = {
            "database_url": f"postgresql://x:y@127.0.0.1:{ports[0]}/z",
            "redis_url": f"redis://127.0.0.1:{ports[1]}/0",
        }
        begun = time.monotonic()
        found = examine(Settings(**urls), QUEUES, now)
        assert time.monotonic() - begun < 3
    assert [check.name for check in found if check.state == "fail"] == ["PostgreSQL", "Redis"]


def test_the_check_of_a_live_farm_takes_under_three_seconds_and_writes_nothing(patient):
    begun = time.monotonic()
    found = patient.checks()
    assert time.monotonic() - begun < 3
    assert found["PostgreSQL"].state == found["Redis"].state == found["schema"].state == "pass"
    assert found["PostgreSQL"].seen.startswith("version 18")
    assert "Valkey 8" in found["Redis"].seen
    assert patient.redis.dbsize() == 0


def test_a_database_without_tables_or_behind_or_ahead_is_seen_and_what_needs_tables_is_skipped(patient, servers):
    statement(servers.database_url, "CREATE DATABASE bare")
    bare = make_url(servers.database_url).set(database="bare").render_as_string(hide_password=False)
    try:
        found = patient.checks(database_url=bare)
        assert (found["schema"].state, found["schema"].mend) == ("fail", "tickfarm migrate")
        assert found["keys"].state == found["due jobs"].state == found["dead letters"].state == "skip"
        assert found["clock of PostgreSQL"].state == "pass", "one check that fails takes no other along"
    finally:
        statement(servers.database_url, "DROP DATABASE bare WITH (FORCE)")
    for revision, mend in (("0001", "tickfarm migrate"), ("9999", "upgrade this farm")):
        statement(patient.urls["database_url"], f"UPDATE alembic_version SET version_num = '{revision}'")
        check = patient.checks()["schema"]
        assert check.state == "fail"
        assert check.mend.startswith(mend)
    statement(patient.urls["database_url"], f"UPDATE alembic_version SET version_num = '{head()}'")
    assert patient.checks()["schema"].state == "pass"


def test_a_missing_partition_of_tomorrow_is_seen(patient):
    assert patient.checks()["partitions"].state == "fail"
    with patient.sessions.begin() as session:
        for table in PARTITIONED:
            ensure_partitions(session, table, now(), now() + timedelta(days=1))
    assert patient.checks()["partitions"].state == "pass"
    tomorrow = f"{now() + timedelta(days=1):%Y_%m_%d}"
    statement(patient.urls["database_url"], f"DROP TABLE fetch_log_d{tomorrow}")
    assert f"fetch_log_d{tomorrow}" in patient.checks()["partitions"].seen


def test_nobody_who_leads_is_a_failure_until_somebody_does(patient):
    assert patient.checks()["leader"].state == "fail"
    leadership = Leadership(patient.engine)
    assert leadership.held()
    assert patient.checks()["leader"].state == "pass"
    leadership.release()


def test_a_followed_provider_without_its_key_fails_and_with_it_passes(patient, monkeypatch):
    with patient.sessions.begin() as session:
        session.add(Series(provider="fred", dataset="observations", instrument="UNRATE", interval="", followed=True))
    check = patient.checks()["keys"]
    assert check.state == "fail"
    assert check.mend.startswith("set FRED_API_KEY in .env (get one at https://")
    monkeypatch.setenv("FRED_API_KEY", "planted-key-of-fred")
    assert patient.checks()["keys"].state == "pass"


def test_late_jobs_and_dead_letters_are_warnings_and_history_may_wait(patient):
    with patient.sessions.begin() as session:
        old = now() - timedelta(days=2)
        session.add(Job(key="history", task="tasks.fetch.binance", lane="backfill", kwargs={}, due_at=old))
        session.add(
            Job(key="later", task="tasks.fetch.binance", lane="live", kwargs={}, due_at=now() + timedelta(days=1))
        )
    assert patient.checks()["due jobs"].state == "pass"
    with patient.sessions.begin() as session:
        late = now() - timedelta(minutes=2)
        session.add(Job(key="poll", task="tasks.fetch.binance", lane="live", kwargs={}, due_at=late))
        write_letter(session, Letter("tasks.store", "it broke", {}, ()))
    found = patient.checks()
    assert (found["due jobs"].state, found["dead letters"].state) == ("warn", "warn")
    assert "live: 1, the oldest for 12" in found["due jobs"].seen
    assert found["due jobs"].mend.startswith("tickfarm workers scale live")


def test_a_server_whose_clock_is_elsewhere_is_seen_of_both(patient):
    for off_s, state in ((0, "pass"), (2, "warn"), (-10, "fail")):
        found = patient.checks(clock=lambda off_s=off_s: now() + timedelta(seconds=off_s))
        assert {found["clock of PostgreSQL"].state, found["clock of Redis"].state} == {state}


def test_connections_that_are_nearly_used_up_are_a_warning(patient):
    address = make_url(patient.urls["database_url"]).set(drivername="postgresql").render_as_string(hide_password=False)
    with ExitStack() as stack:
        for _ in range(80):
            stack.enter_context(closing(psycopg2.connect(address)))
        check = patient.checks()["connections to PostgreSQL"]
    assert check.state in {"warn", "fail"}
    assert "max_connections" in check.mend


BROKEN = {
    "evicts": ("maxmemory-policy", "allkeys-lru", "eviction", "fail", "CONFIG SET maxmemory-policy noeviction"),
    "forgets": ("appendonly", "no", "persistence", "warn", "CONFIG SET appendonly yes"),
    "has no bound": ("maxmemory", "0", "memory of Redis", "warn", "CONFIG SET maxmemory"),
    "is full": ("maxmemory", "1mb", "memory of Redis", "fail", "TICKFARM_MAX_INFLIGHT_BYTES"),
    "is crowded": ("maxclients", "3", "connections to Redis", "fail", "maxclients"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_redis_that_is_set_up_wrong_is_seen_with_what_mends_it(patient, what):
    name, value, check, state, mend = BROKEN[what]
    with patient.configured(name, value):
        found = patient.checks()[check]
    assert found.state == state
    assert mend in found.mend
    if what != "is crowded":  # what else is connected to it is not ours to know
        assert patient.checks()[check].state == "pass"


def test_a_lane_without_workers_is_a_failure_a_drained_one_too_and_each_says_what_to_do(patient):
    assert patient.checks()["queues"].mend.startswith("tickfarm up, or: celery -A tasks worker -Q live.load,live")
    served = {lane: (f"{lane}.load", lane) for lane in celeryconfig.LANES}
    for lane in celeryconfig.LANES:
        announce(patient.redis, Worker(f"{lane}@here", served[lane], 2, children=2))
    assert patient.checks()["queues"].state == "pass"
    announce(patient.redis, Worker("live@here", served["live"], 2, children=2, draining=True))
    announce(patient.redis, Worker("standard@here", ("standard",), 2, children=2))
    check = patient.checks()["queues"]
    assert check.seen == "nobody consumes live.load, live, standard.load"
    assert check.mend.startswith("tickfarm workers resume live@here; celery -A tasks worker -Q standard.load,standard")


def test_a_lane_whose_children_are_all_busy_while_messages_wait_is_a_warning(patient):
    busy = Worker("live@here", ("live.load", "live"), 2, children=2, busy=2)
    announce(patient.redis, busy)
    assert patient.checks()["busy workers"].state == "pass", "nothing waits: they may be busy for a moment"
    patient.redis.lpush("farm:live", "a message")
    check = patient.checks()["busy workers"]
    assert (check.state, check.mend) == ("warn", "tickfarm workers scale live 4")
    assert "live 2 of 2, 1 waiting" in check.seen


def test_connections_to_providers_that_are_all_leased_are_a_failure(patient):
    leases = ConnectionLeases(patient.redis, most=10)
    assert leases.take("a worker", 10) == 10
    assert patient.checks(tickfarm_most_connections=10)["connections to providers"].state == "fail"
    assert patient.checks()["connections to providers"].state == "pass"


def test_a_containers_bound_counts_before_the_machines_memory(tmp_path):
    proc = tmp_path / "meminfo"
    proc.write_text("MemTotal: 8388608 kB\nMemFree: 1 kB\nMemAvailable: 4194304 kB\n")
    assert _memory(proc, tmp_path).seen == "4,096 of 8,192 MiB of this machine (50%)"
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text(f"{990 << 20}\n")
    (tmp_path / "memory.stat").write_text(f"anon 1\ninactive_file {100 << 20}\n")
    assert "machine" in _memory(proc, tmp_path).seen
    (tmp_path / "memory.max").write_text(f"{1000 << 20}\n")
    assert _memory(proc, tmp_path).named("memory").seen == "890 of 1,000 MiB of this container (89%)"
    assert _memory(proc, tmp_path).state == "warn"
    assert _memory(tmp_path / "absent", tmp_path / "absent").state == "skip"


def test_full_begins_at_four_fifths_and_is_a_failure_before_it_is_over():
    states = [fullness(used, 100, "seats", "stand").state for used in (0, 79, 80, 94, 95, 120)]
    assert states == ["pass", "pass", "warn", "warn", "fail", "fail"]


def test_the_verdict_is_the_worst_and_what_is_skipped_counts_for_nothing(patient):
    found = list(patient.checks().values())
    assert verdict(found) == "fail"
    assert verdict([check for check in found if check.state in {"pass", "skip"}]) == "pass"
