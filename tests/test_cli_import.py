"""`tickfarm import`: what it says, its exit codes, that a killed one can be repeated, and what it tells to do next."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from datetime import datetime, timedelta

import pytest

from ingest.settings import CHECKOUT
from tests.conftest import statement
from tests.tickfarm_command import complaint, each_with, run
from tests.waiting import until

HEAD = "instrument,ts,open,high,low,close"
START = datetime.fromisoformat("2024-03-05T00:00:00+00:00")
INTO = ("import", "binance", "bars")


def bars(count, *, first=0):
    return [f"BTC-USDT,{(START + timedelta(minutes=first + at)).isoformat()},1.10,3,1,2" for at in range(count)]


@pytest.fixture
def servers_env(database_url, redis_url, home):
    return {
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "TICKFARM_HOME": str(home),
        "TICKFARM_LOG_FORMAT": "json",
    }


@pytest.fixture
def tickfarm(servers_env):
    return each_with(**servers_env)


@pytest.fixture
def file(tmp_path):
    file = tmp_path / "bars.csv"
    file.write_text("\n".join([HEAD, *bars(30)]))
    return file


def test_rows_are_imported_once_and_it_says_how_to_have_them_verified(tickfarm, file, database_url):
    line = f"import binance bars {file} --interval 1m"
    dry, done, again, as_json, shown = tickfarm(
        f"{line} --dry-run", line, line, f"{line} --json", "coverage --strict --json"
    )
    assert [one.returncode for one in (dry, done, again, as_json, shown)] == [0, 0, 0, 0, 3]
    assert dry.stdout == f"{file}: 30 rows; 0 would be refused\n"
    assert dry.stderr == ""
    assert done.stdout == f"{file}: 30 rows; 30 new, 0 changed, 0 there already, 0 refused\n"
    assert "tickfarm follow binance bars BTC-USDT --interval 1m --since 2024-03-05" in done.stderr
    assert "0 new, 0 changed, 30 there already" in again.stdout
    found = json.loads(as_json.stdout)
    assert found["files"][0]["series"]["BTC-USDT"]["rows"] == 30
    assert found["not_asked_for"] == {"BTC-USDT": "2024-03-05T00:00:00+00:00"}
    [one] = json.loads(shown.stdout)
    assert (one["instrument"], one["imported_days"], one["is_proven"]) == ("BTC-USDT", 1, False)
    assert statement(database_url, "SELECT count(*) FROM bars") == 30


def test_refused_rows_end_with_3_and_name_the_line(tickfarm, file):
    with file.open("a") as opened:
        opened.write("\nBTC-USDT,2024-03-05T01:00:00Z,1,3,1,NaN\n")
    [done] = tickfarm(f"import binance bars {file} --interval 1m")
    assert done.returncode == 3
    assert "30 new, 0 changed, 0 there already, 1 refused" in done.stdout
    assert 'not_a_number (reject): 1 rows, first: {"line": 32, "instrument": "BTC-USDT"' in done.stderr


def test_a_file_of_other_names_is_read_as_it_is_said(servers_env, tmp_path):
    file = tmp_path / "mine.csv"
    file.write_text("when,o,high,low,close,note\n1709596800000,1,3,1,2,x\n")
    told = ("--columns", "ts=when,open=o", "--epoch", "ms", "--instrument", "BTC-USDT", "--interval", "1m")
    done = run(*INTO, str(file), *told, **servers_env)
    assert (done.returncode, done.stdout) == (0, f"{file}: 1 rows; 1 new, 0 changed, 0 there already, 0 refused\n")
    assert "columns that are not imported: note" in done.stderr


def test_what_can_not_be_is_said_in_one_line(tickfarm, file):
    refused = {
        f"import binance bars {file}": "bars need an interval",
        f"import binance news {file}": "unknown dataset of binance",
        "import binance bars nothing.csv --interval 1m": "No such file",
        f"import binance bars {file} --interval 1m --columns open=Open": "unknown column of",
        f"import binance bars {file} --interval 1m --timezone Nowhere": "unknown time zone",
    }
    for done, said in zip(tickfarm(*refused), refused.values(), strict=True):
        assert done.returncode == 2
        assert said in complaint(done)
    [done] = tickfarm(f"import binance bars {file} --interval 1m --columns open")
    assert done.returncode == 2
    assert "is not like ts=time,open=o" in done.stderr


def test_an_import_that_was_killed_is_repeated_and_nothing_is_missing_or_twice(servers_env, tmp_path, database_url):
    file, rows = tmp_path / "many.csv", 150_000
    file.write_text("\n".join([HEAD, *bars(rows)]))
    command = [sys.executable, "-m", "cli", *INTO, str(file), "--interval", "1m"]
    process = subprocess.Popen(command, cwd=CHECKOUT, env={**os.environ, **servers_env}, stdout=subprocess.DEVNULL)
    try:
        until(lambda: statement(database_url, "SELECT EXISTS (SELECT FROM bars)"), within_s=60)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    left = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'tickfarm cli')"
    until(lambda: not statement(database_url, left), within_s=60)
    stored = statement(database_url, "SELECT count(*) FROM bars")
    assert 0 < stored < rows
    done = run(*INTO, str(file), "--interval", "1m", **servers_env)
    assert f"{rows - stored:,} new, 0 changed, {stored:,} there already, 0 refused" in done.stdout
    counted = "SELECT count(*) FROM bars"
    assert statement(database_url, counted) == statement(database_url, "SELECT sum(stored) FROM ledger") == rows
