"""What is altered behind the ledger's back is found by the next scrub, and healed to what it was."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from ingest.pipeline.coverage import coverage
from ingest.pipeline.gaps import check
from ingest.pipeline.scrub import AGAIN_AFTER, scrub, scrub_oldest
from models.upsert import row_hash
from tests.pipeline.farm import DAY, LATER, bars_call

DAYS = [DAY + timedelta(days=n) for n in range(3)]
_A_ROW = "(SELECT ts FROM bars WHERE ts >= :day AND ts < :next ORDER BY md5(ts::text || :seed) LIMIT 1)"
_ANOTHER = _A_ROW.replace("LIMIT 1", "OFFSET 1 LIMIT 1")
#: What is done to one day's rows.
HARMS = {
    "deleted": "DELETE FROM bars WHERE ts >= :day AND ts < :next AND md5(ts::text || :seed) < '1'",
    "changed": f"UPDATE bars SET volume = volume + 1 WHERE ts = {_A_ROW}",
    "shifted": f"UPDATE bars SET ts = ts + interval '7 seconds' WHERE ts = {_A_ROW}",
    "swapped": f"WITH pair AS (SELECT {_A_ROW} AS one, {_ANOTHER} AS other) UPDATE bars SET close = there.close"
    " FROM bars AS there, pair WHERE (bars.ts, there.ts) IN ((pair.one, pair.other), (pair.other, pair.one))",
    "made final again": f"UPDATE bars SET is_final = false WHERE ts = {_A_ROW}",
}


@pytest.fixture
def verified(farm):
    """Return the farm with three verified days of a followed series."""
    farm.owe("binance", bars_call(minutes=3 * 1440))
    farm.run()
    farm.change(
        "UPDATE series SET followed = true, since = :since, until = :until",
        since=DAYS[0],
        until=DAYS[0] + timedelta(days=3),
    )
    check(farm.context, datetime.now(UTC))
    assert farm.select("SELECT state FROM ledger ORDER BY day") == [("verified",)] * 3
    return farm


def hashes(farm):
    known = farm.select("SELECT day, hash FROM ledger ORDER BY day")
    there = farm.select(
        f"SELECT (ts AT TIME ZONE 'UTC')::date, bit_xor({row_hash('bars', 'bars')}) FROM bars GROUP BY 1 ORDER BY 1"
    )
    assert known == there
    return known


def proven(farm):
    with farm.context.sessions() as session:
        [one] = coverage(session, farm.context.settings, datetime.now(UTC))
    return one


def heal(farm):
    check(farm.context, datetime.now(UTC))
    farm.run(within=LATER)


def test_a_scrub_of_what_is_as_it_was_written_is_silent(verified):
    done = scrub(verified.context, datetime.now(UTC))
    assert (done.days, done.rows, done.altered) == (3, 3 * 1440, [])
    assert verified.select("SELECT DISTINCT state, scrubbed_at IS NOT NULL FROM ledger") == [("verified", True)]


@pytest.mark.parametrize("harm", HARMS)
def test_a_scrub_names_the_altered_days_and_no_other_and_they_are_healed(verified, harm):
    before, dice = hashes(verified), random.Random(harm)
    hit = dice.choice(DAYS)
    verified.change(HARMS[harm], day=hit, next=hit + timedelta(days=1), seed=harm)
    assert [one.day for one in scrub(verified.context, datetime.now(UTC)).altered] == [hit.date()]
    assert verified.select("SELECT day FROM ledger WHERE state = 'suspect'") == [(hit.date(),)]
    assert verified.value("SELECT rule FROM findings") == "altered"
    assert (proven(verified).suspect_days, proven(verified).is_proven) == (1, False)
    heal(verified)
    assert hashes(verified) == before
    assert (proven(verified).percent, proven(verified).is_proven) == (100.0, True)
    assert scrub(verified.context, datetime.now(UTC)).altered == []


def test_a_dropped_partition_is_found_and_comes_back_whole(verified):
    before = hashes(verified)
    [[name]] = verified.select(
        "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'bars'::regclass"
        " AND inhrelid::regclass::text LIKE '%2024%'"
    )
    verified.change(f"DROP TABLE {name}")
    assert len(scrub(verified.context, datetime.now(UTC)).altered) == 3
    heal(verified)
    assert hashes(verified) == before
    assert proven(verified).percent == 100.0


def test_rows_for_a_day_that_the_ledger_does_not_know_are_found(verified):
    verified.change("DELETE FROM ledger WHERE day = :day", day=DAYS[1].date())
    assert [one.day for one in scrub(verified.context, datetime.now(UTC)).altered] == [DAYS[1].date()]


def test_the_rolling_scrub_reads_each_day_again_after_a_week_and_finds_what_was_altered(verified):
    now = datetime.now(UTC)
    assert scrub_oldest(verified.context, now).days == 0  # all were written just now
    verified.change("UPDATE bars SET volume = volume + 1 WHERE ts = :ts", ts=DAYS[1])
    turn = now + AGAIN_AFTER
    verified.change("UPDATE ledger SET scrubbed_at = :now WHERE day = :day", now=turn, day=DAYS[2].date())
    done = scrub_oldest(verified.context, turn)
    assert (done.days, [one.day for one in done.altered], done.is_complete) == (2, [DAYS[1].date()], True)
    assert verified.select("SELECT day FROM ledger WHERE state = 'suspect'") == [(DAYS[1].date(),)]
    assert scrub_oldest(verified.context, turn).days == 0


def test_a_rolling_scrub_without_time_left_says_so_and_the_next_one_goes_on(verified):
    turn = datetime.now(UTC) + AGAIN_AFTER
    cut_off = scrub_oldest(verified.context, turn, budget_s=0)
    assert cut_off.summary() == {
        "rows": 0,
        "read_rows": 0,
        "read_days": 0,
        "altered_days": 0,
        "complete": False,
    }
    assert scrub_oldest(verified.context, turn).rows == 3 * 1440


def test_a_row_that_is_being_written_during_a_scrub_is_no_alarm(verified):
    with verified.context.sessions() as writer:
        writer.execute(text("UPDATE bars SET volume = volume WHERE ts = :ts"), {"ts": DAY})
        assert scrub(verified.context, datetime.now(UTC)).altered == []


def test_coverage_counts_rows_of_bars_and_never_says_100_while_one_is_missing(verified):
    verified.change("UPDATE ledger SET state = 'fetched', final = final - 1 WHERE day = :day", day=DAYS[0].date())
    one = proven(verified)
    assert (one.expected, one.proven, one.gap_days, one.days) == (4320, 4319, 1, 3)
    assert one.percent < 100
    assert not one.is_proven


def test_days_that_came_to_be_owed_while_nobody_looked_are_not_proven(verified):
    """The farm was down: no check has planned them, and the report must not wait for one."""
    verified.change("UPDATE series SET until = :until", until=DAYS[0] + timedelta(days=5))
    assert verified.value("SELECT count(*) FROM ledger") == 3
    one = proven(verified)
    assert (one.days, one.gap_days, one.expected, one.proven) == (5, 2, 7200, 4320)
    assert verified.value("SELECT count(*) FROM ledger") == 3  # a report writes nothing
