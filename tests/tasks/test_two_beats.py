"""Two beats: one leads, the other takes over when the leader is killed; no slot is owed twice."""

from __future__ import annotations

from itertools import pairwise

from tests.waiting import until

SLOTS = "SELECT due_at, count(*) FROM jobs WHERE entry = 'binance-quotes' GROUP BY due_at ORDER BY due_at"


def test_a_stand_by_takes_over_from_a_killed_leader_and_no_slot_is_owed_twice_or_left_out(farm):
    farm.rows(
        "INSERT INTO series (provider, dataset, instrument, interval, followed) "
        "VALUES ('binance', 'quotes', 'BTC-USDT', '', true)"
    )
    farm.worker()
    leader = farm.beat("leader")
    leader.says("leading")
    stand_by = farm.beat("stand-by")
    stand_by.says("beat: Starting")
    farm.wait_for("SELECT count(*) >= 3 FROM jobs WHERE state = 'done'", within_s=60)
    assert "leading" not in stand_by.text()
    leader.kill()
    stand_by.says("leading", within_s=10)
    seen = farm.value("SELECT count(*) FROM jobs")
    farm.wait_for("SELECT count(*) >= :n FROM jobs WHERE state = 'done'", n=seen + 3)
    farm.restart(leader, wait=False)  # it comes back as the stand-by
    leader.says("beat: Starting")
    until(lambda: farm.value("SELECT count(*) FROM jobs WHERE state = 'done'") >= seen + 5, within_s=30)
    assert "leading" not in leader.text()
    slots = farm.rows(SLOTS)
    assert {row.count for row in slots} == {1}
    gaps = [(after.due_at - before.due_at).total_seconds() for before, after in pairwise(slots)]
    assert max(gaps) <= 5, gaps
    assert farm.value("SELECT max(n) FROM (SELECT count(*) n FROM fetch_log GROUP BY job_id) x") == 1
