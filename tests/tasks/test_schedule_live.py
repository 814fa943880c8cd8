"""Edits of the schedule under a running beat: by the file, by command, by both; no restart, effect within two seconds.

Deliberately not here: what an edit means (tests/pipeline/test_schedule_edits.py).
"""

from __future__ import annotations

import json
import re
import time

import pytest

from tests.tickfarm_command import run
from tests.waiting import until

#: What an edit may take until it shows: two seconds, and a slot of the entry.
EFFECT_S = 2.0
PERIOD_S = 0.25
PAGE = """
def poll(pair, priority=2, every=%s):
    ours = {"priority": priority, "overlap": True}
    kwargs = {"dataset": "quotes", "instruments": [pair]}
    options = {"queue": "live", "expires": 5, "headers": {"tickfarm": ours}}
    return {"task": "tasks.fetch.binance", "schedule": every, "kwargs": kwargs, "options": options}

beat_schedule = {%s}
"""
COUNT = "SELECT count(*) FROM jobs WHERE entry = :entry AND priority = :priority"


@pytest.fixture
def page(farm):
    """Return what saves the schedule's file."""
    file = farm.folder / "what_runs_when.py"
    farm.env["TICKFARM_SCHEDULE_FILE"] = str(file)

    def save(**entries):
        file.write_text(PAGE % (PERIOD_S, ", ".join(f"{name!r}: {spec}" for name, spec in entries.items())))

    return save


@pytest.fixture
def tickfarm(farm):
    def command(*arguments):
        names = ("DATABASE_URL", "REDIS_URL", "TICKFARM_HOME", "TICKFARM_SANDBOX_URL", "TICKFARM_SCHEDULE_FILE")
        done = run(*arguments, **{name: farm.env[name] for name in names})
        assert done.returncode == 0, done.stderr
        return done.stdout

    return command


@pytest.fixture
def running(farm, page):
    """Start a worker and a beat on a page with one entry, and wait until both are at work."""
    page(bitcoin="poll('BTC-USDT')")
    farm.worker(processes=1)
    beat = farm.beat()
    beat.says("leading")
    farm.wait_for("SELECT count(*) > 0 FROM jobs WHERE state = 'done'")
    return beat


def shows(farm, entry, priority):
    """Wait until a job of the entry is owed at that priority; return how long that took."""
    began = time.monotonic()
    within_s = EFFECT_S + PERIOD_S
    until(lambda: farm.value(COUNT, entry=entry, priority=priority), within_s=within_s, what=f"{entry} at {priority}")
    return time.monotonic() - began


def stops(farm, entry):
    """Wait until the entry owes nothing any more: its newest slot is older than what an edit may take."""
    newest = "SELECT clock_timestamp() - max(due_at) > make_interval(secs => :s) FROM jobs WHERE entry = :entry"
    farm.wait_for(newest, entry=entry, s=1.0, within_s=EFFECT_S + 1.0)


def test_saving_the_file_adds_changes_and_stops_entries_within_two_seconds(farm, page, running):
    page(bitcoin="poll('BTC-USDT')", ether="poll('ETH-USDT', 3)")
    shows(farm, "ether", 3)
    page(bitcoin="poll('BTC-USDT', 1)", ether="poll('ETH-USDT', 3)")
    shows(farm, "bitcoin", 1)
    page(bitcoin="poll('BTC-USDT', 1)")
    stops(farm, "ether")
    assert running.child.exit_code() is None


def test_a_file_that_cannot_be_read_changes_nothing_and_the_next_good_one_counts(farm, page, running):
    for broken in ("poll(", "poll('BTC-USDT') | {'schedule': 'often'}", "poll('nonsense')", "1 / 0"):
        said = running.text().count("schedule_file_refused")
        page(bitcoin="poll('BTC-USDT')", broken=broken)
        until(lambda before=said: running.text().count("schedule_file_refused") > before, within_s=5, what="a refusal")
    before = farm.value("SELECT count(*) FROM jobs WHERE entry = 'bitcoin'")
    farm.wait_for("SELECT count(*) > :n FROM jobs WHERE entry = 'bitcoin'", n=before + 4, within_s=5)
    assert farm.value("SELECT count(*) FROM schedule") == 1
    page(bitcoin="poll('BTC-USDT', 4)")
    shows(farm, "bitcoin", 4)


def test_a_command_changes_pauses_resumes_removes_and_resets_within_two_seconds(farm, page, running, tickfarm):
    tickfarm("schedule", "set", "bitcoin", "--priority", "1")
    shows(farm, "bitcoin", 1)
    page(bitcoin="poll('BTC-USDT', 5)")  # the operator's word wins over the file's, and over one saved later
    tickfarm("schedule", "pause", "bitcoin")
    stops(farm, "bitcoin")
    assert farm.value(COUNT, entry="bitcoin", priority=5) == 0
    farm.rows("DELETE FROM jobs WHERE state = 'done'")
    tickfarm("schedule", "resume", "bitcoin")
    shows(farm, "bitcoin", 1)
    tickfarm("schedule", "remove", "bitcoin")
    stops(farm, "bitcoin")
    tickfarm("schedule", "reset", "bitcoin")
    shows(farm, "bitcoin", 5)


def test_an_entry_added_by_command_runs_and_its_history_says_how(farm, running, tickfarm):
    call = json.dumps({"dataset": "quotes", "instruments": ["ETH-USDT"]})
    added = tickfarm(
        "schedule", "add", "mine", "--task", "tasks.fetch.binance", "--every", "1h", "--kwargs", call, "--lane", "live"
    )
    assert added.startswith("mine: every 1h, lane live, priority 3, next at 20")
    tickfarm("schedule", "run", "mine")
    ended = "SELECT outcome FROM schedule_runs WHERE entry = 'mine'"
    assert farm.wait_for(ended, within_s=10) == "ok"
    [ran] = json.loads(tickfarm("schedule", "history", "mine", "--json"))
    assert (ran["outcome"], ran["by_hand"], ran["jobs"], ran["rows"]) == ("ok", True, 1, 1)
    assert 0 < ran["duration_s"] < 10
    listed = {row["name"]: row for row in json.loads(tickfarm("schedule", "ls", "--json"))}
    assert (listed["mine"]["owner"], listed["mine"]["state"]) == ("operator", "active")
    assert listed["bitcoin"]["owner"] == "file"
    assert listed["bitcoin"]["last_run"]["outcome"] in ("ok", "at work")
    assert "every 1h" in tickfarm("schedule", "ls")
    assert re.search(r" ok +\d+\.\d{3} +1 +1 ", tickfarm("schedule", "history", "bitcoin", "--limit", "1000"))


def test_edits_hold_when_another_beat_takes_over(farm, page, running, tickfarm):
    stand_by = farm.beat("stand-by")
    stand_by.says("beat: Starting")
    tickfarm("schedule", "set", "bitcoin", "--priority", "1")
    shows(farm, "bitcoin", 1)
    running.kill()
    stand_by.says("leading", within_s=10)
    at = farm.now()
    farm.wait_for("SELECT count(*) > 3 FROM jobs WHERE entry = 'bitcoin' AND due_at > :at", at=at, within_s=10)
    assert farm.value("SELECT count(*) FROM jobs WHERE due_at > :at AND priority <> 1", at=at) == 0
    page(bitcoin="poll('BTC-USDT')", ether="poll('ETH-USDT', 3)")
    shows(farm, "ether", 3)
