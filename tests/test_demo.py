"""`tickfarm demo` as a visitor runs it: in an empty folder, without keys, network or any server of their own.

Deliberately not here: the supervisor and the servers by themselves (tests/local). Invariant: every price in the
database is the decimal of the source's own file, and when the demo has ended nothing of it runs.
"""

from __future__ import annotations

import csv
import gzip
import importlib.resources
import json
import re
import signal
import subprocess
import sys
import time
from contextlib import closing
from decimal import Decimal

import psycopg2
import pytest
import redis
from sqlalchemy.engine import make_url

from ingest.settings import CHECKOUT
from local.servers import running
from tests import forked
from tests.conftest import statement, temporary_home
from tests.documents import block_with, command_lines, words
from tests.visitor import demo_that_stays, environment, forked_tickfarm, processes_of, shown, tickfarm
from tests.waiting import is_gone, until

COLUMNS = ("open", "high", "low", "close", "volume", "adjusted_close")
#: The aim is 60 s; on two idle cores it takes 8 to 20. Twice the aim leaves room for a machine that is busy otherwise.
LONGEST_S = 120.0
ORDERED = "SELECT count(*) FROM jobs WHERE key LIKE 'history:%'"
STORED = f"""
SELECT s.instrument, b.ts::date::text, {", ".join(f"b.{name}::text" for name in COLUMNS)}
FROM bars b JOIN series s ON s.id = b.series_id WHERE s.provider = 'nasdaq_data_link'
"""


def the_sources_own_rows():
    """Return the rows of the wheel's file, as it spells them, by ticker and date."""
    packed = (importlib.resources.files("bokeh_sampledata") / "_data" / "stocks.csv.gz").read_bytes()
    _, *rows = csv.reader(gzip.decompress(packed).decode().splitlines())
    return {(row[0], row[1]): tuple(Decimal(number) for number in row[2:]) for row in rows}


def stored_rows(url):
    address = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    session = psycopg2.connect(address)
    try:
        with session.cursor() as cursor:
            cursor.execute(STORED)
            return {(row[0], row[1]): tuple(Decimal(number) for number in row[2:]) for row in cursor.fetchall()}
    finally:
        session.close()


@pytest.fixture(scope="module")
def seen():
    """Run the demo once in an empty folder; yield the folder, how it ended and how long it took."""
    with temporary_home() as home:
        began = time.monotonic()
        done = tickfarm(home, "demo", "--exit")
        yield home, done, time.monotonic() - began


def test_the_demo_loads_every_row_of_the_source_and_says_how_long_it_took(seen):
    home, done, took_s = seen
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    complete = re.search(r"^complete: 12,154 daily bars, every one .*, (\d+) s after the start$", done.stdout, re.M)
    assert complete, done.stdout
    assert int(complete[1]) <= took_s < LONGEST_S
    assert "\x1b" not in done.stdout
    assert processes_of(home) == {}
    assert not (home / "servers.json").exists()


def test_every_stored_price_is_the_decimal_that_the_source_wrote(seen):
    home, _, _ = seen
    with running(home) as urls:
        assert stored_rows(urls.database_url) == the_sources_own_rows()
        live = "SELECT count(DISTINCT series_id) FROM {} JOIN series s ON s.id = series_id WHERE s.provider = '{}'"
        for exchange, count in (("binance", 3), ("coinbase", 2), ("kraken", 2)):
            for dataset in ("bars", "trades", "quotes", "books"):
                assert statement(urls.database_url, live.format(dataset, exchange)) == count, (exchange, dataset)
        assert statement(urls.database_url, "SELECT count(*) FROM findings") == 0
        assert statement(urls.database_url, "SELECT count(*) FROM jobs WHERE state = 'dead'") == 0


def test_a_second_demo_in_the_same_folder_loads_nothing_twice_and_calls_a_history_with_a_hole_incomplete(seen):
    """Three bars are taken away behind the ledger's back; their job is done, so nobody loads them again."""
    home, _, _ = seen
    aapl = "SELECT id FROM series WHERE provider = 'nasdaq_data_link' AND instrument = 'AAPL'"
    with running(home) as urls:
        statement(
            urls.database_url,
            f"DELETE FROM bars WHERE series_id = ({aapl}) AND ts BETWEEN '2005-03-01Z' AND '2005-03-03Z'",
        )
        before = statement(urls.database_url, ORDERED)
    began = time.monotonic()
    done = tickfarm(home, "demo", "--exit")
    assert time.monotonic() - began < LONGEST_S
    assert done.returncode == 3, done.stdout + done.stderr
    found = [line for line in done.stdout.splitlines() if "complete:" in line]
    assert found == ["incomplete: AAPL has 3,267 of 3,270 rows"], "all else is there again"
    assert processes_of(home) == {}
    with running(home) as urls:
        assert statement(urls.database_url, ORDERED) == before > 0, "no history is owed twice"


@pytest.fixture(scope="module")
def staying():
    """Run a demo that stays, on the other transport (requests), so that both are seen working from end to end."""
    with temporary_home() as home, demo_that_stays(home, TICKFARM_TRANSPORT="requests") as demo:
        until(lambda: "running; Ctrl-C" in shown(home), within_s=90, what="the demo")
        yield home, demo


def test_the_demo_is_complete_on_the_transport_without_curl_too(staying):
    home, _ = staying
    assert "complete: 12,154 daily bars" in shown(home)


def test_no_secret_stands_in_the_argument_list_of_any_process_of_a_farm(staying):
    home, _ = staying
    secrets = [file.read_text() for file in (home / "secrets").iterdir()]
    commands = processes_of(home).values()
    assert len(secrets) == 4
    assert len(commands) > 10
    assert not [command for command in commands if any(secret in command for secret in secrets)]


def test_a_second_demo_in_the_same_folder_is_refused_in_one_line(staying):
    home, demo = staying
    second = tickfarm(home, "demo")
    assert second.returncode == 1
    assert second.stderr.count("\n") == 1
    assert f"a farm already runs with the state folder {home} (pid {demo.pid})" in second.stderr


README = CHECKOUT / "README.md"
#: These start and stop a farm of their own: tests/local/test_up.py runs them.
FOR_REAL = block_with(README, "sh", "tickfarm up")


def in_a_shell(line, env):
    for program, module in ((".venv/bin/tickfarm", "cli"), (".venv/bin/celery", "celery")):
        line = line.replace(program, f"{sys.executable} -m {module}")
    return subprocess.run(["/bin/sh", "-c", line], cwd=CHECKOUT, env=env, capture_output=True, text=True, check=False)


def forked_line(line, env):
    """Run a line that asks nothing of a shell, without a second of importing."""
    program, *arguments = words(line)
    order = {".venv/bin/tickfarm": "arguments", ".venv/bin/celery": "celery"}[program]
    return forked.run(line, env, within_s=60, **{order: arguments})


@pytest.mark.parametrize(
    "line",
    [line for line in command_lines(README) if line.startswith(".venv/bin/") and line not in FOR_REAL],
    ids=lambda one: one[10:40],
)
def test_the_readmes_commands_work_in_another_terminal(line, staying):
    home, _ = staying
    done = in_a_shell(line, environment(home)) if "$(" in line else forked_line(line, environment(home))
    # Another terminal does not know that the demo's keys are the sandbox's: some are wanted there, and are missing.
    wanted = 4 if line.split()[-1] == "keys" or " keys " in line else 0
    assert done.returncode == wanted, done.stdout + done.stderr
    if " fetch " in line:
        assert json.loads(done.stdout)["inserted"] == 31 * 24
    if "inspect" in line:
        assert "4 nodes online" in done.stdout


def test_the_readmes_python_works_beside_the_farm(staying):
    home, _ = staying
    looks = "print(frame.height, len(table), frame['close'].dtype)"
    code = "\n".join([*block_with(README, "python", "import Farm"), looks])
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=CHECKOUT, env=environment(home), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{31 * 24} {31 * 24} Decimal(precision=38, scale=8)\n"


def test_a_pair_that_the_exchange_does_not_list_is_refused_with_those_that_are_near(staying):
    home, _ = staying
    done = forked_tickfarm(home, "follow", "binance", "quotes", "BTC-USTD")
    assert done.returncode == 2
    assert "unknown instrument: 'BTC-USTD'" in done.stderr
    assert "BTC-USDT" in done.stderr
    assert "BTC-USTD" not in forked_tickfarm(home, "status", "--json").stdout


def test_every_key_in_redis_is_one_that_the_operators_page_lists_and_none_of_ours_stays_for_ever(staying):
    home, _ = staying
    table = re.findall(r"^\| `([^`]+)` \|", (CHECKOUT / "docs" / "operations.md").read_text(), re.MULTILINE)
    patterns = [re.sub(r"<[^>]+>|\*", ".*", key) for key in table if ":" in key]
    address = json.loads((home / "servers.json").read_text())["redis_url"]
    with closing(redis.Redis.from_url(address, decode_responses=True)) as client:
        keys = {key: client.ttl(key) for key in client.scan_iter()}
    assert {"tickfarm:workers", "tickfarm:gate:binance"} <= keys.keys()
    assert [key for key in keys if not any(re.fullmatch(pattern, key) for pattern in patterns)] == []
    assert [key for key, ttl in keys.items() if key.startswith("tickfarm:") and ttl == -1] == []


def test_ctrl_c_stops_everything(staying):
    home, demo = staying
    pids = processes_of(home)
    demo.send_signal(signal.SIGINT)
    assert demo.wait(60) == 0
    assert shown(home).endswith("stopping ..\n")
    assert [pid for pid in pids if not is_gone(pid)] == []
    assert processes_of(home) == {}


def test_ctrl_c_while_it_starts_stops_everything(home):
    with demo_that_stays(home) as demo:
        until(lambda: len(processes_of(home)) > 1, within_s=30, what="the first server")
        demo.send_signal(signal.SIGINT)
        assert demo.wait(60) == 130
        assert "Traceback" not in shown(home)
        assert processes_of(home) == {}
