"""`tickfarm gaps`: lists what is missing, has it looked for, and exits 3 while anything is."""

from __future__ import annotations

import json

import pytest

from tests.conftest import statement
from tests.tickfarm_command import each_with


@pytest.fixture
def tickfarm(database_url, redis_url, home):
    return each_with(
        DATABASE_URL=database_url, REDIS_URL=redis_url, TICKFARM_HOME=str(home), TICKFARM_LOG_FORMAT="json"
    )


def test_gaps_are_listed_owed_once_and_end_with_exit_code_3(tickfarm, database_url):
    [nothing] = tickfarm("gaps")
    assert (nothing.returncode, nothing.stdout) == (0, "")
    statement(
        database_url,
        "INSERT INTO series (provider, dataset, instrument, interval, followed, since, until)"
        " VALUES ('binance', 'bars', 'BTC-USDT', '1m', true, '2024-03-05', '2024-03-06')",
    )
    first, again, table = tickfarm("gaps --check --json", "gaps --check --json", "gaps")
    assert [one.returncode for one in (first, again, table)] == [3, 3, 3]
    assert "1 jobs owed for 1,440 rows" in first.stderr
    assert "0 jobs owed" in again.stderr
    [gap] = json.loads(first.stdout)
    assert (gap["instrument"], gap["rows"], gap["attempts"]) == ("BTC-USDT", 1440, 1)
    assert "binance bars BTC-USDT 1m" in table.stdout
