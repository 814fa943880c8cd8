"""The supervisor and its children: crashes, order of stopping, deadlines, and a supervisor that is itself killed."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time

import pytest

from ingest.settings import CHECKOUT
from local import child
from local.processes import Process, Supervisor
from tests.waiting import is_gone, until

ENV = {"PATH": os.environ["PATH"]}


def shell(name, script, **options):
    return Process(name, ("/bin/sh", "-c", script), env=ENV, **options)


@pytest.fixture
def supervise(tmp_path):
    """Return a function that starts a supervisor of these processes; what it left running is killed."""
    started = []

    def start(*processes):
        supervisor = Supervisor(tmp_path, processes, first_wait_s=0.01)
        started.append(supervisor)
        supervisor.start()
        return supervisor

    yield start
    for supervisor in started:
        supervisor.stop(hurry=lambda: True)


def test_a_killed_child_is_started_again_and_said_so(supervise, tmp_path):
    supervisor = supervise(shell("steady", "echo ready; exec sleep 60"))
    first = supervisor.pids()["steady"]
    log = tmp_path / "logs" / "steady.log"
    until(lambda: child.last_line(log) == "ready")
    os.kill(first, signal.SIGKILL)
    (said,) = until(supervisor.poll)
    assert said.startswith("steady was killed by SIGKILL and starts again in ")
    assert "its last words: ready" in said
    assert str(log) in said
    assert until(supervisor.poll) == ["steady runs again"]
    assert supervisor.pids()["steady"] != first


def test_one_that_keeps_crashing_waits_longer_each_time(supervise):
    supervisor = supervise(shell("broken", "echo no such table; exit 3"))
    said = []
    until(lambda: said.extend(supervisor.poll()) or len([line for line in said if "starts again" in line]) == 4)
    waits = [line.partition("again in ")[2].partition(";")[0] for line in said if "starts again" in line]
    assert waits == ["0.01 s", "0.02 s", "0.04 s", "0.08 s"]
    assert "broken ended with exit code 3" in said[0]
    assert "no such table" in said[0]


def test_stopping_goes_rank_by_rank(supervise, tmp_path):
    order = tmp_path / "order"
    script = "trap 'echo {0} >> {1}; exit 0' TERM; echo ready; while :; do sleep 0.01; done"
    supervisor = supervise(
        *(
            shell(name, script.format(name, order), stop_rank=rank)
            for name, rank in (("sandbox", 3), ("worker", 0), ("beat", 1))
        )
    )
    for name in ("sandbox", "worker", "beat"):
        until(lambda name=name: child.last_line(tmp_path / "logs" / f"{name}.log") == "ready")
    assert supervisor.stop() == []
    assert order.read_text().split() == ["worker", "beat", "sandbox"]
    assert supervisor.pids() == {}


def test_one_that_ignores_sigterm_is_killed_after_its_grace_with_all_it_started(supervise, tmp_path):
    supervisor = supervise(shell("deaf", "trap '' TERM; sleep 60 & echo $!; wait; wait", grace_s=0.2))
    log = tmp_path / "logs" / "deaf.log"
    grandchild = int(until(lambda: child.last_line(log)))
    began = time.monotonic()
    assert supervisor.stop() == ["deaf"]
    assert time.monotonic() - began < 5
    until(lambda: is_gone(grandchild))


def test_a_second_request_to_stop_does_not_wait_for_the_grace(supervise, tmp_path):
    supervisor = supervise(shell("deaf", "trap '' TERM; echo ready; while :; do sleep 0.01; done", grace_s=60))
    until(lambda: child.last_line(tmp_path / "logs" / "deaf.log") == "ready")
    assert supervisor.stop(hurry=lambda: True) == ["deaf"]


def test_nothing_is_started_again_once_stopped(supervise):
    supervisor = supervise(shell("steady", "exec sleep 60"))
    supervisor.stop()
    assert supervisor.poll() == []


def test_a_process_runs_at_its_nice_level_in_its_own_group(supervise):
    supervisor = supervise(shell("backfill", "exec sleep 60", nice=15))
    pid = supervisor.pids()["backfill"]
    assert os.getpriority(os.PRIO_PROCESS, pid) == os.getpriority(os.PRIO_PROCESS, 0) + 15
    assert os.getpgid(pid) == pid != os.getpgid(0)


def test_a_log_is_private_and_cut_when_it_outgrows_its_limit(tmp_path):
    log = tmp_path / "logs" / "talker.log"
    talker = child.spawn(["/bin/sh", "-c", "echo first; read never; "], log=log, env=ENV)
    talker.wait(10)
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    child.rotate(log, limit_bytes=3)
    older = log.with_name("talker.log.1")
    assert older.read_text() == "first\n"
    assert log.read_text() == ""
    assert stat.S_IMODE(older.stat().st_mode) == 0o600


SUPERVISOR = """
import sys, time
from pathlib import Path
from local.processes import Process, Supervisor
from local.servers import Servers
home = Path(sys.argv[1])
servers = Servers(home, durable=False)
servers.start()
supervisor = Supervisor(home, [Process("sleeper", ("/bin/sleep", "600"))])
supervisor.start()
print(servers.postgres.pid, servers.valkey.pid, *supervisor.pids().values(), flush=True)
time.sleep(600)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children of their parent's death")
def test_children_and_servers_die_with_a_supervisor_that_is_killed(home):
    with subprocess.Popen(
        [sys.executable, "-c", SUPERVISOR, str(home)], stdout=subprocess.PIPE, text=True, cwd=CHECKOUT
    ) as supervisor:
        pids = [int(pid) for pid in supervisor.stdout.readline().split()]
        assert len(pids) == 3
        supervisor.kill()
    until(lambda: all(is_gone(pid) for pid in pids), within_s=20, what="the children's end")
