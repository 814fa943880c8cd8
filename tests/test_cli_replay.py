"""`tickfarm replay`: says what archived answers would change, and by its exit code whether they would."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from ingest.payloads import StoredAnswer, pack, payload_key
from ingest.pipeline.context import Context
from ingest.pipeline.fetch_log import Asker, Ending, Trace, log_rows
from ingest.settings import Settings
from ingest.wire import Answer, Request
from tests.conftest import statement
from tests.tickfarm_command import run_each

DAY = datetime(2024, 3, 5, tzinfo=UTC)
WINDOW = "--interval 1m --start 2024-03-05 --end 2024-03-06"


@pytest.fixture
def tickfarm(database_url, redis_url, home):
    """Many command lines in one process, on a farm that fetched thirty bars, and stored none of them."""
    settings = Settings(database_url=database_url, redis_url=redis_url, tickfarm_archive_dir=home / "archive")
    context = Context(settings, name="test replay")
    now = datetime.now(UTC)
    moments = [int((DAY + timedelta(minutes=at)).timestamp() * 1000) for at in range(30)]
    rows = [
        [at, "1.10", "3", "1", f"2.5{number}", "5", at + 59_999, "7", 3, "1", "1", "0"]
        for number, at in enumerate(moments)
    ]
    request = Request("/api/v3/klines", instruments=("BTC-USDT",), start=DAY, end=DAY + timedelta(minutes=30))
    answer = StoredAnswer(Answer(request, 200, {}, json.dumps(rows).encode(), now, now))
    call = {"dataset": "bars", "instruments": ["BTC-USDT"], "interval": "1m"}
    key = payload_key(1, 1)
    place = context.payloads.put(key, pack([answer], call).blob, now, in_flight=False)
    asker, trace = Asker("binance", "bars", job_id=1, attempt=1), Trace(answer.answer, "http://127.0.0.1", answer=0)
    context.make_room("fetch_log", now, now)
    with context.sessions.begin() as session:
        for found in (place, replace(place, segment="2024-03-06/gone.seg")):
            session.add_all(log_rows(asker, [trace], Ending(now, 1, "fetched", payload_key=key, place=found)))
    context.close()

    def command(*lines):
        env = {"DATABASE_URL": database_url, "REDIS_URL": redis_url, "TICKFARM_HOME": str(home)}
        return run_each([line.split() for line in lines], TICKFARM_LOG_FORMAT="json", **env)

    return command


def test_it_exits_with_3_until_what_differs_is_applied_and_with_0_then(tickfarm, database_url):
    line = f"replay binance bars BTC-USDT {WINDOW}"
    shown, document, applied, again = tickfarm(line, f"{line} --json", f"{line} --apply", line)
    assert [one.returncode for one in (shown, document, applied, again)] == [3, 3, 0, 0]
    assert "rows: 30 new, 0 differ, 0 the same" in shown.stdout
    assert "1 missing" in shown.stdout
    assert "close=2.50" in shown.stdout
    assert "the first 20 of 30; --json has more" in shown.stderr
    assert "nothing was stored: --apply does it" in shown.stderr
    found = json.loads(document.stdout)
    assert found["rows"] == {"new": 30, "differing": 0, "identical": 0, "superseded": 0}
    assert (len(found["differences"]), found["applied"], len(found["missing"])) == (30, None, 1)
    first = found["differences"][0]
    assert (first["instrument"], first["old"], first["new"]["close"]) == ("BTC-USDT", None, "2.50")
    assert "30 rows inserted" in applied.stderr
    assert "rows: 0 new, 0 differ, 30 the same" in again.stdout
    assert statement(database_url, "SELECT count(*) FROM bars") == 30


def test_what_can_not_be_is_said_in_one_line_and_asks_no_archive(tickfarm):
    refused = tickfarm(
        f"replay nobody bars {WINDOW}",
        f"replay binance candles {WINDOW}",
        "replay binance bars --interval 7m --start 2024-03-05 --end 2024-03-06",
        f"replay binance quotes {WINDOW}",
        "replay binance bars --interval 1m --start 2024-03-06 --end 2024-03-05",
        "replay binance bars --interval 1m --start yesterday --end 2024-03-05",
    )
    for one, said in zip(
        refused, ("provider", "dataset", "interval", "no interval", "end must be", "not a time"), strict=True
    ):
        assert (one.returncode, one.stdout) == (2, ""), one
        assert said in one.stderr
        assert one.stderr.count("\n") == 1
