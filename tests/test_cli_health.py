"""`tickfarm health`, `providers`, `events`, `breaker`, `hold`, `limit`, `lift`: what they show and do, how they end.

Deliberately not here: what a state is (tests/pipeline). The commands run as scripts would run them, without a farm.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import redis
from sqlalchemy import select
from sqlalchemy.orm import sessionmaker

from ingest.pipeline.events import Event, publish, write_events
from ingest.pipeline.workers import Worker, announce
from ingest.settings import CHECKOUT
from ingest.transport.gate import gate_key
from models import ProviderEvent, ProviderHold, ProviderLimit, open_engine
from tests.tickfarm_command import complaint, each_with, run
from tests.transport.callers import POLICY, ask, ended, new_gate

LANES = ("live", "standard", "backfill", "maintenance")


@pytest.fixture
def servers_of(database_url, redis_url, home):
    return {"DATABASE_URL": database_url, "REDIS_URL": redis_url, "TICKFARM_HOME": str(home)}


@pytest.fixture
def tickfarm(servers_of):
    return each_with(**servers_of)


@pytest.fixture
def store(redis_url):
    with closing(redis.Redis.from_url(redis_url)) as client:
        yield client


@pytest.fixture
def session(database_url):
    engine = open_engine(database_url, application_name="test", pooled=False)
    with sessionmaker(engine)() as opened:
        yield opened
    engine.dispose()


def send(store, provider, *verdicts, **more):
    """Count requests that ended like this, as a worker does."""
    gate = new_gate(store)
    admission = gate.admit(ask(len(verdicts), provider=provider, **more))
    gate.report(admission, [one for verdict in verdicts for one in ended(1, verdict)], policy=POLICY)


def test_health_says_how_the_farm_is_with_figures_for_scripts_and_for_people(tickfarm, store):
    send(store, "binance", *["ok"] * 88, *["failed", "ok"] * 4, *["throttled"] * 4)
    send(store, "kraken", *["failed", "ok"] * 4)
    said = []
    for command in ("health --json", "health"):
        announce(store, Worker("one@here", LANES, 3))  # for six seconds
        said += tickfarm(command)
    shown, table = said
    assert (shown.returncode, table.returncode) == (3, 3)
    found = json.loads(shown.stdout)
    assert found["verdict"] == "OFFLINE"
    assert next((one["name"], one["is_met"]) for one in found["farm"]["targets"]) == ("success_rate", False)
    assert "  target missed: success_rate is 0.8" in table.stdout
    assert found["reasons"] == [
        "nobody leads: no beat is there, or it can't reach the database",
        "kraken is CRITICAL",
    ]
    farm = found["farm"]
    assert (farm["requests"], farm["failed"], farm["throttled"]) == (108, 8, 4)
    assert farm["error_share"] == pytest.approx(8 / 108, abs=1e-4)
    assert 0.3 < farm["requests_per_s"] < 0.4
    assert farm["lanes"] == dict.fromkeys(LANES, 3)
    assert farm["jobs_of_the_last_hour"]["succeeded"] == 0
    assert farm["connections"] == {"leased": 0, "most": 5000}
    providers = {one["provider"]: one for one in found["providers"]}
    assert providers["binance"]["state"] == "HEALTHY"
    assert providers["kraken"]["reasons"] == ["4 of 8 requests failed (50.0%)"]
    assert providers["coinbase"]["state"] == "IDLE"
    assert providers["binance"]["p95_ms"] == pytest.approx(5, rel=0.1)
    assert "the farm is OFFLINE" in table.stdout
    assert re.search(
        r"^kraken +CRITICAL +8 +50\.0% +0 +5 ms +5 ms +5 ms +0% +CLOSED +4 of 8", table.stdout, re.MULTILINE
    )
    assert "\x1b" not in table.stdout
    assert shown.stderr == table.stderr == ""


def test_providers_show_state_breaker_budget_and_key(tickfarm, store):
    send(store, "coinbase", *["failed"] * 5)
    send(store, "binance", *["failed"] * 5)
    shown, table = tickfarm("providers --json", "providers", NASDAQ_DATA_LINK_API_KEY="planted-key")
    found = {row["provider"]: row for row in json.loads(shown.stdout)}
    assert (found["coinbase"]["state"], found["coinbase"]["breaker"]) == ("OFFLINE", "OPEN")
    assert found["binance"]["breaker"] == "CLOSED", "it has other addresses"
    assert (found["kraken"]["state"], found["kraken"]["breaker"]) == ("IDLE", "CLOSED")
    assert (found["binance"]["key_present"], found["nasdaq_data_link"]["key_present"]) == (None, True)
    [weight] = [one for one in found["binance"]["budget_used"] if one["unit"] == "weight"]
    assert (weight["amount"], weight["per_s"], weight["used"]) == (6000, 60, 0)
    assert "0 of 6,000 per minute" in table.stdout
    assert "planted-key" not in shown.stdout + table.stdout


def test_without_servers_providers_say_what_can_be_asked_and_that_no_more_is_known(home):
    done = run("providers", "--json", TICKFARM_HOME=str(home))
    assert done.returncode == 0
    assert {row["state"] for row in json.loads(done.stdout)} == {None}
    assert {row["key_present"] for row in json.loads(done.stdout)} == {None, False}
    assert done.stderr.startswith("how they are is not known: ")


def test_a_provider_is_held_and_lifted_and_what_it_asked_for_itself_only_with_all(tickfarm, store, session):
    banned = datetime.now(UTC) + timedelta(hours=1)
    session.add(ProviderHold(provider="binance", pool="", kind="throttled", until=banned, reason="418 until .."))
    session.commit()
    held, again, seen, lifted, nothing, events, plain, everything = tickfarm(
        "hold kraken --for 2h --reason maintenance",
        "hold kraken --reason moving",
        "providers --json",
        "lift kraken",
        "lift kraken",
        "events --json",
        "lift binance",
        "lift binance --all",
    )
    assert held.returncode == 0
    assert held.stdout.startswith("kraken is asked nothing until 20")
    assert again.stdout == "kraken is asked nothing until `tickfarm lift` ends it\n"
    assert [row["provider"] for row in json.loads(seen.stdout) if row["held"]] == ["binance", "kraken"]
    assert lifted.stdout == "kraken is no longer held\n"
    assert nothing.stdout == "nothing was held of kraken\n"
    assert plain.stdout == "nothing was held of binance\n"
    assert "418 until .. (--all)" in plain.stderr
    assert (everything.stdout, everything.stderr) == ("binance is no longer held\n", "")
    assert session.scalars(select(ProviderHold)).all() == []
    assert store.hget(gate_key("kraken"), "hand") is None
    found = json.loads(events.stdout)
    assert [(one["kind"], one["after"], one["reason"]) for one in found] == [
        ("hold", "held", "by hand: maintenance"),
        ("hold", "held", "by hand: moving"),
        ("hold", "free", "lifted by hand (by hand: moving)"),
    ]
    until_ = datetime.fromisoformat(found[0]["until"]) - datetime.fromisoformat(found[0]["at"])
    assert abs(until_ - timedelta(hours=2)) < timedelta(minutes=1)


def test_a_provider_is_limited_to_a_share_and_used_wholly_again(tickfarm, store, session):
    limited, seen, ended, nothing, events = tickfarm(
        "limit kraken 25 --for 2h --reason maintenance",
        "health --json",
        "limit kraken 100",
        "limit kraken 100",
        "events --json",
    )
    assert limited.stdout.startswith("kraken is used to 25 % of what it allows until 20")
    [percent] = [one["limit"]["percent"] for one in json.loads(seen.stdout)["providers"] if one["limit"]]
    assert percent == 25
    assert ended.stdout == "kraken is used as far as it allows\n"
    assert nothing.stdout == "kraken had no limit by hand\n"
    assert session.scalars(select(ProviderLimit)).all() == []
    assert store.hget(gate_key("kraken"), "limit") is None
    assert [(one["kind"], one["before"], one["after"]) for one in json.loads(events.stdout)] == [
        ("limit", "100 %", "25 %"),
        ("limit", "25 %", "100 %"),
    ]


def test_a_breaker_is_opened_probed_and_closed_by_hand_and_each_is_an_event(tickfarm, store, session):
    gate = new_gate(store)
    nothing, opened, probe = tickfarm("breaker probe kraken", "breaker open kraken --for 10m", "breaker probe kraken")
    assert nothing.stderr == "no breaker of kraken is open\n"
    assert opened.stdout.startswith("kraken 0: closed -> open until ")
    assert probe.stdout == "kraken 0: its next request is a probe\n"
    assert gate.admit(ask(9, provider="kraken")).is_probe
    closed, events = tickfarm("breaker close kraken", "events --provider kraken")
    assert closed.stdout == "kraken 0: half -> closed\n"
    assert gate.admit(ask(9, provider="kraken")).granted == 9
    found = session.scalars(select(ProviderEvent).order_by(ProviderEvent.id)).all()
    assert [(one.before, one.after, one.reason) for one in found] == [
        ("closed", "open", "by hand"),
        ("half", "closed", "by hand"),
    ]
    assert abs(found[0].until - found[0].at - timedelta(minutes=10)) < timedelta(seconds=30)
    assert [line.split("  ")[1:3] for line in events.stdout.splitlines()] == [["kraken", "breaker 0"]] * 2


def test_events_are_followed_as_they_come_an_object_a_line(servers_of, session, store):
    first = Event("kraken", "health", "IDLE", "HEALTHY", reason="first")
    write_events(session, [first, replace(first, provider="binance")])
    session.commit()
    command = [sys.executable, "-W", "error", "-m", "cli", "events", "--provider", "kraken", "--follow", "--json"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=CHECKOUT, env={**os.environ, **servers_of}, **pipes) as follower:
        try:
            assert json.loads(follower.stdout.readline())["reason"] == "first"  # it listens since before that
            second = replace(first, before="HEALTHY", after="OFFLINE")
            publish(store, [replace(second, provider="binance"), second])
            line = json.loads(follower.stdout.readline())
        finally:
            follower.send_signal(signal.SIGINT)
        assert follower.wait(20) == 0
        assert follower.stderr.read() == ""
    assert (line["provider"], line["kind"], line["before"], line["after"]) == ("kraken", "health", "HEALTHY", "OFFLINE")
    assert datetime.fromisoformat(line["at"]).tzinfo is not None


SLIPS = {
    "health nonsense": "",
    "hold krakn --reason x": "did you mean kraken?",
    "lift krakn": "did you mean kraken?",
    "breaker open krakn": "did you mean kraken?",
    "events --provider krakn": "did you mean kraken?",
    "hold kraken --for soon --reason x": "30s, 5m, 6h or 1d",
    "hold kraken --for 0s --reason x": "over 0",
    "hold kraken --for 99999d --reason x": "ten years at most",
    "breaker open kraken --for 2d": "for a day at most",
    "limit krakn 50 --reason x": "did you mean kraken?",
    "limit kraken 0 --reason x": "1 to 99 percent",
    "limit kraken 50": "needs a reason",
    "limit kraken half --reason x": "",
}


def test_a_slip_is_one_line_and_nothing_is_done(tickfarm, store, session):
    for done, (line, said) in zip(tickfarm(*SLIPS), SLIPS.items(), strict=True):
        assert done.returncode == 2, line
        if said:
            assert said in complaint(done), line
    assert store.dbsize() == 0
    assert session.scalars(select(ProviderEvent)).all() == session.scalars(select(ProviderHold)).all() == []
