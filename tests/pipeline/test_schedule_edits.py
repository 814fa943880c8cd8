"""Edits of the schedule: the file's word, an operator's on top of it, and the leader that takes both up at once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ingest.errors import FixRequest
from ingest.pipeline import schedule_edits
from ingest.pipeline.leader import Leader
from ingest.pipeline.schedule_edits import Names
from tests.pipeline.farm import LANES
from tests.tester import TESTER

MINUTE = timedelta(minutes=1)
START = datetime.now(UTC).replace(second=0, microsecond=0) - 10 * MINUTE
NAMES = Names(LANES, {"tasks.coverage", "tasks.fetch.binance"})
FILE = {"poll": {"task": "tasks.coverage", "schedule": "1m", "lane": "live", "overlap": True}}


@pytest.fixture
def changed(farm):
    """Return what makes one change in a transaction of its own."""

    def make(change, *arguments):
        with farm.context.sessions.begin() as session:
            who = {} if change is schedule_edits.sync_file else {"by": TESTER}
            return change(session, *arguments, **who)

    return make


@pytest.fixture
def leader(farm, changed):
    changed(schedule_edits.sync_file, FILE, START)
    return Leader(farm.context.sessions, lanes=LANES, max_in_flight_bytes=1024)


@pytest.fixture
def owed(farm, leader):
    """Return what looks once a minute has passed, and says which (priority, lane) was owed."""
    minutes = iter(range(1, 100))

    def look():
        farm.change("DELETE FROM jobs")
        leader.refresh()
        leader.look(START + next(minutes) * MINUTE, {})
        return farm.select("SELECT entry, priority, lane FROM jobs ORDER BY entry")

    return look


def test_an_operators_edit_wins_over_the_file_until_it_is_reset(changed, owed):
    assert owed() == [("poll", 3, "live")]
    changed(schedule_edits.edit, "poll", {"priority": 1}, NAMES, START)
    assert owed() == [("poll", 1, "live")]
    saved = {"poll": FILE["poll"] | {"priority": 5, "lane": "standard"}}
    assert changed(schedule_edits.sync_file, saved, START) == ["poll"]
    assert owed() == [("poll", 1, "standard")]
    changed(schedule_edits.reset, "poll", START)
    assert owed() == [("poll", 5, "standard")]


def test_an_entry_that_is_gone_from_the_file_stops_and_one_that_is_new_starts(changed, owed):
    assert owed() == [("poll", 3, "live")]
    changed(schedule_edits.sync_file, {"other": FILE["poll"]}, START)
    assert owed() == [("other", 3, "live")]


def test_an_entry_gone_from_the_file_stops_even_if_it_was_edited(changed, owed, farm):
    changed(schedule_edits.edit, "poll", {"priority": 1}, NAMES, START)
    changed(schedule_edits.sync_file, {}, START)
    assert owed() == []
    assert farm.value("SELECT count(*) FROM schedule") == 0


def test_an_operators_own_entry_is_not_the_files_to_stop(changed, owed):
    changed(schedule_edits.add, "mine", FILE["poll"], NAMES, START)
    changed(schedule_edits.sync_file, {}, START)
    assert owed() == [("mine", 3, "live")]
    changed(schedule_edits.remove, "mine")
    assert owed() == []


def test_a_removed_entry_of_the_file_stays_removed_when_the_file_is_saved_and_comes_back_by_reset(changed, owed):
    changed(schedule_edits.remove, "poll")
    assert owed() == []
    changed(schedule_edits.sync_file, {"poll": FILE["poll"] | {"priority": 2}}, START)
    assert owed() == []
    changed(schedule_edits.reset, "poll", START)
    assert owed() == [("poll", 2, "live")]


def test_a_paused_entry_owes_nothing_and_a_resumed_one_nothing_of_the_pause(changed, owed, farm, leader):
    changed(schedule_edits.edit, "poll", {"enabled": False}, NAMES, START)
    assert owed() == []
    changed(schedule_edits.edit, "poll", {"enabled": True, "catch_up": "all"}, NAMES, START + 5 * MINUTE)
    leader.refresh()
    leader.look(START + 6 * MINUTE, {})
    assert farm.select("SELECT due_at FROM jobs") == [(START + 6 * MINUTE,)]


def test_a_run_by_hand_is_owed_at_once_even_of_a_paused_entry_and_counts_as_a_run(changed, farm):
    changed(schedule_edits.sync_file, FILE, START)
    changed(schedule_edits.edit, "poll", {"enabled": False}, NAMES, START)
    run, count = changed(schedule_edits.run_now, "poll", NAMES, START)
    assert count == 1
    assert farm.select("SELECT run_id, entry, due_at FROM jobs") == [(run, "poll", START)]
    assert farm.select("SELECT by_hand, outcome FROM schedule_runs") == [(True, None)]


def test_saving_the_same_file_changes_nothing(changed, farm):
    changed(schedule_edits.sync_file, FILE, START)
    before = farm.select("SELECT * FROM schedule")
    assert changed(schedule_edits.sync_file, FILE, START + MINUTE) == []
    assert farm.select("SELECT * FROM schedule") == before


def test_edits_that_overlap_are_seen_whichever_is_committed_last(farm, leader, changed):
    changed(schedule_edits.sync_file, FILE | {"other": FILE["poll"]}, START)
    leader.refresh()
    with farm.context.sessions() as slow:
        schedule_edits.edit(slow, "poll", {"priority": 1}, NAMES, START, by=TESTER)
        slow.flush()
        changed(schedule_edits.edit, "other", {"priority": 2}, NAMES, START)
        leader.refresh()
        slow.commit()
    leader.refresh()
    leader.look(START + MINUTE, {})
    assert farm.select("SELECT entry, priority FROM jobs ORDER BY entry") == [("other", 2), ("poll", 1)]


REFUSED = {
    "unknown entry": ("pol", {"priority": 1}, "did you mean poll"),
    "unknown field": ("poll", {"prio": 1}, "unknown field 'prio'"),
    "bad priority": ("poll", {"priority": 9}, "priority: .*less than or equal to 5"),
    "unknown task": ("poll", {"task": "tasks.coverge"}, "did you mean tasks.coverage"),
    "unknown lane": ("poll", {"lane": "slow"}, "accepted: live, standard"),
    "waits for nobody": ("poll", {"after": "gone"}, "unknown schedule entry: 'gone'"),
    "waits for itself": ("poll", {"after": "poll"}, "would wait for itself"),
    "no cadence": ("poll", {"schedule": "often"}, "expected a period like 30s"),
}


@pytest.mark.parametrize(("name", "fields", "said"), REFUSED.values(), ids=REFUSED.keys())
def test_an_edit_that_makes_no_entry_is_refused_and_changes_nothing(changed, farm, name, fields, said):
    changed(schedule_edits.sync_file, FILE, START)
    before = farm.select("SELECT * FROM schedule")
    with pytest.raises(FixRequest, match=said):
        changed(schedule_edits.edit, name, fields, NAMES, START)
    assert farm.select("SELECT * FROM schedule") == before


def test_entries_can_not_be_made_to_wait_in_a_circle(changed):
    changed(schedule_edits.sync_file, FILE | {"b": FILE["poll"] | {"after": "poll"}}, START)
    with pytest.raises(FixRequest, match="poll after b after poll"):
        changed(schedule_edits.edit, "poll", {"after": "b"}, NAMES, START)


def test_an_entry_is_added_once_and_the_files_is_not_the_operators_to_delete(changed):
    changed(schedule_edits.sync_file, FILE, START)
    with pytest.raises(FixRequest, match="is there already: `tickfarm schedule set poll"):
        changed(schedule_edits.add, "poll", FILE["poll"], NAMES, START)
    changed(schedule_edits.add, "mine", FILE["poll"], NAMES, START)
    with pytest.raises(FixRequest, match="is not in the file"):
        changed(schedule_edits.reset, "mine", START)


def test_what_people_see_says_whose_the_entry_is_and_when_it_runs_next(changed, farm):
    changed(schedule_edits.sync_file, FILE | {"b": FILE["poll"], "c": FILE["poll"]}, START)
    changed(schedule_edits.edit, "b", {"enabled": False}, NAMES, START)
    changed(schedule_edits.remove, "c")
    changed(schedule_edits.add, "mine", FILE["poll"] | {"schedule": "15 6 * * 1-5"}, NAMES, START)
    with farm.context.sessions() as session:
        seen = {one.name: one for one in schedule_edits.views(session, START, LANES)}
    assert [(one.owner, one.state, one.cadence) for one in seen.values()] == [
        ("file, edited", "paused", "every 1m"),
        ("file, edited", "removed", "every 1m"),
        ("operator", "active", "At 06:15 on Monday through Friday"),
        ("file", "active", "every 1m"),
    ]
    assert seen["poll"].next_slot == START + MINUTE
    assert seen["b"].next_slot is None
