"""`tickfarm bars`, `trades`, `quotes`, `books`: what is stored, as a table, CSV, JSON lines or Parquet.

Deliberately not here: windows, chunks and digits themselves (pipeline/test_read.py). Invariant: stdout is data and
nothing else, and a file is there whole or not at all.
"""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import subprocess
import sys
from datetime import datetime, timedelta
from decimal import Decimal

import polars as pl
import pytest
from sqlalchemy.orm import sessionmaker

from ingest.settings import CHECKOUT
from models import open_engine
from tests.stored_rows import START, add_series, keep, rows_of
from tests.tickfarm_command import NO_POSTGRESQL, complaint, run, run_each

BARS = ("bars", "binance", "BTC-USDT", "--interval", "1m")
DIGITS = "123456789012345678901234567890.12345678"
#: More than a pipe holds, so that who writes meets its closed end.
MANY = 20_000


@pytest.fixture(scope="module")
def farm(module_database_url):
    """The address of a database with some rows of each dataset, a series without any, and one with many."""
    engine = open_engine(module_database_url, application_name="test data", pooled=False)
    sessions = sessionmaker(engine)
    bars = [row | {"close": DIGITS, "is_final": "tf"[at == 29]} for at, row in enumerate(rows_of("bars", 30))]
    keep(sessions, "bars", add_series(sessions), bars)
    keep(sessions, "bars", add_series(sessions, "BRK.B", provider="nasdaq_data_link", interval="1d"), bars[:2])
    keep(sessions, "trades", add_series(sessions, dataset="trades"), rows_of("trades", 3))
    keep(sessions, "quotes", add_series(sessions, dataset="quotes"), rows_of("quotes", 3))
    books = rows_of("books", 2)
    books[1] |= {"ask_prices": "{}", "ask_sizes": "{}"}
    keep(sessions, "books", add_series(sessions, dataset="books"), books)
    add_series(sessions, "ETH-USDT")
    keep(sessions, "bars", add_series(sessions, "MANY-USDT"), rows_of("bars", MANY))
    keep(
        sessions, "bars", add_series(sessions, provider="kraken"), [row | {"close": "9"} for row in rows_of("bars", 32)]
    )
    return module_database_url


@pytest.fixture
def tickfarm(farm, redis_url):
    def command(*arguments, **env):
        return run(*arguments, DATABASE_URL=farm, REDIS_URL=redis_url, **env)

    return command


def test_a_table_shows_the_newest_twenty_with_all_their_digits_and_says_that_there_are_more(tickfarm):
    done = tickfarm(*BARS)
    assert done.returncode == 0
    header, *lines = done.stdout.splitlines()
    assert header.split() == ["instrument", "ts", "open", "high", "low", "close", "volume", "is", "final"]
    assert len(lines) == 20
    assert lines[-1].split() == ["BTC-USDT", "2024-04-01", "00:19:00", "1.10", "1.30", "0.90", DIGITS, "7", "no"]
    assert done.stderr == "the newest 20 of each instrument; for more: --last N, or --format csv\n"
    asked = tickfarm(*BARS, "--last", "2", "--final")
    assert [line.split()[2] for line in asked.stdout.splitlines()[1:]] == ["00:17:00", "00:18:00"]
    assert asked.stderr == ""


def test_a_fallback_fills_what_is_not_there_or_not_final_and_each_row_says_whose_it_is(tickfarm):
    table = tickfarm(*BARS, "--fallback", "kraken")
    header, *lines = table.stdout.splitlines()
    assert header.split()[:3] == ["instrument", "provider", "ts"]
    assert [line.split()[1] for line in lines[-4:]] == ["binance", "kraken", "kraken", "kraken"]
    assert len(lines) == 20
    rows = list(csv.DictReader(io.StringIO(tickfarm(*BARS, "--fallback", "kraken", "--format", "csv").stdout)))
    assert [(row["provider"], row["close"]) for row in rows] == [("binance", DIGITS)] * 29 + [("kraken", "9")] * 3
    lines = tickfarm(*BARS, "--fallback", "kraken", "--last", "1", "--format", "json").stdout.splitlines()
    assert [json.loads(line)["provider"] for line in lines] == ["kraken"]
    refused = tickfarm(*BARS, "--fallback", "coinbase")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "unknown stored provider: 'coinbase'" in complaint(refused)


def test_a_table_of_books_shows_the_best_levels_and_how_many_there_are(tickfarm):
    lines = tickfarm("books", "binance", "BTC-USDT").stdout.splitlines()
    assert [line.split()[3:] for line in lines[1:]] == [
        ["1.1", "3", "1.2", "5", "2", "/", "1"],
        ["1.1", "3", "-", "-", "2", "/", "0"],
    ]


def test_csv_has_a_header_every_digit_and_moments_with_their_offset(tickfarm):
    rows = list(csv.DictReader(io.StringIO(tickfarm(*BARS, "--format", "csv").stdout)))
    assert [row["close"] for row in rows] == [DIGITS] * 30
    assert rows[0]["ts"] == "2024-03-31T23:50:00+00:00"
    assert rows[0]["adjusted_close"] == ""


def test_json_is_an_object_a_line_with_exact_numbers_as_strings(tickfarm):
    given = ("--start", "2024-04-01", "--end", "2024-04-01T00:03", "--format", "json")
    rows = [json.loads(line) for line in tickfarm(*BARS, *given).stdout.splitlines()]
    assert [datetime.fromisoformat(row["ts"]) - START for row in rows] == [timedelta(minutes=at) for at in (10, 11, 12)]
    assert {row["close"] for row in rows} == {DIGITS}
    assert rows[0]["is_final"] is True
    books = tickfarm("books", "binance", "BTC-USDT", "--format", "json").stdout.splitlines()
    assert [json.loads(line)["ask_prices"] for line in books] == [["1.2"], []]
    trades = tickfarm("trades", "binance", "BTC-USDT", "--format", "json", "--last", "1").stdout
    assert json.loads(trades)["trade_id"] == 1002


def test_a_files_name_says_its_form_and_it_is_whole_and_nothing_is_beside_it(tickfarm, tmp_path):
    done = tickfarm(*BARS, "--out", str(tmp_path / "rows.parquet"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    frame = pl.read_parquet(tmp_path / "rows.parquet")
    assert frame["close"].to_list() == [Decimal(DIGITS)] * 30
    tickfarm("bars", "nasdaq_data_link", "BRK.B", "--interval", "1d", "--out", str(tmp_path / "rows.csv"))
    assert (tmp_path / "rows.csv").read_text().count("\nBRK.B,") == 2
    assert sorted(file.name for file in tmp_path.iterdir()) == ["rows.csv", "rows.parquet"]


def test_a_file_that_could_not_be_replaced_whole_is_left_as_it_was(tickfarm, tmp_path):
    there = tmp_path / "rows.csv"
    there.write_text("mine")
    done = tickfarm(*BARS, "--out", str(there), "--start", "2024-04-02", "--end", "2024-04-01")
    assert done.returncode == 2
    assert there.read_text() == "mine"
    assert list(tmp_path.iterdir()) == [there]


def test_a_place_that_can_not_be_written_is_a_usage_error(farm, redis_url, tmp_path):
    (tmp_path / "rows.csv").write_text("mine")
    places = (tmp_path, tmp_path / "nowhere" / "rows.csv", tmp_path / "rows.csv" / "rows.csv")
    lines = [(*BARS, "--out", str(place)) for place in places]
    for done, place in zip(run_each(lines, DATABASE_URL=farm, REDIS_URL=redis_url), places, strict=True):
        assert done.returncode == 2
        assert f"can't write {place}: " in complaint(done)


def test_a_link_stays_a_link_and_what_it_leads_to_is_written(tickfarm, tmp_path):
    link, target = tmp_path / "newest.csv", tmp_path / "rows.csv"
    target.write_text("old")
    link.symlink_to(target)
    assert tickfarm(*BARS, "--out", str(link)).returncode == 0
    assert link.is_symlink()
    assert target.read_text().startswith("instrument,ts,")


def test_parquet_goes_into_a_redirected_stdout_but_not_onto_a_terminal(farm, redis_url):
    command = [sys.executable, "-W", "error", "-m", "cli", *BARS, "--format", "parquet"]
    env = {**os.environ, "DATABASE_URL": farm, "REDIS_URL": redis_url}
    done = subprocess.run(command, cwd=CHECKOUT, env=env, capture_output=True, timeout=60, check=True)
    assert pl.read_parquet(io.BytesIO(done.stdout)).height == 30
    screen, terminal = pty.openpty()
    try:
        shown = subprocess.run(command, cwd=CHECKOUT, env=env, stdout=terminal, stderr=-1, timeout=60, check=False)
    finally:
        os.close(terminal)
        os.close(screen)
    assert shown.returncode == 2
    assert b"--out FILE" in shown.stderr


@pytest.mark.parametrize("form", ["csv", "json", "table"])
def test_a_reader_that_has_seen_enough_is_no_error(farm, redis_url, form):
    command = [sys.executable, "-W", "error", "-m", "cli", "bars", "binance", "MANY-USDT", "--interval", "1m"]
    command += ["--format", form, *(("--last", str(MANY // 10)) if form == "table" else ())]
    env = {**os.environ, "DATABASE_URL": farm, "REDIS_URL": redis_url}
    with subprocess.Popen(command, cwd=CHECKOUT, env=env, stdout=-1, stderr=-1) as process:
        assert process.stdout is not None
        assert len(process.stdout.readline()) > 10
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == b""
        assert process.wait(60) == 0


def test_a_range_larger_than_a_chunk_is_written_whole(tickfarm, tmp_path):
    many = ("bars", "binance", "MANY-USDT", "--interval", "1m")
    tickfarm(*many, "--out", str(tmp_path / "rows.jsonl"))
    lines = (tmp_path / "rows.jsonl").read_text().splitlines()
    assert len(lines) == MANY
    assert json.loads(lines[-1])["ts"] == (START + timedelta(minutes=MANY - 1)).isoformat()


def test_a_series_without_rows_is_no_error_and_says_so_where_a_person_looks(tickfarm):
    eth = ("bars", "binance", "ETH-USDT", "--interval", "1m")
    table = tickfarm(*eth)
    assert (table.returncode, table.stdout, table.stderr) == (0, "", "no rows are stored there\n")
    assert tickfarm(*eth, "--format", "json").stdout == ""
    header = tickfarm(*eth, "--format", "csv").stdout
    assert header.startswith("instrument,ts,open,")
    assert header.count("\n") == 1


SLIPS = {
    "instrument": (("bars", "binance", "BTC-USTD", "--interval", "1m"), ["'BTC-USTD'", "BTC-USDT"]),
    "provider": (("quotes", "binanse", "BTC-USDT"), ["'binanse'", "did you mean binance?"]),
    "interval": (("bars", "binance", "BTC-USDT", "--interval", "7m"), ["'7m'", "accepted: 1m"]),
    "no interval": (("bars", "binance", "BTC-USDT"), ["bars need an interval", "1m"]),
    "dataset": (("books", "nasdaq_data_link", "BRK.B"), ["'books'", "accepted: bars"]),
    "time": ((*BARS, "--start", "yesterday"), ["'yesterday'"]),
    "moment": ((*BARS, "--as-of", "yesterday"), ["'yesterday'"]),
    "no history": (("quotes", "binance", "BTC-USDT", "--as-of", "2024-01-01"), ["quotes can't be read as of a moment"]),
    "window": ((*BARS, "--start", "2024-01-02", "--end", "2024-01-01"), ["end must be after start"]),
}


def test_a_slip_is_one_line_that_says_what_is_stored(farm, redis_url):
    ends = run_each([arguments for arguments, _ in SLIPS.values()], DATABASE_URL=farm, REDIS_URL=redis_url)
    for done, (slip, (_, said)) in zip(ends, SLIPS.items(), strict=True):
        line = complaint(done)
        assert done.returncode == 2, slip
        assert [part for part in said if part not in line] == [], line


def test_no_other_command_waits_until_polars_is_loaded():
    code = "import sys, cli; sys.exit('polars' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT, timeout=60, check=False).returncode == 0


def test_what_no_command_line_can_mean_is_a_usage_error():
    lines = [(*BARS, "--last", "0"), (*BARS, "--format", "xml"), ("trades", "binance", "BTC-USDT", "--interval", "1m")]
    assert [done.returncode for done in run_each(lines)] == [2, 2, 2]


def test_postgresql_away_is_one_line_without_the_password():
    done = run(*BARS, DATABASE_URL=NO_POSTGRESQL)
    assert done.returncode == 1
    assert complaint(done).startswith("can't reach PostgreSQL (DATABASE_URL): ")
    assert "planted-password" not in done.stderr
