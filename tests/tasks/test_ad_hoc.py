"""A call by hand, four ways: `celery call`, `.delay().get()`, Flower's task apply, `tickfarm fetch`.

Deliberately not here: what a call does when a provider or a server fails (test_calls_by_hand.py, test_servers_away.py).
Invariant: each way does the same work, leaves the same record and returns the same result.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from tests.tasks.flower import flower
from tests.tickfarm_command import run
from tests.waiting import until

TASK = "tasks.fetch.kraken"
WAIT_S = 60
#: Closed long ago and within Kraken's reach of 720 bars; the call may end in the minute after it began.
END = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=5)
CALL = {
    "dataset": "bars",
    "instruments": ["BTC-USD"],
    "interval": "1m",
    "start": (END - timedelta(minutes=60)).isoformat(),
    "end": END.isoformat(),
}
ROWS = "SELECT ts, open, high, low, close, volume, trade_count, is_final FROM bars ORDER BY ts"
RECORD = "SELECT task, lane, state, priority, attempt, failures, kwargs->>'dataset', result->>'rows' FROM jobs"
LOG = "SELECT provider, dataset, lane, requests, failed, outcome FROM fetch_log"
TABLES = ("jobs", "dead_letters", "bars", "ledger", "revisions", "findings", "fetch_log")


@pytest.fixture
def ways(shared_farm):
    """Return the ways by name; each makes the call and returns its result."""

    def celery_call():
        done = shared_farm.celery("call", TASK, "--kwargs", json.dumps(CALL))
        assert done.returncode == 0, done.stderr
        with shared_farm.client() as client:
            return client.AsyncResult(done.stdout.split()[-1]).get(timeout=WAIT_S)

    def delay():
        with shared_farm.client() as client:
            return client.signature(TASK).delay(**CALL).get(timeout=WAIT_S)

    def flowers_apply():
        with flower(shared_farm) as api:
            until(lambda: "one@farm" in api.read("/api/workers?refresh=1"), within_s=60, what="the worker")
            answer = api.send(f"/api/task/apply/{TASK}", {"kwargs": CALL})
        assert answer["state"] == "SUCCESS"
        return answer["result"]

    def tickfarm_fetch():
        env = {name: shared_farm.env[name] for name in ("DATABASE_URL", "REDIS_URL", "TICKFARM_HOME")}
        window = ("--interval", "1m", "--start", CALL["start"], "--end", CALL["end"])
        sandbox = shared_farm.env["TICKFARM_SANDBOX_URL"]
        done = run("fetch", "kraken", "bars", "BTC-USD", *window, TICKFARM_SANDBOX_URL=sandbox, **env)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return {one.__name__: one for one in (celery_call, delay, flowers_apply, tickfarm_fetch)}


def test_every_way_of_calling_does_the_same_work_leaves_the_same_record_and_returns_the_result(shared_farm, ways):
    seen = {}
    for name, call in ways.items():
        shared_farm.empty(*TABLES)
        result = call()
        assert result.pop("job_id") == shared_farm.value("SELECT id FROM jobs")
        seen[name] = (result, shared_farm.rows(ROWS), shared_farm.rows(RECORD), shared_farm.rows(LOG))
    result, rows, record, log = seen["delay"]
    assert (result["state"], result["rows"], result["inserted"], result["findings"]) == ("done", 60, 60, 0)
    assert len(rows) == 60
    assert [tuple(row) for row in record] == [(TASK, "standard", "done", 2, 1, 0, "bars", "60")]
    assert [tuple(row) for row in log] == [("kraken", "bars", "standard", 1, 0, "fetched")]
    assert [name for name, one in seen.items() if one != seen["delay"]] == []


def test_a_call_that_must_wait_says_until_when_and_why_and_is_done_by_itself_then(shared_farm, ways):
    """Kraken's way of saying so: an error in a 200, with the time from which it may be asked again."""
    shared_farm.empty(*TABLES)
    until_s = int(datetime.now(UTC).timestamp()) + 5
    body = json.dumps({"error": [f"EService:Throttled: {until_s}"]})
    shared_farm.sandbox.arm("kraken", "error_in_200", args={"body": body})
    result = ways["delay"]()
    assert result["state"] == "deferred"
    assert datetime.fromisoformat(result["until"]).timestamp() >= until_s
    assert "kraken" in result["reason"]
    shared_farm.all_done(within_s=30)
    assert len(shared_farm.rows(ROWS)) == 60
