"""What is lost is looked for within a minute, once a minute at most."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from ingest.pipeline.gaps_now import Alarm
from tests.pipeline.farm import LATER, bars_call

NOW = datetime(2026, 1, 1, 12, 0, 30, tzinfo=UTC)
OWED = "SELECT key, due_at FROM jobs WHERE task = 'tasks.gaps' ORDER BY due_at"


def test_a_fetch_that_was_given_up_owes_one_check_and_a_quiet_farm_none(farm, step):
    alarm = Alarm()
    step(alarm.look, NOW, is_lost=False)
    for name in ("FOO-BAR", "FOO-BAZ"):
        farm.owe("binance", bars_call(name))
    farm.run(within=LATER)
    assert farm.value("SELECT count(*) FROM dead_letters") == 2
    for second in range(3):
        step(alarm.look, NOW + timedelta(seconds=second), is_lost=False)
    assert farm.select(OWED) == [("gaps:2026-01-01T12:01:00+00:00", NOW + timedelta(seconds=30))]


def test_a_storm_of_lost_leases_is_one_check_a_minute(farm, step):
    alarm = Alarm()
    for second in range(60):
        step(alarm.look, NOW + timedelta(seconds=second), is_lost=True)
    assert len(farm.select(OWED)) == 2
