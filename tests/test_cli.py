"""The `tickfarm` command as a person or a script meets it: one line for a slip, data on stdout, and exit codes.

Deliberately not here: a farm that works on what the command ordered (test_demo.py). Invariant: what is refused has
written nothing and sent nothing.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal

import pytest
import redis
from sqlalchemy import select
from sqlalchemy.orm import sessionmaker
from typer.main import get_command

import cli
from ingest.pipeline.dead_letters import Letter, write_letter
from ingest.pipeline.jobs import NewJob, bury, insert_jobs, lease_due
from ingest.settings import CHECKOUT
from models import DeadLetter, Job, open_engine
from tests.conftest import statement

WRITTEN = "SELECT (SELECT count(*) FROM jobs) + (SELECT count(*) FROM series) + (SELECT count(*) FROM dead_letters)"
FOLLOW_BTC = ("follow", "binance", "bars", "BTC-USDT", "--interval", "1m")
NOWHERE = "postgresql://tickfarm:planted-password@127.0.0.1:1/tickfarm"
NO_REDIS = "redis://:planted-password@127.0.0.1:1/0"


def run(*arguments, **env):
    """Run the command as a script would, with nothing but these settings."""
    command = [sys.executable, "-W", "error", "-m", "cli", *arguments]
    return subprocess.run(
        command, cwd=CHECKOUT, env={**os.environ, **env}, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.fixture
def tickfarm(database_url, redis_url, home):
    """The command with servers of the test's own, and nobody who works."""

    def command(*arguments):
        return run(*arguments, DATABASE_URL=database_url, REDIS_URL=redis_url, TICKFARM_HOME=str(home))

    return command


@pytest.fixture
def session(database_url):
    engine = open_engine(database_url, application_name="test", pooled=False)
    with sessionmaker(engine)() as opened:
        yield opened


@pytest.fixture
def nothing_happened(database_url, redis_url):
    def check():
        with closing(redis.Redis.from_url(redis_url)) as client:
            return statement(database_url, WRITTEN) == 0 and client.dbsize() == 0

    return check


def complaint(done):
    """Return the one line a refused command says."""
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert "Traceback" not in lines[0]
    return lines[0]


FETCH = ("fetch", "binance", "bars", "BTC-USDT")
SLIPS = {
    "provider": (("follow", "binanse", "bars", "BTC-USDT"), ["'binanse'", "did you mean binance?", "nasdaq_data_link"]),
    "dataset": (("follow", "binance", "bar", "BTC-USDT"), ["'bar'", "did you mean bars?", "quotes"]),
    "instrument": (("follow", "binance", "quotes", "btc/usdt"), ["'btc/usdt'", "did you mean BTC-USDT?"]),
    "kind of instrument": (("follow", "binance", "quotes", "AAPL"), ["'AAPL'", "BTC-USDT"]),
    "interval": ((*FETCH, "--interval", "7m"), ["'7m'", "accepted: 1m, 3m, 5m"]),
    "missing interval": (FETCH, ["bars need an interval", "1m, 3m, 5m"]),
    "interval of quotes": (("follow", "binance", "quotes", "BTC-USDT", "--interval", "1m"), ["no interval", "'1m'"]),
    "time": ((*FETCH, "--interval", "1m", "--start", "yesterday"), ["'yesterday'", "2024-01-01T09:30"]),
    "number as time": ((*FETCH, "--interval", "1m", "--start", "1700000000"), ["'1700000000'", "unit"]),
    "impossible time": ((*FOLLOW_BTC, "--since", "2024-02-30"), ["'2024-02-30'", "accepted"]),
    "end before start": (
        (*FETCH, "--interval", "1m", "--start", "2024-02-01", "--end", "2024-01-01"),
        ["end must be after start", "2024-02-01", "2024-01-01"],
    ),
    "end without start": ((*FETCH, "--interval", "1m", "--end", "2024-01-01"), ["an end needs a start"]),
    "since of quotes": (
        ("follow", "binance", "quotes", "BTC-USDT", "--since", "2024-01-01"),
        ["--since is for bars", "quotes"],
    ),
    "since to come": ((*FOLLOW_BTC, "--since", "2999-01-01"), ["--since must lie in the past", "2999-01-01"]),
    "letter": (("dead", "requeue", "7"), ["letter 7 does not exist", "tickfarm dead ls"]),
}


UNREADABLE = [(), ("dead",), ("nonsense",), ("follow", "binance"), ("status", "--nonsense"), ("dead", "show", "x")]
#: Runs many command lines in one process, because importing it all takes a second each time.
ONE_AFTER_ANOTHER = """
import contextlib, io, json, sys, cli
for sys.argv[1:] in json.load(sys.stdin):
    shown, said = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(shown), contextlib.redirect_stderr(said):
        try:
            code = cli.main() or 0
        except SystemExit as end:
            code = end.code
    print(json.dumps([code, shown.getvalue(), said.getvalue()]))
"""


def run_each(lines, **env):
    """Run these command lines in one process; return how each ended."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", ONE_AFTER_ANOTHER],
        cwd=CHECKOUT,
        env={**os.environ, **env},
        input=json.dumps(lines),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    return [subprocess.CompletedProcess(line, *answer) for line, answer in zip(lines, answers, strict=True)]


def test_a_slip_is_one_line_that_says_what_was_given_and_what_is_accepted_and_nothing_happens(
    database_url, redis_url, nothing_happened
):
    lines = [arguments for arguments, _ in SLIPS.values()]
    ends = run_each(lines, DATABASE_URL=database_url, REDIS_URL=redis_url)
    for done, (slip, (_, said)) in zip(ends, SLIPS.items(), strict=True):
        line = complaint(done)
        assert done.returncode == 2, slip
        assert [part for part in said if part not in line] == [], line
    assert nothing_happened()


def test_a_command_that_can_not_be_read_is_a_usage_error_and_says_how_to_get_help():
    for done in run_each(UNREADABLE):
        assert done.returncode == 2, done.args
        assert "--help" in done.stdout + done.stderr
        assert "Traceback" not in done.stderr


def commands(group, path=()):
    """Return the path of every command."""
    for name, command in group.commands.items():
        yield (*path, name)
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))


def test_every_command_explains_itself(capsys):
    known = list(commands(get_command(cli.cli)))
    assert {("demo",), ("status",), ("follow",), ("fetch",), ("dead", "requeue")} <= set(known)
    for path in [(), *known]:
        with pytest.raises(SystemExit) as end:
            get_command(cli.cli)([*path, "--help"], prog_name="tickfarm")
        shown = capsys.readouterr()
        assert end.value.code == 0
        assert " ".join(("tickfarm", *path)) in shown.out
        assert "\x1b[" not in shown.out


def test_without_servers_it_says_how_to_get_some(home):
    done = run("status", TICKFARM_HOME=str(home))
    assert done.returncode == 2
    assert complaint(done).startswith("DATABASE_URL is not set")
    assert "tickfarm demo" in done.stderr


@pytest.mark.parametrize("arguments", [("status",), FOLLOW_BTC, ("dead", "ls"), ("dead", "discard", "1")])
def test_postgresql_away_is_one_line_without_the_password(arguments, redis_url):
    done = run(*arguments, DATABASE_URL=NOWHERE, REDIS_URL=redis_url)
    assert done.returncode == 1
    assert complaint(done).startswith("can't reach PostgreSQL (DATABASE_URL): ")
    assert "refused" in done.stderr
    assert "planted-password" not in done.stderr


def test_redis_away_is_one_line_without_the_password_for_what_needs_it(database_url):
    done = run("fetch", "binance", "quotes", "BTC-USDT", DATABASE_URL=database_url, REDIS_URL=NO_REDIS)
    assert done.returncode == 1
    assert complaint(done).startswith("can't reach Redis (REDIS_URL): ")
    assert "planted-password" not in done.stderr


def test_a_wrong_password_is_said_to_be_one(database_url, redis_url):
    stranger = re.sub(r":[^:@/]+@", ":planted-password@", database_url)
    done = run("status", DATABASE_URL=stranger, REDIS_URL=redis_url)
    assert done.returncode == 1
    assert "password authentication failed" in complaint(done)
    stranger = re.sub(r":[^:@/]+@", ":planted-password@", redis_url)
    done = run("fetch", "binance", "quotes", "BTC-USDT", DATABASE_URL=database_url, REDIS_URL=stranger)
    assert done.returncode == 1
    assert "REDIS_URL" in complaint(done)
    assert "planted-password" not in done.stderr


def test_a_setting_that_can_not_be_is_named_without_what_it_held():
    done = run("status", DATABASE_URL="mysql://root:planted-password@db/x", TICKFARM_TRANSPORT="carrier-pigeon")
    assert done.returncode == 2
    line = complaint(done)
    assert "DATABASE_URL is not valid: expected an address like postgresql://" in line
    assert "TICKFARM_TRANSPORT is not valid: expected 'auto', 'curl' or 'requests'" in line
    assert "planted-password" not in line


def test_a_database_without_tables_is_said_to_be_one(servers, redis_url):
    done = run("status", DATABASE_URL=servers.database_url, REDIS_URL=redis_url)
    assert done.returncode == 1
    assert "has not this version's tables" in complaint(done)


def test_the_usual_spelling_of_an_address_is_taken(database_url, redis_url):
    for scheme in ("postgresql", "postgres"):
        address = f"{scheme}://{database_url.partition('://')[2]}"
        assert run("status", "--json", DATABASE_URL=address, REDIS_URL=redis_url).stdout == "[]\n"


def test_follow_status_and_unfollow_agree(tickfarm, session):
    followed = tickfarm(
        "follow", "binance", "bars", "BTC-USDT", "ETH-USDT", "--interval", "1m", "--since", "2026-11-01"
    )
    assert followed.returncode == 0
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
    done = run(*FOLLOW_BTC, DATABASE_URL=database_url, REDIS_URL=NO_REDIS)
    assert done.returncode == 0
    assert done.stdout == "following 1 series of binance\n"
    assert "it begins when Redis can be reached" in done.stderr
    assert session.scalar(select(Job.state)) == "due"


def test_nothing_followed_is_said_on_stderr_and_is_an_empty_list_in_json(tickfarm):
    shown = tickfarm("status")
    assert (shown.returncode, shown.stdout) == (0, "")
    assert "nothing is followed yet" in shown.stderr
    assert json.loads(tickfarm("status", "--json").stdout) == []


def test_a_fetch_that_nobody_would_work_on_is_refused_at_once_and_not_sent(tickfarm, nothing_happened):
    done = tickfarm("fetch", "binance", "quotes", "BTC-USDT")
    assert done.returncode == 1
    assert complaint(done).startswith("no worker serves the standard lane")
    assert nothing_happened()


def test_providers_lists_what_can_be_asked_of_whom_without_any_server():
    rows = json.loads(run("providers", "--json").stdout)
    assert [row["provider"] for row in rows] == ["binance", "nasdaq_data_link"]
    assert rows[0]["datasets"] == ["bars", "quotes"]
    assert rows[1]["key"] == "NASDAQ_DATA_LINK_API_KEY"
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
    (leased,) = lease_due(session, "live", limit=1, now=datetime.now(UTC))
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
    cli._print_json({"price": Decimal("1.10"), "ts": datetime(2026, 1, 1, tzinfo=UTC)})
    assert json.loads(capsys.readouterr().out) == {"price": "1.10", "ts": "2026-01-01T00:00:00+00:00"}
