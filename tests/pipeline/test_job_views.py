"""What an operator sees of jobs: the lists hold what was asked for, and one job shows all that is known about it."""

from __future__ import annotations

import pytest

from ingest.payloads import payload_key
from ingest.pipeline import jobs
from ingest.pipeline.job_views import list_jobs, show_job
from tests.pipeline.farm import LATER, bars_call
from tests.pipeline.old_things import NOW, put_jobs


@pytest.fixture
def listed(farm):
    """Return what lists jobs' ids."""

    def read(**what):
        with farm.context.sessions() as session:
            return [job.id for job in list_jobs(session, **what)]

    return read


def test_the_newest_come_first_and_no_more_than_asked_for(owe, listed):
    made = [owe() for _ in range(5)]
    assert listed() == made[::-1]
    assert listed(limit=2) == [made[4], made[3]]


def test_each_condition_leaves_out_what_does_not_fit_it(owe, listed, step):
    live = owe(lane="live", entry="quotes")
    other = owe(task="tasks.fetch.nasdaq_data_link", entry="daily")
    upkeep = owe(task="tasks.retention", lane="maintenance")
    cancelled = owe(lane="live")
    step(jobs.cancel, [cancelled])
    assert listed(lane="live") == [cancelled, live]
    assert listed(lane="live", state="due") == [live]
    assert listed(state="cancelled") == [cancelled]
    assert listed(provider="nasdaq_data_link") == [other]
    assert listed(entry="daily") == [other]
    assert listed(provider="binance", entry="daily") == []
    assert upkeep in listed()


def test_a_job_shows_its_fetches_findings_children_and_letters_and_nobody_else_s(farm):
    farm.sandbox.arm("binance", "not_json", match="ETHUSDT", args={"body": "[[oops]]"})
    job_id = farm.owe("binance", bars_call("BTC-USDT", "ETH-USDT"))
    other = farm.owe("binance", bars_call("SOL-USDT"))
    farm.run(within=LATER)
    farm.change(
        "INSERT INTO dead_letters (task, args, kwargs, job_id, error_class, error)"
        " VALUES ('t', '[]', '{}', :id, 'E', 'gone')",
        id=job_id,
    )
    with farm.context.sessions() as session:
        view, simple = show_job(session, job_id), show_job(session, other)
    assert (view.job.id, view.job.state) == (job_id, "done")
    assert [one.payload_key for one in view.fetches] == [payload_key(job_id, 1)]
    assert view.findings == farm.value("SELECT count(*) FROM findings WHERE job_id = :id", id=job_id) > 0
    children = farm.select("SELECT id FROM jobs WHERE parent_id = :id ORDER BY id", id=job_id)
    assert [(one.id,) for one in view.children] == children != []
    assert [one.error for one in view.letters] == ["gone"]
    assert (len(simple.fetches), simple.findings, simple.children, simple.letters) == (1, 0, [], [])


def test_every_attempt_s_fetch_is_shown_in_order_of_a_job_with_many_the_newest(farm):
    [few], [many] = (put_jobs(farm, "due", NOW) for _ in range(2))
    farm.context.make_room("fetch_log", NOW, NOW)
    for job_id, attempts in ((few, 3), (many, 250)):
        farm.change("UPDATE jobs SET attempt = :n WHERE id = :id", n=attempts, id=job_id)
        farm.change(
            "INSERT INTO fetch_log (at, job_id, attempt, provider, dataset, lane, requests, weight, failed,"
            " duration_ms, outcome, payload_key) SELECT :at, :id, n, 'binance', 'bars', 'live', 1, 1, 0, 1, 'failed',"
            " :key || n FROM generate_series(1, :n) n",
            at=NOW,
            id=job_id,
            key=payload_key(job_id, 1).removesuffix("1"),
            n=attempts,
        )
    with farm.context.sessions() as session:
        assert [one.attempt for one in show_job(session, few).fetches] == [1, 2, 3]
        assert [one.attempt for one in show_job(session, many).fetches] == [*range(51, 251)]


def test_a_job_that_does_not_exist_is_none(farm):
    with farm.context.sessions() as session:
        assert show_job(session, 1) is None
