"""The `tickfarm` command when something is amiss: a slip, a setting, a server that is away.

Deliberately not here: what its commands order and show (test_cli_orders.py), and a farm that works on that
(test_demo.py). Invariant: a refusal is one line, and what is refused has written nothing and sent nothing.
"""

from __future__ import annotations

import re
from contextlib import closing

import pytest
import redis
from typer.main import get_command

import cli
from tests.conftest import statement
from tests.sandbox.conftest import start_sandbox
from tests.tickfarm_command import FOLLOW_BTC, NO_POSTGRESQL, NO_REDIS, complaint, run, run_each

WRITTEN = "SELECT (SELECT count(*) FROM jobs) + (SELECT count(*) FROM series) + (SELECT count(*) FROM dead_letters)"
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
        ["--since is for what has a history", "quotes"],
    ),
    "file": (("follow", "binance", "quotes", "--from", "/nowhere/names"), ["can't read /nowhere/names"]),
    "no instrument": (("follow", "binance", "quotes"), ["no instrument is given"]),
    "rename to itself": (("rename", "binance", "BTC-USDT", "BTC-USDT", "--on", "2024-01-01"), ["the name it has"]),
    "end to come": (("delist", "binance", "BTC-USDT", "--on", "2999-01-01"), ["must not lie in the future"]),
    "enable nothing": (("providers", "enable"), ["name the provider"]),
    "since to come": ((*FOLLOW_BTC, "--since", "2999-01-01"), ["--since must lie in the past", "2999-01-01"]),
    "letter": (("dead", "requeue", "7"), ["letter 7 does not exist", "tickfarm dead ls"]),
}
UNREADABLE = [(), ("dead",), ("nonsense",), ("follow", "binance"), ("status", "--nonsense"), ("dead", "show", "x")]


@pytest.fixture
def nothing_happened(database_url, redis_url):
    def check():
        with closing(redis.Redis.from_url(redis_url)) as client:
            return statement(database_url, WRITTEN) == 0 and client.dbsize() == 0

    return check


@pytest.fixture(scope="module")
def exchange():
    """Return the address of a sandbox, which lists its pairs."""
    process, url = start_sandbox("--port", "0")
    with process:
        yield url
        process.terminate()


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


def test_a_pair_that_is_not_listed_is_refused_with_those_that_are_near(exchange, database_url, redis_url):
    given = ("follow", "binance", "quotes", "BTC-USTD")
    done = run(*given, DATABASE_URL=database_url, REDIS_URL=redis_url, TICKFARM_SANDBOX_URL=exchange)
    assert done.returncode == 2
    line = complaint(done)
    assert "unknown instrument" in line
    assert "'BTC-USTD'" in line
    assert "BTC-USDT" in line
    assert statement(database_url, WRITTEN) == 0


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
def test_postgresql_away_is_one_line_without_the_password(arguments, redis_url, exchange):
    done = run(*arguments, DATABASE_URL=NO_POSTGRESQL, REDIS_URL=redis_url, TICKFARM_SANDBOX_URL=exchange)
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


def test_a_fetch_that_nobody_would_work_on_is_refused_at_once_and_not_sent(database_url, redis_url, nothing_happened):
    given = ("fetch", "binance", "quotes", "BTC-USDT")
    done = run(*given, DATABASE_URL=database_url, REDIS_URL=redis_url)
    assert done.returncode == 1
    assert complaint(done).startswith("no worker serves the standard lane")
    assert nothing_happened()
