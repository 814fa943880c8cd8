"""The Python client's other calls: gaps of a range, what came last, coverage, figures, another address, asyncio.

Deliberately not here: reading rows and fetching one by one (test_farm_client.py). Invariant: what is asked of a farm
that `start` keeps runs in a process of its own, as a notebook does.
"""

from __future__ import annotations

import asyncio
import inspect
import textwrap
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pyarrow as pa
import pytest
from sqlalchemy import text
from sqlalchemy.orm import sessionmaker

from farm import AsyncFarm, Farm, Gap
from ingest.errors import BadData, FixRequest, TryAgain, UnknownName
from ingest.settings import CHECKOUT, settings
from models import open_engine
from tests.conftest import statement, temporary_home
from tests.documents import block_with
from tests.emptying import empty
from tests.stored_rows import OBSERVED, START, add_series, keep, rows_of
from tests.test_farm_client import program
from tests.tickfarm_command import NO_REDIS
from tests.visitor import environment

END = START + timedelta(minutes=30)


@pytest.fixture(scope="module")
def sessions(module_database_url):
    engine = open_engine(module_database_url, application_name="test client", pooled=False)
    yield sessionmaker(engine)
    engine.dispose()


@pytest.fixture
def farm(sessions, module_database_url):
    """A client of an emptied database, by its address."""
    empty(module_database_url)
    with closing(Farm(module_database_url)) as made:
        yield made


def a_series(sessions, *without, count=30, **names):
    """Store bars a minute apart, without those of these minutes; return the series' id."""
    series = add_series(sessions, **names)
    keep(sessions, "bars", series, [row for at, row in enumerate(rows_of("bars", count)) if at not in without])
    return series


def bars(farm, **asked):
    return farm.bars("binance", "BTC-USDT", interval="1m", **asked)


def minutes(first, past):
    return START + timedelta(minutes=first), START + timedelta(minutes=past)


# --- Gaps ------------------------------------------------------------------------------------------------------------


def test_a_whole_range_has_no_gaps(farm, sessions):
    a_series(sessions)
    assert bars(farm, start=START, end=END, strict=True).gaps == ()
    assert repr(bars(farm, end=END)) == "<30 bars>"


def test_what_is_missing_of_a_range_is_stated_run_by_run_over_midnight_and_at_its_edges(farm, sessions):
    a_series(sessions, 4, 9, 10, 11)
    rows = bars(farm, start=START - timedelta(minutes=2), end=END + timedelta(minutes=1))
    stretches = [(-2, 0), (4, 5), (9, 12), (30, 31)]
    assert rows.gaps == tuple(Gap("BTC-USDT", *minutes(*one), one[1] - one[0]) for one in stretches)
    assert (len(rows), repr(rows)) == (26, "<26 bars, 7 missing>")


def test_strict_raises_with_what_is_missing(farm, sessions):
    a_series(sessions, 9, 10, 11)
    with pytest.raises(BadData, match=r"3 bars are missing in 1 gaps, the first of BTC-USDT from 2024-03-31T23:59:00"):
        bars(farm, start=START, end=END, strict=True)


def test_a_minute_that_two_answers_left_out_is_no_gap(farm, sessions):
    series = a_series(sessions, 9, 12)
    twice = text(
        "UPDATE ledger SET twice = tstzmultirange(tstzrange(:first, :past)) WHERE series_id = :id AND day = :day"
    )
    first, past = minutes(9, 10)
    with sessions.begin() as session:
        session.execute(twice, {"first": first, "past": past, "id": series, "day": first.date()})
    assert [gap.start for gap in bars(farm, start=START, end=END).gaps] == [START + timedelta(minutes=12)]


def test_of_the_newest_rows_only_what_lies_between_them_and_now_is_missing(farm, sessions):
    a_series(sessions, 4, 25)
    now = datetime.now(UTC)
    first, *_, last = bars(farm, last=10).gaps
    assert (first.start, first.rows) == (START + timedelta(minutes=25), 1)
    assert last.start == END
    assert timedelta(minutes=1) < now - last.end < timedelta(minutes=20), "bars that are on their way are no gap"
    assert bars(farm, last=4, end=END).gaps == ()


def test_a_closed_market_and_a_name_that_ended_expect_nothing(farm, sessions):
    friday = datetime(2024, 3, 22, tzinfo=UTC)
    series = add_series(sessions, "EUR-USD", provider="alpha_vantage", interval="1d")
    keep(sessions, "bars", series, rows_of("bars", 1, ts=friday))
    with sessions.begin() as session:
        session.execute(text("UPDATE series SET until = '2024-03-27'"))
    rows = farm.bars("alpha_vantage", "EUR-USD", interval="1d", start=friday)
    assert [(gap.start.day, gap.end.day, gap.rows) for gap in rows.gaps] == [(25, 27, 2)]


def test_what_a_fallback_has_is_not_missing(farm, sessions):
    a_series(sessions, 4, 9)
    a_series(sessions, 9, provider="kraken")
    assert [gap.start.minute for gap in bars(farm, start=START, end=END, fallback="kraken").gaps] == [59]


# --- What came last, coverage, figures -------------------------------------------------------------------------------


def test_the_recent_are_the_last_observed_of_whatever_series(farm, sessions):
    a_series(sessions)
    quotes = add_series(sessions, "ETH-USDT", dataset="quotes")
    later = OBSERVED + timedelta(hours=1)
    keep(sessions, "quotes", quotes, rows_of("quotes", 2, bid="1.100", observed_at=later))
    newest, *others = farm.recent(4)
    assert (newest.provider, newest.dataset, newest.instrument, newest.observed_at) == (
        "binance",
        "quotes",
        "ETH-USDT",
        later,
    )
    assert str(newest.values["bid"]) == "1.100"
    assert newest.values["bid_size"] is None
    assert [(one.dataset, one.ts) for one in others] == [
        ("quotes", START),
        ("bars", START + timedelta(minutes=29)),
        ("bars", START + timedelta(minutes=28)),
    ]
    assert others[1].values["close"] == Decimal("1.20")
    for wrong in (0, 1_001):
        with pytest.raises(FixRequest, match="from 1 to 1,000"):
            farm.recent(wrong)


def test_coverage_is_of_what_is_followed_and_changes_nothing(farm, sessions):
    a_series(sessions)
    with sessions.begin() as session:
        session.execute(text("UPDATE series SET followed = true, since = :start"), {"start": START})
    days = "SELECT count(*) FROM ledger"
    before = sessions().execute(text(days)).scalar()
    [one] = farm.coverage(provider="binance")
    assert (one.instrument, one.is_proven) == ("BTC-USDT", False)
    assert one.expected > 100_000
    assert farm.coverage(provider="kraken") == []
    assert sessions().execute(text(days)).scalar() == before
    with pytest.raises(UnknownName, match="did you mean binance"):
        farm.coverage(provider="binanse")


def test_health_and_metrics_are_of_the_farm_whose_addresses_are_given(sessions, module_database_url, redis_url):
    with closing(Farm(module_database_url, redis_url=redis_url)) as farm:
        assert farm.health().judged.state == "OFFLINE", "nobody is there"
        found = farm.metrics()
    assert (found.requests, found.workers, found.success_rate) == (0, 0, None)


# --- Ways out --------------------------------------------------------------------------------------------------------


def test_an_arrow_table_has_every_digit(farm, sessions):
    keep(sessions, "bars", add_series(sessions), rows_of("bars", 2, close="0.123456789012345678"))
    table = bars(farm).to_arrow()
    assert isinstance(table, pa.Table)
    assert table["close"].to_pylist() == [Decimal("0.123456789012345678")] * 2
    assert bars(farm).to_arrow(floats=True)["close"].type == pa.float64()


# --- Addresses and batches -------------------------------------------------------------------------------------------


def test_another_address_is_read_and_never_goes_with_the_redis_that_is_set(farm, monkeypatch, redis_url):
    monkeypatch.setenv("REDIS_URL", redis_url)
    settings.cache_clear()
    try:
        with pytest.raises(FixRequest, match="REDIS_URL is not set"):
            farm.fetch("binance", "quotes", "BTC-USDT")
        assert farm.recent() == []
    finally:
        monkeypatch.undo()
        settings.cache_clear()


@pytest.mark.parametrize("url", ["http://127.0.0.1:8000", "mysql://u:planted-password@h/d", "nonsense"])
def test_an_address_of_something_else_is_refused_without_the_password(url):
    with pytest.raises(FixRequest, match=r"database_url: .*postgresql://user:password@host") as wrong:
        Farm(url).recent()
    assert "planted" not in str(wrong.value)


def test_of_a_batch_each_call_has_its_result_or_its_error_in_order(module_database_url, redis_url):
    quote = {"provider": "binance", "dataset": "quotes", "instruments": "BTC-USDT"}
    with closing(Farm(module_database_url, redis_url=redis_url)) as farm:
        found = farm.fetch_batch([quote | {"dataset": "quote"}, quote, quote | {"provider": "binanse"}])
        assert [type(one) for one in found] == [UnknownName, TryAgain, UnknownName]
        assert farm.fetch_batch([]) == []


def test_a_farm_is_not_started_on_somebody_else_s_servers():
    with pytest.raises(FixRequest, match="give no address"):
        Farm("postgresql://127.0.0.1/x", redis_url=NO_REDIS).start()


def test_a_farm_can_be_started_asked_and_stopped_from_python_as_the_page_says():
    page = "\n".join(block_with(CHECKOUT / "docs" / "data.md", "python", "import Farm"))
    code = f"""
import contextlib, io
with contextlib.redirect_stdout(io.StringIO()) as printed:
{textwrap.indent(page, "    ")}
        figures, judged = farm.metrics(), farm.health().judged
        [wrong] = farm.fetch_batch([{{"provider": "binance", "dataset": "bars", "instruments": "BTC-USDT"}}])
        try:
            farm.start()
        except FixRequest as error:
            again = str(error)
farm.stop()
said = [[one["rows"] for one in done], len(rows), table.num_rows, len(newest), type(wrong).__name__]
counts = [figures.requests, figures.workers, figures.valid_points]
print(json.dumps([said, counts, again, judged.state, printed.getvalue()]))
"""
    with temporary_home() as home:
        said, figures, again, state, printed = program(code, environment(home))
        assert said == [[60, 60], 120, 120, 10, "FixRequest"]
        assert figures == [2, 7, 120]
        assert again == "this client keeps a farm already: stop() it first"
        assert state != "OFFLINE"
        first, *targets = printed.splitlines()
        assert first == "()"
        assert [line.split()[0] for line in targets] == ["success_rate", "p95_ms"]
        assert not (home / "servers.json").exists(), "it was stopped"


# --- asyncio ---------------------------------------------------------------------------------------------------------


def public(kind):
    return {name: call for name, call in inspect.getmembers(kind, callable) if not name.startswith("_")}


def test_the_two_clients_have_the_same_calls_with_the_same_arguments():
    sync, other = public(Farm), public(AsyncFarm)
    assert {*sync} == {*other}
    assert inspect.signature(Farm) == inspect.signature(AsyncFarm)
    for name, call in sync.items():
        assert inspect.signature(call) == inspect.signature(other[name]), name
        assert inspect.iscoroutinefunction(other[name]), name
        assert call.__doc__, name
        assert other[name].__doc__, name


def test_many_reads_at_once_from_asyncio_share_what_connections_there_are(sessions, module_database_url):
    empty(module_database_url)
    a_series(sessions)

    async def read():
        async with AsyncFarm(module_database_url) as farm:
            found = await asyncio.gather(*(bars(farm) for _ in range(12)), farm.recent(3))
            with pytest.raises(UnknownName):
                await farm.quotes("binance", "BTC-USDT")
        return found

    *read_rows, recent = asyncio.run(read())
    assert [len(rows) for rows in read_rows] == [30] * 12
    assert len(recent) == 3
    open_ones = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'tickfarm client'"
    assert statement(module_database_url, open_ones) == 0, "the client closed what it had opened"
