"""A file made of kept months is the file made of rows, whatever was asked for, altered, spoilt or done meanwhile.

Where a month's rows come from is seen by altering them behind the farm's back: a kept file does not know.
"""

from __future__ import annotations

import os
import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from ingest.pipeline import months, read
from ingest.pipeline.export import write_parquet
from ingest.pipeline.months import MonthFiles, month_files, parts_of
from ingest.pipeline.read import Wanted, chunks, find
from ingest.pipeline.retention import retain
from ingest.pipeline.scrub import scrub
from tests.pipeline.old_things import verify
from tests.stored_rows import add_series, keep, rows_of

#: Four days of each of two months are enough for a file, one day of the third is not.
FIRST = datetime(2024, 1, 28, tzinfo=UTC)
FEBRUARY = datetime(2024, 2, 1, tzinfo=UTC)
MARCH = datetime(2024, 3, 1, tzinfo=UTC)
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
DAYS = [FIRST + n * DAY for n in range(4)], [FEBRUARY + n * DAY for n in range(4)], [MARCH]
NOW = datetime(2024, 4, 20, 12, tzinfo=UTC)
MIB = 1 << 20


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch):
    """Let a month be several chunks."""
    monkeypatch.setattr(read, "CHUNK_ROWS", dict.fromkeys(read.CHUNK_ROWS, 1_999))


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "months"


@pytest.fixture
def files(folder):
    return MonthFiles(folder, 100 * MIB)


@pytest.fixture
def exported(farm, files, tmp_path):
    """Return what writes a Parquet file with months and returns its rows."""

    def export(wanted, *, now=NOW, kept=files):
        with parts_of(farm.context.sessions, wanted, kept, now) as (parts, empty):
            write_parquet(parts, wanted.dataset, tmp_path / "rows.parquet", empty=empty)
        return pl.read_parquet(tmp_path / "rows.parquet")

    return export


@pytest.fixture
def table(farm, tmp_path):
    """Return what writes a Parquet file of the table's rows and returns these."""

    def export(wanted):
        write_parquet(chunks(farm.context.sessions, wanted), wanted.dataset, tmp_path / "table.parquet")
        return pl.read_parquet(tmp_path / "table.parquet")

    return export


def filled(farm, *names, dataset="bars", days=DAYS, **values):
    """Store a row a minute of these days under each name, settled; return what to read."""
    sessions = farm.context.sessions
    [plain] = rows_of(dataset, 1, **values)
    for name in names:
        series = add_series(sessions, name, dataset=dataset)
        for some in days:
            moments = [day + n * MINUTE for day in some for n in range(1440)]
            numbered = ((plain | {"ts": ts}, int(ts.timestamp())) for ts in moments)
            keep(sessions, dataset, series, (r | {"trade_id": n} if "trade_id" in r else r for r, n in numbered))
    verify(farm)
    with sessions() as session:
        return find(session, "binance", dataset, names, interval="1m" if dataset == "bars" else None)


def alter(farm, moment, column="close"):
    """Change a row past the farm, as somebody with a password may."""
    table = "bars" if column == "close" else "trades" if column == "price" else "quotes"
    farm.change(f"UPDATE {table} SET {column} = {column} + 1 WHERE ts = :ts", ts=moment)


def kept(folder):
    """Return which months are there."""
    return sorted(file.name.split("-", 1)[1][:7] for file in folder.glob("*"))


@pytest.mark.parametrize(("dataset", "column"), [("bars", "close"), ("trades", "price"), ("quotes", "bid")])
def test_settled_months_come_from_files_that_hold_what_the_table_held(farm, exported, table, folder, dataset, column):
    wanted = filled(farm, "BTC-USDT", dataset=dataset)
    expected = table(wanted)
    assert exported(wanted).equals(expected)
    assert kept(folder) == ["2024-01", "2024-02"]
    for [day, *_] in DAYS:
        alter(farm, day, column)
    again = exported(wanted)
    assert again.schema == expected.schema
    assert again.filter(pl.col("ts") < MARCH).equals(expected.filter(pl.col("ts") < MARCH))
    assert again.filter(pl.col("ts") >= MARCH).equals(table(wanted).filter(pl.col("ts") >= MARCH))


def test_what_a_scrub_finds_altered_comes_from_the_table_and_once_it_is_settled_from_a_new_file(
    farm, exported, table, folder
):
    wanted = filled(farm, "BTC-USDT")
    exported(wanted)
    old = set(folder.glob("*2024-02*"))
    alter(farm, FEBRUARY)
    scrub(farm.context, NOW)
    assert exported(wanted).equals(table(wanted))
    assert old & set(folder.glob("*"))  # nobody takes it: its key is no version of the month
    verify(farm)
    assert exported(wanted).equals(table(wanted))
    assert kept(folder) == ["2024-01", "2024-02"]
    assert not old & set(folder.glob("*"))


def corrected(farm, wanted):
    [series] = wanted.series.values()
    keep(farm.context.sessions, "bars", series, rows_of("bars", 1, ts=FEBRUARY, close="1.25"))


def reobserved(farm, wanted):
    """Store the same values, seen at another time by another job."""
    [series] = wanted.series.values()
    later = {"observed_at": NOW, "job_id": 2}
    keep(farm.context.sessions, "bars", series, rows_of("bars", 1, ts=FEBRUARY, **later))


def completed(farm, wanted):
    [series] = wanted.series.values()
    keep(farm.context.sessions, "bars", series, rows_of("bars", 1, ts=FEBRUARY - DAY * 10))


def unsettled(farm, wanted):
    farm.change("UPDATE ledger SET state = 'fetched' WHERE day = :day", day=FEBRUARY.date())


def forming(farm, wanted):
    [series] = wanted.series.values()
    keep(farm.context.sessions, "bars", series, rows_of("bars", 1, ts=FEBRUARY + DAY * 8, is_final="f"))


@pytest.mark.parametrize("change", [corrected, reobserved, completed, unsettled, forming])
def test_whatever_is_written_by_the_farm_is_in_the_next_file(farm, exported, table, folder, change):
    wanted = filled(farm, "BTC-USDT")
    exported(wanted)
    change(farm, wanted)
    assert exported(wanted).equals(table(wanted))
    verify(farm)
    assert exported(wanted).equals(table(wanted))
    assert len(kept(folder)) == len(set(kept(folder)))  # of each month one file


def test_rows_that_retention_took_away_are_not_in_the_next_file(farm, exported, table, settings_of):
    wanted = filled(farm, "BTC-USDT")
    assert exported(wanted).height == 9 * 1440
    farm.context.settings = settings_of(tickfarm_keep_bars_days=(NOW - FEBRUARY).days)
    retain(farm.context, NOW)
    left = exported(wanted)
    assert left["ts"].min() >= FEBRUARY
    assert left.equals(table(wanted))


def test_another_series_of_the_same_number_is_another_month(farm, exported, table):
    wanted = filled(farm, "BTC-USDT")
    exported(wanted)
    farm.change("UPDATE series SET instrument = 'ETH-USDT'")
    with farm.context.sessions() as session:
        renamed = find(session, "binance", "bars", ["ETH-USDT"], interval="1m")
    assert renamed.series == {"ETH-USDT": wanted.series["BTC-USDT"]}
    assert exported(renamed).equals(table(renamed))


def test_any_window_of_any_series_is_what_the_table_says_with_files_and_without(farm, exported, table, folder):
    every = {**filled(farm, "BTC-USDT", "ETH-USDT").series, **filled(farm, "SOL-USDT", days=DAYS[2:]).series}
    dice = random.Random(7)
    edges = [None, FIRST, FEBRUARY, MARCH, MARCH + DAY, FEBRUARY + MINUTE / 2, FEBRUARY - MINUTE]
    for round_ in range(40):
        names = dice.sample(sorted(every), dice.randint(1, 3))
        start, end = dice.choice([*edges, FIRST + dice.random() * 40 * DAY]), dice.choice([*edges, NOW])
        if start is not None and end is not None and start >= end:
            start, end = end, start
        series, final_only = {name: every[name] for name in names}, dice.random() < 0.5
        wanted = Wanted("bars", series, start=start, end=end, final_only=final_only)
        found = exported(wanted, kept=None if round_ % 4 == 3 else MonthFiles(folder, 100 * MIB))
        assert found.equals(table(wanted)), wanted
    assert kept(folder)


@pytest.mark.parametrize("spoil", ["cut", "flipped", "empty", "gone"])
def test_a_file_that_is_not_whole_is_thrown_away_and_made_anew(farm, exported, table, folder, spoil):
    wanted = filled(farm, "BTC-USDT", days=DAYS[:1])
    exported(wanted)
    [file] = folder.glob("*")
    whole = file.read_bytes()
    middle = len(whole) // 2
    if spoil == "gone":
        file.unlink()
    else:
        flipped = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
        file.write_bytes({"cut": whole[:middle], "flipped": flipped, "empty": b""}[spoil])
    assert exported(wanted).equals(table(wanted))
    [file] = folder.glob("*")
    alter(farm, FIRST)
    assert not exported(wanted).equals(table(wanted)), "the file is not used"


def test_the_folder_holds_no_more_than_it_may_and_what_was_asked_for_last(farm, exported, table, folder):
    wanted = filled(farm, "BTC-USDT", "ETH-USDT", days=DAYS[:1])
    exported(wanted)
    sizes = {file.name: file.stat().st_size for file in folder.glob("*")}
    bitcoin = replace(wanted, series={"BTC-USDT": wanted.series["BTC-USDT"]})
    exported(bitcoin, kept=MonthFiles(folder, max(sizes.values())))
    assert [file.name.split("-")[0] for file in folder.glob("*")] == [str(wanted.series["BTC-USDT"])]
    exported(wanted, kept=MonthFiles(folder, 1))
    assert not kept(folder)
    assert exported(wanted, kept=MonthFiles(folder, 1)).equals(table(wanted))


def test_what_a_process_left_half_written_goes_and_what_another_writes_now_stays(farm, exported, folder):
    wanted = filled(farm, "BTC-USDT", days=DAYS[:1])
    folder.mkdir()
    old, young = folder / "old.draft", folder / "young.draft"
    for draft in (old, young):
        draft.write_bytes(b"half")
    now = datetime.fromtimestamp(young.stat().st_mtime, UTC) + timedelta(minutes=1)
    os.utime(old, (0, 0))
    exported(wanted, now=now)
    assert not old.exists()
    assert young.exists()


def test_a_folder_that_cannot_be_written_to_is_no_reason_to_fail(farm, exported, table, folder):
    folder.write_text("not a folder")
    wanted = filled(farm, "BTC-USDT", days=DAYS[:1])
    assert exported(wanted).equals(table(wanted))
    assert folder.read_text() == "not a folder"


def test_what_is_not_a_plain_read_of_settled_months_comes_from_the_table(farm, exported, table, folder):
    wanted = filled(farm, "BTC-USDT")
    exported(wanted)
    for [day, *_] in DAYS:
        alter(farm, day)
    for other in (
        replace(wanted, last=5 * 1440),
        replace(wanted, as_of=NOW),
        replace(wanted, end=FEBRUARY + 3 * DAY, start=FEBRUARY),
        replace(wanted, start=FIRST + MINUTE, end=FEBRUARY),
    ):
        assert exported(other).equals(table(other)), other
    assert exported(wanted, kept=None).equals(table(wanted))


def test_a_month_that_is_not_over_is_not_kept(farm, exported, folder):
    exported(replace(filled(farm, "BTC-USDT"), end=MARCH + DAY), now=FEBRUARY + 20 * DAY)
    assert kept(folder) == ["2024-01"]


def test_a_month_that_changes_while_it_is_read_is_not_kept(farm, exported, table, folder, monkeypatch):
    wanted = filled(farm, "BTC-USDT", days=DAYS[1:2])
    written = months.write_parquet

    def write_and_change(*args, **kwargs):
        count = written(*args, **kwargs)
        corrected(farm, wanted)
        verify(farm)
        return count

    with monkeypatch.context() as patch:
        patch.setattr(months, "write_parquet", write_and_change)
        exported(wanted)
    assert not kept(folder)
    assert exported(wanted).equals(table(wanted))
    assert kept(folder) == ["2024-02"]


def test_digits_of_one_month_widen_the_other(farm, exported, table):
    wanted = filled(farm, "BTC-USDT", days=DAYS[:1], volume="12345678901234567890.5")
    [series] = wanted.series.values()
    rows = rows_of("bars", 6_000, volume="0.123456789012")
    keep(farm.context.sessions, "bars", series, (row | {"ts": FEBRUARY + n * MINUTE} for n, row in enumerate(rows)))
    verify(farm)
    for _ in range(2):
        found = exported(wanted)
        assert found.schema["volume"] == pl.Decimal(38, 12)
        assert found.equals(table(wanted))
        assert {str(one) for one in found["volume"].unique()} == {"12345678901234567890.500000000000", "0.123456789012"}


def test_numbers_that_no_decimal_holds_are_text_in_files_too(farm, exported, table):
    wanted = filled(farm, "BTC-USDT", days=DAYS[:1], volume="1" * 30 + ".5")
    [series] = wanted.series.values()
    rows = rows_of("bars", 6_000, volume="0." + "1" * 20)
    keep(farm.context.sessions, "bars", series, (row | {"ts": FEBRUARY + n * MINUTE} for n, row in enumerate(rows)))
    verify(farm)
    for _ in range(2):
        found = exported(wanted)
        assert found.schema["volume"] == pl.String
        assert found.equals(table(wanted))


def test_several_that_read_and_make_room_at_once_do_not_disturb_each_other(farm, table, folder, tmp_path):
    wanted = filled(farm, "BTC-USDT", "ETH-USDT")
    expected = table(wanted)
    small = MonthFiles(folder, 300_000)

    def export(number):
        file = tmp_path / f"{number}.parquet"
        with parts_of(farm.context.sessions, wanted, small, NOW) as (parts, empty):
            write_parquet(parts, "bars", file, empty=empty)
        return pl.read_parquet(file)

    with ThreadPoolExecutor(4) as readers:
        for found in readers.map(export, range(12)):
            assert found.equals(expected)


def test_a_setting_says_how_much_is_kept_and_none_is_none(settings_of, tmp_path, monkeypatch):
    monkeypatch.setenv("TICKFARM_HOME", str(tmp_path))
    assert month_files(settings_of(tickfarm_export_cache_mb=0)) is None
    found = month_files(settings_of(tickfarm_export_cache_mb=3))
    assert vars(found) == {"_folder": tmp_path / "months", "_most_bytes": 3 * MIB}
