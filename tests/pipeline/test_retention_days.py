"""Retention of data: only verified days go, the ledger stays exact, and no partition goes that still gets rows."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from ingest.market.records import DATASETS
from ingest.pipeline.context import Context
from ingest.pipeline.retention import retain
from ingest.pipeline.retention_days import SLICE_ROWS
from models.partitions import PARTITIONED, partition_of
from tests.models.rows import store, to_csv
from tests.pipeline.farm import opened
from tests.pipeline.old_things import NOW, days_ago, put_rows, put_trades, series_of, verify
from tests.stored_rows import write
from tests.waiting import until

#: A month that no other test writes to, and its first days.
OLD = datetime(2016, 2, 1, 12, tzinfo=UTC)
NEXT = OLD + timedelta(days=1)
LEDGER = "SELECT day, stored, final, deleted, deleted_at IS NOT NULL, state FROM ledger ORDER BY series_id, day"
each_dataset = pytest.mark.parametrize("dataset", DATASETS)


@pytest.fixture
def kept(farm, settings_of):
    """Return what runs retention; every dataset is kept for 30 days unless the test says otherwise."""

    def run(*, budget_s=30.0, dry_run=False, **days):
        counts = dict.fromkeys(DATASETS, 30) | days
        settings = settings_of(**{f"tickfarm_keep_{what}_days": count for what, count in counts.items()})
        with opened(Context(settings, name="test retention"), farm.sandbox) as other:
            return retain(other.context, NOW, budget_s=budget_s, dry_run=dry_run)

    return run


@pytest.fixture
def as_if_just_started(farm):
    """Return what makes the farm forget which partitions there are, as a process does not know that just started."""
    return farm.context._partitions.clear


def tally(report, what):
    [found] = [one for one in report.tallies if one.what == what]
    return found


def counts(report, what):
    found = tally(report, what)
    return found.rows, found.days, found.partitions, found.held, found.held_rows


def exists(farm, partition):
    return farm.value("SELECT to_regclass(:name) IS NOT NULL", name=partition)


@each_dataset
def test_rows_of_a_verified_day_go_those_of_others_stay_and_the_ledger_says_how_many_there_were(farm, kept, dataset):
    series = series_of(farm, dataset)
    put_rows(farm, dataset, series, OLD, OLD + timedelta(seconds=1), NEXT)
    verify(farm, OLD.date())
    report = kept()
    assert counts(report, dataset) == (2, 1, 0, 1, 1)
    assert report.summary()["unverified_days"] == {dataset: 1}
    assert farm.select(f"SELECT ts FROM {dataset}") == [(NEXT,)]
    assert farm.select(LEDGER) == [
        (OLD.date(), 0, 0, 2, True, "verified"),
        (NEXT.date(), 1, 1, 0, False, "fetched"),
    ]
    assert counts(kept(), dataset) == (0, 0, 0, 1, 1)


@pytest.mark.parametrize("state", ["fetched", "suspect", "planned"])
def test_a_day_that_is_not_verified_stays_for_ever_and_with_it_its_partition(farm, kept, state):
    series = series_of(farm, "quotes")
    put_rows(farm, "quotes", series, OLD)
    verify(farm, state=state)
    assert counts(kept(), "quotes") == (0, 0, 0, 1, 1)
    assert exists(farm, "quotes_m2016_02")
    verify(farm, state="empty_confirmed")
    assert counts(kept(), "quotes") == (1, 1, 1, 0, 0)


@pytest.mark.parametrize("dataset", [one for one in DATASETS if one in PARTITIONED])
def test_a_partition_goes_whole_when_all_its_days_are_verified_and_comes_again_with_rows(
    farm, kept, dataset, as_if_just_started
):
    name, *_ = partition_of(dataset, OLD)
    one, other = series_of(farm, dataset), series_of(farm, dataset, "ETH-USDT")
    put_rows(farm, dataset, one, OLD, NEXT)
    put_rows(farm, dataset, other, OLD)
    verify(farm)
    assert counts(kept(dry_run=True), dataset) == (3, 3, 1, 0, 0)
    assert exists(farm, name)
    assert counts(kept(), dataset) == (3, 3, 1, 0, 0)
    assert not exists(farm, name)
    assert {row[1:] for row in farm.select(LEDGER)} == {(0, 0, 1, True, "verified")}

    as_if_just_started()
    assert put_rows(farm, dataset, one, OLD, OLD + timedelta(seconds=2)).inserted == 2
    first, second, _ = farm.select(LEDGER)
    assert first == (OLD.date(), 2, 2, 1, False, "fetched")  # nobody has verified what came now
    assert second == (NEXT.date(), 0, 0, 1, True, "verified")
    assert counts(kept(), dataset) == (0, 0, 0, 1, 2)


def test_a_day_stays_that_has_not_ended_before_the_age_in_utc(farm, kept):
    series = series_of(farm, "quotes")
    midnight = days_ago(30).replace(hour=0, minute=0, second=0, microsecond=0)
    put_rows(farm, "quotes", series, midnight - timedelta(microseconds=1), midnight, midnight + timedelta(hours=1))
    verify(farm)
    assert tally(kept(), "quotes").rows == 1
    assert farm.value("SELECT min(ts) FROM quotes") == midnight


def test_zero_days_keep_a_dataset_for_ever_and_bars_are_kept_so_by_default(farm, kept, settings_of):
    for dataset in ("bars", "quotes"):
        put_rows(farm, dataset, series_of(farm, dataset), OLD)
    verify(farm)
    assert settings_of().tickfarm_keep_bars_days == 0
    assert kept(bars=0, quotes=0).summary()["rows"] == 0
    assert kept().summary()["rows"] == 2


def test_bars_that_were_never_final_leave_the_count_of_final_ones_exact(farm, kept):
    series = series_of(farm, "bars")
    put_rows(farm, "bars", series, OLD, is_final="t")
    put_rows(farm, "bars", series, OLD + timedelta(minutes=1), is_final="f")
    put_rows(farm, "bars", series, NEXT)
    verify(farm, OLD.date())
    kept()
    assert farm.select(LEDGER)[0] == (OLD.date(), 0, 0, 2, True, "verified")


def test_old_partitions_without_rows_are_dropped_and_nobody_else_s_tables(farm, kept):
    farm.context.make_room("books", OLD, OLD)
    farm.context.make_room("books", NOW, NOW)
    farm.change(
        "CREATE TABLE books_by_hand PARTITION OF books"
        " FOR VALUES FROM ('2015-01-01T00:00:00Z') TO ('2015-02-01T00:00:00Z')"
    )
    try:
        assert tally(kept(dry_run=True), "books").partitions == 1
        assert tally(kept(), "books").partitions == 1
        assert not exists(farm, "books_m2016_02")
        assert exists(farm, "books_by_hand")
        assert exists(farm, partition_of("books", NOW)[0])
    finally:
        farm.change("DROP TABLE books_by_hand")


def test_rows_that_the_ledger_does_not_know_keep_their_partition(farm, kept):
    put_rows(farm, "quotes", series_of(farm, "quotes"), OLD)
    farm.change("DELETE FROM ledger")
    assert counts(kept(), "quotes") == (0, 0, 0, 0, 0)
    assert farm.value("SELECT count(*) FROM quotes") == 1


def test_a_day_of_many_slices_goes_whole_even_where_they_share_a_moment(farm, kept):
    series = series_of(farm, "trades")
    put_trades(farm, series, OLD, 2 * SLICE_ROWS + 7)
    put_trades(farm, series, NEXT, SLICE_ROWS + 5, every="0 seconds")
    put_rows(farm, "trades", series_of(farm, "trades", "ETH-USDT"), OLD)  # unverified: the partition stays
    assert counts(kept(), "trades") == (3 * SLICE_ROWS + 12, 2, 0, 1, 1)
    assert farm.select(LEDGER)[:2] == [
        (OLD.date(), 0, 0, 2 * SLICE_ROWS + 7, True, "verified"),
        (NEXT.date(), 0, 0, SLICE_ROWS + 5, True, "verified"),
    ]


def test_however_short_a_run_is_the_ledger_is_exact_after_it_and_the_next_goes_on(farm, kept):
    series = series_of(farm, "trades")
    put_trades(farm, series, OLD, 5 * SLICE_ROWS)
    put_rows(farm, "trades", series_of(farm, "trades", "ETH-USDT"), OLD)
    budget_s, runs, gone = 0.02, 0, 0
    while gone < 5 * SLICE_ROWS:
        assert runs < 40
        report = kept(budget_s=budget_s)
        runs, gone, budget_s = runs + 1, gone + tally(report, "trades").rows, budget_s * 1.5
        left = farm.value("SELECT count(*) FROM trades WHERE series_id = :id", id=series)
        assert left == 5 * SLICE_ROWS - gone
        assert farm.select(LEDGER)[0][1:4] == (left, left, gone)
    assert runs > 1, "a run without time would have deleted everything"


def test_a_ledger_that_counts_more_than_there_is_does_not_keep_a_run_busy(farm, kept):
    put_rows(farm, "quotes", series_of(farm, "quotes"), OLD)
    put_rows(farm, "quotes", series_of(farm, "quotes", "ETH-USDT"), NEXT)
    farm.change("UPDATE ledger SET stored = 9, state = 'verified' WHERE day = :day", day=OLD.date())
    assert counts(kept(), "quotes")[:3] == (1, 0, 0)
    assert counts(kept(), "quotes")[:3] == (0, 0, 0)


def test_a_partition_that_somebody_reads_is_left_for_the_next_run(farm, kept):
    put_rows(farm, "quotes", series_of(farm, "quotes"), OLD)
    verify(farm)
    with farm.context.sessions() as reader:
        reader.execute(text("SELECT count(*) FROM quotes"))
        report = kept()
        assert counts(report, "quotes") == (0, 0, 0, 0, 0)
        assert report.summary()["complete"] is False
        assert reader.scalar(text("SELECT count(*) FROM quotes")) == 1
    assert farm.select(LEDGER) == [(OLD.date(), 1, 1, 0, False, "verified")]
    assert counts(kept(), "quotes") == (1, 1, 1, 0, 0)


def test_a_partition_that_gets_rows_while_it_is_to_be_dropped_stays(farm, kept):
    series = series_of(farm, "quotes")
    put_rows(farm, "quotes", series, OLD)
    verify(farm)
    quote = {"series_id": series, "ts": NEXT, "bid": "1", "ask": "2", "observed_at": NOW, "job_id": 2}
    waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock'"
    with ThreadPoolExecutor(1) as pool, farm.context.sessions() as writer:
        write_in(writer, quote)
        dropping = pool.submit(kept)
        until(lambda: farm.value(waits), what="the drop to wait for the writer")
        writer.commit()
        report = dropping.result()
    # The drop gave up; the verified day's rows went by themselves.
    assert counts(report, "quotes") == (1, 1, 0, 1, 1)
    assert farm.select("SELECT ts FROM quotes") == [(NEXT,)]
    assert farm.select(LEDGER) == [
        (OLD.date(), 0, 0, 1, True, "verified"),
        (NEXT.date(), 1, 1, 0, False, "fetched"),
    ]


def write_in(session, row):
    """Write a row in the session's open transaction."""
    write(session, "quotes", to_csv("quotes", [row]))


def test_a_day_that_gets_rows_while_its_own_are_deleted_counts_right(farm, kept):
    series = series_of(farm, "quotes")
    put_rows(farm, "quotes", series, OLD)
    put_rows(farm, "quotes", series_of(farm, "quotes", "ETH-USDT"), OLD)
    farm.change("UPDATE ledger SET state = 'verified' WHERE series_id = :id", id=series)
    late = OLD + timedelta(seconds=5)
    quote = {"series_id": series, "ts": late, "bid": "1", "ask": "2", "observed_at": NOW, "job_id": 2}
    waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'UPDATE ledger%'"
    with ThreadPoolExecutor(1) as pool, farm.context.sessions() as writer:
        write_in(writer, quote)
        deleting = pool.submit(kept)
        until(lambda: farm.value(waits), what="the deletion to wait for the ledger")
        writer.commit()
        deleting.result()
    left = farm.select("SELECT ts FROM quotes WHERE series_id = :id", id=series)
    [(stored, deleted)] = farm.select("SELECT stored, deleted FROM ledger WHERE series_id = :id", id=series)
    assert stored == len(left)
    assert stored + deleted == 2


def test_rows_that_come_between_two_slices_are_kept_until_they_are_verified(farm, kept):
    series = series_of(farm, "trades")
    put_trades(farm, series, OLD, 10)
    put_rows(farm, "trades", series_of(farm, "trades", "ETH-USDT"), OLD)
    # As a run that was cut off between two slices leaves it.
    farm.change("DELETE FROM trades WHERE series_id = :id AND trade_id <= 4", id=series)
    farm.change(
        "UPDATE ledger SET stored = 6, final = 6, deleted = 4, deleted_at = now() WHERE series_id = :id", id=series
    )
    trade = {"series_id": series, "ts": OLD, "trade_id": 99, "price": 1, "size": 1, "observed_at": NOW, "job_id": 3}
    store(farm.context.sessions, trade, dataset="trades")
    assert counts(kept(), "trades") == (0, 0, 0, 2, 8)
    assert farm.select(LEDGER)[0] == (OLD.date(), 7, 7, 4, False, "fetched")


def test_a_day_that_turns_out_unverified_while_its_rows_are_deleted_keeps_them(farm, kept):
    series = series_of(farm, "quotes")
    put_rows(farm, "quotes", series, OLD)
    put_rows(farm, "quotes", series_of(farm, "quotes", "ETH-USDT"), OLD)
    farm.change("UPDATE ledger SET state = 'verified' WHERE series_id = :id", id=series)
    waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'UPDATE ledger%'"
    with ThreadPoolExecutor(1) as pool, farm.context.sessions() as checker:
        checker.execute(text("UPDATE ledger SET state = 'suspect'"))
        deleting = pool.submit(kept)
        until(lambda: farm.value(waits), what="the deletion to wait for the ledger")
        checker.commit()
        report = deleting.result()
    assert counts(report, "quotes") == (0, 0, 0, 2, 2)
    assert farm.value("SELECT count(*) FROM quotes") == 2
    assert {row[1:4] for row in farm.select(LEDGER)} == {(1, 1, 0)}
