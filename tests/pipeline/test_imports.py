"""Rows of files come into the tables as they stand there, unproven, and are verified by what providers answer.

Deliberately not here: files that are not as they should be (test_imports_garbage), the command (test_cli_import).
"""

from __future__ import annotations

import os
from datetime import timedelta

import pytest

from ingest.pipeline.coverage import coverage
from ingest.pipeline.export import csv_chunks, write_parquet
from ingest.pipeline.gaps import check
from ingest.pipeline.gaps_listed import missing_now
from ingest.pipeline.imports import Form, import_file, unasked
from ingest.pipeline.read import chunks, find, stored
from tests.pipeline.farm import DAY, bars_call, days_call
from tests.pipeline.test_gaps import NOW, WHOLE, follow, heal
from tests.pipeline.test_gaps_elsewhere import follow as follow_trades
from tests.stored_rows import add_series, keep, rows_of

NEXT = DAY + timedelta(days=1)
FORMS = ["csv", "parquet"]
DATA = ("bars", "trades", "quotes", "books", "observations", "actions")


def wanted(farm, dataset="bars", interval="1m", provider="binance", name="BTC-USDT"):
    with farm.context.sessions() as session:
        return find(session, provider, dataset, [name], interval=interval if dataset == "bars" else None)


def export(farm, file, **series):
    """Write a series as `tickfarm bars .. --out` does; return the file."""
    what = wanted(farm, **series)
    frames = chunks(farm.context.sessions, what)
    if file.suffix == ".parquet":
        write_parquet(frames, what.dataset, file)
    else:
        file.write_bytes(b"".join(csv_chunks(frames, what.dataset)))
    return file


def bring(farm, file, dataset="bars", interval="1m", provider="binance", **more):
    return import_file(farm.context, file, provider, dataset, interval=interval if dataset == "bars" else None, **more)


def forget(farm):
    """Empty the tables, as another farm's are."""
    for table in (*DATA, "ledger", "series", "revisions", "jobs", "findings"):
        farm.change(f"DELETE FROM {table}")
    farm.context.series_ids.clear()


def edit(file, change):
    """Change a file's lines after its header; return the file."""
    header, *lines = file.read_text().splitlines()
    file.write_text("\n".join([header, *change(lines)]) + "\n")
    return file


def with_volume(line, volume):
    cells = line.split(",")
    cells[6] = volume
    return ",".join(cells)


def written(file, moment):
    """Say when a file was written; return it."""
    os.utime(file, (moment.timestamp(), moment.timestamp()))
    return file


def days_of(farm):
    return farm.select("SELECT state, stored FROM ledger ORDER BY series_id, day")


def found_of(farm):
    return farm.select("SELECT rule, severity, instrument, rows FROM findings ORDER BY id")


def everything(farm):
    """Return what an import could change."""
    return [
        farm.select(f"SELECT * FROM {table} ORDER BY 1, 2") for table in ("bars", "ledger", "revisions", "findings")
    ]


@pytest.fixture
def day(farm, tmp_path):
    """Return the file of a day of bars as the sandbox has them, exported by a farm; the one at hand is empty."""
    farm.owe("binance", bars_call(minutes=WHOLE))
    farm.run()
    file = export(farm, tmp_path / "day.csv")
    forget(farm)
    return file


# --- Exactly as it stands there ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dataset", DATA)
def test_what_one_farm_exports_another_imports_exactly(farm, tmp_path, dataset, form):
    rows = rows_of(dataset, 20)
    if dataset == "bars":
        rows[3] |= {"volume": "123456789012345678901234567890.12345678", "trade_count": 7}
        rows[-1] |= {"observed_at": rows[-1]["ts"] + timedelta(seconds=30), "is_final": "f"}
    if dataset == "observations":
        rows[2] |= {"value": None, "vintage_given": "f"}
    if dataset == "books":
        rows[4] |= {"ask_prices": "{}", "ask_sizes": "{}"}
    series = {
        "dataset": dataset,
        "provider": "binance" if dataset not in ("observations", "actions") else "alpha_vantage",
    }
    name = "BTC-USDT" if series["provider"] == "binance" else "AAPL"
    keep(farm.context.sessions, dataset, add_series(farm.context.sessions, name, **series), rows)
    before = stored(farm.context.sessions, wanted(farm, **series, name=name))
    file = export(farm, tmp_path / f"rows.{form}", **series, name=name)
    forget(farm)
    done = bring(farm, file, **series)
    assert (done.rows, done.inserted, done.refused, done.broken) == (20, 20, 0, {})
    after = stored(farm.context.sessions, wanted(farm, **series, name=name))
    if form == "csv":
        assert after.equals(before)
    else:  # decimals of a column have as many places as the longest: the same numbers, other zeros
        again = export(farm, tmp_path / "again.parquet", **series, name=name)
        assert again.read_bytes() == file.read_bytes()
    assert set(farm.select("SELECT state FROM ledger")) == {("imported",)}


def test_importing_twice_changes_nothing_even_when_the_file_was_touched(farm, day):
    assert bring(farm, day).inserted == WHOLE
    before = everything(farm)
    day.touch()
    again = bring(farm, day)
    assert (again.inserted, again.updated, again.present, again.broken) == (0, 0, WHOLE, {})
    assert everything(farm) == before


def test_a_dry_run_says_the_same_and_writes_nothing(farm, day):
    done = bring(farm, day, dry_run=True)
    assert (done.rows, done.inserted, done.refused, done.series["BTC-USDT"].rows) == (WHOLE, 0, 0, WHOLE)
    assert farm.value("SELECT count(*) FROM series") + farm.value("SELECT count(*) FROM bars") == 0


def test_a_later_file_corrects_an_earlier_one_and_not_the_other_way_round(farm, tmp_path):
    line = "instrument,ts,open,high,low,close\nBTC-USDT,2024-03-05T00:00:00Z,1,3,1,"
    old, new = tmp_path / "old.csv", tmp_path / "new.csv"
    old.write_text(f"{line}2\n")
    new.write_text(f"{line}2.5\n")
    assert bring(farm, written(old, NOW)).inserted == 1
    assert bring(farm, new).updated == 1
    late = bring(farm, old)
    assert (late.updated, late.broken["not_taken"].rows) == (0, 1)
    assert farm.select("SELECT close::text, is_final FROM bars") == [("2.5", True)]
    assert farm.value("SELECT old_row->>'close' FROM revisions") == "2"


# --- What a provider has answered -------------------------------------------------------------------------------------


def test_a_fetched_row_is_never_overwritten_and_the_file_s_is_reported(farm, day):
    farm.owe("binance", bars_call(minutes=60))
    farm.run()
    right = farm.select("SELECT * FROM bars ORDER BY ts")
    edit(day, lambda lines: [line.rsplit(",", 1)[0] + ",2099-01-01T00:00:00Z" for line in lines[:3]])
    edit(day, lambda lines: [lines[0], *(with_volume(line, "1.5") for line in lines[1:])])
    done = bring(farm, day)
    assert (done.inserted, done.updated, done.broken["not_taken"].rows) == (0, 0, 2)
    assert farm.select("SELECT * FROM bars ORDER BY ts") == right
    assert found_of(farm) == [("not_taken", "reject", "BTC-USDT", 2)]


def test_an_answer_wins_over_a_file_even_if_it_was_asked_for_before_the_import_and_is_stored_after_it(farm, day):
    farm.owe("binance", bars_call(minutes=60))
    [job] = farm.begin()
    assert farm.fetch(job).state == "fetched"
    edit(day, lambda lines: [with_volume(line, "1.5") for line in lines[:60]])
    bring(farm, day)
    farm.load(job)
    assert farm.value("SELECT count(*) FROM bars WHERE volume = 1.5 OR job_id < 0") == 0
    assert farm.value("SELECT count(*) FROM revisions") == 60


def test_a_file_takes_the_proof_of_a_day_away_and_an_answer_gives_it_back(farm, day):
    follow(farm, until=NEXT)
    heal(farm)
    farm.change("DELETE FROM bars WHERE ts = :ts", ts=DAY)
    farm.change("UPDATE ledger SET stored = stored - 1, final = final - 1, confirmed = 1")
    bring(farm, day)
    assert farm.select("SELECT state, stored, confirmed, once::text FROM ledger") == [("imported", WHOLE, 0, "{}")]
    assert heal(farm) == 1
    assert days_of(farm) == [("verified", WHOLE)]


# --- Verified ---------------------------------------------------------------------------------------------------------


def test_an_imported_day_is_unproven_and_listed_until_an_answer_says_the_same(farm, day):
    follow(farm, until=NEXT)
    bring(farm, day)
    with farm.context.sessions() as session:
        [before] = coverage(session, farm.context.settings, NOW)
        [gap] = missing_now(session, farm.context.settings, NOW)
    assert (before.proven, before.imported_days, before.gap_days, before.is_proven) == (0, 1, 1, False)
    assert (gap.state, gap.start, gap.end, gap.rows) == ("imported", DAY, NEXT, WHOLE)
    assert heal(farm) == 1
    with farm.context.sessions() as session:
        [after] = coverage(session, farm.context.settings, NOW)
        assert missing_now(session, farm.context.settings, NOW) == []
    assert (after.proven, after.imported_days, after.is_proven) == (WHOLE, 0, True)
    assert farm.select("SELECT state, attempts > 0, job_id > 0 FROM ledger") == [("verified", True, True)]
    assert farm.value("SELECT count(*) FROM bars WHERE job_id < 0") == 0
    assert farm.value("SELECT count(*) FROM revisions") == farm.value("SELECT count(*) FROM findings") == 0


def test_an_answer_for_a_part_of_the_day_leaves_it_imported(farm, day):
    follow(farm, until=NEXT)
    bring(farm, day)
    farm.owe("binance", bars_call(minutes=600))
    farm.run()
    assert days_of(farm) == [("imported", WHOLE)]
    farm.owe("binance", bars_call(minutes=WHOLE - 600, start=DAY + timedelta(minutes=600)))
    farm.run()
    assert days_of(farm) == [("verified", WHOLE)]


def test_an_altered_row_is_healed_and_stays_as_a_revision(farm, day):
    follow(farm, until=NEXT)
    bring(farm, edit(day, lambda lines: [*lines[:7], with_volume(lines[7], "1.5"), *lines[8:]]))
    assert heal(farm) == 1
    assert days_of(farm) == [("verified", WHOLE)]
    assert farm.select("SELECT old_row->>'volume' FROM revisions") == [("1.5",)]
    assert farm.value("SELECT count(*) FROM bars WHERE volume = 1.5") == 0


def test_a_row_that_the_provider_does_not_have_is_reported_before_it_goes(farm, tmp_path):
    farm.owe("coinbase", bars_call("BTC-USD", minutes=WHOLE))
    farm.run()
    day = export(farm, tmp_path / "day.csv", provider="coinbase", name="BTC-USD")
    forget(farm)
    follow(farm, "coinbase", "BTC-USD", until=NEXT)
    bring(farm, day, provider="coinbase")
    farm.sandbox.arm("coinbase", "missing_row", times=None, args={"row": 100})
    check(farm.context, NOW)
    farm.run(within=timedelta(minutes=5))
    [(rule, severity, name, missing)] = found_of(farm)
    assert (rule, severity, name) == ("not_answered", "warn", "BTC-USD")
    assert days_of(farm) == [("suspect", WHOLE)]
    assert farm.value("SELECT count(*) FROM bars") == WHOLE
    assert '"close"' in farm.value("SELECT sample FROM findings")
    heal(farm, NOW + timedelta(hours=1))
    assert days_of(farm) == [("verified", WHOLE - missing)]
    assert {rule for rule, *_ in found_of(farm)} == {"not_answered"}


def test_a_bar_of_a_saturday_is_reported_and_goes_though_nothing_is_expected_then(farm, tmp_path):
    farm.owe("nasdaq_data_link", days_call(start="2013-01-01", end="2013-01-12"))
    farm.run()
    series = {"provider": "nasdaq_data_link", "interval": "1d"}
    file = export(farm, tmp_path / "days.csv", **series, name="AAPL")
    edit(file, lambda lines: [*lines, lines[3].replace("2013-01-07", "2013-01-05").replace("2013-01-04", "2013-01-05")])
    forget(farm)
    farm.change(
        "INSERT INTO series (provider, dataset, instrument, interval, followed, since, until)"
        " VALUES ('nasdaq_data_link', 'bars', 'AAPL', '1d', true, '2013-01-01', '2013-01-12')"
    )
    done = bring(farm, file, **series)
    saturday = "SELECT state, stored FROM ledger WHERE day = '2013-01-05'"
    assert farm.select(saturday) == [("imported", 1)]
    heal(farm)
    assert farm.select(saturday) == [("empty_confirmed", 0)]
    assert farm.value("SELECT count(*) FROM bars") == done.rows - 1
    assert {rule for rule, *_ in found_of(farm)} == {"not_answered"}
    assert set(farm.select("SELECT state FROM ledger WHERE stored > 0")) == {("verified",)}


def test_trades_of_a_file_are_asked_for_whatever_their_numbers_say(farm, tmp_path):
    end = DAY + timedelta(minutes=4)
    call = {"dataset": "trades", "instruments": ["BTC-USDT"], "start": DAY.isoformat(), "end": end.isoformat()}
    farm.owe("binance", call)
    farm.run()
    file = export(farm, tmp_path / "trades.csv", dataset="trades")
    count = farm.value("SELECT count(*) FROM trades")
    forget(farm)
    follow_trades(farm, "trades", until=end)
    bring(farm, file, dataset="trades")
    assert check(farm.context, NOW).jobs == 1
    farm.run(within=timedelta(hours=1))
    check(farm.context, NOW + timedelta(hours=1))
    assert days_of(farm) == [("verified", count)]
    assert farm.value("SELECT count(*) FROM trades WHERE job_id < 0") == 0


def test_imported_values_are_verified_by_an_answer_and_quotes_stay_unproven(farm, tmp_path):
    call = {"dataset": "observations", "instruments": ["EUR-USD"], "start": "2024-03-04", "end": "2024-03-08"}
    farm.owe("frankfurter", call)
    farm.run()
    values = {"dataset": "observations", "provider": "frankfurter"}
    file = export(farm, tmp_path / "values.csv", **values, name="EUR-USD")
    forget(farm)
    quotes = tmp_path / "quotes.csv"
    quotes.write_text("instrument,ts,bid,ask\nBTC-USDT,2024-03-05T00:00:00Z,1,2\n")
    follow_trades(farm, "observations", provider="frankfurter", instrument="EUR-USD")
    follow_trades(farm, "quotes")
    count = bring(farm, file, **values).inserted
    bring(farm, quotes, dataset="quotes")
    farm.owe("frankfurter", call)
    farm.run()
    check(farm.context, NOW + timedelta(days=10))
    states = "SELECT dataset, ledger.state, count(*) FROM ledger JOIN series ON id = series_id WHERE stored > 0"
    assert sorted(farm.select(f"{states} GROUP BY 1, 2")) == [
        ("observations", "verified", count),
        ("quotes", "imported", 1),
    ]
    assert farm.value("SELECT count(*) FROM observations") == count


def test_it_says_of_which_series_nobody_asks_the_provider(farm, day):
    done = bring(farm, day)
    assert unasked(farm.context, done) == ["BTC-USDT"]
    with farm.context.sessions() as session:
        [one] = coverage(session, farm.context.settings, NOW)
    assert (one.imported_days, one.is_proven) == (1, False)
    farm.change("UPDATE series SET followed = true, since = :since", since=DAY + timedelta(hours=1))
    assert unasked(farm.context, done) == ["BTC-USDT"]
    farm.change("UPDATE series SET since = :since", since=DAY)
    assert unasked(farm.context, done) == []


def test_a_bar_that_had_not_ended_when_its_file_was_written_is_not_final(farm, tmp_path):
    file = tmp_path / "bars.csv"
    file.write_text("ts,open,high,low,close\n2024-03-05T00:00Z,1,3,1,2\n2024-03-05T00:01Z,1,3,1,2\n")
    bring(farm, written(file, DAY + timedelta(seconds=100)), form=Form(instrument="BTC-USDT"))
    assert farm.select("SELECT is_final FROM bars ORDER BY ts") == [(True,), (False,)]
