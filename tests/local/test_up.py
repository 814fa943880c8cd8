"""`tickfarm up` and `down` as a person runs them: in a terminal, detached, against providers that can't be reached.

Deliberately not here: starting and stopping by themselves (test_start.py, test_processes.py). Invariant: no provider is
asked but on loopback, and when a farm has been told to stop nothing of it runs.
"""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
import urllib3

from ingest import providers
from ingest.settings import CHECKOUT
from local.child import LOG_LIMIT_BYTES
from local.lock import holder
from local.servers import running
from local.state import make_home
from tests.conftest import statement, temporary_home
from tests.documents import block_with, words
from tests.sandbox.conftest import running_sandbox
from tests.visitor import environment, forked_tickfarm, processes_of, tickfarm
from tests.waiting import until

#: Nobody listens on the discard port.
NOWHERE = {f"TICKFARM_PROVIDERS__{name.upper()}__BASE_URL": "http://127.0.0.1:9" for name in providers.names()}
START_S = 120


@contextmanager
def up(home, *arguments, **env):
    """Run `tickfarm up` in the foreground; yield the process and what reads all it has said so far."""
    shown = home.parent / "shown"
    with shown.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "cli", "up", *arguments],
            cwd=CHECKOUT,
            env=environment(home, **{**NOWHERE, **env}),
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process, shown.read_text
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(100) is not None


@contextmanager
def detached(home, *arguments, **env):
    """Run `tickfarm up --detach`; yield how that ended. The farm is stopped after the block at the latest."""
    try:
        yield tickfarm(home, "up", "--detach", *arguments, **{**NOWHERE, **env})
    finally:
        forked_tickfarm(home, "down")


def says(read, words, *, within_s=START_S):
    until(lambda: words in read(), within_s=within_s, what=f"{words!r} in:\n{read()}")


@pytest.fixture(scope="module")
def detached_farm():
    """Run one detached farm for the tests that only look at it; yield its folder and what `up --detach` said."""
    with temporary_home() as home, detached(home) as done:
        assert done.returncode == 0, done.stdout + done.stderr
        yield home, done


def test_a_detached_farm_is_ready_when_the_command_returns_and_says_where_it_is(detached_farm):
    home, done = detached_farm
    pid = int(re.search(r"^the farm runs \(pid (\d+)\)$", done.stdout, re.MULTILINE)[1])
    assert holder(home) == pid
    assert done.stderr == ""
    names = {command.split(" -A tasks ")[1].split()[0] for command in processes_of(home).values() if " -A " in command}
    assert names == {"worker", "beat", "flower"}
    lanes = {one for command in processes_of(home).values() for one in re.findall(r"-Q (\S+)\.load", command)}
    assert lanes == {"live", "standard", "backfill", "maintenance"}
    flower = re.search(r"^Flower: (http://127\.0\.0\.1:\d+), user tickfarm, password in (\S+)$", done.stdout, re.M)
    with urllib3.PoolManager(retries=False, timeout=10) as pool:
        assert pool.request("GET", f"{flower[1]}/healthcheck").status == 200
        assert pool.request("GET", f"{flower[1]}/").status == 401
        headers = urllib3.make_headers(basic_auth=f"tickfarm:{Path(flower[2]).read_text()}")
        assert pool.request("GET", f"{flower[1]}/", headers=headers).status == 200
        dashboard = re.search(
            r"^dashboard: (http://127\.0\.0\.1:\d+), the token for changes in (\S+)$", done.stdout, re.M
        )
        assert pool.request("GET", f"{dashboard[1]}/readyz").data == b"ok"
        fields = {"name": "ada", "token": Path(dashboard[2]).read_text()}
        answer = pool.request_encode_body(
            "POST", f"{dashboard[1]}/sign-in", fields, encode_multipart=False, redirect=False
        )
        assert answer.status == 303, answer.data
    assert forked_tickfarm(home, "status").returncode == 0


def test_history_runs_at_a_lower_priority_than_the_rest(detached_farm):
    home, _ = detached_farm
    nice = {
        lane[0]: os.getpriority(os.PRIO_PROCESS, pid)
        for pid, command in processes_of(home).items()
        if (lane := re.findall(r"-Q (\S+)\.load", command))
    }
    ours = os.getpriority(os.PRIO_PROCESS, 0)
    assert nice == {"live": ours, "standard": ours, "maintenance": ours, "backfill": min(ours + 15, 19)}


def test_its_log_is_private_and_says_what_is_only_for_trying_out_and_what_to_do_next(detached_farm):
    home, done = detached_farm
    log = Path(re.search(r"^log: (.*)$", done.stdout, re.MULTILINE)[1])
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    assert stat.S_IMODE((home / "up.json").stat().st_mode) == 0o600
    said = log.read_text()
    assert re.search(r"PostgreSQL and Valkey: embedded, .* for trying out; .*set DATABASE_URL and REDIS_URL", said)
    assert "nothing is followed yet: `tickfarm follow" in said
    assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ", line) for line in said.splitlines())


def test_a_provider_that_can_not_be_reached_is_one_line_with_its_cause_and_what_to_do(detached_farm):
    home, _ = detached_farm
    log = home / "logs" / "farm.log"
    for name in ("binance", "coinbase", "kraken"):
        says(log.read_text, f"{name} can't be reached", within_s=30)
        [line] = [line for line in log.read_text().splitlines() if f"{name} can't be reached" in line]
        assert "127.0.0.1:9" in line
        assert f"TICKFARM_PROVIDERS__{name.upper()}__BASE_URL" in line
        assert "by themselves" in line
    assert "nasdaq_data_link" not in log.read_text(), "it has no catalogue, and nothing of it is followed"


@pytest.mark.parametrize("how", [(), ("--detach",)])
def test_a_second_farm_in_the_same_folder_is_refused_with_the_pid_of_the_first(detached_farm, how):
    home, _ = detached_farm
    before = processes_of(home)
    done = tickfarm(home, "up", *how)
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert f"a farm already runs with the state folder {home} (pid {holder(home)})" in line
    assert "tickfarm down" in line
    assert processes_of(home).keys() >= before.keys()


def test_the_log_of_a_detached_farm_is_rotated(detached_farm):
    home, _ = detached_farm
    log = home / "logs" / "farm.log"
    with log.open("a") as file:
        file.write("x" * (LOG_LIMIT_BYTES + 1))
    until(lambda: log.stat().st_size < LOG_LIMIT_BYTES, what="the rotation")
    assert (home / "logs" / "farm.log.1").stat().st_size > LOG_LIMIT_BYTES


def test_down_stops_everything_in_order_and_waits_and_what_was_stored_is_there_at_the_next_start(detached_farm):
    """The last of the tests that look at this farm."""
    home, _ = detached_farm
    followed = forked_tickfarm(home, "follow", "binance", "quotes", "BTC-USDT", **NOWHERE)
    assert followed.returncode == 0, followed.stderr
    pid = holder(home)
    ended = tickfarm(home, "down")
    assert ended.returncode == 0, ended.stderr
    assert f"stopping the farm (pid {pid})" in ended.stdout
    assert ended.stdout.splitlines()[-1] == "stopped"
    assert processes_of(home) == {}
    assert holder(home) is None
    assert not (home / "servers.json").exists()
    assert not (home / "up.json").exists()
    assert (home / "logs" / "farm.log").read_text().splitlines()[-1].endswith("stopped")
    again = forked_tickfarm(home, "down")
    assert again.returncode == 0
    assert again.stdout == f"no farm runs with the state folder {home}\n"
    with running(home) as urls:
        assert statement(urls.database_url, "SELECT count(*) FROM series WHERE followed") == 1


def test_in_a_terminal_ctrl_c_ends_it_cleanly_and_a_provider_that_is_away_comes_back_alone(home):
    with running_sandbox() as sandbox:
        mirror = {"TICKFARM_PROVIDERS__BINANCE__BASE_URL": f"{sandbox}/binance"}
        pool = urllib3.PoolManager(retries=False, timeout=10)
        outage = {"provider": "binance", "fault": "status", "times": None, "args": {"status": 503}}
        assert pool.request("POST", f"{sandbox}/sandbox/faults", body=json.dumps(outage)).status == 201
        with up(home, **mirror) as (process, read):
            says(read, "ready; Ctrl-C stops everything")
            says(read, "binance can't be reached: binance failed on its side (HTTP 503)", within_s=30)
            assert forked_tickfarm(home, "follow", "binance", "quotes", "BTC-USDT", **mirror).returncode == 0
            assert pool.request("DELETE", f"{sandbox}/sandbox/faults").status == 200
            until(lambda: quotes_in(home) > 0, within_s=60, what="a quote")
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 0
            lines = read().splitlines()
        pool.clear()
    assert lines[-2:] == ["stopping: workers finish what they do ..", "stopped"]
    assert "Traceback" not in "\n".join(lines)
    assert processes_of(home) == {}


def quotes_in(home):
    address = json.loads((home / "servers.json").read_text())["database_url"]
    return statement(address, "SELECT count(*) FROM quotes")


def test_with_the_sandbox_no_provider_is_asked_whatever_is_set_and_servers_of_ones_own_are_used(
    home, database_url, redis_url
):
    key, env_file = home.parent / "of-the-real-provider", home.parent / ".env"
    key.write_text("planted-key")
    env_file.write_text(f"NASDAQ_DATA_LINK_API_KEY_FILE={key}\n")
    own = {"DATABASE_URL": database_url, "REDIS_URL": redis_url}
    with up(home, "--sandbox", TICKFARM_ENV_FILE=str(env_file), **own) as (_, read):
        says(read, "ready; ")
        for name in ("binance", "coinbase", "kraken"):
            says(read, f"{name} answers", within_s=30)
        assert re.search(r"providers: the simulator at http://127\.0\.0\.1:\d+, no real one is asked", read())
        workers = [pid for pid, command in processes_of(home).items() if " worker " in command]
        environ = Path(f"/proc/{workers[0]}/environ").read_bytes()
        assert b"NASDAQ_DATA_LINK_API_KEY=sandbox-key\0" in environ
        assert b"of-the-real-provider" not in environ
        assert "embedded" not in read()
        assert json.loads((home / "servers.json").read_text()).keys() == {"tickfarm_sandbox_url"}
        assert not (home / "postgresql").exists()


def test_settings_that_can_not_be_stop_the_start_before_anything_runs(home):
    for arguments in (("up",), ("up", "--detach")):
        done = tickfarm(home, *arguments, TICKFARM_PROVIDERS__BINANSE__PACE="0.5")
        assert done.returncode in {1, 2}
        assert "did you mean binance?" in done.stderr.splitlines()[-1]
        assert "Traceback" not in done.stderr
        assert processes_of(home) == {}


def test_a_detached_farm_that_can_not_start_says_why(home):
    make_home(home)
    done = tickfarm(home, "up", "--detach", DATABASE_URL="postgresql://tickfarm:planted-password@127.0.0.1:1/tickfarm")
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert line.startswith("the farm did not start: can't reach PostgreSQL (DATABASE_URL)")
    assert "planted-password" not in line
    assert processes_of(home) == {}


def test_the_readmes_lines_about_running_it_for_real_do_what_they_say(home):
    lines = [words(line) for line in block_with(CHECKOUT / "README.md", "sh", "tickfarm up")]
    assert [line[0] for line in lines] == [".venv/bin/tickfarm"] * len(lines)
    try:
        for _, *arguments in lines:
            done = tickfarm(home, *arguments, **NOWHERE)
            assert done.returncode == 0, done.stdout + done.stderr
    finally:
        forked_tickfarm(home, "down")
    assert processes_of(home) == {}
