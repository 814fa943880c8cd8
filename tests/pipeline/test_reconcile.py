"""The same bar from two providers is compared when it is stored: one finding a pair and day, whoever comes first.

Deliberately not here: which columns are compared by how much (market/test_reconcile.py). Invariant: bars arrive as they
do in store: meet, stage, write, commit.
"""

from __future__ import annotations

import csv
import io
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from threading import Barrier

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import sessionmaker

from ingest.market.reconcile import Tolerances
from ingest.pipeline import reconcile
from ingest.pipeline.context import Context
from ingest.pipeline.reconcile import Arrival
from ingest.pipeline.replay import Window, replay
from models import Series, agreement, open_engine
from models.partitions import ensure_partitions
from models.upsert import copy_columns, stage
from tests.emptying import empty
from tests.pipeline.farm import bars_call, opened

DAY = datetime(2024, 3, 5, tzinfo=UTC)
OBSERVED = DAY + timedelta(days=400)


@pytest.fixture(scope="module")
def module_sessions(module_database_url):
    """Sessions that open a connection each, as processes do."""
    engine = open_engine(module_database_url, application_name="test reconcile", pooled=False)
    sessions = sessionmaker(engine)
    with sessions.begin() as session:
        ensure_partitions(session, "bars", DAY, DAY + timedelta(days=400))
    yield sessions
    engine.dispose()


@pytest.fixture
def sessions(module_sessions, module_database_url):
    empty(module_database_url)
    return module_sessions


def series(sessions, provider, instrument="BTC-USDT", *, interval="1m", adjustment="none"):
    with sessions.begin() as session:
        made = Series(
            provider=provider, dataset="bars", instrument=instrument, interval=interval, adjustment=adjustment
        )
        session.add(made)
        session.flush()
        return made.id


def bar(close="100", *, minute=0, at=None, observed=0, **changes):
    row = {"ts": at or DAY + timedelta(minutes=minute), "open": "1", "high": "1000", "low": "1", "close": close}
    row |= {"volume": "7", "is_final": "t", "observed_at": OBSERVED + timedelta(seconds=observed), "job_id": 1}
    return row | changes


def csv_of(series_id, rows):
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    for row in rows:
        full = row | {"series_id": series_id}
        cells = [full.get(name, "") for name in copy_columns("bars")]
        writer.writerow([one.isoformat() if isinstance(one, datetime) else one for one in cells])
    return buffer.getvalue().encode()


def store_in(session, series_id, rows, *, tolerances=Tolerances(), between=lambda: None):  # noqa: B008 (frozen)
    """Store bars as a fetch's transaction does; `between` is called once it has met its rivals."""
    first, last = min(row["ts"] for row in rows), max(row["ts"] for row in rows)
    [(provider, instrument, interval)] = session.execute(
        text("SELECT provider, instrument, interval FROM series WHERE id = :id"), {"id": series_id}
    )
    arrival = Arrival(provider, interval, {instrument: series_id}, first, last, 7, tolerances)
    rivals = reconcile.meet(session, arrival)
    between()
    stage(session, "bars", io.BytesIO(csv_of(series_id, rows)))
    reconcile.write(session, "bars", rivals)


def arrive(sessions, series_id, *rows, **more):
    with sessions.begin() as session:
        store_in(session, series_id, rows, **more)


def findings(sessions, columns="provider, against, instrument, rows", *, ended=False):
    sql = f"SELECT {columns} FROM findings WHERE (ended_at IS NOT NULL) = :ended ORDER BY provider, against, ts"
    with sessions() as session:
        return [tuple(row) for row in session.execute(text(sql), {"ended": ended})]


# --- One finding -----------------------------------------------------------------------------------------------------


def test_bars_that_agree_within_the_tolerance_are_no_finding(sessions):
    one, other = series(sessions, "binance"), series(sessions, "kraken")
    arrive(sessions, one, bar("100"), bar("100", minute=1))
    arrive(sessions, other, bar("102.04"), bar("98", minute=1), bar("5", minute=2))
    assert findings(sessions) == []


@pytest.mark.parametrize("order", [("binance", "kraken"), ("kraken", "binance")])
def test_a_disagreement_is_one_finding_that_names_both_sides_whichever_came_first(sessions, order):
    ids = {name: series(sessions, name) for name in order}
    closes = {"binance": "100", "kraken": "103"}
    for name in order:
        arrive(sessions, ids[name], bar(closes[name], minute=3), bar("50", minute=4))
    [(reason, sample, ts, rule, severity, job_id)] = findings(sessions, "reason, sample, ts, rule, severity, job_id")
    assert findings(sessions) == [("binance", "kraken", "BTC-USDT", 1)]
    assert (ts, rule, severity, job_id) == (DAY + timedelta(minutes=3), "disagrees", "warn", 7)
    assert reason == (
        "1 1m bar in [2024-03-05, 2024-03-06) differ, most of all close of 2024-03-05T00:03Z:"
        " binance 100, kraken 103, 2.91% (tolerance 2.00%)"
    )
    assert json.loads(sample) == {
        "ts": "2024-03-05T00:03:00+00:00",
        "column": "close",
        "binance": "100",
        "kraken": "103",
        "difference": "0.029126",
    }


def test_a_provider_that_is_off_for_days_is_one_finding_a_day_with_its_five_worst(sessions):
    one, other = series(sessions, "binance"), series(sessions, "kraken")
    for number in range(3):
        rows = [bar(minute=number * 1440 + at) for at in range(20)]
        arrive(sessions, one, *rows)
        arrive(sessions, other, *(row | {"close": str(200 + at)} for at, row in enumerate(rows)))
    assert findings(sessions) == [("binance", "kraken", "BTC-USDT", 20)] * 3
    samples = [json.loads(line) for line in findings(sessions, "sample")[0][0].splitlines()]
    assert [one["kraken"] for one in samples] == ["219", "218", "217", "216", "215"]


def test_daily_bars_of_shares_are_one_finding_a_year_and_compare_extremes_and_volume(sessions):
    one, other = (series(sessions, name, "AAPL", interval="1d") for name in ("polygon", "marketstack"))
    days = [bar(at=DAY + timedelta(days=at)) for at in range(4)]
    arrive(sessions, one, *days)
    odd = [{"high": "900"}, {"volume": "3"}, {"low": "2"}, {"open": "77"}]
    arrive(sessions, other, *(day | change for day, change in zip(days, odd, strict=True)))
    assert findings(sessions) == [("marketstack", "polygon", "AAPL", 3)]
    [(reason,)] = findings(sessions, "reason")
    assert "in [2024-01-01, 2025-01-01)" in reason
    assert "volume of 2024-03-06T00:00Z: marketstack 3, polygon 7, 57.14% (tolerance 25.00%)" in reason
    samples = [json.loads(line)["column"] for line in findings(sessions, "sample")[0][0].splitlines()]
    assert samples == ["volume", "low", "high"]


def test_three_providers_are_three_pairs(sessions):
    ids = [series(sessions, name) for name in ("binance", "bitfinex", "kraken")]
    for series_id, close in zip(ids, ("100", "110", "121"), strict=True):
        arrive(sessions, series_id, bar(close))
    assert findings(sessions, "provider, against") == [
        ("binance", "bitfinex"),
        ("binance", "kraken"),
        ("bitfinex", "kraken"),
    ]


# --- What is compared ------------------------------------------------------------------------------------------------


def test_other_adjustments_instruments_intervals_and_forming_bars_are_not_compared(sessions):
    shares = [series(sessions, name, "AAPL", adjustment=how) for name, how in (("polygon", "none"), ("fmp", "splits"))]
    pairs = [series(sessions, "binance"), series(sessions, "kraken", "ETH-USDT")]
    pairs.append(series(sessions, "kraken", interval="5m"))
    forming = series(sessions, "coinbase")
    for number, series_id in enumerate([*shares, *pairs]):
        arrive(sessions, series_id, bar(str(10**number)))
    arrive(sessions, forming, bar("9", is_final="f"))
    assert findings(sessions) == []
    arrive(sessions, forming, bar("9", observed=1))
    assert findings(sessions, "provider, against") == [("binance", "coinbase")]


def test_a_tolerance_that_is_set_holds_and_one_switches_it_off(sessions):
    one, other = series(sessions, "binance"), series(sessions, "kraken")
    arrive(sessions, one, bar("100"), bar("100", minute=1))
    arrive(sessions, other, bar("500"), tolerances=Tolerances(coins=Decimal(1)))
    assert findings(sessions) == []
    arrive(sessions, other, bar("101", minute=1), tolerances=Tolerances(coins=Decimal("0.001")))
    assert findings(sessions, "reason LIKE '%tolerance 0.10%%'") == [(True,)]


numbers = st.decimals(0, 1000, places=3)
one_bar = st.fixed_dictionaries({"close": numbers, "high": numbers, "low": numbers, "volume": st.none() | numbers})


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(one_bar, one_bar, st.decimals(0, Decimal("0.99"), places=2), st.decimals(0, Decimal("0.99"), places=2))
def test_the_database_finds_what_arithmetic_with_fractions_finds(module_sessions, mine, theirs, price, volume):
    limits = dict.fromkeys(("close", "high", "low"), price) | {"volume": volume}
    expected = {}
    for name, limit in limits.items():
        if mine[name] is not None and theirs[name] is not None:
            one, other = Fraction(mine[name]), Fraction(theirs[name])
            if abs(one - other) > Fraction(limit) * max(one, other):
                expected[name] = abs(one - other) / max(one, other)
    with module_sessions() as session:  # rolled back
        session.execute(text("DELETE FROM findings"))
        for provider, values in (("polygon", mine), ("marketstack", theirs)):
            made = Series(provider=provider, dataset="bars", instrument="PROPER", interval="1d", adjustment="none")
            session.add(made)
            session.flush()
            texts = {name: "" if value is None else str(value) for name, value in values.items()}
            store_in(session, made.id, [bar(**texts)], tolerances=Tolerances(shares=price, volume=volume))
            session.execute(text("TRUNCATE bars_staging"))
        rows = session.execute(text("SELECT sample FROM findings WHERE rule = 'disagrees'")).all()
        told = [json.loads(line) for (sample,) in rows for line in sample.splitlines()]
    assert {one["column"]: Decimal(one["difference"]) for one in told} == {
        name: round(Decimal(share.numerator) / Decimal(share.denominator), 6) for name, share in expected.items()
    }


# --- What becomes of it ----------------------------------------------------------------------------------------------


def test_a_correction_from_either_side_ends_it_and_another_disagreement_begins_it_anew(sessions):
    one, other = series(sessions, "binance"), series(sessions, "kraken")
    arrive(sessions, one, bar("100"), bar("100", minute=1))
    arrive(sessions, other, bar("110"), bar("110", minute=1))
    assert findings(sessions, "rows") == [(2,)]
    arrive(sessions, other, bar("100", observed=9))
    assert findings(sessions, "rows") == [(1,)]
    arrive(sessions, one, bar("110", minute=1, observed=9))
    assert findings(sessions) == []
    assert findings(sessions, "ended_at > now() - interval '1 minute'", ended=True) == [(True,)]
    arrive(sessions, one, bar("200", observed=10))
    assert findings(sessions, "rows") == [(1,)]
    assert findings(sessions, ended=True) == []


def test_bars_that_come_again_as_they_were_touch_no_finding_and_late_ones_do_not_count(sessions):
    one, other = series(sessions, "binance"), series(sessions, "kraken")
    arrive(sessions, one, bar("100"))
    arrive(sessions, other, bar("110"))
    with sessions.begin() as session:
        session.execute(text("UPDATE findings SET rows = 99"))
    arrive(sessions, other, bar("110", observed=5))
    arrive(sessions, other, bar("100", observed=-5))
    assert findings(sessions, "rows") == [(99,)]


# --- Races -----------------------------------------------------------------------------------------------------------

ROUNDS = 12


def test_two_transactions_that_store_both_sides_at_once_make_exactly_one_finding(sessions):
    ids = [series(sessions, "binance"), series(sessions, "kraken")]
    together = Barrier(2)

    def store_all(side):
        for minute in range(ROUNDS):
            together.wait(20)
            arrive(sessions, ids[side], bar(("100", "110")[side], minute=1440 * minute))

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(store_all, range(2)))
    assert findings(sessions, "rows") == [(1,)] * ROUNDS


def test_batches_of_many_instruments_in_any_order_never_wait_for_each_other_in_a_ring(sessions):
    names = [f"C{number}-USDT" for number in range(20)]
    ids = [[series(sessions, provider, name) for name in names] for provider in ("binance", "kraken")]
    together = Barrier(2)

    def store_all(side):
        mine = dict(list(zip(names, ids[side], strict=True))[:: 1 if side else -1])
        together.wait(20)
        for minute in range(5):
            with sessions.begin() as session:
                rows = [bar(("100", "110")[side], minute=minute) | {"series_id": one} for one in mine.values()]
                at, provider = rows[0]["ts"], ("binance", "kraken")[side]
                rivals = reconcile.meet(session, Arrival(provider, "1m", mine, at, at, 7, Tolerances()))
                whole = b"".join(csv_of(row["series_id"], [row]) for row in rows)
                stage(session, "bars", io.BytesIO(whole))
                reconcile.write(session, "bars", rivals)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(store_all, range(2)))
    assert findings(sessions, "rows") == [(5,)] * len(names)


def test_a_second_provider_that_is_met_while_the_first_one_stores_waits_for_it(sessions):
    """Who has begun alone can't know of the other; so the other begins once that is over."""
    alone = series(sessions, "binance")
    begun, go_on = Barrier(2), Barrier(2)

    def first():
        def pause():
            begun.wait(20)
            go_on.wait(20)

        arrive(sessions, alone, bar("100"), between=pause)

    def second():
        begun.wait(20)
        other = series(sessions, "kraken")
        with sessions() as session:
            session.execute(text("SET lock_timeout = '100ms'"))
            with pytest.raises(OperationalError, match="lock timeout"):
                agreement.wait_for_storers(session, [other])
        go_on.wait(20)
        with sessions.begin() as session:
            agreement.wait_for_storers(session, [other])
        arrive(sessions, other, bar("110"))

    with ThreadPoolExecutor(2) as pool:
        for one in (pool.submit(first), pool.submit(second)):
            one.result(60)
    assert findings(sessions, "rows") == [(1,)]


# --- In the pipeline -------------------------------------------------------------------------------------------------


def test_what_two_exchanges_answered_is_compared_by_store_and_by_a_small_fetch_with_the_tolerance_that_is_set(
    farm, settings_of, sandbox
):
    farm.owe("coinbase", bars_call("BTC-USD", minutes=30))
    farm.run()
    farm.change("UPDATE bars SET close = close * 1.1 WHERE ts = :at", at=DAY + timedelta(minutes=5))
    farm.owe("bitfinex", bars_call("BTC-USD", minutes=30))
    farm.run()
    rows = "SELECT provider, against, rows, ts FROM findings WHERE ended_at IS NULL"
    assert farm.select(rows) == [("bitfinex", "coinbase", 1, DAY + timedelta(minutes=5))]
    with opened(Context(settings_of(tickfarm_tolerance_coins="0.2"), name="test pipeline"), sandbox) as lenient:
        lenient.change("UPDATE bars SET close = close * 1.01 WHERE ts = :at", at=DAY + timedelta(minutes=7))
        lenient.owe("coinbase", bars_call("BTC-USD", minutes=30))
        lenient.run()
    assert farm.select(rows) == []


def test_a_replay_that_stores_anew_compares_too(farm):
    for provider in ("coinbase", "bitfinex"):
        farm.owe(provider, bars_call("BTC-USD", minutes=30))
    farm.run()
    at = DAY + timedelta(minutes=5)
    farm.change("DELETE FROM bars WHERE ts = :at AND series_id = (SELECT min(id) FROM series)", at=at)
    farm.change("UPDATE bars SET close = close * 2 WHERE ts = :at", at=at)
    provider = farm.value("SELECT provider FROM series ORDER BY id LIMIT 1")
    window = Window(provider, "bars", ("BTC-USD",), "1m", DAY, DAY + timedelta(minutes=30))
    assert replay(farm.context, window).comparison.new == 1
    assert farm.value("SELECT count(*) FROM findings") == 0
    replay(farm.context, window, apply=True)
    assert farm.select("SELECT rule, rows, ended_at FROM findings") == [("disagrees", 1, None)]
