"""The Python client: it fetches through a real farm, and hands out what is stored.

Deliberately not here: windows, chunks and digits (pipeline/test_read.py). Invariant: what fetches runs in a process of
its own, with this farm's settings, as a person's program does; warnings are errors there too.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import closing
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import polars as pl
import pytest
import redis
from sqlalchemy.orm import sessionmaker

from farm import Farm
from ingest.errors import FixRequest, TryAgain, UnknownName
from ingest.settings import CHECKOUT, settings
from local.state import make_home
from local.valkey import Valkey
from models import open_engine
from tests.conftest import temporary_home
from tests.sandbox.conftest import fresh_client, running_sandbox
from tests.stored_rows import START, add_series, keep, rows_of
from tests.tasks.farm import running_farm
from tests.tickfarm_command import NO_REDIS

HOUR = 'interval="1m", start="2024-03-05T00:00", end="2024-03-05T01:00"'
FETCH = f'farm.fetch("binance", "bars", ["BTC-USDT"], {HOUR})'
DIGITS = "12345678901234567890.123456789012345678"


@pytest.fixture(scope="module")
def running(module_database_url):
    """A farm with one worker and a beat, its own Valkey and sandbox."""
    with temporary_home() as folder, running_sandbox() as url, fresh_client(url, {}) as sandbox:
        server = Valkey(make_home(folder), durable=False)
        server.start()
        try:
            with running_farm(module_database_url, server.url, sandbox) as made:
                made.beat()
                made.worker()
                yield made
        finally:
            server.stop()


def program(code, env):
    """Run a person's program, which prints JSON; it must end well and say nothing else."""
    whole = f"import json\nfrom farm import Farm\nfrom ingest.errors import *\n{code}\n"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", whole],
        cwd=CHECKOUT,
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return json.loads(done.stdout)


# --- Fetching --------------------------------------------------------------------------------------------------------


def test_a_fetch_returns_what_the_task_returns_and_its_rows_can_be_read_and_a_closed_farm_connects_anew(running):
    code = f"""
farm = Farm()
first = {FETCH}
farm.close()
with farm:
    again = {FETCH}
    rows = farm.bars("binance", "BTC-USDT", {HOUR})
with Farm() as other:
    newest = other.fetch("binance", "quotes", "BTC-USDT")
print(json.dumps([first, again, newest, len(rows), rows.to_polars()["close"].cast(str).to_list()]))
"""
    first, again, newest, size, closes = program(code, running.env)
    assert (first["state"], first["rows"], first["inserted"]) == ("done", 60, 60)
    assert (again["state"], again["rows"], again["inserted"]) == ("done", 60, 0)
    assert (newest["state"], newest["rows"]) == ("done", 1)
    assert size == 60
    stored = running.rows("SELECT close FROM bars ORDER BY ts")
    assert [Decimal(close) for close in closes] == [row[0] for row in stored]


def test_a_provider_that_says_later_is_a_state_and_the_farm_fetches_then(running):
    running.sandbox.arm("binance", "status", args={"status": 429, "retry_after": 2})
    with_eth = FETCH.replace("BTC-USDT", "ETH-USDT")
    result = program(f"with Farm() as farm: print(json.dumps({with_eth}))", running.env)
    assert result["state"] == "deferred"
    assert datetime.fromisoformat(result["until"]) > START
    running.wait_for("SELECT state = 'done' FROM jobs WHERE id = :id", id=result["job_id"])


def test_a_call_that_takes_too_long_is_said_to_go_on_and_does(running):
    running.sandbox.arm("binance", "slow", args={"delay_s": 1.5})
    late = FETCH.replace("BTC-USDT", "BNB-USDT").replace(")", ", timeout_s=0.2)")
    code = f"""
with Farm() as farm:
    try:
        {late}
    except TryAgain as error:
        print(json.dumps(str(error)))
"""
    said, _, task_id = program(code, running.env).rpartition(" ")
    assert said == "no result within 0.2 s; the call goes on as"
    running.wait_for("SELECT state = 'done' FROM jobs WHERE key = :key", key=f"call:{task_id}")


def test_tickfarm_fetch_waits_for_the_same_result(running):
    given = ("BTC-USDT", "--interval", "1m", "--start", "2024-03-06", "--end", "2024-03-06T00:30")
    command = [sys.executable, "-W", "error", "-m", "cli", "fetch", "binance", "bars", *given]
    done = subprocess.run(
        command, cwd=CHECKOUT, env=running.env, capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["rows"] == 30


@pytest.fixture
def here(monkeypatch):
    """What makes a client in this process, with these settings."""
    made = []

    def make(**env):
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        settings.cache_clear()
        made.append(Farm())
        return made[-1]

    yield make
    for one in made:
        one.close()
    monkeypatch.undo()
    settings.cache_clear()


def test_a_fetch_that_nobody_would_work_on_is_refused_at_once_and_not_sent(here, database_url, redis_url):
    with pytest.raises(TryAgain, match="no worker serves the standard lane: start the farm first"):
        here(DATABASE_URL=database_url, REDIS_URL=redis_url).fetch("binance", "quotes", "BTC-USDT")
    with closing(redis.Redis.from_url(redis_url)) as server:
        assert server.dbsize() == 0


@pytest.mark.parametrize(
    ("call", "kind", "said"),
    [
        (("binanse", "quotes", "BTC-USDT", {}), UnknownName, "did you mean binance"),
        (("binance", "quote", "BTC-USDT", {}), UnknownName, "did you mean quotes"),
        (("binance", "bars", "BTC-USDT", {}), FixRequest, "bars need an interval"),
        (("binance", "bars", "BTC-USDT", {"interval": "7m"}), UnknownName, "'7m'"),
        (("binance", "quotes", "btc/usdt", {}), FixRequest, "did you mean BTC-USDT"),
        (("binance", "quotes", [], {}), FixRequest, "no instrument is given"),
        (("binance", "bars", "BTC-USDT", {"interval": "1m", "start": "soon"}), FixRequest, "'soon'"),
    ],
)
def test_what_can_not_work_raises_the_projects_own_errors_before_anything_is_asked(here, call, kind, said):
    provider, dataset, instruments, more = call
    with pytest.raises(kind, match=said):
        here(REDIS_URL=NO_REDIS).fetch(provider, dataset, instruments, **more)


def test_redis_away_is_said_without_the_password(here):
    with pytest.raises(TryAgain, match=r"can't reach Redis \(REDIS_URL\)") as away:
        here(REDIS_URL=NO_REDIS).fetch("binance", "quotes", "BTC-USDT")
    assert "planted-password" not in str(away.value)


def test_without_servers_it_says_how_to_get_some(here, home):
    with pytest.raises(FixRequest, match=r"DATABASE_URL is not set: .*tickfarm demo"):
        here(TICKFARM_HOME=str(home)).quotes("binance", "BTC-USDT")


# --- Reading ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def stored(here, database_url):
    """A client of a database with thirty rows of each dataset."""
    engine = open_engine(database_url, application_name="test client", pooled=False)
    sessions = sessionmaker(engine)
    for dataset in ("bars", "trades", "quotes", "books"):
        keep(sessions, dataset, add_series(sessions, dataset=dataset), rows_of(dataset, 30))
    bars = [row | {"close": DIGITS, "is_final": "tf"[at]} for at, row in enumerate(rows_of("bars", 2))]
    keep(sessions, "bars", add_series(sessions, "BRK.B", interval="1d"), bars)
    return here(DATABASE_URL=database_url)


def test_each_dataset_is_read_whole_in_a_window_or_its_newest_rows(stored):
    readers = [stored.trades, stored.quotes, stored.books]
    assert [len(read("binance", "BTC-USDT")) for read in readers] == [30, 30, 30]
    assert [len(read("binance", ["BTC-USDT"], last=4)) for read in readers] == [4, 4, 4]
    midnight = date(2024, 4, 1)
    for start in ("2024-04-01", midnight, datetime(2024, 4, 1, 2, tzinfo=timezone(timedelta(hours=2)))):
        rows = stored.bars("binance", "BTC-USDT", interval="1m", start=start, end="2024-04-01T00:05")
        assert rows.to_polars()["ts"][0] == datetime(2024, 4, 1, tzinfo=UTC)
        assert len(rows) == 5
        assert repr(rows) == "<5 bars>"


def test_what_was_known_at_a_moment_is_read_from_python(stored):
    for as_of, size in (("2024-04-30", 0), (date(2024, 5, 1), 30), (datetime(2024, 5, 1, tzinfo=UTC), 30)):
        assert len(stored.bars("binance", "BTC-USDT", interval="1m", as_of=as_of)) == size
        assert len(stored.trades("binance", "BTC-USDT", as_of=as_of, last=40)) == size


def test_a_fallback_is_read_where_it_is_asked_for_and_named_in_a_column(stored, database_url):
    engine = open_engine(database_url, application_name="test client", pooled=False)
    sessions = sessionmaker(engine)
    keep(sessions, "bars", add_series(sessions, provider="kraken"), rows_of("bars", 32))
    assert len(stored.bars("binance", "BTC-USDT", interval="1m")) == 30
    rows = stored.bars("binance", "BTC-USDT", interval="1m", fallback=["kraken"])
    assert rows.to_polars()["provider"].to_list() == ["binance"] * 30 + ["kraken"] * 2
    assert list(rows.to_pandas()["provider"]) == rows.to_polars()["provider"].to_list()
    assert rows.to_polars()["close"].dtype == pl.Decimal(38, 2)
    assert len(stored.bars("binance", "BTC-USDT", interval="1m", last=3, fallback="kraken")) == 3


def test_decimals_have_every_digit_in_polars_and_in_pandas_and_floats_are_for_who_asks(stored):
    rows = stored.bars("binance", ["BRK.B"], interval="1d")
    assert rows.to_polars()["close"].to_list() == rows.to_pandas()["close"].to_list() == [Decimal(DIGITS)] * 2
    assert rows.to_polars()["is_final"].to_list() == [True, False]
    assert rows.to_polars(floats=True)["close"].to_list() == [float(DIGITS)] * 2
    in_pandas = rows.to_pandas(floats=True)
    assert in_pandas["close"].dtype == "float64"
    assert in_pandas["ts"][0].to_pydatetime() == START
    assert len(stored.bars("binance", ["BRK.B"], interval="1d", final_only=True)) == 1


def test_books_are_lists_best_level_first_in_polars_and_in_pandas(stored):
    rows = stored.books("binance", "BTC-USDT", last=1)
    best = [Decimal("1.1"), Decimal("1.0")]
    assert rows.to_polars()["bid_prices"].to_list() == [best]
    assert [list(side) for side in rows.to_pandas()["bid_prices"]] == [best]


def test_what_is_not_stored_is_refused_with_what_is_near(stored):
    with pytest.raises(UnknownName, match="stored instrument of binance: 'BTC-USTD'; accepted: BTC-USDT"):
        stored.quotes("binance", "BTC-USTD")
    with pytest.raises(FixRequest, match="a datetime needs its zone"):
        stored.quotes("binance", "BTC-USDT", start=datetime(2024, 1, 1))  # noqa: DTZ001 - the point


def test_a_connection_that_broke_between_two_reads_is_opened_anew(stored, database_url):
    assert len(stored.quotes("binance", "BTC-USDT")) == 30
    engine = open_engine(database_url, application_name="killer", pooled=False)
    with engine.connect() as connection:
        ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'tickfarm client'"
        assert connection.exec_driver_sql(ended).rowcount >= 1
    assert len(stored.quotes("binance", "BTC-USDT")) == 30


@pytest.mark.parametrize("absent", ["pandas", "pyarrow"])
def test_without_pandas_or_pyarrow_it_says_what_to_install_and_polars_works(absent):
    code = f"""
import sys
class Absent:
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] == "{absent}":
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Absent)
from farm import Rows
from ingest.pipeline.read import no_rows
rows = Rows("bars", no_rows("bars"))
rows.to_polars()
try:
    rows.to_pandas()
except FixRequest as error:
    print(json.dumps(str(error)))
"""
    assert program(code, dict(os.environ)) == "to_pandas needs pandas and pyarrow: pip install 'tickfarm[pandas]'"


def test_no_rows_are_a_frame_with_the_same_columns_in_polars_and_in_pandas(stored):
    none = stored.bars("binance", "BTC-USDT", interval="1m", start="2030-01-01")
    some = stored.bars("binance", "BTC-USDT", interval="1m")
    assert len(none) == 0
    assert none.to_polars().columns == some.to_polars().columns == list(none.to_pandas().columns)
    assert isinstance(none.to_polars(), pl.DataFrame)
