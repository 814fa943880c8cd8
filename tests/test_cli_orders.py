"""What `tickfarm` orders and shows: follow, status, unfollow, providers, dead letters; data on stdout, as text or JSON.

Deliberately not here: slips and servers that are away (test_cli.py), a farm that works on the orders (test_demo.py).
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from sqlalchemy import select
from sqlalchemy.orm import sessionmaker

from commands.terminal import print_json
from ingest import providers
from ingest.pipeline.dead_letters import Letter, write_letter
from ingest.pipeline.jobs import NewJob, bury, insert_jobs
from models import DeadLetter, Job, open_engine
from tests.pipeline.transitions import lease_all
from tests.tickfarm_command import FOLLOW_BTC, NO_REDIS, complaint, run

#: Nobody listens there: what needs the exchange says so and goes on.
NO_EXCHANGE = "http://127.0.0.1:1"


@pytest.fixture
def tickfarm(database_url, redis_url, home):
    """The command with servers of the test's own, and nobody who works."""

    def command(*arguments):
        env = {"DATABASE_URL": database_url, "REDIS_URL": redis_url, "TICKFARM_HOME": str(home)}
        return run(*arguments, TICKFARM_SANDBOX_URL=NO_EXCHANGE, **env)

    return command


@pytest.fixture
def session(database_url):
    engine = open_engine(database_url, application_name="test", pooled=False)
    with sessionmaker(engine)() as opened:
        yield opened


def test_follow_status_and_unfollow_agree(tickfarm, session):
    followed = tickfarm(
        "follow", "binance", "bars", "BTC-USDT", "ETH-USDT", "--interval", "1m", "--since", "2026-11-01"
    )
    assert followed.returncode == 0
    assert followed.stderr.startswith("the names are not checked: ")  # the exchange is away: the farm will find out
    assert followed.stderr.count("\n") == 1
    assert re.fullmatch(r"following 2 series of binance; \d+ history jobs owed\n", followed.stdout)
    rows = json.loads(tickfarm("status", "--json").stdout)
    assert [row["instrument"] for row in rows] == ["BTC-USDT", "ETH-USDT"]
    assert {row["state"] for row in rows} == {"loading"}
    assert {row["rows"] for row in rows} == {0}
    owed = session.scalar(select(Job).where(Job.lane == "backfill").order_by(Job.due_at.desc()))
    assert owed.kwargs["start"] == "2026-11-01T00:00:00+00:00"
    table = tickfarm("status").stdout
    assert "binance bars ETH-USDT 1m" in table
    assert "\x1b" not in table
    gone = tickfarm("unfollow", "binance", "bars", "BTC-USDT", "--interval", "1m")
    assert gone.stdout == "1 series of binance are no longer followed\n"
    assert [row["instrument"] for row in json.loads(tickfarm("status", "--json").stdout)] == ["ETH-USDT"]


def test_what_is_followed_while_redis_is_away_is_kept_and_said_to_begin_later(database_url, session):
    done = run(*FOLLOW_BTC, DATABASE_URL=database_url, REDIS_URL=NO_REDIS, TICKFARM_SANDBOX_URL=NO_EXCHANGE)
    assert done.returncode == 0
    assert done.stdout == "following 1 series of binance\n"
    assert "it begins when Redis can be reached" in done.stderr
    assert session.scalar(select(Job.state)) == "due"


def test_nothing_followed_is_said_on_stderr_and_is_an_empty_list_in_json(tickfarm):
    shown = tickfarm("status")
    assert (shown.returncode, shown.stdout) == (0, "")
    assert "nothing is followed yet" in shown.stderr
    assert json.loads(tickfarm("status", "--json").stdout) == []


def test_providers_lists_what_can_be_asked_of_whom_without_any_server():
    rows = json.loads(run("providers", "--json").stdout)
    found = {row["provider"]: row for row in rows}
    assert list(found) == list(providers.names())
    assert found["binance"]["datasets"] == ["bars", "trades", "quotes", "books"]
    assert found["nasdaq_data_link"]["key"] == "NASDAQ_DATA_LINK_API_KEY"
    assert found["iex"]["lifecycle"] == "retired"
    assert "2024-08-31" in found["iex"]["lifecycle_note"]
    table = run("providers").stdout
    assert "NASDAQ_DATA_LINK_API_KEY" in table
    assert "6000 weight per 60 s" in table
    assert "\x1b" not in table


@pytest.fixture
def letters(session):
    """Two dead letters: one of a job that died, one of a call that never had one."""
    now = datetime.now(UTC)
    job = NewJob(key="dies", task="tasks.fetch.binance", lane="live", kwargs={"dataset": "quotes"}, due_at=now)
    insert_jobs(session, [job])
    (leased,) = lease_all(session, "live", limit=1, now=datetime.now(UTC))
    bury(session, leased.id, leased.attempt, "no such symbol")
    write_letter(session, Letter(job.task, "no such [/symbol]", job.kwargs, task_id="job:1:1", job_id=leased.id))
    write_letter(session, Letter("tasks.fetch.nobody", "no task is registered", {"a": 1}, task_id="t2", queue="live"))
    session.commit()
    return list(session.scalars(select(DeadLetter.id).order_by(DeadLetter.id)))


def test_dead_letters_are_listed_shown_requeued_and_discarded(tickfarm, letters, session):
    of_job, of_call = letters
    listed = json.loads(tickfarm("dead", "ls", "--json").stdout)
    assert [row["id"] for row in listed] == [of_call, of_job]
    assert datetime.fromisoformat(listed[0]["at"]).tzinfo is not None
    table = tickfarm("dead", "ls").stdout
    assert "no such [/symbol]" in table  # as it is: brackets are no markup
    shown = json.loads(tickfarm("dead", "show", str(of_call)).stdout)
    assert shown["kwargs"] == {"a": 1}
    requeued = tickfarm("dead", "requeue", str(of_job))
    assert requeued.stdout.startswith(f"letter {of_job} is owed again as job ")
    assert session.scalar(select(Job.state)) == "due"
    assert tickfarm("dead", "discard", str(of_call)).returncode == 0
    assert "no dead letters" in tickfarm("dead", "ls").stderr
    again = tickfarm("dead", "requeue", str(of_job))
    assert again.returncode == 2
    assert f"letter {of_job} is requeued" in complaint(again)


def test_exact_decimals_become_strings_in_json_and_moments_iso_8601(capsys):
    print_json({"price": Decimal("1.10"), "ts": datetime(2026, 1, 1, tzinfo=UTC)})
    assert json.loads(capsys.readouterr().out) == {"price": "1.10", "ts": "2026-01-01T00:00:00+00:00"}


def test_a_history_beyond_a_providers_reach_is_cut_and_said(tickfarm, session):
    done = tickfarm("follow", "kraken", "bars", "BTC-USD", "--interval", "1h", "--since", "2020-01-01")
    assert done.returncode == 0, done.stderr
    assert "kraken has only its newest 720 bars: 1h history from 20" in done.stderr
    assert session.scalar(select(Job).where(Job.lane == "backfill").limit(1)) is not None
