"""The heat-map's series, pages and sums agree with a count over all its cells, whoever follows what.

Deliberately not here: what a state looks like (tests/dashboard).
"""

from __future__ import annotations

import random
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from ingest.pipeline.heat_map import KNOWN_STATES, Filter, heat_map, window_of
from models.ledger import LEDGER_STATES

NOW = datetime(2026, 3, 10, 15, tzinfo=UTC)
DAYS = window_of(20, NOW)
EVERYTHING = Filter()
_SERIES = text("""
    INSERT INTO series (provider, dataset, instrument, interval, followed)
    VALUES ('binance', :dataset, :name, :interval, :followed) RETURNING id
""")
_DAY = text("""
    INSERT INTO ledger (series_id, day, expected, stored, final, state, job_id, updated_at)
    VALUES (:series, :day, 1440, :stored, :stored, :state, 1, now())
""")


@pytest.fixture
def shown(farm):
    """Return what reads a page of the heat-map."""

    def read(wanted=EVERYTHING, **page):
        with farm.context.sessions() as session:
            return heat_map(session, wanted, DAYS, NOW, **page)

    return read


@pytest.fixture
def ledger(farm):
    """Fill a ledger of every state; return its days: (dataset and instrument, followed, day, stored)."""
    dice, days = random.Random(3), []
    with farm.context.sessions.begin() as session:
        for at in range(24):
            dataset, followed = dice.choice(["bars", "trades"]), at % 2 == 0
            name = f"A{at:02}-USDT"
            kind = {"dataset": dataset, "interval": "1m" if dataset == "bars" else ""}
            series = session.scalar(_SERIES, kind | {"name": name, "followed": followed})
            holds = at % 4 < 2  # of two that nobody follows one holds nothing in the window
            for day in [DAYS[0] - timedelta(days=3), *dice.sample(DAYS, 12)]:
                stored = dice.choice([0, 700, 1440]) if holds or day < DAYS[0] else 0
                state = dice.choice(LEDGER_STATES)
                session.execute(_DAY, {"series": series, "day": day, "stored": stored, "state": state})
                days.append(((dataset, name), followed, day, stored))
    return days


def row_of(series, cells):
    return series.instrument, cells


def test_the_series_are_those_that_are_followed_or_hold_rows_of_these_days(shown, ledger):
    expected = {one for one, followed, day, stored in ledger if followed or (day >= DAYS[0] and stored)}
    assert 12 < len(expected) < 24
    found = shown()
    assert [(series.dataset, series.instrument) for series, _ in found.rows] == sorted(expected)
    assert found.series == len(expected)


def test_pages_follow_each_other_and_the_sums_are_of_all_of_them(shown, ledger):
    pages = [shown(offset=at, limit=5) for at in range(0, 30, 5)]
    every = shown()
    assert [row_of(*row) for page in pages for row in page.rows] == [row_of(*row) for row in every.rows]
    known = Counter(cell.state for _, cells in every.rows for cell in cells if cell.stored is not None)
    assert set(known) == set(KNOWN_STATES)
    assert all(page.states == known for page in [*pages, every])


@pytest.mark.parametrize("state", KNOWN_STATES)
def test_a_state_finds_the_series_that_have_such_a_day(shown, ledger, state):
    expected = [
        row_of(series, cells)
        for series, cells in shown().rows
        if any(one.state == state and one.stored is not None for one in cells)
    ]
    found = shown(Filter(state=state))
    assert [row_of(*row) for row in found.rows] == expected != []
    assert found.series == len(expected)
