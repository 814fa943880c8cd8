"""The embedded servers: start, stop, crash, recovery, permissions, and whom they refuse."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
from contextlib import closing
from pathlib import Path

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from local import account
from local.lock import hold
from local.servers import Servers, running
from local.state import Refused, make_home
from tests.conftest import statement, temporary_home
from tests.waiting import is_gone, until


def modes_that_others_can_read(folder):
    """Return every file below that its owner doesn't keep for itself."""
    found = []
    for path in folder.rglob("*"):
        info = path.lstat()
        if not stat.S_ISLNK(info.st_mode) and stat.S_ISREG(info.st_mode) and info.st_mode & 0o077:
            found.append(f"{stat.filemode(info.st_mode)} {path}")
    return found


@pytest.fixture(scope="module")
def stopped_home():
    """A state folder in which servers ran once: copying it is cheaper than initdb."""
    with temporary_home() as folder:
        with running(folder, durable=False):
            pass
        yield folder


@pytest.fixture
def pair(stopped_home, home):
    """Servers of the test's own, with a database, not started yet."""
    subprocess.run(["/bin/cp", "-a", stopped_home, home], check=True)
    with hold(make_home(home)):
        servers = Servers(home, durable=False)
        yield servers
        servers.stop()


def test_stop_and_start_again_keeps_what_both_hold(home):
    with running(home) as urls:
        statement(urls.database_url, "CREATE TABLE kept AS SELECT 42 AS answer")
        with closing(redis.Redis.from_url(urls.redis_url)) as client:
            client.set("kept", "42")
    with running(home) as urls:
        assert statement(urls.database_url, "SELECT answer FROM kept") == 42
        with closing(redis.Redis.from_url(urls.redis_url)) as client:
            assert client.get("kept") == b"42"


def test_the_settings_a_farm_relies_on_are_in_force(servers):
    wanted = {
        "server_version_num": "18",
        "timezone": "UTC",
        "server_encoding": "UTF8",
        "data_checksums": "on",
        "synchronous_commit": "on",
        "password_encryption": "scram-sha-256",
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
    }
    for name, value in wanted.items():
        assert statement(servers.database_url, f"SHOW {name}").startswith(value), name
    with closing(redis.Redis.from_url(servers.redis_url)) as client:
        assert client.config_get("maxmemory-policy")["maxmemory-policy"] == "noeviction"
        assert client.config_get("appendonly")["appendonly"] == "yes"
        assert int(client.config_get("maxmemory")["maxmemory"]) == 1024**3


def test_addresses_are_published_while_they_run_and_only_to_the_owner(home):
    file = home / "servers.json"
    with running(home, durable=False) as urls:
        assert json.loads(file.read_text()) == {"database_url": urls.database_url, "redis_url": urls.redis_url}
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert modes_that_others_can_read(home) == []
        assert urls.database_url not in repr(urls)
    assert not file.exists()


def test_a_password_is_needed_and_never_in_an_argument_list(pair, home):
    pair.start()
    stranger = redis.Redis(port=pair.valkey.port, retry=Retry(NoBackoff(), 0))
    with closing(stranger) as client, pytest.raises(redis.AuthenticationError):
        client.ping()
    secrets = [file.read_text() for file in (home / "secrets").iterdir()]
    assert len(secrets) == 2
    for pid in (pair.postgres.pid, pair.valkey.pid):
        shown = Path(f"/proc/{pid}/cmdline").read_text()
        assert not [secret for secret in secrets if secret in shown]


@pytest.mark.parametrize("name", ["postgres", "valkey"])
def test_a_killed_server_is_started_again_on_its_port_with_its_data(pair, name):
    pair.start()
    statement(pair.postgres.url, "CREATE TABLE kept AS SELECT 42 AS answer")
    with closing(redis.Redis.from_url(pair.valkey.url)) as client:
        client.set("kept", "42")
    server = getattr(pair, name)
    port = server.port
    os.kill(server.pid, signal.SIGKILL)
    said = until(pair.revive)
    assert said == [f"{server.name} had ended (-9) and was started again"]
    assert server.port == port
    assert statement(pair.postgres.url, "SELECT answer FROM kept") == 42
    with closing(redis.Redis.from_url(pair.valkey.url)) as client:
        assert client.get("kept") == b"42"
    assert pair.revive() == []


def test_servers_that_a_killed_farm_left_behind_are_ended_first(pair, home):
    pair.start()
    statement(pair.postgres.url, "CREATE TABLE kept AS SELECT 42 AS answer")
    left_behind = [pair.postgres.pid, pair.valkey.pid]
    following = Servers(home, durable=False)
    following.start()
    try:
        assert all(is_gone(pid) for pid in left_behind)
        assert statement(following.postgres.url, "SELECT answer FROM kept") == 42
    finally:
        following.stop()


def test_a_pid_file_that_names_an_innocent_process_is_removed(pair, home):
    pair.start()
    pair.stop()
    pid_file = (home / account.FOLDER).resolve() / "data" / "postmaster.pid"
    pid_file.write_text(f"{os.getpid()}\n/elsewhere\n")
    pair.start()
    assert statement(pair.postgres.url, "SELECT 1") == 1


def test_an_interrupted_initdb_is_started_over(home):
    half_made = account.place(make_home(home)).folder / "data.new"
    half_made.mkdir()
    (half_made / "PG_VERSION").write_text("18\n")
    with running(home, durable=False) as urls:
        assert statement(urls.database_url, "SELECT 1") == 1


def test_a_second_one_is_refused_by_the_pid_of_the_first(home):
    with running(home, durable=False), pytest.raises(Refused) as refusal, running(home):
        pass
    message = str(refusal.value)
    assert f"pid {os.getpid()}" in message
    assert f"(pid {os.getpid()})" in message
    assert "`tickfarm down`" in message
    assert "\n" not in message


def test_data_of_another_major_version_is_left_alone(home):
    data = account.place(make_home(home)).folder / "data"
    data.mkdir()
    (data / "PG_VERSION").write_text("15\n")
    with pytest.raises(Refused, match="holds PostgreSQL 15, and this farm runs 18"), running(home):
        pass
    assert [path.name for path in data.iterdir()] == ["PG_VERSION"]


def test_a_lost_password_is_named_and_the_data_stay(pair, home):
    pair.start()
    pair.stop()
    (home / "secrets" / "postgres_password").write_text("another")
    following = Servers(home, durable=False)
    with pytest.raises(Refused, match=r"postgres_password is not this database's"):
        following.start()
    assert not (home / "servers.json").exists()
