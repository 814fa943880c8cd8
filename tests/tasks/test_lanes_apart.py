"""A lane that is full of work takes nothing from another one: history goes on beside live data, and the reverse.

Deliberately not here: lanes that share one worker (they share its children).
"""

from __future__ import annotations

import pytest

from ingest.pipeline.workers import live_workers
from tests.tasks.load import PAIRS, START, bars_job, check_stored, owe, owe_bars
from tests.waiting import until

#: what the quiet lane does meanwhile, and the time it may take: with an idle farm it takes about 2 s
FEW, IN_TIME_S = 8, 15.0
MANY = 240


@pytest.mark.parametrize(("full", "quiet"), [("live", "backfill"), ("backfill", "live")])
def test_a_saturated_lane_does_not_hold_up_another_one_with_a_worker_of_its_own(farm, full, quiet):
    for lane in (full, quiet):
        farm.start_worker(lane, queues=f"{lane}.load,{lane}")
    for lane in (full, quiet):
        farm.processes[lane].says(" ready.")
    farm.beat()
    farm.sandbox.arm("binance", "slow", times=None, args={"delay_s": 0.5})
    rows = owe_bars(farm, jobs=MANY, pairs=PAIRS[:2], lanes=[full])
    until(lambda: _busy(farm, full) == 2, within_s=30, what="the full lane's children to be at work")
    farm.wait_for("SELECT count(*) >= 4 FROM jobs WHERE state = 'done'")
    owe(farm, *(bars_job(f"few:{at}", PAIRS[2], start=START, lane=quiet) for at in range(FEW)))
    done = "SELECT count(*) = :few FROM jobs WHERE lane = :lane AND state = 'done'"
    farm.wait_for(done, few=FEW, lane=quiet, within_s=IN_TIME_S)
    still_due = farm.value("SELECT count(*) FROM jobs WHERE lane = :lane AND state = 'due'", lane=full)
    assert still_due > MANY / 2, "the full lane was not full any more"
    until(lambda: _busy(farm, full) == 2, within_s=30, what="its children to be seen at work again")
    progress = farm.value("SELECT count(*) FROM jobs WHERE lane = :lane AND state = 'done'", lane=full)
    farm.wait_for("SELECT count(*) > :seen FROM jobs WHERE lane = :lane AND state = 'done'", seen=progress, lane=full)
    farm.sandbox.control("DELETE", "faults")
    farm.all_done(within_s=60)
    farm.rows("DELETE FROM bars WHERE series_id IN (SELECT id FROM series WHERE instrument = :pair)", pair=PAIRS[2])
    farm.rows("DELETE FROM ledger WHERE series_id IN (SELECT id FROM series WHERE instrument = :pair)", pair=PAIRS[2])
    check_stored(farm, rows, pairs=PAIRS[:2])
    assert farm.value("SELECT count(*) FROM fetch_log") == MANY + FEW


def _busy(farm, name):
    return {worker.name: worker.busy for worker in live_workers(farm.context.redis)}[f"{name}@farm"]
