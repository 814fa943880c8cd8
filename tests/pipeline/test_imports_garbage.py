"""Files that are not as they should be: one line that says what to do, or findings that name the row; no wrong rows."""

from __future__ import annotations

import csv
import io
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import count

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest.errors import FixRequest
from ingest.market.records import DATASETS
from ingest.pipeline import imports
from ingest.pipeline.imports import Form, import_file
from ingest.pipeline.imports_times import Clock
from tests.pipeline.farm import DAY

HEAD = "instrument,ts,open,high,low,close,volume"
GOOD = "BTC-USDT,2024-03-05T00:00:00Z,1.10,3,1,2,7"
_names = (f"X{number}" for number in count())


@pytest.fixture
def bring(farm, tmp_path):
    """Return what imports one-minute bars from text or bytes."""

    def run(content, **form):
        file = tmp_path / "rows.csv"
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        return import_file(farm.context, file, "binance", "bars", interval="1m", form=Form(**form))

    return run


def bars_of(farm):
    return farm.select("SELECT ts, open::text, close::text, volume::text FROM bars ORDER BY ts")


# --- No rows at all: one line -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(range(256)), "neither"),
        (bytes(200_000), "neither"),
        (b"\xff\xfe" + HEAD.encode("utf-16-le"), "neither"),
        (b"\x1f\x8b\x08\0\0", "packed with gzip"),
        (b"PK\x03\x04", "packed with zip"),
        (b"PAR1PAR1", "no whole Parquet file"),
        ('{"instrument": "BTC-USDT", "ts": "2024-03-05"}\n', "no column instrument"),
        ("BTC-USDT,1709596800000,1,3,0,2\n", "no column instrument"),
        ("a,b,a\n1,2,3\n", "a column twice"),
        (f"{HEAD.replace('ts', 'time')}\n{GOOD}\n", "no column ts: say which it is with --columns"),
        (f"{HEAD.replace('close', 'last')}\n{GOOD}\n", "no column close"),
        (f"{HEAD}\n{GOOD.replace('T00:00:00Z', ' 00:00:00')}\n", "does not say its zone: --timezone"),
        (f"{HEAD}\n{GOOD.replace('2024-03-05T00:00:00Z', '1709596800')}\n", "does not say its unit: --epoch"),
        (f"{HEAD}\n{GOOD.replace('2024-03-05T00:00:00Z', '05/03/2024')}\n", "is no moment"),
        (f"{HEAD}\n{GOOD.replace('BTC-USDT', 'btc/usdt')}\n", "did you mean BTC-USDT?"),
    ],
)
def test_a_file_that_can_not_be_read_is_refused_in_one_line_and_nothing_is_written(farm, bring, content, said):
    with pytest.raises(FixRequest, match=said) as refused:
        bring(content)
    assert "\n" not in str(refused.value)
    assert farm.value("SELECT count(*) FROM series") == 0


def test_what_is_said_of_the_file_and_is_not_so_is_refused(farm, bring, tmp_path):
    whole = f"{HEAD}\n{GOOD}\n"
    for form, said in (
        ({"columns": {"price": "open"}}, "unknown column: 'price'"),
        ({"columns": {"open": "Open"}}, "did you mean open"),
        ({"instrument": "ETH-USDT"}, "leave instrument out"),
        ({"instrument": "eth/usdt"}, "not an instrument"),
    ):
        with pytest.raises(FixRequest, match=said):
            bring(whole, **form)
    with pytest.raises(FixRequest, match="unknown time zone"):
        Clock("Mars/Olympus")
    for file, said in ((tmp_path, "Is a directory"), (tmp_path / "none.csv", "No such file")):
        with pytest.raises(FixRequest, match=said):
            import_file(farm.context, file, "binance", "bars", interval="1m")
    with pytest.raises(FixRequest, match="news can't be imported"):
        import_file(farm.context, tmp_path / "none.csv", "polygon", "news")


# --- Some rows --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bad", "rule"),
    [
        ("BTC-USDT,2024-03-05T00:01:00Z,1,3,1,x,7", "not_a_number"),
        ("BTC-USDT,2024-03-05T00:01:00Z,1,3,1,NaN,7", "not_a_number"),
        ("BTC-USDT,2024-03-05T00:01:00Z,1,3,1,inf,7", "not_a_number"),
        ("BTC-USDT,2024-03-05T00:01:00Z,1,3,1,2,1e400", "not_a_number"),
        ("BTC-USDT,2024-03-05T00:01:00Z,1,3,1, 2,7", "not_a_number"),
        ("BTC-USDT,2024-03-05T00:01:00Z,1,3,1,,7", "null_price"),
        ("BTC-USDT,2024-03-05T00:01:00Z,1,3,1,2,-7", "negative_volume"),
        ("BTC-USDT,2024-03-05T00:01:00Z,1,1,3,2,7", "high_below_low"),
        ("BTC-USDT,2024-03-05T00:01:30Z,1,3,1,2,7", "misaligned"),
        ("BTC-USDT,2024-03-05 00:01:00,1,3,1,2,7", "timestamp_out_of_range"),
        ("BTC-USDT,1709596860,1,3,1,2,7", "timestamp_out_of_range"),
        ("BTC-USDT,,1,3,1,2,7", "timestamp_out_of_range"),
        ("BTC-USDT,2099-01-01T00:00:00Z,1,3,1,2,7", "timestamp_in_future"),
        ("btc,2024-03-05T00:01:00Z,1,3,1,2,7", "not_an_instrument"),
        (",2024-03-05T00:01:00Z,1,3,1,2,7", "not_an_instrument"),
        ("BTC-USDT,2024-03-05T00:01:00Z,1,3,1,2", "wrong_shape"),
        ("BTC-USDT,2024-03-05T00:01:00Z,1,3,1,2,7,8", "wrong_shape"),
        ('BTC-USDT,2024-03-05T00:01:00Z,1,3,1,2,"7', "wrong_shape"),
        ("BTC-USDT,2024-03-05T00:01:00Z,1,3,1,2\0", "wrong_shape"),
        ("BTC-USDT,2024-03-05T00:01:00Z,1,3,1,2,\0", "not_a_number"),
        ("BTC-USDT\0,2024-03-05T00:01:00Z,1,3,1,2,7", "not_an_instrument"),
        ("BTC-USDT;2024-03-05T00:01:00Z;1;3;1;2;7", "wrong_shape"),
    ],
)
def test_a_bad_row_is_a_finding_that_names_its_line_and_the_others_are_stored(farm, bring, bad, rule):
    done = bring(f"{HEAD}\n{GOOD}\n{bad}\n{GOOD.replace('T00:00', 'T00:02')}\n")
    assert (done.rows, done.inserted, done.refused) == (3, 2, 1)
    assert list(done.broken) == [rule]
    [(said, sample, key)] = farm.select("SELECT rule, sample, payload_key FROM findings")
    assert said == rule
    assert sample.startswith(('{"line": 3,', "line 3: "))
    assert "/rows.csv:" in key
    assert [row[2] for row in bars_of(farm)] == ["2", "2"]


def test_a_mark_quotes_other_line_ends_empty_lines_and_no_last_one_change_nothing(farm, bring):
    quoted = ",".join(f'"{cell}"' for cell in GOOD.replace("T00:00", "T00:01").split(","))
    text = f"{HEAD}\r\n{GOOD}\r\n\r\n{quoted}\r\n{GOOD.replace('T00:00', 'T00:02')}"
    done = bring(b"\xef\xbb\xbf" + text.encode())
    assert (done.rows, done.broken) == (3, {})
    assert [row[1:] for row in bars_of(farm)] == [("1.10", "2", "7")] * 3


def test_unsorted_rows_are_stored_and_of_repeated_ones_the_last_is(farm, bring):
    lines = [GOOD.replace("T00:00", f"T00:0{at}") for at in (3, 1, 2)]
    done = bring("\n".join([HEAD, *lines, lines[0].replace(",2,7", ",2.5,7")]))
    assert (done.inserted, done.refused, done.broken["duplicate_row"].rows) == (3, 1, 1)
    assert [row[2] for row in bars_of(farm)] == ["2", "2", "2.5"]


def test_a_row_that_a_later_chunk_says_otherwise_is_reported_and_importing_again_changes_nothing(
    farm, bring, monkeypatch
):
    monkeypatch.setattr(imports, "CHUNK_ROWS", dict.fromkeys(DATASETS, 2))
    lines = [GOOD.replace("T00:00", f"T00:0{at}") for at in (1, 2, 3)]
    text = "\n".join([HEAD, *lines, lines[0].replace(",2,7", ",2.5,7")])
    done = bring(text)
    file = done.file
    for inserted in (3, 0):
        assert (done.inserted, done.updated, done.broken["not_taken"].rows) == (inserted, 0, 1)
        assert [row[2] for row in bars_of(farm)] == ["2", "2", "2"]
        done = import_file(farm.context, file, "binance", "bars", interval="1m")


@pytest.mark.parametrize(
    ("stamp", "clock"),
    [
        ("1709596800", Clock(epoch="s")),
        ("1709596800.0", Clock(epoch="s")),
        ("1709596800000", Clock(epoch="ms")),
        ("1709596800000000", Clock(epoch="us")),
        ("1709596800000000000", Clock(epoch="ns")),
        ("2024-03-05 00:00", Clock("UTC")),
        ("2024-03-04 19:00:00", Clock("America/New_York")),
        ("2024-03-05T01:00:00+01:00", Clock()),
        ("2024-03-05", Clock("Asia/Tokyo")),
    ],
)
def test_moments_are_read_as_it_is_said_and_a_date_is_its_midnight_in_utc(farm, bring, stamp, clock):
    assert bring(f"{HEAD}\n{GOOD.replace('2024-03-05T00:00:00Z', stamp)}\n", clock=clock).inserted == 1
    assert bars_of(farm)[0][0] == DAY


def test_moments_of_another_unit_and_hours_that_come_twice_are_no_rows(farm, bring):
    seconds = f"{HEAD}\n{GOOD.replace('2024-03-05T00:00:00Z', '1709596800')}\n"
    assert list(bring(seconds, clock=Clock(epoch="ms")).broken) == ["timestamp_out_of_range"]
    autumn = f"{HEAD}\n{GOOD}\n{GOOD.replace('2024-03-05T00:00:00Z', '2024-11-03 01:30:00')}\n"
    assert list(bring(autumn, clock=Clock("America/New_York")).broken) == ["timestamp_out_of_range"]


def test_other_names_another_column_and_one_instrument_for_all(farm, bring):
    text = "time,o,h,l,close,extra\n2024-03-05T00:00Z,1.10,3,1,2,9\n"
    done = bring(text, columns={"ts": "time", "open": "o", "high": "h", "low": "l"}, instrument="BTC-USDT")
    assert (done.inserted, list(done.ignored)) == (1, ["extra"])
    assert bars_of(farm) == [(DAY, "1.10", "2", None)]


# --- Parquet ----------------------------------------------------------------------------------------------------------


def frame_of(**columns):
    rows = {"instrument": ["BTC-USDT"] * 2, "ts": [DAY, DAY + timedelta(minutes=1)]}
    return pl.DataFrame(rows | {name: [1, 2] for name in ("open", "high", "low", "close")} | columns)


def test_parquet_decimals_stay_and_floats_become_their_shortest_text(farm, tmp_path):
    file = tmp_path / "rows.parquet"
    digits = [Decimal("1.1000000000000000000000000001"), Decimal("2")]
    frame_of(
        open=[1.0, 1.1], high=pl.Series([3.3, 1e22], dtype=pl.Float64), close=digits, low=[0.1, 1.0]
    ).write_parquet(file)
    done = import_file(farm.context, file, "binance", "bars", interval="1m")
    assert (done.inserted, list(done.floats)) == (2, ["open", "high", "low"])
    rows = farm.select("SELECT open::text, high::text, low::text, close::text FROM bars ORDER BY ts")
    assert rows[0] == ("1", "3.3", "0.1", "1.1000000000000000000000000001")
    assert rows[1][:3] == ("1.1", "10000000000000000000000", "1")


def test_parquet_with_odd_columns_is_refused_or_read_as_it_is_said(farm, tmp_path):
    file = tmp_path / "rows.parquet"

    def run(frame, **form):
        frame.write_parquet(file)
        return import_file(farm.context, file, "binance", "bars", interval="1m", form=Form(**form))

    naive = [datetime(2024, 3, 5), datetime(2024, 3, 6)]  # noqa: DTZ001 - what it is about
    with pytest.raises(FixRequest, match="does not say its zone"):
        run(frame_of(ts=naive))
    with pytest.raises(FixRequest, match="does not say its unit"):
        run(frame_of(ts=[1709596800, 1709596860]))
    with pytest.raises(FixRequest, match="can't be open"):
        run(frame_of(open=[{"a": 1}, {"a": 2}]))
    with pytest.raises(FixRequest, match="is no moment"):
        run(frame_of(ts=[True, False]))
    assert list(run(frame_of(close=[float("nan"), 2.0])).broken) == ["not_a_number"]
    assert run(frame_of(ts=[date(2024, 3, 5), date(2024, 3, 6)])).inserted == 2
    assert run(frame_of(ts=pl.Series(naive, dtype=pl.Datetime("ns"))), clock=Clock("UTC")).present == 2
    assert run(frame_of(instrument=pl.Series(["BTC-USDT"] * 2, dtype=pl.Categorical))).present == 2


def test_a_parquet_file_that_was_cut_or_harmed_is_one_line(farm, tmp_path):
    file, frame = tmp_path / "rows.parquet", frame_of()
    pl.concat([frame] * 3_000).write_parquet(file, row_group_size=500)
    whole = file.read_bytes()
    for size in (4, 12, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:size])
        with pytest.raises(FixRequest, match=r"no whole Parquet file|neither") as refused:
            import_file(farm.context, file, "binance", "bars", interval="1m")
        assert "\n" not in str(refused.value)
    harmed = bytearray(whole)
    harmed[40 : len(whole) // 3] = b"\xff" * (len(whole) // 3 - 40)
    file.write_bytes(harmed)
    with pytest.raises(FixRequest, match="can't read"):
        import_file(farm.context, file, "binance", "bars", interval="1m")


# --- Whatever it holds ------------------------------------------------------------------------------------------------

_texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=12)
_numbers = st.decimals(min_value=0, max_value=10**12, allow_nan=False, places=8).map(lambda number: f"{number:f}")
_cells = st.one_of(_numbers, _texts, st.sampled_from(["", "NaN", "-1", "1e5", "2024-03-05", '"', "1,5", "\0"]))
_ours = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])


@_ours
@given(st.lists(st.tuples(st.integers(0, 5_000), _numbers, _numbers), unique_by=lambda row: row[0], max_size=30))
def test_any_bars_come_back_as_they_stand_in_the_file(farm, tmp_path, rows):
    name, file = next(_names), tmp_path / "rows.csv"
    said = [((DAY + timedelta(minutes=at)), price, volume) for at, price, volume in rows]
    lines = [f"{name},{ts.isoformat()},{price},{price},{price},{price},{volume}" for ts, price, volume in said]
    file.write_text("\n".join([HEAD, *lines]))
    assert import_file(farm.context, file, "binance", "bars", interval="1m").inserted == len(rows)
    series = farm.value("SELECT coalesce(max(id), 0) FROM series WHERE instrument = :name", name=name)
    stored = farm.select("SELECT ts, close::text, volume::text FROM bars WHERE series_id = :series", series=series)
    assert sorted(stored) == sorted(said)


_rows = st.lists(st.lists(_cells, min_size=7, max_size=7), max_size=12)


@_ours
@given(_rows, st.binary(max_size=60), st.sampled_from(["\n", "\r\n"]))
def test_any_cells_are_rows_findings_or_one_line(farm, tmp_path, rows, tail, end):
    file, buffer = tmp_path / "rows.csv", io.StringIO()
    csv.writer(buffer, lineterminator=end).writerows([HEAD.split(","), GOOD.split(","), *rows])
    file.write_bytes(buffer.getvalue().encode() + tail)
    farm.change("DELETE FROM findings")
    try:
        done = import_file(farm.context, file, "binance", "bars", interval="1m")
    except FixRequest as refused:
        said = str(refused)
        assert "neither Parquet nor text" in said
        return
    assert done.rows == done.refused + sum(one.rows for one in done.series.values())
    rejected = "SELECT coalesce(sum(rows), 0) FROM findings WHERE severity = 'reject' OR rule = 'duplicate_row'"
    assert farm.value(rejected) >= done.refused
