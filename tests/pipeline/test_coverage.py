"""Coverage says what a recount of the whole ledger says, whatever was changed, summed up or is still open."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import text

from ingest.pipeline.coverage import coverage
from ingest.pipeline.scrub import scrub
from models import ledger_months
from models.ledger import LEDGER_STATES
from models.ledger_months import forget, roll

NOW = datetime.now(UTC)
OLD = [date(2023, 11, 20) + timedelta(days=n) for n in range(80)]
#: Few enough that the last day of a month in a state often changes.
FEW = OLD[::3]
YOUNG = [NOW.date() - timedelta(days=n) for n in range(1, 45)]
SPANS = (None, timedelta(days=1), timedelta(days=30), timedelta(days=70), NOW - datetime(2023, 12, 9, tzinfo=UTC))
SERIES = (
    "INSERT INTO series (provider, dataset, instrument, interval, followed, since, planned_from, planned_until)"
    " SELECT 'binance', dataset, instrument, interval, followed, '2023-11-01', '2023-11-01', :until FROM (VALUES"
    " ('bars', 'A-USDT', '1m', true), ('bars', 'B-USDT', '1m', false), ('news', 'C', '', true))"
    " AS made (dataset, instrument, interval, followed) RETURNING id"
)
PUT = (
    "INSERT INTO ledger (series_id, day, expected, stored, final, confirmed, state, job_id, updated_at)"
    " VALUES (:series, :day, :expected, :stored, :final, :confirmed, :state, 1, now()) ON CONFLICT (series_id, day)"
    " DO UPDATE SET expected = excluded.expected, stored = excluded.stored, final = excluded.final,"
    " confirmed = excluded.confirmed, state = excluded.state"
)
#: What the report was before there were sums: one pass over all days.
RECOUNT = text("""
    SELECT instrument, min(day) AS first, count(*) AS days,
        sum(CASE WHEN dataset = 'bars' THEN coalesce(expected, stored) ELSE 1 END) AS expected,
        sum(CASE WHEN state IN ('verified', 'empty_confirmed')
                THEN CASE WHEN dataset = 'bars' THEN coalesce(expected, stored) ELSE 1 END
            WHEN state IN ('suspect', 'imported', 'unavailable', 'retired') OR dataset <> 'bars' THEN 0
            ELSE least(final + confirmed, coalesce(expected, stored)) END) AS proven,
        count(*) FILTER (WHERE state NOT IN ('verified', 'empty_confirmed')),
        count(*) FILTER (WHERE state = 'suspect'), count(*) FILTER (WHERE state = 'imported'),
        count(*) FILTER (WHERE state IN ('unavailable', 'retired'))
    FROM ledger JOIN series ON series.id = ledger.series_id
    WHERE (followed OR state = 'imported') AND day >= :first AND day < :today GROUP BY series.id ORDER BY series.id
""")


@pytest.fixture
def series(farm):
    """Return the ids of a followed series of bars, one that nobody follows, and one of news."""
    until = datetime(NOW.year, NOW.month, NOW.day, tzinfo=UTC) + timedelta(days=1)
    with farm.context.sessions.begin() as session:
        return list(session.scalars(text(SERIES), {"until": until}))


def put(session, series_id, day, **values):
    fields = {"expected": 1440, "stored": 1440, "final": 1440, "confirmed": 0, "state": "verified"} | values
    session.execute(text(PUT), {"series": series_id, "day": day} | fields)


def rolled(farm, times=2):
    for _ in range(times):
        with farm.context.sessions.begin() as session:
            assert roll(session)


def until(farm):
    return farm.value("SELECT until FROM ledger_rolled")


def reported(farm, session, *, last=None, now=NOW):
    """Return what the report says of the days that are over, of each series that has one."""
    found = coverage(session, farm.context.settings, now, last=last)
    return [
        (
            one.instrument,
            one.first,
            one.days,
            one.expected,
            one.proven,
            one.gap_days,
            one.suspect_days,
            one.imported_days,
            one.unavailable_days,
        )
        for one in found
        if one.days
    ]


def recounted(session, *, last=None, now=NOW):
    first = date.min if last is None else (now - last).date()
    return [tuple(row) for row in session.execute(RECOUNT, {"first": first, "today": now.date()})]


def anything(dice):
    expected, stored = dice.choice([None, 0, 390, 1440]), dice.choice([0, 0, 200, 1440])
    return {
        "expected": expected,
        "stored": stored,
        "final": dice.randint(0, stored),
        "confirmed": dice.choice([0, 0, 60]),
        "state": dice.choice(LEDGER_STATES),
    }


class History:
    """Random changes by up to three transactions that are open at once, each with days of its own."""

    def __init__(self, farm, series, dice):
        self.farm, self.series, self.dice, self.open, self.taken = farm, series, dice, [], set()

    def change(self):
        if len(self.open) < 3 and self.dice.random() < 0.4:
            self.open.append((self.farm.context.sessions(), set()))
        if self.open:
            session, mine = self.dice.choice(self.open)
            self._some(session, mine)
            self.taken |= mine
        else:
            with self.farm.context.sessions.begin() as session:
                self._some(session, set())

    def _some(self, session, mine):
        series_id, days = self.dice.choice(self.series), self.dice.choice([FEW, FEW, YOUNG])
        start = self.dice.randrange(len(days))
        for day in days[start : start + self.dice.choice([1, 1, 12])]:
            if (series_id, day) in self.taken - mine:
                continue
            mine.add((series_id, day))
            if self.dice.random() < 0.8:
                put(session, series_id, day, **anything(self.dice))
            else:
                gone = {"series": series_id, "day": day}
                session.execute(text("DELETE FROM ledger WHERE series_id = :series AND day = :day"), gone)

    def end(self):
        if self.open:
            session, mine = self.open.pop(self.dice.randrange(len(self.open)))
            self.dice.choice([session.commit, session.commit, session.rollback])()
            session.close()
            self.taken -= mine

    def sum_up(self):
        with self.farm.context.sessions.begin() as session:
            (forget if self.dice.random() < 0.1 else roll)(session)

    def check(self):
        last = self.dice.choice(SPANS)
        with self.farm.context.sessions() as session:
            assert reported(self.farm, session, last=last) == recounted(session, last=last)
        for session, _ in self.open[-1:]:
            point = session.begin_nested()
            assert reported(self.farm, session, last=last) == recounted(session, last=last)
            point.rollback()


@pytest.mark.parametrize("seed", range(3))
def test_the_report_is_a_full_recount_after_any_history_of_changes(farm, series, seed):
    dice = random.Random(seed)
    history = History(farm, series, dice)
    rolled(farm)
    for _ in range(50):
        dice.choices([history.change, history.end, history.sum_up], [6, 2, 2])[0]()
        history.check()
    while history.open:
        history.end()
    history.check()
    rolled(farm, 3)
    history.check()
    assert until(farm) > date(2024, 3, 1)
    assert farm.value("SELECT count(*) FROM ledger_months") > 0


def test_what_a_slow_transaction_changed_is_counted_when_it_ends_and_not_before(farm, series):
    with farm.context.sessions.begin() as session:
        for day in OLD:
            put(session, series[0], day)
    rolled(farm)
    with farm.context.sessions() as slow, farm.context.sessions() as session:
        put(slow, series[0], OLD[3], state="suspect")
        put(slow, series[0], OLD[-1] + timedelta(days=1))
        rolled(farm, 3)
        assert reported(farm, session)[0][2:7] == (80, 80 * 1440, 80 * 1440, 0, 0)
        session.rollback()
        slow.commit()
        for _ in range(2):
            assert reported(farm, session)[0][2:7] == (81, 81 * 1440, 80 * 1440, 1, 1)
            session.rollback()
            rolled(farm, 1)
    assert farm.value("SELECT count(*) FROM ledger_changes") == 0


def test_a_month_is_not_summed_up_while_a_transaction_may_have_changed_it_without_a_note(farm, series, monkeypatch):
    monkeypatch.setattr(ledger_months, "ROLLED_AFTER", timedelta(days=-40))  # as if its month were long over
    later, yesterday = NOW + timedelta(days=75), NOW.date() - timedelta(days=1)
    with farm.context.sessions() as slow, farm.context.sessions() as session:
        put(slow, series[0], yesterday, state="suspect")
        rolled(farm, 4)
        assert until(farm) == date.min
        slow.commit()
        assert farm.value("SELECT count(*) FROM ledger_changes") == 0
        for _ in range(3):
            assert reported(farm, session, now=later)[0][6] == 1
            session.rollback()
            rolled(farm, 1)
    assert until(farm) > NOW.date()


def test_a_month_that_changed_is_summed_up_anew_and_states_that_it_no_longer_has_are_gone(farm, series):
    sums = "SELECT state, days, expected, stored FROM ledger_months ORDER BY state"
    with farm.context.sessions.begin() as session:
        put(session, series[0], OLD[0])
        put(session, series[0], OLD[1], state="suspect")
    rolled(farm)
    assert farm.select(sums) == [("suspect", 1, 1440, 1440), ("verified", 1, 1440, 1440)]
    with farm.context.sessions.begin() as session:
        put(session, series[0], OLD[1])
    rolled(farm, 1)
    assert farm.select(sums) == [("verified", 2, 2880, 2880)]
    farm.change("DELETE FROM ledger")
    rolled(farm, 1)
    assert farm.select(sums) == []


def test_only_what_the_report_reads_of_older_days_is_noted(farm, series):
    with farm.context.sessions.begin() as session:
        for day in (NOW.date(), YOUNG[0]):
            put(session, series[0], day, state="fetched")
            put(session, series[0], day)
    notes = "SELECT day, old_state, new_state, old_stored, new_stored FROM ledger_changes ORDER BY ctid"
    assert farm.select(notes) == []
    with farm.context.sessions.begin() as session:
        put(session, series[0], OLD[0], final=7, state="fetched")
    farm.change("UPDATE ledger SET scrubbed_at = now(), job_id = 7")
    farm.change("UPDATE ledger SET day = day + 1, state = 'verified' WHERE day = :day", day=OLD[0])
    farm.change("DELETE FROM ledger WHERE day = :day", day=OLD[1])
    assert farm.select(notes) == [
        (OLD[0], None, "fetched", None, 7),
        (OLD[0], "fetched", None, 7, None),
        (OLD[1], None, "verified", None, 7),
        (OLD[1], "verified", None, 7, None),
    ]


def test_the_report_reads_what_changed_and_the_newest_days_and_nothing_else(farm, series):
    farm.change(
        "INSERT INTO ledger (series_id, day, expected, stored, final, state, job_id, updated_at)"
        " SELECT :id, day, 1440, 1440, 1440, 'verified', 1, now()"
        " FROM generate_series(CAST(:today AS date) - 2000, CAST(:today AS date) - 1, '1 day') AS day",
        id=series[0],
        today=NOW.date(),
    )
    rolled(farm)
    farm.change("ANALYZE ledger")
    farm.change("UPDATE ledger SET state = 'suspect' WHERE day < '2024-01-11' AND day >= '2024-01-01'")
    read = text("SELECT idx_tup_fetch + seq_tup_read FROM pg_stat_xact_user_tables WHERE relname = 'ledger'")
    with farm.context.sessions() as session:
        session.execute(text("SET LOCAL enable_seqscan = off"))  # it is cheaper while the table is this small
        before = session.scalar(read) or 0
        [one, _] = coverage(session, farm.context.settings, NOW)
        assert 0 < session.scalar(read) - before < 100
    assert (one.days - one.gap_days, one.suspect_days) == (1990, 10)


def test_of_two_who_sum_up_at_once_one_does(farm, series):
    with farm.context.sessions.begin() as first, farm.context.sessions.begin() as second:
        assert roll(first)
        assert not roll(second)


def test_a_database_restored_on_another_server_begins_anew(farm, series):
    rolled(farm)
    known = until(farm)
    farm.change("UPDATE ledger_rolled SET after_xid = 1000000000000000, until = '2024-02-01', next = '2024-02-01'")
    rolled(farm)
    assert until(farm) == known


def test_a_scrub_and_a_truncated_ledger_take_the_sums_away(farm, series):
    for harm in (lambda: scrub(farm.context, NOW), lambda: farm.change("TRUNCATE ledger")):
        with farm.context.sessions.begin() as session:
            put(session, series[0], OLD[0])
        rolled(farm, 3)
        assert farm.value("SELECT count(*) FROM ledger_months") == 1
        harm()
        assert farm.value("SELECT count(*) FROM ledger_months") == 0
        with farm.context.sessions() as session:
            assert reported(farm, session) == recounted(session)
