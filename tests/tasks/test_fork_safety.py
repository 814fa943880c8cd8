"""Forks: the worker's parent stays clean, and each child opens connections of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from ingest.settings import CHECKOUT
from tests.tasks.load import check_stored, owe_bars

PARSE_PATH = ("polars", "ingest.pipeline.normalize", "ingest.pipeline.store", "ingest.pipeline.frames")
WHAT_A_PARENT_IMPORTS = """
import json, sys
from tasks import app
app.loader.import_default_modules()
import tasks.consumer, celery.apps.worker, celery.concurrency.prefork
print(json.dumps(sorted(sys.modules)))
"""


def test_a_worker_s_parent_imports_nothing_of_the_parse_path():
    """polars used before a fork hangs every child for ever."""
    argv = [sys.executable, "-c", WHAT_A_PARENT_IMPORTS]
    done = subprocess.run(argv, cwd=CHECKOUT, capture_output=True, text=True, check=True)
    assert not {*PARSE_PATH} & {*json.loads(done.stdout)}


def sockets(pid):
    """Return the sockets a process has open, by their kernel number."""
    links = (entry.readlink() for entry in Path(f"/proc/{pid}/fd").iterdir() if entry.is_symlink())
    return {str(link) for link in links if str(link).startswith("socket:")}


def servers_of(farm, pid):
    """Return the sockets of a process that lead to PostgreSQL or Redis, with the local port of each."""
    inodes = {link[8:-1] for link in sockets(pid)}
    ports = {int(url.rpartition(":")[2].split("/")[0]) for url in (farm.database_url, farm.redis_url)}
    found = {}
    for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]:
        parts = line.split()
        local, remote = (int(parts[at].split(":")[1], 16) for at in (1, 2))
        if parts[9] in inodes and remote in ports:
            found.setdefault(remote, set()).add(local)
    return found


def test_each_child_has_connections_of_its_own_and_the_parent_has_none_to_the_database(farm):
    farm.beat()
    worker = farm.worker(processes=3)
    rows = owe_bars(farm, jobs=40)
    farm.all_done(within_s=60)
    check_stored(farm, rows)
    database_port = int(farm.database_url.rpartition(":")[2].split("/")[0])
    of_children = [servers_of(farm, pid) for pid in worker.children()]
    assert len(of_children) == 3
    parent = servers_of(farm, worker.pid)
    assert database_port not in parent
    for port in {port for child in of_children for port in child}:
        used = [child.get(port, set()) for child in of_children]
        assert all(used), f"a child has no connection to port {port}"
        if port == database_port:
            everyone = [one for ports in used for one in ports]
            assert len(everyone) == len(set(everyone)), "two children share a database connection"
    backends = farm.value("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'tickfarm'")
    assert backends == sum(len(child[database_port]) for child in of_children)
