"""`tickfarm findings`: what quality rules object to, by what is asked for; data on stdout, slips in one line."""

from __future__ import annotations

import json
from datetime import datetime

import pytest
from sqlalchemy.orm import sessionmaker

from models import Finding, open_engine
from tests.tickfarm_command import each_with

#: provider, dataset, instrument, rule, severity
EACH = [
    ("binance", "bars", "BTC-USDT", "high_below_low", "reject"),
    ("binance", "quotes", "ETH-USDT", "crossed", "warn"),
    ("kraken", "bars", "BTC-USDT", "high_below_low", "reject"),
]


@pytest.fixture
def tickfarm(database_url, redis_url, home):
    return each_with(DATABASE_URL=database_url, REDIS_URL=redis_url, TICKFARM_HOME=str(home))


@pytest.fixture
def stored(database_url):
    """Three findings, the newest last."""
    engine = open_engine(database_url, application_name="test", pooled=False)
    names = ("provider", "dataset", "instrument", "rule", "severity")
    about = {"job_id": 1, "rows": 2_000, "reason": "high 1 is below [/low] 2\nand more", "sample": "{}", "answer": 0}
    with sessionmaker(engine).begin() as session:
        for number, one in enumerate(EACH):
            session.add(Finding(**dict(zip(names, one, strict=True)), **about, payload_key=f"p{number}"))
            session.flush()
    engine.dispose()


def test_findings_are_listed_newest_first_by_all_that_can_be_asked_for(tickfarm, stored):
    lines = {
        "": [2, 1, 0],
        "--provider binance": [1, 0],
        "--dataset bars": [2, 0],
        "--instrument BTC-USDT --provider kraken": [2],
        "--rule crossed": [1],
        "--severity reject --limit 1": [2],
    }
    answers = tickfarm(*(f"findings --json {line}" for line in lines))
    assert [answer.returncode for answer in answers] == [0] * len(lines)
    keys = [[row["payload_key"] for row in json.loads(answer.stdout)] for answer in answers]
    assert keys == [[f"p{number}" for number in numbers] for numbers in lines.values()]
    newest = json.loads(answers[0].stdout)[0]
    assert set(newest) == set(Finding.__table__.columns.keys())
    assert datetime.fromisoformat(newest["at"]).tzinfo is not None


def test_the_table_is_a_line_each_and_slips_are_one_line_that_says_what_there_is(tickfarm, stored):
    table, empty, *slips = tickfarm(
        "findings",
        "findings --provider yahoo",
        "findings --severity bad",
        "findings --dataset candles",
        "findings --provider nobody",
        "findings --limit 0",
    )
    assert table.stdout.count("\n") == 4
    assert "high_below_low  reject    2,000  high 1 is below [/low] 2" in table.stdout
    assert (empty.returncode, empty.stdout, empty.stderr) == (0, "", "no such findings\n")
    assert [one.returncode for one in slips] == [2] * 4
    assert "warn" in slips[0].stderr
