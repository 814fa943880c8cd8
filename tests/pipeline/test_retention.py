"""Retention of jobs and what is noted about them: what is old and over goes, what is still needed stays."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError
from sqlalchemy import text

from ingest.market.records import DATASETS
from ingest.pipeline.context import Context
from ingest.pipeline.retention import Report, kept_days, retain
from ingest.pipeline.retention_order import PAGE_ROWS
from ingest.pipeline.runs import KEPT_RUNS
from ingest.settings import Settings
from tests.pipeline.farm import opened
from tests.pipeline.old_things import (
    NOW,
    days_ago,
    put_fetch,
    put_finding,
    put_jobs,
    put_letter,
    put_rows,
    series_of,
)

OVER = ["done", "expired", "cancelled", "dead"]


@pytest.fixture
def kept(farm, settings_of):
    """Return what runs retention with these settings, on the farm's tables."""

    def run(*, now=NOW, budget_s=30.0, dry_run=False, **days):
        settings = settings_of(**{f"tickfarm_keep_{what}_days": count for what, count in days.items()})
        with opened(Context(settings, name="test retention"), farm.sandbox) as other:
            return retain(other.context, now, budget_s=budget_s, dry_run=dry_run)

    return run


def tally(report, what):
    [found] = [one for one in report.tallies if one.what == what]
    return found


def ids(farm, table="jobs"):
    return [one for (one,) in farm.select(f"SELECT id FROM {table} ORDER BY id")]


@pytest.mark.parametrize("state", OVER)
def test_a_job_that_is_over_goes_when_it_is_old(farm, kept, state):
    put_jobs(farm, state, days_ago(3.01))
    [young] = put_jobs(farm, state, days_ago(2.99))
    report = kept()
    assert ids(farm) == [young]
    assert tally(report, "jobs").rows == 1
    assert kept().summary()["rows"] == 0


@pytest.mark.parametrize("state", ["due", "leased", "fetched"])
def test_a_job_that_is_not_over_stays_however_old_it_is(farm, kept, state):
    [job] = put_jobs(farm, state, days_ago(400))
    put_jobs(farm, "done", days_ago(300))
    kept()
    assert ids(farm) == [job]


def test_a_dead_job_stays_as_long_as_its_letter_is_open(farm, kept):
    [job], [requeued], _without_letter = (put_jobs(farm, "dead", days_ago(50)) for _ in range(3))
    put_letter(farm, "open", days_ago(50), job_id=job)
    put_letter(farm, "requeued", days_ago(50), job_id=requeued)
    kept()
    assert ids(farm) == [job]
    farm.change("UPDATE dead_letters SET state = 'discarded'")
    kept()
    assert ids(farm) == []


def test_the_jobs_of_a_run_that_is_at_work_stay_to_be_added_up(farm, kept):
    run = "INSERT INTO schedule_runs (id, entry, slot, outcome) OVERRIDING SYSTEM VALUE VALUES (:id, 'e', :slot, :end)"
    farm.change(run, id=1, slot=days_ago(9), end=None)
    farm.change(run, id=2, slot=days_ago(8), end="ok")
    [job] = put_jobs(farm, "done", days_ago(9), run_id=1)
    put_jobs(farm, "done", days_ago(8), run_id=2)
    kept()
    assert ids(farm) == [job]


def test_a_job_made_long_ago_that_has_ended_only_now_stays(farm, kept):
    [job] = put_jobs(farm, "done", days_ago(30))
    farm.change("UPDATE jobs SET finished_at = :at", at=NOW)
    put_jobs(farm, "done", days_ago(30))
    kept()
    assert ids(farm) == [job]


def test_pages_and_pages_of_jobs_go_in_one_run_and_what_lies_between_stays(farm, kept):
    put_jobs(farm, "done", days_ago(9), count=2 * PAGE_ROWS)
    [between] = put_jobs(farm, "due", days_ago(8))
    put_jobs(farm, "done", days_ago(7), count=PAGE_ROWS // 2)
    young = put_jobs(farm, "done", days_ago(1), count=10)
    report = kept()
    assert ids(farm) == [between, *young]
    assert report.summary()["deleted"] == {"jobs": 2 * PAGE_ROWS + PAGE_ROWS // 2}
    assert report.summary()["complete"] is True


def test_zero_days_keep_for_ever(farm, kept):
    [job] = put_jobs(farm, "done", days_ago(5000))
    put_fetch(farm, days_ago(800), job_id=job)
    put_finding(farm, days_ago(800), job_id=job)
    put_letter(farm, "discarded", days_ago(800))
    report = kept(**dict.fromkeys(kept_days(Settings()), 0))
    assert report.summary()["rows"] == 0
    tables = ("jobs", "fetch_log", "findings", "dead_letters")
    assert [len(ids(farm, table)) for table in tables] == [1, 1, 1, 1]


def test_every_kind_has_a_setting_and_every_setting_a_kind():
    named = {name for name in Settings.model_fields if name.startswith("tickfarm_keep_")}
    assert {f"tickfarm_keep_{what}_days" for what in kept_days(Settings())} == named
    assert set(DATASETS) < kept_days(Settings()).keys()


@pytest.mark.parametrize("value", [-1, "soon", 40_000])
def test_a_setting_that_is_no_number_of_days_is_refused(value):
    with pytest.raises(ValidationError, match="tickfarm_keep_trades_days"):
        Settings(tickfarm_keep_trades_days=value)


def test_closed_letters_findings_and_revisions_go_at_their_age_open_letters_never(farm, kept):
    for at in (days_ago(91), days_ago(89)):
        for state in ("open", "requeued", "discarded"):
            put_letter(farm, state, at)
    put_finding(farm, days_ago(91), job_id=1)
    put_finding(farm, days_ago(89), job_id=2)
    series = series_of(farm, "bars")
    for price in ("1.2", "1.25", "1.3"):
        put_rows(farm, "bars", series, days_ago(99), close=price, observed_at=days_ago(98 - float(price)))
    assert len(ids(farm, "revisions")) == 2
    kept()
    assert farm.select("SELECT state, count(*) FROM dead_letters GROUP BY 1 ORDER BY 1") == [
        ("discarded", 1),
        ("open", 2),
        ("requeued", 1),
    ]
    assert farm.select("SELECT job_id FROM findings") == [(2,)]
    assert len(ids(farm, "revisions")) == 2  # what was said before is evidence: for ever, unless it is set
    assert tally(kept(revisions=30), "revisions").rows == 2


def test_of_each_entry_the_newest_runs_are_kept_and_those_at_work(farm, kept):
    runs = (
        "INSERT INTO schedule_runs (entry, slot, outcome) SELECT :entry, CAST(:at AS timestamptz) - n * interval '1 s',"
        " CASE n WHEN :count THEN NULL ELSE 'ok' END FROM generate_series(1, :count) n"
    )
    farm.change(runs, entry="often", at=NOW, count=KEPT_RUNS + PAGE_ROWS + 50)
    farm.change(runs, entry="seldom", at=days_ago(900), count=20)
    assert tally(kept(dry_run=True), "schedule_runs").rows == PAGE_ROWS + 49
    assert tally(kept(), "schedule_runs").rows == PAGE_ROWS + 49
    counts = "SELECT entry, count(*), count(*) FILTER (WHERE outcome IS NULL) FROM schedule_runs GROUP BY 1 ORDER BY 1"
    assert farm.select(counts) == [("often", KEPT_RUNS + 1, 1), ("seldom", 20, 1)]
    newest = "SELECT max(slot) FROM schedule_runs WHERE entry = 'often'"
    assert farm.value(newest) == NOW - timedelta(seconds=1)


def test_a_dry_run_counts_what_the_next_run_deletes_and_deletes_nothing(farm, kept):
    put_jobs(farm, "done", days_ago(9), count=7)
    put_letter(farm, "discarded", days_ago(100))
    put_fetch(farm, datetime(2018, 5, 6, tzinfo=UTC), job_id=9)
    promised = kept(dry_run=True)
    assert (len(ids(farm)), len(ids(farm, "dead_letters")), len(ids(farm, "fetch_log"))) == (7, 1, 1)
    done = kept()
    assert promised.summary()["deleted"] == done.summary()["deleted"] == {"jobs": 7, "dead_letters": 1, "fetch_log": 1}


def test_a_run_without_time_deletes_nothing_says_so_and_the_next_one_goes_on(farm, kept):
    put_jobs(farm, "done", days_ago(9), count=7)
    cut_off = kept(budget_s=0.0)
    assert (cut_off.summary()["rows"], cut_off.summary()["complete"]) == (0, False)
    assert kept().summary()["deleted"] == {"jobs": 7}


def test_a_second_run_at_the_same_time_does_nothing_and_the_first_lets_go_of_it(farm, kept):
    put_jobs(farm, "done", days_ago(9), count=20 * PAGE_ROWS)
    with ThreadPoolExecutor(4) as pool:
        reports = list(pool.map(lambda _: kept(), range(4)))
    assert sum(report.summary()["rows"] for report in reports) == 20 * PAGE_ROWS
    assert ids(farm) == []
    with farm.context.sessions() as session:
        held = session.scalar(text("SELECT pg_try_advisory_lock(7461003)"))
        assert held is True
        assert kept() == Report(is_busy=True)
        assert kept().summary() == {"rows": 0, "reason": "another run is at work"}
        assert kept(dry_run=True).is_busy is False
        session.execute(text("SELECT pg_advisory_unlock(7461003)"))
    assert kept().is_busy is False
