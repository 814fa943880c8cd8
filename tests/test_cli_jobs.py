"""`tickfarm jobs`: list, show, cancel; data on stdout as text or JSON, slips in one line, nothing done by half."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import sessionmaker

from ingest.pipeline.dead_letters import Letter, write_letter
from ingest.pipeline.jobs import NewJob, finish, insert_jobs, start
from models import Job, open_engine
from tests.pipeline.transitions import lease_all
from tests.tickfarm_command import complaint, each_with, run

NOW = datetime.now(UTC)
BTC = {"dataset": "bars", "instruments": ["BTC-USDT"], "interval": "1m", "start": "2026-11-01T00:00:00+00:00"}


@pytest.fixture
def tickfarm(database_url, redis_url, home):
    return each_with(DATABASE_URL=database_url, REDIS_URL=redis_url, TICKFARM_HOME=str(home))


@pytest.fixture
def session(database_url):
    engine = open_engine(database_url, application_name="test", pooled=False)
    with sessionmaker(engine)() as opened:
        yield opened
    engine.dispose()


@pytest.fixture
def three(session):
    """A job that is done, one that runs, and one that is due; returns their ids."""
    made = [
        NewJob(key=key, task="tasks.fetch.binance", lane=lane, kwargs=BTC, due_at=NOW - timedelta(hours=age), entry=key)
        for key, lane, age in (("first", "live", 3), ("second", "live", 2), ("third", "backfill", 1))
    ]
    insert_jobs(session, made)
    for job in lease_all(session, "live", limit=2, now=NOW):
        start(session, job.id, job.attempt)
    done, running, due = session.scalars(select(Job.id).order_by(Job.key))
    finish(session, done, 1, {"rows": 3})
    session.commit()
    return done, running, due


def test_jobs_are_listed_newest_first_by_lane_state_provider_and_entry(tickfarm, three):
    done, running, due = three
    lines = ["", "--lane live", "--state leased", "--provider nasdaq_data_link", "--entry third", "--limit 1"]
    answers = tickfarm(*(f"jobs ls --json {line}" for line in lines))
    assert [answer.returncode for answer in answers] == [0] * 6
    found = [sorted(row["id"] for row in json.loads(answer.stdout)) for answer in answers]
    assert found == [sorted(three), sorted([done, running]), [running], [], [due], [max(three)]]
    newest = json.loads(answers[0].stdout)
    assert [row["id"] for row in newest] == sorted(three, reverse=True)
    assert datetime.fromisoformat(newest[0]["due_at"]).tzinfo is not None


def test_the_table_says_what_each_job_is_about_and_an_empty_one_says_so_on_stderr(tickfarm, three):
    table, empty = tickfarm("jobs ls", "jobs ls --lane standard")
    assert "fetch.binance  bars BTC-USDT 1m 2026-11-01" in table.stdout
    assert table.stdout.count("\n") == 4
    assert "\x1b" not in table.stdout
    assert (empty.returncode, empty.stdout, empty.stderr) == (0, "", "no such jobs\n")


def test_a_job_is_shown_whole_as_text_and_as_json(tickfarm, three, session):
    done = three[0]
    insert_jobs(session, [NewJob(key="part", task="t", lane="live", kwargs={}, due_at=NOW, parent_id=done)])
    write_letter(session, Letter("t", "a [/part] is gone", {}, task_id="x", job_id=done))
    session.commit()
    text, document = tickfarm(f"jobs show {done}", f"jobs show {done} --json")
    shown = json.loads(document.stdout)
    assert set(shown["job"]) == set(Job.__table__.columns.keys())
    assert (shown["job"]["state"], shown["job"]["result"], shown["findings"]) == ("done", {"rows": 3}, 0)
    assert [row["key"] for row in shown["children"]] == ["part"]
    assert [row["error"] for row in shown["dead_letters"]] == ["a [/part] is gone"]
    for words in ("tasks.fetch.binance", "children", "a [/part] is gone"):
        assert words in text.stdout


def test_cancel_says_how_many_and_fails_when_none_could_be(tickfarm, three, session):
    done, running, due = three
    first, again = tickfarm(f"jobs cancel {done} {running} {due}", f"jobs cancel {done} {running} {due}")
    assert (first.returncode, first.stdout) == (0, "2 of 3 jobs are cancelled\n")
    assert (again.returncode, again.stdout) == (1, "0 of 3 jobs are cancelled\n")
    states = dict(session.execute(select(Job.id, Job.state)).all())
    assert states == {done: "done", running: "cancelled", due: "cancelled"}


def test_slips_are_one_line_and_exit_2(tickfarm):
    slips = {
        "jobs ls --lane fast": "unknown lane: 'fast'",
        "jobs ls --state finished": "unknown state: 'finished'",
        "jobs ls --provider binanc": "did you mean binance?",
        "jobs show 77": "job 77 does not exist",
    }
    for answer, words in zip(tickfarm(*slips), slips.values(), strict=True):
        assert answer.returncode == 2
        assert words in complaint(answer)


def test_a_database_that_is_away_is_one_line_and_exit_1(home):
    away = run("jobs", "ls", DATABASE_URL="postgresql://tickfarm:planted@127.0.0.1:1/x", TICKFARM_HOME=str(home))
    assert away.returncode == 1
    assert "can't reach PostgreSQL" in complaint(away)
    assert "planted" not in away.stderr
