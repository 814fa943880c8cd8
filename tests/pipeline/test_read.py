"""Stored rows come back as they are: every digit, in every form, in any window, whatever the chunks.

Deliberately not here: the command (test_cli_data.py) and the client (test_farm_client.py), which read through this.
"""

from __future__ import annotations

import csv
import io
import json
import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import sessionmaker

from ingest.errors import FixRequest, UnknownName
from ingest.market.records import DATASETS, VALUE_COLUMNS
from ingest.pipeline import read
from ingest.pipeline.exact import typed
from ingest.pipeline.export import csv_chunks, json_chunks, write_parquet
from ingest.pipeline.read import Wanted, chunks, find, no_rows, stored, within
from models import open_engine
from tests.stored_rows import OBSERVED, START, add_series, keep, rows_of

#: A file's numbers may have more digits than the default context of `decimal` keeps; comparing keeps them all.
NUMBERS = {"bars": ("open", "volume", "adjusted_close"), "trades": ("price", "size"), "quotes": ("bid", "last")}
_names = (f"X{number}" for number in count())


@pytest.fixture(scope="module")
def sessions(module_database_url):
    engine = open_engine(module_database_url, application_name="test read")
    yield sessionmaker(engine)
    engine.dispose()


@pytest.fixture(autouse=True, scope="module")
def _chunks_of_seven():
    """Small chunks, so that a few rows make several."""
    before = read.CHUNK_ROWS
    read.CHUNK_ROWS = dict.fromkeys(DATASETS, 7)
    yield
    read.CHUNK_ROWS = before


def series_with(sessions, dataset, rows):
    """Store the rows as a series of their own; return what to read."""
    name = next(_names)
    series_id = add_series(sessions, name, dataset=dataset)
    if rows:
        keep(sessions, dataset, series_id, rows)
    return Wanted(dataset, {name: series_id})


def in_every_form(sessions, wanted, folder):
    """Return the rows' values as text, null as None, from CSV, JSON lines, Parquet and polars."""
    dataset = wanted.dataset
    text = b"".join(csv_chunks(chunks(sessions, wanted), dataset)).decode()
    lines = b"".join(json_chunks(chunks(sessions, wanted), dataset)).decode().splitlines()
    assert write_parquet(chunks(sessions, wanted), dataset, folder / "rows.parquet") == len(lines)
    return {
        "csv": [{name: value or None for name, value in row.items()} for row in csv.DictReader(io.StringIO(text))],
        "json": [json.loads(line) for line in lines],
        "parquet": pl.read_parquet(folder / "rows.parquet").rows(named=True),
        "polars": typed(stored(sessions, wanted), dataset).rows(named=True),
    }


# --- Digits ----------------------------------------------------------------------------------------------------------

numerals = st.builds(
    lambda sign, whole, places: f"{sign}{whole}" + (f".{places}" if places else ""),
    st.sampled_from(["", "-"]),
    st.integers(0, 10**18 - 1).map(str),
    st.text("0123456789", max_size=20),  # 38 digits together, the most that stay decimals
).map(lambda text: text if Decimal(text) else text.lstrip("-"))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(numerals, st.none() | numerals), min_size=1, max_size=10), st.sampled_from(sorted(NUMBERS)))
def test_what_was_stored_comes_back_digit_for_digit_in_every_form(sessions, tmp_path_factory, values, dataset):
    needed, optional = NUMBERS[dataset][0], NUMBERS[dataset][-1]
    if dataset == "trades":  # neither may be null
        values = [(one, other or "0") for one, other in values]
    rows = rows_of(dataset, len(values))
    wanted = series_with(
        sessions,
        dataset,
        [row | {needed: one, optional: other} for row, (one, other) in zip(rows, values, strict=True)],
    )
    for form, found in in_every_form(sessions, wanted, tmp_path_factory.mktemp("forms")).items():
        back = [(row[needed], row[optional]) for row in found]
        if form in ("csv", "json"):
            assert back == values, form
        else:
            assert [tuple(None if one is None else Decimal(one) for one in pair) for pair in values] == back, form


@pytest.mark.parametrize(
    "text",
    [
        "0.00000001",
        "123456789012345678901234567890",
        "1.10",
        "0",
        "-0.5",
        "0." + "0" * 37 + "1",
        "9" * 38,
        "1e5",
        "1E-8",
    ],
)
def test_awkward_numbers_are_decimals_of_the_scale_they_need(sessions, text):
    wanted = series_with(sessions, "bars", rows_of("bars", 1, close=text))
    frame = typed(stored(sessions, wanted), "bars")
    assert frame["close"].dtype.is_decimal()
    assert frame["close"].to_list() == [Decimal(text)]
    places = max(0, -int(Decimal(text).as_tuple().exponent))
    assert frame["close"].dtype.scale == places


def test_numbers_that_need_more_than_38_digits_together_stay_text_and_keep_every_digit(sessions, tmp_path):
    values = ["1" * 30, "0.123456789"]
    rows = [row | {"close": value} for row, value in zip(rows_of("bars", 2), values, strict=True)]
    wanted = series_with(sessions, "bars", rows)
    for form, found in in_every_form(sessions, wanted, tmp_path).items():
        assert [row["close"] for row in found] == values, form
    floats = typed(stored(sessions, wanted), "bars", floats=True)
    assert floats["close"].to_list() == [float(value) for value in values]


def test_floats_are_the_nearest_to_the_digits(sessions):
    values = ["0.1", "12345.678901234567", "5e-324", "1" * 38]
    rows = [row | {"close": value, "volume": None} for row, value in zip(rows_of("bars", 4), values, strict=True)]
    frame = typed(stored(sessions, series_with(sessions, "bars", rows)), "bars", floats=True)
    assert frame["close"].to_list() == [float(value) for value in values]
    assert frame["volume"].to_list() == [None] * 4
    assert frame["volume"].dtype == pl.Float64


def test_books_come_back_level_by_level_with_empty_sides(sessions, tmp_path):
    sides = ("bid_prices", "bid_sizes", "ask_prices", "ask_sizes")
    levels = [
        (["0.00000002", "0.00000001"], ["1.10", "12345678901234567890"], [], []),
        ([], [], ["3.5"], ["0.1"]),
        ([], [], [], []),
    ]
    rows = [
        row | {side: "{" + ",".join(one) + "}" for side, one in zip(sides, four, strict=True)} | {"sequence": 2**62}
        for row, four in zip(rows_of("books", 3), levels, strict=True)
    ]
    wanted = series_with(sessions, "books", rows)
    found = in_every_form(sessions, wanted, tmp_path)
    assert [[row[side] for side in sides] for row in found["json"]] == [list(four) for four in levels]
    arrays = [["{" + ",".join(one) + "}" for one in four] for four in levels]
    assert [[row[side] for side in sides] for row in found["csv"]] == arrays
    numbers = [[[Decimal(text) for text in one] for one in four] for four in levels]
    for form in ("parquet", "polars"):
        assert [[row[side] for side in sides] for row in found[form]] == numbers, form
        assert [row["sequence"] for row in found[form]] == [2**62] * 3
    floats = typed(stored(sessions, wanted), "books", floats=True)
    assert floats["bid_prices"].to_list() == [[2e-8, 1e-8], [], []]


def test_moments_trade_ids_and_flags_come_back_in_every_form(sessions, tmp_path):
    ts = datetime(2024, 1, 1, 12, 0, 0, 123456, tzinfo=UTC)
    trade = rows_of("trades", 1)[0] | {"ts": ts, "trade_id": 2**63 - 1, "side": None}
    for form, found in in_every_form(sessions, series_with(sessions, "trades", [trade]), tmp_path).items():
        (row,) = found
        moment = row["ts"] if isinstance(row["ts"], datetime) else datetime.fromisoformat(row["ts"])
        assert (moment, int(row["trade_id"]), row["side"]) == (ts, 2**63 - 1, None), form
    bars = series_with(sessions, "bars", rows_of("bars", 1) + rows_of("bars", 2, is_final="f")[1:])
    found = in_every_form(sessions, bars, tmp_path)
    assert [row["is_final"] for row in found["polars"]] == [row["is_final"] for row in found["json"]] == [True, False]
    assert [row["is_final"] for row in found["csv"]] == ["true", "false"]
    assert [row["observed_at"] for row in found["parquet"]] == [OBSERVED] * 2


def test_no_microsecond_is_lost_in_any_century(sessions):
    dice = random.Random(11)
    spans = [(1, 1899), (1899, 1901), (1901, 1969), (1969, 1971), (1971, 2040), (2040, 2042), (2042, 9998)]
    moments = {
        datetime(dice.randint(first, last), 1, 1, tzinfo=UTC) + dice.random() * timedelta(days=365)
        for first, last in spans
        for _ in range(100)
    }
    bounds = [datetime(year, 1, 1, tzinfo=UTC) for year in (1900, 2041)]
    moments |= {bound + n * timedelta(microseconds=1) for bound in bounds for n in (-1, 0, 1)}
    rows = [
        row | {"ts": ts, "observed_at": ts}
        for row, ts in zip(rows_of("news", len(moments)), sorted(moments), strict=True)
    ]
    found = stored(sessions, series_with(sessions, "news", rows))
    assert found["ts"].to_list() == found["observed_at"].to_list() == sorted(moments)


@pytest.mark.parametrize("dataset", DATASETS)
def test_a_series_without_rows_is_an_empty_frame_of_the_same_columns(sessions, tmp_path, dataset):
    empty, full = (series_with(sessions, dataset, rows_of(dataset, size)) for size in (0, 1))
    assert list(chunks(sessions, empty)) == []
    nothing = typed(stored(sessions, empty), dataset)
    assert nothing.columns == stored(sessions, full).columns == no_rows(dataset).columns
    assert set(VALUE_COLUMNS[dataset]) <= set(nothing.columns)
    forms = in_every_form(sessions, empty, tmp_path)
    assert set(map(len, forms.values())) == {0}
    assert pl.read_parquet(tmp_path / "rows.parquet").schema == nothing.schema


# --- Windows and chunks ----------------------------------------------------------------------------------------------


def minutes(sessions, wanted):
    """Return which of the rows of `rows_of` come back, in order."""
    return [(ts - START) // timedelta(minutes=1) for ts in stored(sessions, wanted)["ts"]]


@settings(max_examples=60, deadline=None)
@given(
    bounds=st.tuples(st.none() | st.integers(-2, 42), st.none() | st.integers(-2, 42)).filter(
        lambda two: None in two or two[0] < two[1]
    ),
    last=st.none() | st.integers(1, 45),
)
@pytest.mark.parametrize("dataset", ["bars", "trades"])
def test_a_window_is_half_open_and_last_keeps_its_newest_rows(forty, sessions, dataset, bounds, last):
    start, end = (None if at is None else START + timedelta(minutes=at) for at in bounds)
    expected = [at for at in range(40) if (start is None or at >= bounds[0]) and (end is None or at < bounds[1])]
    wanted = within(forty[dataset], start=start, end=end, last=last)
    assert minutes(sessions, wanted) == (expected if last is None else expected[-last:])


@pytest.fixture(scope="module")
def forty(sessions):
    """Forty rows of each dataset, across the end of a month, read seven at a time."""
    return {dataset: series_with(sessions, dataset, rows_of(dataset, 40)) for dataset in ("bars", "trades")}


def test_trades_of_one_moment_are_each_read_once_whatever_the_chunks(sessions):
    rows = [row | {"ts": START + timedelta(minutes=at // 20)} for at, row in enumerate(rows_of("trades", 50))]
    wanted = series_with(sessions, "trades", rows)
    ids = [1000 + at for at in range(50)]
    assert stored(sessions, wanted)["trade_id"].to_list() == ids
    assert stored(sessions, within(wanted, start=None, end=None, last=23))["trade_id"].to_list() == ids[-23:]


def test_many_series_come_in_the_order_asked_for_and_last_counts_for_each(sessions):
    names = ["BRK.B", "AAPL", "BTC-USDT"]
    for size, name in enumerate(names, start=2):
        series_id = add_series(sessions, name, provider="many", interval="1d")
        keep(sessions, "bars", series_id, rows_of("bars", 5 * size, close=str(size)))
    with sessions() as session:
        wanted = find(session, "many", "bars", ["AAPL", "BRK.B", "AAPL"], interval="1d")
    frame = stored(sessions, wanted)
    assert frame["instrument"].to_list() == ["AAPL"] * 15 + ["BRK.B"] * 10
    assert frame["close"].unique().sort().to_list() == ["2", "3"]
    newest = stored(sessions, within(wanted, start=None, end=None, last=4))
    assert newest["instrument"].to_list() == ["AAPL"] * 4 + ["BRK.B"] * 4
    assert newest["ts"].max() == START + timedelta(minutes=14)


def test_chunks_are_full_however_small_the_series_are_and_together_they_are_everything(sessions):
    ids = {name: add_series(sessions, name, provider="small") for name in (f"S{at}" for at in range(10))}
    for series_id in ids.values():
        keep(sessions, "bars", series_id, rows_of("bars", 3))
    sizes = [frame.height for frame in chunks(sessions, Wanted("bars", ids))]
    assert sizes == [9, 9, 9, 3]


def test_a_row_that_comes_between_two_chunks_neither_repeats_nor_hides_another(sessions):
    wanted = series_with(sessions, "bars", rows_of("bars", 20)[1:])
    (series_id,) = wanted.series.values()
    under_way = chunks(sessions, wanted)
    found = [next(under_way)]
    keep(sessions, "bars", series_id, rows_of("bars", 1))  # older than what was read
    keep(sessions, "bars", series_id, [row | {"close": "9"} for row in rows_of("bars", 21)[20:]])
    frame = pl.concat([*found, *under_way])
    assert [(ts - START) // timedelta(minutes=1) for ts in frame["ts"]] == [*range(1, 21)]


def test_last_is_never_more_than_was_asked_for_though_rows_come_meanwhile(sessions):
    wanted = series_with(sessions, "bars", rows_of("bars", 30))
    under_way = chunks(sessions, within(wanted, start=None, end=None, last=10))
    found = [next(under_way)]
    keep(sessions, "bars", *wanted.series.values(), rows_of("bars", 40)[30:])
    assert pl.concat([*found, *under_way]).height == 10


def test_bars_that_are_not_final_are_read_unless_only_final_ones_are_asked_for(sessions):
    rows = [row | {"is_final": "ft"[at < 15]} for at, row in enumerate(rows_of("bars", 17))]
    wanted = series_with(sessions, "bars", rows)
    assert minutes(sessions, wanted) == [*range(17)]
    assert minutes(sessions, within(wanted, start=None, end=None, final_only=True)) == [*range(15)]
    assert minutes(sessions, within(wanted, start=None, end=None, last=3, final_only=True)) == [12, 13, 14]


def test_a_file_of_many_chunks_has_one_scale_a_column_and_a_row_group_a_chunk(sessions, tmp_path):
    rows = [row | {"close": "1" if at < 30 else "0.00000001"} for at, row in enumerate(rows_of("bars", 40))]
    wanted = series_with(sessions, "bars", rows)
    write_parquet(chunks(sessions, wanted), "bars", tmp_path / "rows.parquet")
    back = pl.read_parquet(tmp_path / "rows.parquet")
    assert back.schema["close"] == pl.Decimal(38, 8)
    assert back.equals(typed(stored(sessions, wanted), "bars"))


# --- What can't be read ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def catalogue(sessions):
    """A few series of which one name is near another."""
    for dataset, name, interval in [("bars", "BTC-USDT", "1m"), ("bars", "BTC-USDT", "1h"), ("quotes", "ETH-USDT", "")]:
        add_series(sessions, name, provider="catalogued", dataset=dataset, interval=interval)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (("catalogud", "bars", ["BTC-USDT"], "1m"), ["stored provider", "did you mean catalogued?"]),
        (("catalogued", "bar", ["BTC-USDT"], "1m"), ["unknown dataset", "did you mean bars?"]),
        (("catalogued", "trades", ["BTC-USDT"], None), ["stored dataset of catalogued", "bars, quotes"]),
        (("catalogued", "bars", ["BTC-USTD"], "1m"), ["stored instrument of catalogued", "'BTC-USTD'", ": BTC-USDT"]),
        (("catalogued", "bars", ["btc/usdt"], "1m"), ["did you mean BTC-USDT?"]),
        (("catalogued", "bars", ["BTC-USDT"], "5m"), ["stored interval of catalogued", "1h, 1m"]),
        (("catalogued", "bars", ["BTC-USDT"], None), ["bars need an interval", "1h, 1m"]),
        (("catalogued", "quotes", ["ETH-USDT"], "1m"), ["quotes have no interval"]),
        (("catalogued", "quotes", [], None), ["no instrument"]),
        (("x'; DROP TABLE bars; --", "bars", ["BTC-USDT"], "1m"), ["stored provider"]),
    ],
)
@pytest.mark.usefixtures("catalogue")
def test_a_name_under_which_nothing_is_stored_is_refused_with_what_is_near(sessions, asked, said):
    provider, dataset, instruments, interval = asked
    with sessions() as session, pytest.raises(FixRequest) as refused:
        find(session, provider, dataset, instruments, interval=interval)
    assert [part for part in said if part not in str(refused.value)] == [], refused.value
    if "stored" in said[0]:
        assert isinstance(refused.value, UnknownName)


def test_an_empty_farm_says_how_something_gets_stored(database_url):
    engine = open_engine(database_url, application_name="test read", pooled=False)
    with sessionmaker(engine)() as session, pytest.raises(FixRequest, match="nothing is stored yet: tickfarm follow"):
        find(session, "binance", "bars", ["BTC-USDT"], interval="1m")


@pytest.mark.parametrize(
    ("window", "said"),
    [
        ({"start": START, "end": START}, "end must be after start"),
        ({"start": None, "end": None, "last": 0}, "at least 1"),
    ],
)
def test_a_window_that_holds_nothing_is_refused(window, said):
    with pytest.raises(FixRequest, match=said):
        within(Wanted("bars", {}), **window)


def test_only_bars_can_be_not_final():
    with pytest.raises(FixRequest, match="only bars"):
        within(Wanted("quotes", {}), start=None, end=None, final_only=True)


def test_an_error_of_postgresql_while_it_copies_is_one_of_sqlalchemys(sessions):
    with sessions() as session:
        session.connection().exec_driver_sql("SET LOCAL statement_timeout = 50")
        with pytest.raises(OperationalError, match="statement timeout"):
            read._copy(session, "SELECT pg_sleep(%(seconds)s)", {"seconds": 20})
