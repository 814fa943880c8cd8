"""What was known at a moment: any history, in any order of arrival, is read as it was at every moment of it.

Deliberately not here: windows, chunks and digits (test_read), the real vintages (test_real_vintages).
"""

from __future__ import annotations

import csv
import json
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.orm import sessionmaker

from ingest.errors import FixRequest
from ingest.market.records import DATASETS
from ingest.pipeline import read
from ingest.pipeline.read import Wanted, stored, within
from models import open_engine
from tests.pipeline.farm import DAY, bars_call
from tests.stored_rows import OBSERVED, START, add_series, keep, rows_of
from tests.tickfarm_command import run_each

SECOND = timedelta(seconds=1)
_names = (f"K{number}" for number in count())


@pytest.fixture(scope="module")
def sessions(module_database_url):
    engine = open_engine(module_database_url, application_name="test known")
    yield sessionmaker(engine)
    engine.dispose()


@pytest.fixture(autouse=True, scope="module")
def _chunks_of_three():
    """Small chunks, so that a few rows make several."""
    before = read.CHUNK_ROWS
    read.CHUNK_ROWS = dict.fromkeys(DATASETS, 3)
    yield
    read.CHUNK_ROWS = before


def series_of(sessions, dataset):
    """Make a series of its own; return what to read."""
    name = next(_names)
    return Wanted(dataset, {name: add_series(sessions, name, dataset=dataset)})


def sight(sessions, wanted, *rows):
    """Store what one answer says, each row with when it was asked for, in seconds after OBSERVED."""
    [series_id] = wanted.series.values()
    keep(sessions, wanted.dataset, series_id, [row | {"observed_at": moment(row["observed_at"])} for row in rows])


def moment(second):
    return OBSERVED + second * SECOND


def as_of(sessions, wanted, second, *columns, last=None):
    """Return these columns of what was known then."""
    frame = stored(sessions, within(wanted, start=None, end=None, last=last, as_of=moment(second)))
    return frame.select(columns).rows()


# --- Any history -----------------------------------------------------------------------------------------------------

MINUTES, SECONDS = 7, 8
answers = st.lists(
    st.tuples(
        st.integers(0, SECONDS - 1),  # when it was asked
        st.lists(
            st.tuples(st.integers(0, MINUTES - 1), st.sampled_from(["1", "2", "2.0"]), st.sampled_from("tttf")),
            max_size=2 * MINUTES,
            unique_by=lambda row: row[0],
        ),
    ),
    max_size=SECONDS,
    unique_by=lambda answer: answer[0],
)


def bars_known(arrived, second):
    """Say what the bars were, in plain Python: of the answers sent by then, the latest; late ones changed nothing.

    What is final wins over what is not.
    """
    found, newest = {}, {}
    for asked, rows in arrived:
        for minute, close, is_final in rows:
            rank = (is_final == "t", asked)
            if rank <= newest.get(minute, (False, -1)):
                continue
            newest[minute] = rank
            if asked <= second:
                found[minute] = (float(close), is_final)
    return [(minute, close) for minute, (close, is_final) in sorted(found.items()) if is_final == "t"]


@settings(max_examples=25)
@given(arrived=answers, last=st.integers(1, MINUTES))
def test_bars_are_at_every_moment_what_the_answers_sent_by_then_said_in_whatever_order_they_came(
    sessions, arrived, last
):
    wanted = series_of(sessions, "bars")
    for asked, rows in arrived:
        bars = rows_of("bars", MINUTES)
        said = [bars[at] | {"close": close, "is_final": final, "observed_at": asked} for at, close, final in rows]
        if said:
            sight(sessions, wanted, *said)
    for second in range(-1, SECONDS + 1):
        expected = bars_known(arrived, second)
        for most in (None, last):
            rows = as_of(sessions, wanted, second, "ts", "close", "is_final", last=most)
            found = [((ts - START) // timedelta(minutes=1), float(close)) for ts, close, _ in rows]
            assert found == expected[-most if most else 0 :], (second, most)
            assert all(is_final for *_, is_final in rows)


DATES, DAYS = 3, 3
VINTAGES = [OBSERVED.date() + timedelta(days=at) for at in range(-1, DAYS)]
dated = st.lists(
    st.tuples(
        st.integers(0, DAYS * 4 - 1),  # when it was asked, in quarters of a day
        st.integers(0, DATES - 1),
        st.sampled_from(VINTAGES),
        st.sampled_from(["1", "2", "3", None]),
    ),
    max_size=12,
    unique_by=lambda one: one[:3],
)


def quarter(at):
    return OBSERVED + at * timedelta(hours=6)


def observations_known(arrived, now):
    """Say the same of dated vintages: each counts from its day's end, or since we were told, whichever came first."""
    told = {}
    for asked, date, vintage, value in arrived:
        history = told.setdefault((date, vintage), [])
        if not history or asked > history[-1][0]:
            history.append((asked, value))
    found = {}
    for (date, vintage), history in sorted(told.items()):
        by_then = [value for asked, value in history if quarter(asked) <= now]
        is_over = datetime(vintage.year, vintage.month, vintage.day, tzinfo=UTC) + timedelta(days=1) <= now
        if by_then or is_over:
            found[date] = by_then[-1] if by_then else history[0][1]
    return sorted(found.items())


@settings(max_examples=25)
@given(arrived=dated, last=st.integers(1, DATES))
def test_of_each_date_the_newest_vintage_known_at_every_moment_is_read(sessions, arrived, last):
    wanted = series_of(sessions, "observations")
    [series_id] = wanted.series.values()
    rows = rows_of("observations", DATES)
    for asked, date, vintage, value in arrived:
        said = {"value": value, "vintage": vintage.isoformat(), "observed_at": quarter(asked)}
        keep(sessions, "observations", series_id, [rows[date] | said])
    for now in (quarter(at) for at in range(-6, DAYS * 4 + 1)):
        expected = observations_known(arrived, now)
        for most in (None, last):
            frame = stored(sessions, within(wanted, start=None, end=None, last=most, as_of=now))
            found = [((ts - START) // timedelta(minutes=1), value) for ts, value in frame.select("ts", "value").rows()]
            assert found == expected[-most if most else 0 :], (now, most)


@settings(max_examples=25)
@given(said=st.lists(st.sampled_from(["1", "2", None]), max_size=DAYS * 4))
def test_without_vintages_a_value_is_known_from_the_poll_that_first_brought_it(sessions, said):
    wanted = series_of(sessions, "observations")
    [series_id] = wanted.series.values()
    for at, value in enumerate(said):
        row = {"value": value, "vintage": f"{quarter(at):%Y-%m-%d}", "vintage_given": "f", "observed_at": quarter(at)}
        keep(sessions, "observations", series_id, [rows_of("observations", 1)[0] | row])
    for at in range(-1, len(said)):
        frame = stored(sessions, within(wanted, start=None, end=None, as_of=quarter(at) + SECOND))
        assert frame["value"].to_list() == said[at : at + 1] if at >= 0 else frame.height == 0


# --- The other datasets ----------------------------------------------------------------------------------------------

CHANGED = {
    "trades": {"price": ("1.10", "1.20")},
    "news": {"title": ("Fist quarter", "First quarter")},
    "posts": {"likes": (3, 4)},
    "actions": {"split_to": ("4", "5")},
}


@pytest.mark.parametrize("dataset", CHANGED)
def test_what_happened_once_is_read_as_it_was_known_though_many_share_a_moment(sessions, dataset):
    [(column, (before, after))] = CHANGED[dataset].items()
    wanted = series_of(sessions, dataset)
    rows = [row | {"ts": START, column: before} for row in rows_of(dataset, 8)]
    if dataset == "actions":
        rows = [row | {"action_id": f"a{at}"} for at, row in enumerate(rows)]
    sight(sessions, wanted, *[row | {"observed_at": 0} for row in rows])
    sight(sessions, wanted, *[row | {"observed_at": 2} for row in rows])  # the same again
    sight(sessions, wanted, *[row | {"observed_at": 5, column: after} for row in rows[::2]])
    assert as_of(sessions, wanted, -1, column) == []
    for second in (0, 3, 4):
        assert as_of(sessions, wanted, second, column) == [(before,)] * 8
    assert as_of(sessions, wanted, 5, column) == [(after,), (before,)] * 4
    assert as_of(sessions, wanted, 4, column, last=3) == [(before,)] * 3


def test_what_is_read_has_the_digits_that_were_stored_and_says_when_it_was_first_seen(sessions):
    wanted = series_of(sessions, "bars")
    bar = rows_of("bars", 1)[0] | {"close": "12345678901234567890.10", "trade_count": 2**53 + 1, "adjusted_close": None}
    for second, changes in ((0, {}), (1, {}), (2, {"close": "1.20"}), (3, {"close": "1.20"})):
        sight(sessions, wanted, bar | changes | {"observed_at": second})
    columns = ("close", "trade_count", "adjusted_close", "observed_at")
    assert as_of(sessions, wanted, 1, *columns) == [(bar["close"], 2**53 + 1, None, moment(0))]
    assert as_of(sessions, wanted, 3, *columns) == [("1.20", 2**53 + 1, None, moment(2))]


def test_of_rows_that_are_gone_nothing_is_read_though_their_revisions_stay(sessions):
    wanted = series_of(sessions, "bars")
    for second, close in enumerate(("1.10", "1.20")):
        sight(sessions, wanted, *[row | {"close": close, "observed_at": second} for row in rows_of("bars", 5)])
    assert as_of(sessions, wanted, 0, "close") == [("1.10",)] * 5
    with sessions.begin() as session:
        [series_id] = wanted.series.values()
        gone = text("DELETE FROM bars WHERE series_id = :series AND ts < :end")
        session.execute(gone, {"series": series_id, "end": START + timedelta(minutes=3)})
    assert as_of(sessions, wanted, 0, "close") == [("1.10",)] * 2


@pytest.mark.parametrize("dataset", ["quotes", "books"])
def test_what_keeps_no_history_of_a_moment_refuses_and_says_what_can_be_asked(dataset):
    with pytest.raises(FixRequest, match=f"{dataset} can't be read as of .* an end leaves out"):
        within(Wanted(dataset, {}), start=None, end=None, as_of=OBSERVED)


# --- Through the farm ------------------------------------------------------------------------------------------------


def test_a_corrected_bar_is_read_as_it_was_before_and_after_by_the_command(farm, module_database_url, tmp_path):
    path = f"/binance/api/v3/klines?symbol=BTCUSDT&interval=1m&startTime={int(DAY.timestamp() * 1000)}&limit=60"
    right, wrong = farm.sandbox.read(path), farm.sandbox.read(path)
    wrong[30][4] = wrong[30][1]
    farm.sandbox.arm("binance", "status", path="/api/v3/klines", args={"status": 200, "body": json.dumps(wrong)})
    asked = []
    for _ in range(3):  # wrong, corrected, and the same again
        farm.owe("binance", bars_call())
        farm.run()
        asked.append(farm.value("SELECT max(observed_at) FROM bars"))
    assert farm.value("SELECT count(*) FROM revisions") == 1
    first, corrected = ([row[4] for row in page] for page in (wrong, right))
    assert sum(one != other for one, other in zip(first, corrected, strict=True)) == 1
    moments = {
        (asked[0] - SECOND).isoformat(): [],
        asked[0].isoformat(): first,
        (asked[1] - SECOND / 1_000_000).isoformat(): first,
        asked[1].isoformat(): corrected,
        asked[2].isoformat(): corrected,
    }
    bars = ("bars", "binance", "BTC-USDT", "--interval", "1m")
    lines = [(*bars, "--as-of", one, "--out", str(tmp_path / f"{one}.csv")) for one in moments]
    ends = run_each(lines, DATABASE_URL=module_database_url)
    assert [one.returncode for one in ends] == [0] * len(lines), ends
    for one, closes in moments.items():
        with (tmp_path / f"{one}.csv").open() as file:
            assert [row["close"] for row in csv.DictReader(file)] == closes, one
