"""The view `adjusted_bars`, worked out by hand: Apple's split of 2020-08-31, four for one, and dividends around it."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from sqlalchemy import text

from models.partitions import ensure_partitions
from tests.models.rows import bar, select, store

SPLIT, DIVIDEND = datetime(2020, 8, 31, tzinfo=UTC), datetime(2020, 8, 7, tzinfo=UTC)
#: Raw closes and volumes; the dividend of 0.82 a share was 0.205 after the split.
RAW = {
    datetime(2020, 8, 6, tzinfo=UTC): ("455.61", "50607225"),
    DIVIDEND: ("444.45", "49511403"),
    datetime(2020, 8, 28, tzinfo=UTC): ("499.23", "46907479"),
    SPLIT: ("129.04", "225702688"),
}
#: What the same bars are where a provider has worked the split in already.
SPLIT_ADJUSTED = {ts: (str(Decimal(close) / (1 if ts >= SPLIT else 4)), volume) for ts, (close, volume) in RAW.items()}
ADJUSTED = "SELECT ts, close, volume, factor FROM adjusted_bars WHERE series_id = :id ORDER BY ts"


@pytest.fixture
def known(sessions):
    """Return what makes the bars' and the actions' series of one instrument."""

    def make(bars, *, adjustment, actions):
        with sessions.begin() as session:
            ensure_partitions(session, "bars", min(bars), max(bars))
            made = "INSERT INTO series (provider, dataset, instrument, interval, adjustment) VALUES"
            ids = [
                session.execute(
                    text(f"{made} ('p', :dataset, 'AAPL', :interval, :adjustment) RETURNING id"),
                    {"dataset": dataset, "interval": interval, "adjustment": adjustment},
                ).scalar_one()
                for dataset, interval in (("bars", "1d"), ("actions", ""))
            ]
        rows = [
            bar(series_id=ids[0], ts=ts, open=close, high=close, low=close, close=close, volume=volume)
            for ts, (close, volume) in bars.items()
        ]
        store(sessions, *rows)
        whole = [{"series_id": ids[1], "action_id": '""', "job_id": 1, "observed_at": SPLIT, **one} for one in actions]
        if whole:
            store(sessions, *whole, dataset="actions")
        return ids[0]

    return make


def split(**values):
    return {"ts": SPLIT, "kind": "split", "split_from": "1", "split_to": "4"} | values


def dividend(amount="0.82", **values):
    return {"ts": DIVIDEND, "kind": "dividend", "amount": amount} | values


def closes(sessions, series):
    return [row[1] for row in select(sessions, ADJUSTED, id=series)]


def test_bars_before_a_split_are_divided_and_their_volume_multiplied(sessions, known):
    series = known(RAW, adjustment="none", actions=[split()])
    rows = select(sessions, ADJUSTED, id=series)
    assert [row[1] for row in rows] == [Decimal(close) / 4 for close in ("455.61", "444.45", "499.23")] + [
        Decimal("129.04")
    ]
    assert [row[2] for row in rows] == [50607225 * 4, 49511403 * 4, 46907479 * 4, 225702688]


def test_a_dividend_takes_its_share_of_the_close_before_it_from_all_bars_before_it(sessions, known):
    series = known(RAW, adjustment="none", actions=[split(), dividend()])
    share = 1 - Decimal("0.82") / Decimal("455.61")
    found = closes(sessions, series)
    assert found[0] == pytest.approx(Decimal("455.61") / 4 * share, abs=Decimal("1e-12"))
    assert found[1:] == [Decimal("444.45") / 4, Decimal("499.23") / 4, Decimal("129.04")]


def test_what_the_provider_has_worked_in_is_not_worked_in_twice(sessions, known):
    series = known(SPLIT_ADJUSTED, adjustment="splits", actions=[split(), dividend("0.205")])
    share = 1 - Decimal("0.205") / (Decimal("455.61") / 4)
    found = closes(sessions, series)
    assert found[0] == pytest.approx(Decimal("455.61") / 4 * share, abs=Decimal("1e-12"))
    assert found[1:] == [Decimal("444.45") / 4, Decimal("499.23") / 4, Decimal("129.04")]


def test_bars_that_are_adjusted_for_all_and_those_without_actions_stay_as_they_are(sessions, known):
    wanted = [Decimal(close) for close, _ in RAW.values()]
    assert closes(sessions, known(RAW, adjustment="all", actions=[split(), dividend()])) == wanted


def test_what_is_declared_for_a_day_to_come_changes_nothing_yet(sessions, known):
    ahead = [dividend(ts=datetime(2020, 9, 1, tzinfo=UTC)), split(ts=datetime(2020, 9, 1, tzinfo=UTC))]
    series = known(RAW, adjustment="none", actions=ahead)
    assert closes(sessions, series) == [Decimal(close) for close, _ in RAW.values()]


def test_without_actions_the_factor_is_one(sessions, known):
    series = known(RAW, adjustment="none", actions=[])
    assert {row[3] for row in select(sessions, ADJUSTED, id=series)} == {Decimal(1)}


def test_a_split_and_a_dividend_of_the_same_day_are_both_applied(sessions, known):
    series = known(RAW, adjustment="none", actions=[split(), dividend("1", ts=SPLIT)])
    share = (1 - 1 / Decimal("499.23")) / 4
    assert closes(sessions, series)[2] == pytest.approx(Decimal("499.23") * share, abs=Decimal("1e-12"))
    assert closes(sessions, series)[3] == Decimal("129.04")
