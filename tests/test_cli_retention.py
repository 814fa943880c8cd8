"""`tickfarm retention`: says what is kept how long and what would go, and deletes it when it is not a dry run."""

from __future__ import annotations

import json

import pytest

from tests.conftest import statement
from tests.tickfarm_command import run_each

OLD_JOBS = (
    "INSERT INTO jobs (key, task, lane, kwargs, state, due_at, created_at, finished_at)"
    " SELECT n, 't', 'live', '{}', 'done', at, at, at"
    " FROM (SELECT n, now() - interval '4 days' AS at FROM generate_series(1, 1500) n) AS old"
)
UNVERIFIED = (
    "INSERT INTO series (provider, dataset, instrument) VALUES ('binance', 'quotes', 'BTC-USDT');"
    "INSERT INTO ledger (series_id, day, stored, final, job_id, updated_at)"
    " SELECT id, '2016-02-01', 2000, 2000, 1, now() FROM series"
)


@pytest.fixture
def tickfarm(database_url, redis_url, home):
    """Many command lines in one process, on a farm with old jobs and an old day that nobody has verified."""
    for sql in (OLD_JOBS, UNVERIFIED):
        statement(database_url, sql)

    def command(*lines, **env):
        env |= {"DATABASE_URL": database_url, "REDIS_URL": redis_url, "TICKFARM_HOME": str(home)}
        return run_each([line.split() for line in lines], TICKFARM_LOG_FORMAT="json", **env)

    return command


def test_a_dry_run_shows_what_would_go_and_what_stays_and_deletes_nothing(tickfarm, database_url):
    table, document = tickfarm("retention --dry-run", "retention --dry-run --json")
    assert (table.returncode, document.returncode) == (0, 0)
    assert "nothing was deleted" in table.stderr
    lines = {line.split()[0]: line for line in table.stdout.splitlines()}
    assert "3 days" in lines["jobs"]
    assert "1,500" in lines["jobs"]
    assert "for ever" in lines["bars"]
    assert "1 series-days that are not verified (2,000 rows)" in lines["quotes"]
    rows = {row["what"]: row for row in json.loads(document.stdout)}
    assert (rows["jobs"]["rows"], rows["jobs"]["keep_days"], rows["quotes"]["held"]) == (1500, 3, 1)
    assert statement(database_url, "SELECT count(*) FROM jobs") == 1500


def test_without_dry_run_it_deletes_by_the_settings(tickfarm, database_url):
    [kept] = tickfarm("retention --json", TICKFARM_KEEP_JOBS_DAYS="5")
    assert {row["what"]: row["rows"] for row in json.loads(kept.stdout)}["jobs"] == 0
    [done] = tickfarm("retention")
    assert (done.returncode, "1,500" in done.stdout) == (0, True)
    assert statement(database_url, "SELECT count(*) FROM jobs") == 0
    assert statement(database_url, "SELECT stored FROM ledger") == 2000
