"""A backfill from a provider that does everything wrong: nothing goes missing unreported, nothing comes twice, and when
the faults are over it is whole.

Deliberately not here: each fault by itself, and what a neighbour notices (test_matrix).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import insert, select, text, update

from benchmarks.fault_sandbox import SandboxControl
from benchmarks.fault_table import ILL, INTERVAL, SCENARIOS, Arm
from benchmarks.fault_verdict import Day, judge
from ingest import providers
from ingest.pipeline import backfill, dead_letters
from ingest.pipeline.backfill_plan import check_ask
from ingest.pipeline.backfill_status import progress_of
from ingest.pipeline.coverage import coverage
from ingest.pipeline.gaps import check
from models import DeadLetter, Series
from tests.emptying import empty
from tests.faults.in_process import PATIENCE_S, InProcess
from tests.tester import TESTER

START = datetime(2021, 3, 1, tzinfo=UTC)
COINS = ("BTC", "ETH", "SOL", "BNB", "XRP", "ADA", "DOGE", "LTC", "DOT", "LINK", "AVAX", "TRX", "UNI", "ATOM")
#: What is wrong with rows that come with status 200 goes last: those pages are not sent again by themselves.
ROWS_COME = {
    *("short_page", "missing_row", "empty_page", "repeated_page", "out_of_order", "wrong_content_type", "clock_skew"),
}
OPEN = text("SELECT count(*) FROM jobs WHERE state IN ('due', 'leased', 'fetched')")
DONE = text("SELECT count(*) FROM jobs WHERE state IN ('done', 'dead')")


@pytest.fixture(autouse=True)
def _nothing_stored(module_database_url: str) -> None:
    empty(module_database_url)


@pytest.mark.parametrize(
    ("series", "days", "times"),
    [
        pytest.param(1, 7, 1, id="a series-week"),
        pytest.param(14, 90, 12, id="a quarter", marks=[pytest.mark.full, pytest.mark.timeout(1_800)]),
    ],
)
def test_a_backfill_that_meets_every_fault_is_whole_once_they_are_over(
    ground: InProcess, control: SandboxControl, series: int, days: int, times: int
) -> None:
    asked = Day(tuple(f"{coin}-USDT" for coin in COINS[:series]), START, START + timedelta(days=days))
    arms = every_arm(times)
    for arm in arms:
        control.arm(ILL, arm)
    number = ordered(ground, asked)
    for lost in ("connection", "name"):
        ground.lose(lost)
        failures = failed(ground)
        ground.work(lambda failures=failures: failed(ground) > failures, f"the {lost} to be missed")
        ground.restore(lost)
    work_off(ground, times)
    assert [rule["fault"] for rule in control.armed() if not rule["fired"]] == []
    assert sum(rule["sent_while_held"] for rule in control.armed()) == 0
    control.disarm()
    with ground.sessions() as session:
        meanwhile = judge(session, asked)
    assert (meanwhile.unreported, meanwhile.duplicates) == (0, 0)

    requeue(ground)
    work_off(ground, times)
    check(ground.context, datetime.now(UTC))
    work_off(ground, times)
    with ground.sessions() as session:
        at_last = judge(session, asked)
        found = coverage(session, ground.context.settings, datetime.now(UTC))
        order = progress_of(session, ground.context.settings, backfill.find(session, number), datetime.now(UTC))
    assert (at_last.stored, at_last.missing, at_last.duplicates) == (asked.rows, 0, 0)
    assert [(one.percent, one.is_proven) for one in found] == [(100.0, True)] * series
    assert (order.days_verified, order.left) == (series * days, 0)


def every_arm(times: int) -> list[Arm]:
    """Return each of the table's faults, to be met so often."""
    # The sandbox's ban lasts until its minute is over: once is a minute in which no job can end.
    arms = [replace(arm, times=1 if arm.fault == "ban" else times) for scenario in SCENARIOS for arm in scenario.arms]
    return sorted(arms, key=lambda arm: arm.fault in ROWS_COME)


def ordered(ground: InProcess, asked: Day) -> int:
    """Follow the series up to the window's end, so that coverage counts it, and order it whole."""
    now, config = datetime.now(UTC), ground.context.settings
    window = {"interval": INTERVAL, "start": asked.start, "end": asked.end, "mode": "missing"}
    ask = check_ask(config, providers.get(ILL), "bars", asked.instruments, now=now, **window)
    kept = {"provider": ILL, "dataset": "bars", "interval": INTERVAL, "followed": True}
    rows = [kept | {"instrument": one, "since": asked.start, "until": asked.end} for one in asked.instruments]
    with ground.sessions.begin() as session:
        session.execute(insert(Series), rows)
        number, found = backfill.run(session, config, ask, by=TESTER, now=now)
    assert number is not None
    assert found.rows == asked.rows
    return number


def work_off(ground: InProcess, times: int) -> None:
    """Work until nothing is open, for as long as jobs end."""
    while number(ground, OPEN):
        before = number(ground, DONE)
        ground.work(
            lambda before=before: number(ground, DONE) > before or not number(ground, OPEN),
            "a job to end",
            within_s=times * PATIENCE_S,  # while the provider is ill in every way no job ends
        )


def failed(ground: InProcess) -> int:
    return number(ground, text("SELECT coalesce(sum(failed), 0) FROM fetch_log"))


def number(ground: InProcess, query: object) -> int:
    with ground.sessions() as session:
        return int(session.scalar(query))


def requeue(ground: InProcess) -> None:
    """Requeue every open dead letter, as a person would."""
    with ground.sessions.begin() as session:
        session.execute(update(DeadLetter).values(queue="backfill"))  # no message brought these jobs
        for one in session.scalars(select(DeadLetter.id).where(DeadLetter.state == "open")).all():
            dead_letters.requeue(session, one, lanes=("backfill",), now=datetime.now(UTC), by=TESTER)
