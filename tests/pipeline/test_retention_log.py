"""Retention of the fetch log and the archive: what somebody may still ask for stays, the rest goes by days."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ingest.archive import Place
from ingest.payloads import payload_key
from ingest.pipeline.context import Context
from ingest.pipeline.retention import retain
from ingest.pipeline.retention_order import PAGE_ROWS
from tests.pipeline.farm import opened
from tests.pipeline.old_things import (
    NOW,
    days_ago,
    put_fetch,
    put_finding,
    put_jobs,
    put_rows,
    series_of,
    verify,
)
from tests.pipeline.test_retention import tally


@pytest.fixture
def kept(farm, settings_of):
    """Return what runs retention with the settings' defaults, on the farm's tables."""

    def run(*, budget_s=30.0, dry_run=False):
        with opened(Context(settings_of(), name="test retention"), farm.sandbox) as other:
            return retain(other.context, NOW, budget_s=budget_s, dry_run=dry_run)

    return run


def test_a_log_line_stays_as_long_as_a_finding_or_an_open_job_refers_to_it(farm, kept):
    [wanted] = put_jobs(farm, "fetched", days_ago(40))
    for job_id in (wanted, 10**6, 10**6 + 1):
        put_fetch(farm, days_ago(40), job_id=job_id)
    put_fetch(farm, days_ago(29), job_id=10**6 + 2)
    put_finding(farm, days_ago(40), job_id=10**6)
    log = "SELECT job_id FROM fetch_log ORDER BY id"
    assert tally(kept(), "fetch_log").rows == 1
    assert farm.select(log) == [(wanted,), (10**6,), (10**6 + 2,)]
    farm.change("UPDATE jobs SET state = 'done'; DELETE FROM findings")
    assert tally(kept(), "fetch_log").rows == 2
    assert farm.select(log) == [(10**6 + 2,)]


def test_the_log_s_partitions_are_dropped_once_they_are_empty(farm, kept):
    at = datetime(2019, 5, 6, tzinfo=UTC)
    put_fetch(farm, at, job_id=7)
    put_finding(farm, NOW, job_id=7)
    assert tally(kept(), "fetch_log").partitions == 0
    farm.change("DELETE FROM findings")
    found = tally(kept(), "fetch_log")
    assert (found.rows, found.partitions) == (1, 1)
    assert farm.value("SELECT to_regclass('fetch_log_d2019_05_06')") is None
    put_fetch(farm_again(farm), at, job_id=8)
    assert farm.value("SELECT count(*) FROM fetch_log") == 1


def farm_again(farm):
    """Return the farm as a process sees it that has just started."""
    farm.context._partitions.clear()
    return farm


def test_a_segment_goes_unless_a_finding_or_an_open_job_refers_to_it(farm, kept):
    [loading] = put_jobs(farm, "fetched", days_ago(40), payload_key="set below")
    farm.change("UPDATE jobs SET payload_key = :key", key=payload_key(loading, 1))
    hour = timedelta(hours=1)
    day = days_ago(40).replace(hour=3)
    segments = {
        job_id: put_fetch(farm, at, job_id=job_id, body=b"answer")
        for job_id, at in ((loading, day), (101, day + hour), (102, day + 2 * hour), (103, days_ago(29)))
    }
    put_fetch(farm, day - timedelta(days=1), job_id=104, body=b"alone that day")
    put_finding(farm, days_ago(40), job_id=101)
    archive = farm.context.settings.archive_dir
    (archive / "2020-notes").mkdir()
    (archive / "2020-01-01").mkdir()
    (archive / "2020-01-01" / "README").write_text("not ours")

    assert (tally(kept(dry_run=True), "archive").segments, len(list(archive.rglob("*.seg")))) == (2, 5)
    found = tally(kept(), "archive")
    assert (found.segments, found.held, found.is_complete) == (2, 2, True)
    assert found.size_bytes > 10
    left = {f"{file.parent.name}/{file.name}" for file in archive.rglob("*.seg")}
    assert left == {segments[loading], segments[101], segments[103]}
    assert not (archive / f"{day - timedelta(days=1):%Y-%m-%d}").exists()
    assert (archive / "2020-notes").exists()
    assert (archive / "2020-01-01" / "README").exists()
    [(name, position, size)] = farm.select("SELECT segment, position, size_bytes FROM fetch_log WHERE job_id = 101")
    key = payload_key(101, 1)
    assert farm.context.payloads.get(key, Place(name, position, size)) == b"answer"


def test_an_archive_that_is_not_there_is_nothing_to_delete(kept):
    assert tally(kept(), "archive").is_complete is True


@pytest.mark.parametrize(
    ("state", "age", "stays"), [("fetched", 59, True), ("fetched", 61, False), ("verified", 59, False)]
)
def test_what_an_unverified_day_was_written_from_stays_with_its_log_twice_as_long_and_no_longer(
    farm, kept, state, age, stays
):
    series = series_of(farm, "bars")
    put_rows(farm, "bars", series, days_ago(age), job_id=201, observed_at=days_ago(age))
    verify(farm, state=state)
    named = put_fetch(farm, days_ago(age), job_id=201, body=b"last word")
    put_fetch(farm, days_ago(age) - timedelta(hours=2), job_id=202, body=b"another segment")
    promised, report = kept(dry_run=True), kept()
    archive = farm.context.settings.archive_dir
    left = [f"{file.parent.name}/{file.name}" for file in archive.rglob("*.seg")]
    assert left == ([named] if stays else [])
    assert farm.select("SELECT job_id FROM fetch_log") == ([(201,)] if stays else [])
    assert tally(report, "archive").held == int(stays)
    for what in ("archive", "fetch_log"):
        assert (tally(promised, what).segments, tally(promised, what).rows) == (
            tally(report, what).segments,
            tally(report, what).rows,
        )
    if stays:
        verify(farm)
        assert tally(kept(), "fetch_log").partitions == 1
        assert farm.value("SELECT count(*) FROM fetch_log") == 0
        assert list(archive.rglob("*.seg")) == []


def test_a_day_of_the_log_goes_whole_and_one_in_which_something_must_stay_row_by_row(farm, kept):
    for job_id, days in ((301, 40), (302, 40), (303, 41), (304, 41)):
        put_fetch(farm, days_ago(days), job_id=job_id)
    put_finding(farm, days_ago(40), job_id=302)
    promised, found = (tally(kept(dry_run=dry_run), "fetch_log") for dry_run in (True, False))
    assert (found.rows, found.partitions) == (promised.rows, promised.partitions) == (3, 1)
    assert farm.select("SELECT job_id FROM fetch_log") == [(302,)]
    assert tally(kept(), "fetch_log").rows == 0


def test_pages_and_pages_of_a_held_day_s_log_go_in_one_run(farm, kept):
    put_fetch(farm, days_ago(40), job_id=1)
    put_finding(farm, days_ago(40), job_id=1)
    farm.change(
        "INSERT INTO fetch_log (at, attempt, provider, dataset, lane, requests, weight, failed, duration_ms, outcome)"
        " SELECT :at, 1, 'binance', 'bars', 'live', 1, 1, 0, 1, 'done' FROM generate_series(1, :rows)",
        at=days_ago(40),
        rows=2 * PAGE_ROWS + 1,
    )
    assert tally(kept(budget_s=0.0), "fetch_log").is_complete is False
    assert tally(kept(), "fetch_log").rows == 2 * PAGE_ROWS + 1
    assert farm.select("SELECT job_id FROM fetch_log") == [(1,)]
